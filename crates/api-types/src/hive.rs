//! Hives and rules. Source: reference/rest-api.md sections 7.5 and 8.

use crate::schema;
use muster_model::Oid;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// A record of a hive.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HiveRecord {
    /// Content: what it looks like depends on the hive. Empty where only the metadata was asked for.
    #[schemars(with = "schema::Anything")]
    pub data: Value,
    /// What the server says about it.
    pub sys_mtd: SystemMetadata,
    /// What users say about it.
    pub usr_mtd: UserMetadata,
}

/// Metadata that users write; a write replaces the whole block.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct UserMetadata {
    /// For people.
    #[serde(default)]
    pub comment: String,
    /// Whether it is in force.
    #[serde(default)]
    pub enabled: bool,
    /// When the record goes away; 0 is never.
    #[serde(default)]
    #[schemars(with = "schema::UnixMilliseconds")]
    pub expiry: i64,
    /// Labels.
    #[serde(default)]
    pub tags: Vec<String>,
    /// What a console offers beside the record; absent is nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<schema::Anything>")]
    pub ui_actions: Vec<Value>,
}

/// Metadata that the server writes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SystemMetadata {
    /// When the record was made.
    #[schemars(with = "schema::UnixMilliseconds")]
    pub created_at: i64,
    /// Who made it.
    pub created_by: String,
    /// Changes with every write.
    pub etag: String,
    /// Id of the record, which it keeps when it is renamed.
    pub guid: String,
    /// Who wrote last.
    pub last_author: String,
    /// Why it could not be put in force; empty if it could.
    pub last_error: String,
    /// When that was; 0 is never.
    #[schemars(with = "schema::UnixMilliseconds")]
    pub last_error_ts: i64,
    /// When it was written last.
    #[schemars(with = "schema::UnixMilliseconds")]
    pub last_mod: i64,
}

/// Records of a hive: all of them by their names, or a page.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum HiveListing {
    /// With `limit`.
    Page(HivePage),
    /// Without.
    All(BTreeMap<String, HiveRecord>),
}

/// A page of records of a hive.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HivePage {
    /// Where the next page begins; empty on the last one.
    pub next_cursor: String,
    /// Records by their names.
    pub records: BTreeMap<String, HiveRecord>,
}

/// What the content of a hive must be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HiveSchema {
    /// A JSON Schema.
    #[schemars(with = "schema::Anything")]
    pub schema: Value,
}

/// A record that was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WrittenRecord {
    /// Id of the record, which it keeps when it is renamed.
    pub guid: String,
    /// Where it is.
    pub hive: HivePlace,
    /// Its name.
    pub name: String,
}

/// A hive of an organization.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HivePlace {
    /// Name of the hive.
    pub name: String,
    /// The organization.
    #[schemars(with = "schema::Oid")]
    pub partition: Oid,
}

/// What several operations on records came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BatchAnswer {
    /// One for each, in their order.
    pub responses: Vec<BatchResponse>,
}

/// What one operation came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BatchResponse {
    /// What the call for one record answers; null if it failed.
    pub data: Option<BatchData>,
    /// Why it failed; empty if it did not.
    pub error: String,
}

/// What an operation of a batch answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum BatchData {
    /// Of one that reads.
    Record(Box<HiveRecord>),
    /// Of one that writes.
    Written(WrittenRecord),
    /// Of one that deletes.
    Done(crate::Done),
}

/// Rules of a namespace by their names, as the older calls give them.
pub type Rules = BTreeMap<String, Rule>;

/// A rule, as the older calls give it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Rule {
    /// When it holds.
    #[schemars(with = "schema::Anything")]
    pub detect: Value,
    /// When it goes away; 0 is never.
    #[schemars(with = "schema::UnixSeconds")]
    pub expire_on: i64,
    /// Whether it is in force.
    pub is_enabled: bool,
    /// Its name.
    pub name: String,
    /// `general`, `managed` or `service`.
    pub namespace: String,
    /// The organization.
    #[schemars(with = "schema::Oid")]
    pub oid: Oid,
    /// What is done then.
    #[schemars(with = "schema::Anything")]
    pub respond: Value,
}

/// False-positive rules by their names.
pub type FalsePositives = BTreeMap<String, FalsePositive>;

/// A false-positive rule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FalsePositive {
    /// The rule.
    #[schemars(with = "schema::Anything")]
    pub data: Value,
    /// Its name.
    pub name: String,
    /// The organization.
    #[schemars(with = "schema::Oid")]
    pub oid: Oid,
}
