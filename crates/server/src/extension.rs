//! Extensions: who is subscribed, and the actions that are built in.
//!
//! Requests come in through the extension route, the older service route, and rules. What is built in is carried out
//! here; extensions of others are asked by [`crate::service`].

mod error;
mod infrastructure;
mod table;
mod tasking;

pub use error::Error;
pub use infrastructure::{EXTENSION as INFRASTRUCTURE, SERVICE as INFRASTRUCTURE_SERVICE, yaml_text};

use crate::access::Caller;
use crate::hive::Hives;
use crate::intake::event::Actor;
use crate::organization::Organization;
use crate::output::Delivery;
use crate::records::{Batch, Kind, Records};
use crate::service::{self, Asked, By, Program, Services};
use crate::tasking::Tasking;
use muster_api_types::schema::SchemaOf;
use muster_model::{Oid, Timestamp};
use muster_store::{Expect, StoreError};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::sync::Arc;
use table::Extension;

/// Subscriptions of organizations, by extension name.
pub const SUBSCRIPTION: Kind<Subscription> = Kind::new("subscription");

/// Names of the extensions that are built in.
pub const BUILT_IN: &[&str] = &[crate::tasking::EXTENSION, INFRASTRUCTURE];

/// The rooms that the built-in extensions reach.
pub struct Extensions {
    pub(crate) records: Arc<Records>,
    pub(crate) hives: Arc<Hives>,
    pub(crate) delivery: Arc<Delivery>,
    pub(crate) tasking: Arc<Tasking>,
    /// Those who ask extensions of others.
    pub(crate) services: Arc<Services>,
    /// Refuse tasks that name no target.
    pub(crate) require_targeting: bool,
}

/// A subscription.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Subscription {
    /// When.
    pub created_at: Timestamp,
    /// Who.
    pub by: String,
}

const TABLES: &[Extension] = &[tasking::TABLE, infrastructure::TABLE];

fn table(name: &str) -> Result<&'static Extension, Error> {
    TABLES.iter().find(|extension| extension.name == name).ok_or_else(|| Error::NoExtension(name.to_owned()))
}

/// What is in `data` of the answers of the built-in extensions: extension, action, schema.
#[must_use]
pub fn answers() -> Vec<(&'static str, &'static str, SchemaOf)> {
    let actions = TABLES.iter().flat_map(|extension| extension.actions.iter().map(|action| (extension.name, action)));
    actions.map(|(extension, action)| (extension, action.name, action.answers)).collect()
}

/// Whether an extension is built in.
#[must_use]
pub fn is_built_in(name: &str) -> bool {
    BUILT_IN.contains(&name)
}

/// Adds the subscriptions with which an organization begins: to all that is built in.
///
/// # Errors
///
/// As [`Batch::put`].
pub fn first_subscriptions(batch: Batch, oid: Oid, subscription: &Subscription) -> Result<Batch, StoreError> {
    BUILT_IN.iter().try_fold(batch, |batch, name| batch.put(oid, SUBSCRIPTION, name, subscription, Expect::Any))
}

/// What an extension that an organization sees can be asked, in the published shape.
///
/// # Errors
///
/// [`Error::OfOthers`] if there is none of this name, or it is one of others that does not say.
pub async fn schema(extensions: &Extensions, oid: Oid, name: &str) -> Result<Value, Error> {
    if is_built_in(name) {
        return table(name).map(Extension::schema);
    }
    let extension = Program::extension(name);
    let found = service::find(&extensions.records, oid, &extension);
    let found = found.ok_or_else(|| service::Error::Unknown(extension.clone()))?;
    let schema = extensions.services.schema(found.owner, &extension).await?;
    serde_json::to_value(schema).map_err(|error| Error::Fault(error.to_string()))
}

/// Whether an organization may use an extension.
#[must_use]
pub fn is_subscribed(extensions: &Extensions, oid: Oid, name: &str) -> bool {
    extensions.records.has(oid, SUBSCRIPTION, name)
}

/// Carries out an action of an extension for a caller.
///
/// # Errors
///
/// As [`request`], and [`Error::Access`] naming a permission that the action needs: `ext.request` opens the door, and each act
/// needs what it needs by its direct route.
pub async fn request_by(
    extensions: &Arc<Extensions>,
    organization: &Arc<Organization>,
    name: &str,
    action: &str,
    data: &Value,
    (caller, actor): (&Caller, &Actor),
) -> Result<Value, Error> {
    if !is_built_in(name) {
        let data = data.as_object().cloned().unwrap_or_default();
        let asked = Asked { action, data, inv_id: "", by: By::Caller(caller) };
        return Ok(extensions.services.act(organization.oid, name, asked).await?.data);
    }
    let wanted = table(name)?.action(action)?;
    if let Some(permission) = wanted.permission {
        caller.require(organization.oid, permission)?;
    }
    if name == INFRASTRUCTURE {
        return infrastructure::request(extensions, organization, wanted, data, caller, actor).await;
    }
    tasking::require_payload(caller, organization.oid, wanted.name, data)?;
    request(extensions, organization, name, action, data, actor).await
}

/// Carries out an action of a built-in extension for nobody in particular, such as a rule.
///
/// # Errors
///
/// [`Error::NotSubscribed`], [`Error::NoExtension`], [`Error::NeedsCaller`],
/// else whatever the action says.
pub async fn request(
    extensions: &Arc<Extensions>,
    organization: &Arc<Organization>,
    name: &str,
    action: &str,
    data: &Value,
    actor: &Actor,
) -> Result<Value, Error> {
    let extension = table(name)?;
    if name == INFRASTRUCTURE {
        return Err(Error::NeedsCaller(name.to_owned()));
    }
    if !is_subscribed(extensions, organization.oid, name) {
        return Err(Error::NotSubscribed(name.to_owned()));
    }
    tasking::request(extensions, organization, extension.action(action)?, data, actor).await
}
