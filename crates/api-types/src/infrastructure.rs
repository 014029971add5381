//! The configuration of an organization as one document: what the actions of `ext-infrastructure` answer.
//!
//! Source: reference/rest-api.md section 7.7.

use crate::schema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The document: the answer of `fetch`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InfrastructureDocument {
    /// Sections by their names; the older service gives YAML text.
    #[schemars(with = "schema::Anything")]
    pub org: Value,
}

/// What came of making an organization look like a document: the answer of `push`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InfrastructurePush {
    /// Why nothing was done; empty if all was.
    pub errors: Vec<String>,
    /// One for each element of the document, and for each that is deleted.
    pub ops: Vec<InfrastructureOperation>,
    /// What the server has nothing for, and passed over as it was told to; absent if there is nothing of the kind.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skipped: Vec<String>,
}

/// One element that a push would touch, or did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InfrastructureOperation {
    /// It is new, or changed.
    pub is_added: bool,
    /// It is deleted.
    pub is_removed: bool,
    /// Its name; of records of hives `HIVE/KEY`.
    pub name: String,
    /// Type of the element, such as `output` or `hives`.
    #[serde(rename = "type")]
    pub element: String,
}
