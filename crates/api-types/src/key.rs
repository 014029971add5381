//! Keys of all kinds. Source: reference/rest-api.md section 7.3.

use crate::schema;
use muster_model::{Iid, Oid};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// API keys of an organization.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ApiKeys {
    /// By their hash.
    pub api_keys: BTreeMap<String, ApiKey>,
}

/// An API key without the key itself, which nobody keeps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ApiKey {
    /// CIDR from which it may be used; empty is anywhere.
    pub allowed_ip_range: String,
    /// Who made it.
    pub by: String,
    /// When.
    #[schemars(with = "schema::UnixSeconds")]
    pub created: i64,
    /// For people.
    pub name: String,
    /// Permissions.
    #[serde(rename = "priv")]
    pub permissions: Vec<String>,
}

/// An API key that was made. It is shown this once.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NewApiKey {
    /// The key: whoever has it may do what it may.
    pub api_key: String,
    /// By which it is listed and deleted.
    pub key_hash: String,
    /// Always true.
    pub success: bool,
}

/// Ingestion keys of an organization.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct IngestionKeys {
    /// The keys by their names.
    pub keys: BTreeMap<String, String>,
}

/// An ingestion key.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct IngestionKey {
    /// The key.
    pub key: String,
    /// Its name.
    pub name: String,
}

/// Installation keys by their ids, below the id of the organization.
pub type InstallationKeys = BTreeMap<String, BTreeMap<String, InstallationKey>>;

/// An installation key, with its secret.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InstallationKey {
    /// When it was made.
    #[schemars(with = "schema::UnixSeconds")]
    pub created: i64,
    /// For people.
    pub desc: String,
    /// Its id.
    pub iid: String,
    /// The same, for other clients.
    pub json_key: String,
    /// What a sensor is given.
    pub key: String,
    /// The organization.
    #[schemars(with = "schema::Oid")]
    pub oid: Oid,
    /// Sensors that may enrol with it; 0 is no limit but the organization's.
    pub quota: u32,
    /// Tags for every sensor that enrols with it, joined by commas.
    pub tags: String,
    /// As the client said; sensors always trust the private authority alone.
    pub use_public_root_ca: bool,
}

/// An installation key that was made or changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PutInstallationKey {
    /// Its id.
    #[schemars(with = "schema::Iid")]
    pub iid: Iid,
    /// The organization.
    #[schemars(with = "schema::Oid")]
    pub oid: Oid,
}

/// Keys of users for an organization.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UserKeys {
    /// By their hash.
    pub user_keys: BTreeMap<String, UserKey>,
}

/// A key of a user without the key itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UserKey {
    /// When it was made.
    #[schemars(with = "schema::UnixSeconds")]
    pub created: i64,
    /// The user.
    pub email: String,
    /// For people.
    pub name: String,
}

/// A key of a user that was made. It is shown this once.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NewUserKey {
    /// The key: whoever has it may do what the user may.
    pub api_key: String,
    /// By which it is listed and deleted.
    pub key_hash: String,
    /// Always true.
    pub success: bool,
    /// Which clients send beside the key.
    pub uid: String,
}
