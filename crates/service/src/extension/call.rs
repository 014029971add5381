//! What the callbacks of an extension get.

use super::{Acl, Adapter};
use crate::{Client, Error};
use muster_model::Oid;
use muster_webhook::extension::ResourceState;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::sync::Arc;

/// For whom a message is, and who caused it.
#[derive(Clone, Debug)]
pub struct Who {
    /// The organization.
    pub oid: Oid,
    /// Who asked: an address, the name of a key, or `DR:NAMESPACE.RULE`.
    pub ident: String,
    /// The same on every attempt of one logical call.
    pub idempotency_key: String,
    pub(crate) client: Option<Arc<Client>>,
    pub(crate) adapter: Adapter,
}

impl Who {
    /// A caller of the REST API, authenticated for the organization; for the caller itself in impersonated actions.
    ///
    /// # Errors
    ///
    /// If the program does not know where the API is.
    pub fn client(&self) -> Result<&Client, Error> {
        self.client.as_deref().ok_or_else(|| "set LC_API_URL: where the API is".into())
    }

    /// The webhook by which the extension feeds events into the organization.
    #[must_use]
    pub const fn adapter(&self) -> &Adapter {
        &self.adapter
    }
}

/// A call of an action.
#[derive(Clone, Debug)]
pub struct ActionCall {
    /// For whom.
    pub who: Who,
    /// Parameters, checked by the server; the state of a continuation.
    pub data: Map<String, Value>,
    /// The configuration of the organization.
    pub config: Map<String, Value>,
    /// Modification times of related resources.
    pub resource_state: BTreeMap<String, ResourceState>,
    /// Investigation id; may be empty.
    pub inv_id: String,
    /// What of the restricted resources the caller may see; closed if the server did not say.
    pub acl: Acl,
    /// The rule that asked, for actions that allow automation.
    pub automation_rule: Option<String>,
}

impl ActionCall {
    /// The parameters as a type of yours.
    ///
    /// # Errors
    ///
    /// Says which field is wrong or missing.
    pub fn data<T: DeserializeOwned>(&self) -> Result<T, Error> {
        Ok(serde_json::from_value(Value::Object(self.data.clone()))?)
    }

    /// The configuration as a type of yours.
    ///
    /// # Errors
    ///
    /// Says which field is wrong or missing.
    pub fn config<T: DeserializeOwned>(&self) -> Result<T, Error> {
        Ok(serde_json::from_value(Value::Object(self.config.clone()))?)
    }
}

/// Something happened to an organization.
#[derive(Clone, Debug)]
pub struct EventCall {
    /// For whom.
    pub who: Who,
    /// More about it.
    pub data: Map<String, Value>,
    /// The configuration of the organization.
    pub config: Map<String, Value>,
}

/// A configuration that waits for its approval.
#[derive(Clone, Debug)]
pub struct ConfigCall {
    /// For whom.
    pub who: Who,
    /// The configuration; its schema was checked by the server.
    pub config: Map<String, Value>,
}

impl ConfigCall {
    /// The configuration as a type of yours.
    ///
    /// # Errors
    ///
    /// Says which field is wrong or missing.
    pub fn config<T: DeserializeOwned>(&self) -> Result<T, Error> {
        Ok(serde_json::from_value(Value::Object(self.config.clone()))?)
    }
}
