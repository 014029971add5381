//! Reliable tasks, through the extension `ext-reliable-tasking`.
//!
//! Source: reference/rest-api.md section 10.3; the actions beyond it are ours.

use crate::{Client, ClientError, Rest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use reqwest::Method;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;

const EXTENSION: &str = "ext-reliable-tasking";

/// Which sensors; at least one field must be given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Targeting {
    /// Selector expression; `*` is every sensor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selector: Option<String>,
    /// One sensor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sid: Option<String>,
    /// Every sensor with this tag.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// Every sensor of this platform.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plat: Option<String>,
}

/// Local times at which an endpoint may run a task; the window may pass midnight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Window {
    /// First minute since midnight.
    pub start_min: u16,
    /// First minute after the window.
    pub end_min: u16,
    /// Days on which it begins: bit 0 is Monday; 0 is every day.
    pub weekdays: u8,
}

/// What an endpoint checks just before it runs a task.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Conditions {
    /// Only at these times.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<Window>,
    /// Only with exactly this payload: SHA-256 in hex.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payload_sha256: Option<String>,
}

/// When to hold a task back by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureLimit {
    /// After so many failures.
    Count(u32),
    /// When so many of a hundred ended targets failed.
    Percent(u8),
}

/// How fast a task goes out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Pace {
    /// Deliveries per second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_per_second: Option<u32>,
    /// Sensors that have it and have not ended it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_in_flight: Option<u32>,
    /// In random order.
    pub random_order: bool,
    /// When to hold it back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_on_failures: Option<FailureLimit>,
}

/// A reliable task to create.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct NewTask {
    /// Command line.
    pub task: String,
    /// Which sensors.
    #[serde(flatten)]
    pub targeting: Targeting,
    /// Becomes the investigation id of its answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context: Option<String>,
    /// Seconds; a week if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl: Option<u64>,
    /// Given by the caller so that a repeated call creates nothing new.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task_id: Option<String>,
    /// Also sensors that begin to match before it expires.
    pub dynamic: bool,
    /// Overtakes tasks that are not urgent.
    pub urgent: bool,
    /// What the endpoint checks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conditions: Option<Conditions>,
    /// How fast.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pace: Option<Pace>,
}

/// A reliable task that was accepted.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Created {
    /// Its id.
    pub task_id: String,
    /// Targets.
    pub total_sensors: u64,
    /// Of those, online.
    pub tasked_sensors: u64,
    /// Of those, offline.
    pub queued_sensors: u64,
    /// Everything else.
    #[serde(flatten)]
    pub rest: Rest,
}

/// A reliable task and how many targets stand where.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Summary {
    /// Its id.
    pub task_id: String,
    /// Command line.
    #[serde(default)]
    pub task: String,
    /// Targets.
    #[serde(default)]
    pub total: u64,
    /// Targets by state.
    #[serde(default)]
    pub counts: BTreeMap<String, u64>,
    /// Unix seconds.
    #[serde(default)]
    pub created: i64,
    /// Unix seconds.
    #[serde(default)]
    pub expiry: i64,
    /// An operator holds it back.
    #[serde(default)]
    pub paused: bool,
    /// Why it holds itself back.
    #[serde(default)]
    pub stopped: Option<String>,
    /// Everything else.
    #[serde(flatten)]
    pub rest: Rest,
}

/// Where one target stands; times in Unix milliseconds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Target {
    /// The sensor; absent if it was deleted.
    pub sid: Option<String>,
    /// Name of the endpoint.
    pub hostname: Option<String>,
    /// Where it stands.
    pub state: String,
    /// Deliveries so far.
    #[serde(default)]
    pub attempts: u64,
    /// Whether the sensor has a live link now.
    #[serde(default)]
    pub online: bool,
    /// When it was sent last.
    pub sent: Option<i64>,
    /// When the sensor had it in its journal.
    pub confirmed: Option<i64>,
    /// When it began.
    pub started: Option<i64>,
    /// When it ended, however.
    pub ended: Option<i64>,
    /// Exit code, once finished.
    pub code: Option<i64>,
    /// Why it failed.
    pub error: Option<String>,
    /// Everything else.
    #[serde(flatten)]
    pub rest: Rest,
}

/// A task with a page of its targets.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TargetPage {
    /// The task.
    #[serde(flatten)]
    pub summary: Summary,
    /// Targets of this page.
    #[serde(default)]
    pub targets: Vec<Target>,
    /// Where the next page begins; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// Why a sensor has, had, or does not have a task.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Explained {
    /// Stable word.
    pub code: String,
    /// Sentence.
    pub explanation: String,
    /// Everything else.
    #[serde(flatten)]
    pub rest: Rest,
}

/// A sensor that a task would reach.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Previewed {
    /// Its id.
    pub sid: String,
    /// Name of the endpoint.
    #[serde(default)]
    pub hostname: String,
    /// Whether it has a live link now.
    #[serde(default)]
    pub online: bool,
}

/// Whom a task would reach.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Preview {
    /// Targets.
    pub total_sensors: u64,
    /// Of those, online.
    pub online_sensors: u64,
    /// The first of them.
    #[serde(default)]
    pub sensors: Vec<Previewed>,
    /// How the selector was understood, as a tree.
    #[serde(default)]
    pub explanation: String,
    /// Everything else.
    #[serde(flatten)]
    pub rest: Rest,
}

/// What was taken back.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Untasked {
    /// Targets that never get it.
    pub deleted: u64,
    /// Targets that may have it already, without a confirmation; they are not offered it again.
    #[serde(default)]
    pub withdrawn: u64,
}

/// What became of a task that was cancelled, in numbers of targets.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Cancelled {
    /// They never get it.
    pub deleted: u64,
    /// It was sent to them without a confirmation: they are not offered it again, and those that have it end it.
    pub withdrawn: u64,
    /// They have it, and are told to end it; their state is `cancelled` once they have.
    pub stopping: u64,
    /// Why nothing was cancelled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning: Option<String>,
}

#[derive(Deserialize)]
struct Envelope<T> {
    data: T,
}

#[derive(Deserialize)]
struct Overview {
    requests: Vec<Summary>,
}

/// Data as extensions take it whatever its size: base64 of gzip of JSON.
fn packed(data: &Value) -> Result<String, ClientError> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    let cannot = |error: std::io::Error| ClientError::Settings(format!("the request cannot be packed: {error}"));
    serde_json::to_writer(&mut gzip, data).map_err(|error| cannot(error.into()))?;
    gzip.finish().map(|bytes| STANDARD.encode(bytes)).map_err(cannot)
}

impl Client {
    /// Asks an extension for something; gives the action's own answer.
    ///
    /// # Errors
    ///
    /// 403 if the organization is not subscribed; else whatever the extension says.
    pub async fn request_extension<T: DeserializeOwned>(
        &self,
        extension: &str,
        action: &str,
        data: &Value,
    ) -> Result<T, ClientError> {
        let form = vec![("oid", self.oid().to_owned()), ("action", action.to_owned()), ("gzdata", packed(data)?)];
        let path = ["extension", "request", extension];
        Ok(self.call::<Envelope<T>>(Method::POST, &path, Vec::new(), form).await?.data)
    }

    async fn reliable_tasking<T: DeserializeOwned>(&self, action: &str, data: &Value) -> Result<T, ClientError> {
        self.request_extension(EXTENSION, action, data).await
    }

    /// Creates a reliable task; once this answers, the task is durable.
    ///
    /// # Errors
    ///
    /// 400 naming the field that is wrong.
    pub async fn create_reliable_task(&self, task: &NewTask) -> Result<Created, ClientError> {
        self.reliable_tasking("task", &value_of(task)).await
    }

    /// What sensors are still owed, in the published shape.
    ///
    /// # Errors
    ///
    /// 400 for a selector that is wrong.
    pub async fn pending_reliable_tasks(&self, targeting: &Targeting) -> Result<Value, ClientError> {
        self.reliable_tasking("list", &value_of(targeting)).await
    }

    /// The newest reliable tasks, with their counts.
    ///
    /// # Errors
    ///
    /// Whatever the server says.
    pub async fn reliable_tasks(&self, limit: usize) -> Result<Vec<Summary>, ClientError> {
        Ok(self.reliable_tasking::<Overview>("overview", &json!({"limit": limit})).await?.requests)
    }

    /// One reliable task, with a page of its targets.
    ///
    /// # Errors
    ///
    /// 404 for an unknown task, 400 for an unknown state.
    pub async fn reliable_task(
        &self,
        task_id: &str,
        state: Option<&str>,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<TargetPage, ClientError> {
        let data = json!({"task_id": task_id, "state": state, "cursor": cursor, "limit": limit});
        self.reliable_tasking("get", &data).await
    }

    /// Why a sensor has, had, or does not have a task.
    ///
    /// # Errors
    ///
    /// 404 for an unknown task or sensor.
    pub async fn explain_reliable_task(&self, task_id: &str, sid: &str) -> Result<Explained, ClientError> {
        self.reliable_tasking("explain", &json!({"task_id": task_id, "sid": sid})).await
    }

    /// Whom a task would reach now; changes nothing.
    ///
    /// # Errors
    ///
    /// 400 for a selector that is wrong.
    pub async fn preview_reliable_task(&self, targeting: &Targeting, limit: usize) -> Result<Preview, ClientError> {
        let mut data = value_of(targeting);
        data["limit"] = json!(limit);
        self.reliable_tasking("preview", &data).await
    }

    /// Takes tasks back: of one id, of some sensors, or both.
    ///
    /// # Errors
    ///
    /// 400 if neither is given.
    pub async fn untask(&self, task_id: Option<&str>, targeting: &Targeting) -> Result<Untasked, ClientError> {
        let mut data = value_of(targeting);
        if let Some(task_id) = task_id {
            data["task_id"] = json!(task_id);
        }
        self.reliable_tasking("untask", &data).await
    }

    /// Ends a task: on the sensors that are named, or on all. What was not delivered is taken back, what runs is
    /// stopped.
    ///
    /// # Errors
    ///
    /// 404 for an unknown task.
    pub async fn cancel_reliable_task(&self, task_id: &str, targeting: &Targeting) -> Result<Cancelled, ClientError> {
        let mut data = value_of(targeting);
        data["task_id"] = json!(task_id);
        self.reliable_tasking("cancel", &data).await
    }

    /// Holds a task back, or lets it go on.
    ///
    /// # Errors
    ///
    /// 404 for an unknown task.
    pub async fn set_paused(&self, task_id: &str, paused: bool) -> Result<(), ClientError> {
        let action = if paused { "pause" } else { "resume" };
        self.reliable_tasking::<Value>(action, &json!({"task_id": task_id})).await.map(drop)
    }
}

fn value_of(value: &impl Serialize) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}
