//! Artifacts, their collection rules, and payloads. Source: reference/rest-api.md section 7.10.

use crate::schema;
use muster_model::{Oid, Sid};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// A page of artifacts, newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ArtifactPage {
    /// Those of this page.
    pub logs: Vec<Artifact>,
    /// Leads to the next page; null on the last.
    pub next_cursor: Option<String>,
}

/// A kept file of an endpoint, or one that was uploaded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Artifact {
    /// Until when it is kept.
    #[schemars(with = "schema::UnixSeconds")]
    pub expires: i64,
    /// Word for its type, such as `txt`.
    pub hint: String,
    /// Where it was.
    pub path: String,
    /// Its id.
    pub payload_id: String,
    /// Hexadecimal.
    pub sha256: String,
    /// The sensor that it is from, if it is from one.
    #[schemars(with = "Option<schema::Sid>")]
    pub sid: Option<Sid>,
    /// Bytes.
    pub size: u64,
    /// Who sent it.
    pub source: String,
    /// When it came.
    #[schemars(with = "schema::UnixSeconds")]
    pub ts: i64,
}

/// A one-time address of an artifact.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ArtifactAddress {
    /// To be got once, without a token.
    pub export: String,
}

/// An artifact that was uploaded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct IngestedArtifact {
    /// Its id.
    pub payload_id: String,
}

/// Collection rules by their names.
pub type ArtifactRules = BTreeMap<String, ArtifactRule>;

/// A collection rule, as the client wrote it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct ArtifactRule(#[schemars(with = "schema::Open")] pub Map<String, Value>);

/// Payloads of an organization.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Payloads {
    /// By their names.
    pub payloads: BTreeMap<String, Payload>,
}

/// A file that can be put on endpoints and run there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Payload {
    /// Who uploaded it.
    pub by: String,
    /// When.
    #[schemars(with = "schema::UnixSeconds")]
    pub created: i64,
    /// Its name.
    pub name: String,
    /// The organization.
    #[schemars(with = "schema::Oid")]
    pub oid: Oid,
    /// Hexadecimal.
    pub sha256: String,
    /// Bytes.
    pub size: u64,
}

/// A one-time address to which a payload can be uploaded.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PutAddress {
    /// To be put to once, without a token.
    pub put_url: String,
}

/// A one-time address from which a payload can be got.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GetAddress {
    /// To be got once, without a token.
    pub get_url: String,
}
