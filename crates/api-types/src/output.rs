//! Outputs. Source: reference/rest-api.md section 7.6.

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
