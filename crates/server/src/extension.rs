//! Extensions: who is subscribed, and the actions that are built in.
//!
//! Requests come in through the extension route, the older service route, and
//! rules; all of them end in [`request`].

mod infrastructure;
mod schema;
mod tasking;

pub use infrastructure::{EXTENSION as INFRASTRUCTURE, SERVICE as INFRASTRUCTURE_SERVICE, yaml_text};
pub use schema::schema;
pub use tasking::invalid_selector;

use crate::access::Caller;
use crate::api::ApiError;
use crate::app::App;
use crate::event::Actor;
use crate::organization::Organization;
use crate::records::Kind;
use muster_model::{Oid, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::sync::Arc;

/// Subscriptions of organizations, by extension name.
pub const SUBSCRIPTION: Kind<Subscription> = Kind::new("subscription");

/// Names of the extensions that are built in.
pub const BUILT_IN: &[&str] = &[crate::tasking::EXTENSION, INFRASTRUCTURE];

/// A subscription.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Subscription {
    /// When.
    pub created_at: Timestamp,
    /// Who.
    pub by: String,
}

/// Whether an organization may use an extension.
#[must_use]
pub fn is_subscribed(app: &App, oid: Oid, name: &str) -> bool {
    app.records.has(oid, SUBSCRIPTION, name)
}

/// Carries out an action of an extension for a caller.
///
/// # Errors
///
/// As [`request`], and 401 naming a permission that the action needs.
pub async fn request_by(
    app: &Arc<App>,
    organization: &Arc<Organization>,
    name: &str,
    action: &str,
    data: &Value,
    (caller, actor): (&Caller, &Actor),
) -> Result<Value, ApiError> {
    if name == INFRASTRUCTURE {
        return infrastructure::request(app, organization, action, data, caller, actor).await;
    }
    request(app, organization, name, action, data, actor).await
}

/// Carries out an action of an extension for nobody in particular, such as a rule.
///
/// # Errors
///
/// 403 if the organization is not subscribed, 404 for an unknown extension,
/// else whatever the action says.
pub async fn request(
    app: &Arc<App>,
    organization: &Arc<Organization>,
    name: &str,
    action: &str,
    data: &Value,
    actor: &Actor,
) -> Result<Value, ApiError> {
    if !BUILT_IN.contains(&name) {
        return Err(ApiError::not_found(format!("no such extension: {name}")));
    }
    if name == INFRASTRUCTURE {
        return Err(ApiError::forbidden(format!("{name} acts with the permissions of a caller; rules have none")));
    }
    if !is_subscribed(app, organization.oid, name) {
        let hint = format!("not subscribed to {name}; subscribe first: limacharlie extension subscribe --name {name}");
        return Err(ApiError::forbidden(hint).with_code("not_subscribed"));
    }
    tasking::request(app, organization, action, data, actor).await
}
