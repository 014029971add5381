//! Jobs: what services say of their work. Source: reference/service-protocol.md section 10.

use crate::schema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Jobs of services.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Jobs {
    /// By their ids.
    pub jobs: JobsById,
}

/// Jobs by their ids, or base64 of gzip of them where the call asks for that.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum JobsById {
    /// As they are.
    Map(BTreeMap<String, Job>),
    /// With `is_compressed`.
    Compressed(String),
}

/// One job of a service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct JobAnswer {
    /// Which.
    pub job: JobOrPacked,
}

/// A job, or base64 of gzip of it where the call asks for that.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum JobOrPacked {
    /// As it is.
    Job(Box<Job>),
    /// With `is_compressed`.
    Compressed(String),
}

/// A job: what a service says of its work.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Job {
    /// Why it was made.
    pub cause: String,
    /// When it began.
    #[schemars(with = "schema::UnixMilliseconds")]
    pub created: i64,
    /// The id that the service gave it.
    pub job_id: String,
    /// When it last changed, by the clock of the server.
    #[schemars(with = "schema::UnixSeconds")]
    pub last_change: i64,
    /// The newest message of its history.
    pub last_narration: String,
    /// Its history, where the call asks for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<JobRecord>,
    /// The service.
    pub replicant: String,
    /// Sensors that it is about.
    pub sids: Vec<String>,
    /// When it ended; absent before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<schema::UnixMilliseconds>")]
    pub stopped: Option<i64>,
}

/// What was told of a job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct JobRecord {
    /// In the order in which it came.
    pub hist: Vec<JobEntry>,
}

/// One line of the history of a job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct JobEntry {
    /// Evidence: `att_type` says of which kind, and with it which fields there are.
    #[schemars(with = "Vec<schema::Open>")]
    pub attachments: Vec<Map<String, Value>>,
    /// Whether people should see it at once.
    pub is_important: bool,
    /// What happened.
    pub msg: String,
    /// When.
    #[schemars(with = "schema::UnixMilliseconds")]
    pub ts: i64,
}
