//! Extensions and services. Source: reference/rest-api.md sections 7.7, 7.8 and 10.

use crate::schema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// Extensions that an organization is subscribed to, by their names.
pub type Subscriptions = BTreeMap<String, Subscription>;

/// A subscription to an extension.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Subscription {
    /// Who subscribed.
    pub by: String,
    /// When.
    #[schemars(with = "schema::UnixSeconds")]
    pub since: i64,
}

/// What an extension takes and gives, in the published form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ExtensionSchema {
    /// Its configuration.
    #[schemars(with = "schema::Open")]
    pub config_schema: Value,
    /// Its actions by their names.
    #[schemars(with = "schema::Open")]
    pub request_schema: Value,
    /// Events that it must be told.
    pub required_events: Vec<String>,
    /// Pages that it offers to a console.
    #[schemars(with = "Vec<schema::Open>")]
    pub views: Vec<Value>,
}

/// What an extension answers. What `data` is depends on the extension and the action: of those that are built in,
/// `x-actions` of the operation names the schema of each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ExtensionAnswer {
    /// Of the action.
    #[schemars(with = "schema::Anything")]
    pub data: Value,
    /// Empty: an error is answered as an error.
    pub error: String,
    /// Always 1.
    pub version: u32,
}

/// Services of an organization.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Services {
    /// Their names.
    pub replicants: Vec<String>,
}

/// Services of others that an organization can use, by their names.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RegisteredServices {
    /// By their names.
    pub services: BTreeMap<String, RegisteredService>,
}

/// Content that a service publishes for rules.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PublishedResource {
    /// How many bytes it has.
    pub bytes: u64,
    /// What it is for, such as `lookup` or `detect`.
    pub category: String,
    /// SHA-256, in hexadecimal digits.
    pub hash: String,
}

/// A service of others. Where it is and who registered it is told to the organization that registered it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RegisteredService {
    /// Events for which it has a callback.
    pub callbacks: Vec<String>,
    /// Detections that it wants.
    pub detect_subscriptions: Vec<String>,
    /// Detections that it gets besides.
    pub detects: Vec<String>,
    /// Parameters of its requests.
    #[schemars(with = "schema::Anything")]
    pub request_params: Value,
    /// What it publishes and rules name, by its names.
    pub resources: BTreeMap<String, PublishedResource>,
    /// What is said of every registered program.
    #[serde(flatten)]
    pub registered: RegisteredProgram,
}

/// What is said of every program of others that is registered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RegisteredProgram {
    /// It may be at a private or loopback address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_private: Option<bool>,
    /// Who registered it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// When it was registered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<schema::UnixSeconds>")]
    pub created: Option<i64>,
    /// Why it is not well; empty if it is.
    pub error: String,
    /// How its identity stands to what others made, and others to what it made: `lock`, `secret`, `segment`, `bulk`.
    pub flair: Vec<String>,
    /// Whether its messages are signed with a key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub has_secret: Option<bool>,
    /// Registered by this organization.
    pub is_own: bool,
    /// Offered to every organization of the server.
    pub is_public: bool,
    /// This organization is subscribed to it.
    pub is_subscribed: bool,
    /// It answered when it was asked last.
    pub is_well: bool,
    /// Its name.
    pub name: String,
    /// What its identity may do in an organization that subscribes.
    pub permissions: Vec<String>,
    /// Calls in a second that it gets at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<u32>,
    /// Where it listens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// When it answered last.
    #[schemars(with = "Option<schema::UnixSeconds>")]
    pub well_at: Option<i64>,
}

/// Extensions of others that an organization can use, by their names.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RegisteredExtensions {
    /// By their names.
    pub extensions: BTreeMap<String, RegisteredExtension>,
}

/// An extension of others. Where it is and who registered it is told to the organization that registered it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RegisteredExtension {
    /// Its actions, as far as known.
    pub actions: Vec<String>,
    /// What it counted in this organization.
    pub metrics: BTreeMap<String, i64>,
    /// Events that it wants.
    pub required_events: Vec<String>,
    /// What is said of every registered program.
    #[serde(flatten)]
    pub registered: RegisteredProgram,
}

/// An extension that can be subscribed to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ExtensionDefinition {
    /// It is part of the server.
    pub is_built_in: bool,
    /// Offered to every organization of the server.
    pub is_public: bool,
    /// Its name.
    pub name: String,
}

/// What a service says of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ServiceMetadata {
    /// Events for which it has a callback.
    pub callbacks: Vec<String>,
    /// Of an older framework; absent if there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<schema::Open>")]
    pub commands: Option<Value>,
    /// Detections that it wants.
    pub detect_subscriptions: Vec<String>,
    /// Parameters of its requests.
    #[schemars(with = "schema::Anything")]
    pub request_params: Value,
}

/// Messages to a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Deliveries {
    /// Those that were given up, then those that wait, oldest first.
    pub deliveries: Vec<Delivery>,
    /// How many were dropped since the server started, because too many waited.
    pub dropped: u64,
}

/// A message to a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Delivery {
    /// Length of its body.
    pub bytes: u64,
    /// What the last try ended with; empty before the first.
    pub error: String,
    /// What it is about.
    pub etype: String,
    /// It was given up.
    pub is_failed: bool,
    /// Its id.
    pub mid: String,
    /// When it is tried again; null if it was given up.
    #[schemars(with = "Option<schema::UnixSeconds>")]
    pub next_try: Option<i64>,
    /// Since when it waits.
    #[schemars(with = "schema::UnixSeconds")]
    pub since: i64,
    /// Tries that ended.
    pub tries: u32,
}
