//! The sensor by which an extension feeds events into an organization: a webhook of its own.
//!
//! Source: reference/extension-protocol.md section 11.

use super::{adapter_tag, hook_secret};
use crate::{Client, ClientError};
use muster_client::{ErrorCode, HiveChange, UserMetadata};
use muster_model::Oid;
use serde::Serialize;
use serde_json::{Value, json};
use std::fmt;

/// The hive in which webhooks are.
const HIVE: &str = "cloud_sensor";

/// Tag of what no person made.
const SYSTEM_TAG: &str = "lc:system";

/// Where things are in the events that are posted: paths of names, such as `alert/kind`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Mapping {
    /// The type of an event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_type_path: Option<String>,
    /// When it happened.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_time_path: Option<String>,
    /// The investigation that it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub investigation_id_path: Option<String>,
}

/// The webhook of an extension in one organization.
///
/// Its events are those of a sensor with the extension's name, so that rules, outputs and timelines have them. What the
/// identity of the extension needs for it: `org.get`, `ikey.list`, `ikey.set`, `ikey.del`, `cloudsensor.get`,
/// `cloudsensor.set`, `cloudsensor.del`.
#[derive(Clone)]
pub struct Adapter {
    extension: String,
    oid: Oid,
    secret: String,
}

impl fmt::Debug for Adapter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Adapter").field("extension", &self.extension).field("oid", &self.oid).finish_non_exhaustive()
    }
}

impl Adapter {
    /// That of an extension with this name and this secret.
    #[must_use]
    pub fn new(extension: &str, shared_secret: &str, oid: Oid) -> Self {
        Self { extension: extension.to_owned(), oid, secret: hook_secret(shared_secret, oid) }
    }

    /// Tag of everything that belongs to the extension.
    #[must_use]
    pub fn tag(&self) -> String {
        adapter_tag(&self.extension)
    }

    /// Tags of the webhook, of its installation key and of its sensor.
    #[must_use]
    pub fn tags(&self) -> Vec<String> {
        vec![SYSTEM_TAG.to_owned(), self.tag()]
    }

    /// Description of the installation key: by it the key is found again.
    #[must_use]
    pub fn description(&self) -> String {
        format!("ext {} webhook adapter", self.extension)
    }

    /// Last part of the address that events are posted to: whoever knows it can post.
    #[must_use]
    pub fn secret(&self) -> &str {
        &self.secret
    }

    /// What the hive holds of the webhook; `iid` is the id of its installation key.
    #[must_use]
    pub fn record(&self, iid: &str, mapping: &Mapping) -> Value {
        let options = json!({
            "hostname": self.extension,
            "identity": {"oid": self.oid, "installation_key": iid},
            "platform": "json",
            "sensor_seed_key": self.extension,
            "mapping": mapping,
        });
        json!({"sensor_type": "webhook", "webhook": {"secret": self.secret, "client_options": options}})
    }

    /// Makes the webhook, or changes it if it is there. It keeps its installation key; further ones of it go.
    ///
    /// # Errors
    ///
    /// Whatever the server says. What was done until then stays, and the next call goes on from there.
    pub async fn create(&self, client: &Client, mapping: &Mapping) -> Result<(), ClientError> {
        let mut keys = self.keys(client).await?.into_iter();
        let iid = match keys.next() {
            Some(iid) => iid,
            None => client.create_installation_key(&self.description(), &self.tags()).await?.iid,
        };
        for further in keys {
            client.delete_installation_key(&further).await?;
        }
        let usr_mtd = UserMetadata { enabled: true, tags: self.tags(), ..UserMetadata::default() };
        let change = HiveChange { data: Some(self.record(&iid, mapping)), usr_mtd: Some(usr_mtd), etag: None };
        client.set_hive_record(HIVE, &self.extension, &change).await
    }

    /// Takes the webhook away, if it is there. Its sensor and its events stay.
    ///
    /// # Errors
    ///
    /// Whatever the server says. What was done until then stays, and the next call goes on from there.
    pub async fn delete(&self, client: &Client) -> Result<(), ClientError> {
        match client.delete_hive_record(HIVE, &self.extension).await {
            Err(error) if error.code() != Some(ErrorCode::RecordNotFound) => return Err(error),
            _ => {}
        }
        for iid in self.keys(client).await? {
            client.delete_installation_key(&iid).await?;
        }
        Ok(())
    }

    /// Posts an event, or a list of them.
    ///
    /// # Errors
    ///
    /// Whatever the server says; what is not answered may have been taken in.
    pub async fn send(&self, client: &Client, events: &Value) -> Result<(), ClientError> {
        client.post_events(&client.hooks().await?, &self.extension, &self.secret, events).await
    }

    /// Ids of its installation keys, the oldest first.
    async fn keys(&self, client: &Client) -> Result<Vec<String>, ClientError> {
        let mut keys: Vec<_> = client.installation_keys().await?.into_values().collect();
        keys.retain(|key| key.desc == self.description());
        keys.sort_by(|one, other| (one.created, &one.iid).cmp(&(other.created, &other.iid)));
        Ok(keys.into_iter().map(|key| key.iid).collect())
    }
}
