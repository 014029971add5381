//! Outputs. Source: reference/rest-api.md section 7.6.

use crate::schema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Outputs by their names, below the id of the organization.
pub type Outputs = BTreeMap<String, BTreeMap<String, Output>>;

/// An output. Which settings it has depends on its module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Output {
    /// Its name.
    pub name: String,
    /// How it sends.
    pub module: String,
    /// What it sends.
    #[serde(rename = "for")]
    pub stream: String,
    /// Its settings.
    #[serde(flatten)]
    pub settings: Map<String, Value>,
}

/// How the outputs of an organization stand, by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OutputStandings {
    /// Those whose settings the caller sees.
    pub outputs: BTreeMap<String, OutputStanding>,
}

/// What waits for an output, and what came of what it sent since the server started or the output was set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OutputStanding {
    /// When it last delivered something; null for not yet.
    #[schemars(with = "Option<schema::UnixSeconds>")]
    pub delivered: Option<i64>,
    /// Why it does not deliver; null if it does, or had nothing to deliver.
    pub error: Option<String>,
    /// When it tries again what failed.
    #[schemars(with = "Option<schema::UnixSeconds>")]
    pub next_try: Option<i64>,
    /// Records that wait for it.
    pub waiting: u64,
    /// Their bytes.
    pub waiting_bytes: u64,
}

/// What came of the delivery of one record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OutputTrial {
    /// Why it was not delivered; null if it was.
    pub error: Option<String>,
    /// Whether it was.
    pub is_delivered: bool,
}
