//! Kept records: events, detections, audit; and live ones. Source: reference/rest-api.md sections 7.9, 7.11 and 9,
//! reference/events.md sections 1 and 9.
//!
//! Records are told as they were stored, byte for byte. What is fixed of each kind is its envelope.

use crate::schema;
use muster_model::{Oid, Sid};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Whether records are kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Retention {
    /// Always `local`.
    pub insight_bucket: String,
    /// Days for which they are kept.
    pub retention_days: u32,
}

/// An event: of a sensor, of a service, of an artifact, or of the organization.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Event {
    /// What the event says; its fields depend on the type.
    #[schemars(with = "schema::Open")]
    pub event: Map<String, Value>,
    /// Where it comes from.
    pub routing: Routing,
    /// When, as text: UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ts: Option<String>,
}

/// Where a record comes from. Which of the other fields there are depends on the source.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Routing {
    /// Id of the record.
    pub event_id: String,
    /// When it happened.
    #[schemars(with = "schema::UnixMilliseconds")]
    pub event_time: i64,
    /// Its type.
    pub event_type: String,
    /// The organization.
    #[schemars(with = "schema::Oid")]
    pub oid: Oid,
    /// Everything else: `sid`, `hostname`, `tags`, `this`, `parent`, `investigation_id` and so on.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// A detection.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Detection {
    /// Category: what the rule reports.
    pub cat: String,
    /// What it was found in; shaped by the rule's target.
    #[schemars(with = "schema::Anything")]
    pub detect: Value,
    /// Id of the detection.
    pub detect_id: String,
    /// Where the event came from.
    #[schemars(with = "schema::Open")]
    pub routing: Map<String, Value>,
    /// Everything else, such as `source_rule`, `detect_mtd`, `detect_data`, `priority`, `link`.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// An audit record: who did what, from where.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AuditRecord {
    /// What it was done to.
    #[schemars(with = "schema::Open")]
    pub entity: Map<String, Value>,
    /// `user_action` or `system_action`.
    pub etype: String,
    /// Who.
    pub ident: String,
    /// For people.
    pub msg: String,
    /// `action`, `source_ip`, and what else belongs to the action.
    #[schemars(with = "schema::Open")]
    pub mtd: Map<String, Value>,
    /// The organization.
    #[schemars(with = "schema::Oid")]
    pub oid: Oid,
    /// `api`, `cli`, `console` or `system`.
    pub origin: String,
    /// When.
    #[schemars(with = "schema::UnixSeconds")]
    pub time: i64,
    /// When, as RFC 3339.
    pub ts: String,
}

/// A list of records, or base64 of gzip of it where the call asks for that.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "{T}List")]
pub enum Records<T> {
    /// As they are.
    List(Vec<T>),
    /// With `is_compressed`.
    Compressed(String),
}

/// A page of events.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EventPage {
    /// Those of this page.
    pub events: Records<Event>,
    /// Leads to the next page; null on the last.
    pub next_cursor: Option<String>,
}

/// A page of audit records.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AuditPage {
    /// Those of this page.
    pub events: Records<AuditRecord>,
    /// Leads to the next page; null on the last.
    pub next_cursor: Option<String>,
}

/// A page of detections.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DetectionPage {
    /// Those of this page.
    pub detects: Records<Detection>,
    /// Leads to the next page; null on the last.
    pub next_cursor: Option<String>,
}

/// When there are events of a sensor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Overview {
    /// Seconds with events.
    #[schemars(with = "Vec<schema::UnixSeconds>")]
    pub overview: Vec<i64>,
}

/// How many events of a sensor there are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EventCount {
    /// By type, with `is_detailed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by_type: Option<BTreeMap<String, u64>>,
    /// All of them.
    pub count: u64,
    /// The sensor.
    #[schemars(with = "schema::Sid")]
    pub sid: Sid,
}

/// One line of a live stream: a record as it is stored, or a word about the stream itself (`__trace`: `connected`,
/// `keepalive`, or `dropped` with the number `n`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct StreamLine(#[schemars(with = "schema::Open")] pub Map<String, Value>);
