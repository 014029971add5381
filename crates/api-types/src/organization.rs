//! Organizations. Source: reference/rest-api.md section 7.1.

use crate::schema;
use muster_model::Oid;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// An organization, and how much is in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Organization {
    /// When it was made.
    #[schemars(with = "schema::UnixSeconds")]
    pub created: i64,
    /// Always empty: sensors do not replace themselves.
    pub latest_versions: BTreeMap<String, String>,
    /// Installation keys.
    pub n_installation_keys: usize,
    /// Sensors with a live link.
    pub n_online: u64,
    /// Outputs.
    pub n_outputs: usize,
    /// Detection and response rules of all hives.
    pub n_rules: usize,
    /// Sensors that are not deleted.
    pub n_sensors: u64,
    /// For people.
    pub name: String,
    /// Its id.
    #[schemars(with = "schema::Oid")]
    pub oid: Oid,
    /// Sensors that may be online; 0 is no limit.
    pub sensor_quota: u32,
    /// Version of the server.
    pub sensor_version: String,
}

/// Addresses of the server, as the caller can reach them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Urls {
    /// Always empty.
    pub certs: BTreeMap<String, String>,
    /// Always `muster`.
    pub site_name: String,
    /// Addresses by purpose.
    pub url: BTreeMap<String, String>,
}

/// An organization of the caller.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OrganizationName {
    /// For people.
    pub name: String,
    /// Its id.
    #[schemars(with = "schema::Oid")]
    pub oid: Oid,
}

/// A page of the organizations of the caller.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Organizations {
    /// Those of this page.
    pub orgs: Vec<OrganizationName>,
    /// How many there are.
    pub total: usize,
}

/// Whether a name for an organization is free.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NameAvailable {
    /// The same as `is_available`, for other clients.
    pub available: bool,
    /// Always true: names need not be unique.
    pub is_available: bool,
}

/// An organization that was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MadeOrganization {
    /// Which.
    pub data: MadeOid,
    /// Always true.
    pub success: bool,
}

/// Id of what was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MadeOid {
    /// Its id.
    #[schemars(with = "schema::Oid")]
    pub oid: Oid,
}

/// A free-form setting.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Setting {
    /// Its name.
    pub config: String,
    /// Its text.
    pub value: String,
}

/// How much an organization uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Usage {
    /// Now.
    pub usage: UsageNow,
}

/// How much an organization uses at an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UsageNow {
    /// Reliable tasks that are still owed to someone.
    pub open_reliable_tasks: usize,
    /// Reliable tasks that are known, ended ones too.
    pub reliable_tasks: usize,
    /// Sensors that are not deleted.
    pub sensors: u64,
    /// Sensors with a live link.
    pub sensors_online: u64,
    /// When.
    #[schemars(with = "schema::UnixSeconds")]
    pub ts: i64,
}

/// The last error of each component.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OrgErrors {
    /// One for each component.
    pub errors: Vec<OrgError>,
}

/// The last error of a component of an organization, such as an output or a rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OrgError {
    /// What failed.
    pub component: String,
    /// How.
    pub error: String,
    /// The organization.
    #[schemars(with = "schema::Oid")]
    pub oid: Oid,
    /// When.
    #[schemars(with = "schema::UnixSeconds")]
    pub ts: i64,
}

/// How the server stands that holds an organization.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ServerStanding {
    /// What sensors and clients trust, and with what the server answers them.
    pub certificates: Vec<CertificateStanding>,
    /// Sensors that are not deleted, by their version.
    pub sensor_versions: BTreeMap<String, u64>,
    /// Why the server cannot take changes and records now; null if it can.
    pub unready: Option<String>,
    /// Version of the server.
    pub version: String,
}

/// How long a certificate is valid.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CertificateStanding {
    /// What to do about it; null if nothing is to be done.
    pub advice: Option<String>,
    /// What it is.
    pub name: String,
    /// Its last second.
    #[schemars(with = "schema::UnixSeconds")]
    pub until: i64,
}

/// Sensors online, and how many may be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct QuotaUsage {
    /// The same by kind of sensor; there is one, `edr`.
    pub breakdown: BTreeMap<String, QuotaOfKind>,
    /// Sensors that may be online; 0 is no limit.
    pub quota: u32,
    /// Sensors online.
    pub usage: u64,
}

/// Sensors of a kind.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct QuotaOfKind {
    /// Online.
    pub n: u64,
    /// May be online.
    pub quota: f64,
}

/// Resources of the older subscription calls.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Resources {
    /// Names by category.
    pub resources: BTreeMap<String, Vec<String>>,
}

/// Names of events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EventTypes {
    /// Each as `evt:NAME`.
    pub event_types: Vec<String>,
}

/// Fields of an event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EventSchema {
    /// The event.
    pub schema: EventFields,
}

/// An event and its fields.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EventFields {
    /// Each as `LETTER:event/PATH`: `s` text, `i` number, `o` object, `l` list.
    pub elements: Vec<String>,
    /// As `evt:NAME`.
    pub event_type: String,
}

/// A layer of the ATT&CK navigator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MitreLayer {
    /// For people.
    pub description: String,
    /// Always `enterprise-attack`.
    pub domain: String,
    /// For people.
    pub name: String,
    /// Order, as the navigator numbers it.
    pub sorting: i64,
    /// Techniques that rules cover.
    #[schemars(with = "Vec<schema::Open>")]
    pub techniques: Vec<Value>,
    /// Versions of the format.
    pub versions: BTreeMap<String, String>,
}
