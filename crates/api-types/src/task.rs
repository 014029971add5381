//! Reliable tasks: what the actions of `ext-reliable-tasking` take and answer.
//!
//! Source: reference/sensor.md section 12, reference/rest-api.md section 10.3.

use crate::schema;
use muster_model::{Sid, TargetState, TaskId};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// A reliable task that was accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CreatedTask {
    /// True if it is for everybody because it names no target; else absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub all_sensors: Option<bool>,
    /// Targets that are offline.
    pub queued_sensors: u64,
    /// Its id.
    #[schemars(with = "schema::TaskId")]
    pub task_id: TaskId,
    /// Targets that are online.
    pub tasked_sensors: u64,
    /// Targets.
    pub total_sensors: u64,
    /// What is odd about it, such as that nobody gets it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning: Option<String>,
}

/// Schema of a number for each state.
struct TargetCounts;

impl JsonSchema for TargetCounts {
    fn schema_name() -> Cow<'static, str> {
        "TargetCounts".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let names = TargetState::ALL.map(TargetState::name);
        let count = json!({"type": "integer", "format": "uint64", "minimum": 0});
        let counts: Map<String, Value> = names.iter().map(|name| ((*name).to_owned(), count.clone())).collect();
        json_schema!({
            "description": "Targets by state.", "type": "object", "properties": counts, "required": names,
        })
    }
}

/// Local times at which an endpoint may run a task; the window may pass midnight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Window {
    /// First minute since midnight.
    #[schemars(range(max = 1439))]
    pub start_min: u16,
    /// First minute after the window, since midnight.
    #[schemars(range(max = 1439))]
    pub end_min: u16,
    /// Days on which it begins: bit 0 is Monday; 0 is every day.
    #[serde(default)]
    #[schemars(range(max = 127))]
    pub weekdays: u8,
}

/// What an endpoint checks just before it runs a task.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Conditions {
    /// Only at these times.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<Window>,
    /// Only with exactly this payload: SHA-256 in hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload_sha256: Option<String>,
}

/// How many targets may fail before a task holds itself back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FailureLimit {
    /// More than this many targets.
    Count(u64),
    /// More than this share of all targets, in percent.
    Percent(#[schemars(range(min = 1, max = 100))] u8),
}

/// How fast a task goes out. The default is no limit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Pace {
    /// Most sends in any second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub max_per_second: Option<u32>,
    /// Most sensors that have it and have not ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub max_in_flight: Option<u32>,
    /// Sensors that wait online get it in random order, not in order of enrolment.
    #[serde(default)]
    pub random_order: bool,
    /// Hold back the rest when more than this fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_on_failures: Option<FailureLimit>,
}

/// Which sensors a task is for; the fields narrow each other.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Targeting {
    /// Selector expression; `*` is every sensor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<String>,
    /// One sensor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sid: Option<String>,
    /// Every sensor with this tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// Every sensor of this platform.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plat: Option<String>,
}

/// A reliable task to create: the fields of the action `task`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NewTask {
    /// Command line.
    pub task: String,
    /// Which sensors.
    #[serde(flatten)]
    pub targeting: Targeting,
    /// Becomes the investigation id of its answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<String>,
    /// Seconds; a week if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 315_360_000))]
    pub ttl: Option<u64>,
    /// Given by the caller so that a repeated call creates nothing new.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_id: Option<String>,
    /// Also sensors that begin to match before it expires.
    #[serde(default)]
    pub dynamic: bool,
    /// Overtakes tasks that are not urgent.
    #[serde(default)]
    pub urgent: bool,
    /// What the endpoint checks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conditions: Option<Conditions>,
    /// How fast.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pace: Option<Pace>,
}

/// A reliable task, and how many targets stand where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TaskSummary {
    /// What endpoints check just before they run it.
    pub conditions: Option<Conditions>,
    /// The investigation id that was asked for.
    pub context: Option<String>,
    /// Targets by state: every state is there.
    #[schemars(with = "TargetCounts")]
    pub counts: BTreeMap<TargetState, u64>,
    /// When it was accepted.
    #[schemars(with = "schema::UnixSeconds")]
    pub created: i64,
    /// Who asked.
    pub created_by: String,
    /// Sensors that begin to match get it.
    pub dynamic: bool,
    /// From when on it is not offered any more.
    #[schemars(with = "schema::UnixSeconds")]
    pub expiry: i64,
    /// Targets that ended, and not well.
    pub failures: u64,
    /// How fast it goes out.
    pub pace: Pace,
    /// An operator holds it back.
    pub paused: bool,
    /// Which sensors, as submitted.
    pub sensor_selector: String,
    /// Where the sensor stands that was asked for; absent if none was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<TargetState>,
    /// Why it holds itself back.
    pub stopped: Option<String>,
    /// Command line.
    pub task: String,
    /// Its id.
    #[schemars(with = "schema::TaskId")]
    pub task_id: TaskId,
    /// Targets.
    pub total: u64,
    /// Seconds for which it is offered.
    pub ttl: u64,
    /// Overtakes tasks that are not urgent.
    pub urgent: bool,
}

/// The newest reliable tasks: the answer of `overview`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TaskOverview {
    /// Newest first.
    pub requests: Vec<TaskSummary>,
}

/// Where one target stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Target {
    /// Deliveries so far.
    pub attempts: u32,
    /// Exit code, once finished: 0, or 200 of a transfer, is success.
    pub code: Option<i32>,
    /// When the sensor had it in its journal.
    #[schemars(with = "Option<schema::UnixMilliseconds>")]
    pub confirmed: Option<i64>,
    /// When it came to its end, whichever.
    #[schemars(with = "Option<schema::UnixMilliseconds>")]
    pub ended: Option<i64>,
    /// Why it failed.
    pub error: Option<String>,
    /// Name of the endpoint.
    pub hostname: Option<String>,
    /// Whether the sensor has a live link now.
    pub online: bool,
    /// When it was handed to a link last.
    #[schemars(with = "Option<schema::UnixMilliseconds>")]
    pub sent: Option<i64>,
    /// The sensor.
    #[schemars(with = "Option<schema::Sid>")]
    pub sid: Option<Sid>,
    /// When the sensor began to run it.
    #[schemars(with = "Option<schema::UnixMilliseconds>")]
    pub started: Option<i64>,
    /// Where it stands.
    pub state: TargetState,
}

/// Some fields of a target: those that the call asked for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TargetFields(pub Map<String, Value>);

impl JsonSchema for TargetFields {
    fn schema_name() -> Cow<'static, str> {
        "TargetFields".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = Target::json_schema(generator);
        schema.remove("required");
        schema.insert("description".into(), "Some fields of a target: those that the call asked for.".into());
        schema
    }
}

/// A task with a page of its targets: the answer of `get`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TaskPage {
    /// The task.
    #[serde(flatten)]
    pub summary: TaskSummary,
    /// Where the next page begins; absent on the last, and in other orders than that of enrolment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// Targets in the state that was asked for, on all pages.
    pub matching: u64,
    /// Targets of this page.
    pub targets: Vec<Target>,
}

/// A task with a page of its targets, of which only the `fields` that were asked for are told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TaskFieldsPage {
    /// The task.
    #[serde(flatten)]
    pub summary: TaskSummary,
    /// As of a page of whole targets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// As of a page of whole targets.
    pub matching: u64,
    /// Targets of this page.
    pub targets: Vec<TargetFields>,
}

/// The answer of `get`: with `fields`, of each target only those.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum TaskWithTargets {
    /// Whole targets.
    Page(TaskPage),
    /// Some fields of each.
    Fields(TaskFieldsPage),
}

/// Why a sensor has, had, or does not have a task: the answer of `explain`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Explained {
    /// Stable word.
    pub code: String,
    /// Sentence.
    pub explanation: String,
    /// The sensor.
    #[schemars(with = "schema::Sid")]
    pub sid: Sid,
    /// Where it stands, if the task is for this sensor.
    pub target: Option<Target>,
    /// The task.
    #[schemars(with = "schema::TaskId")]
    pub task_id: TaskId,
}

/// A sensor that a task would reach.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PreviewedSensor {
    /// Name of the endpoint.
    pub hostname: String,
    /// Whether it has a live link now.
    pub online: bool,
    /// Its id.
    #[schemars(with = "schema::Sid")]
    pub sid: Sid,
}

/// Whom a task would reach: the answer of `preview`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TaskPreview {
    /// How the selector was understood, as a tree.
    pub explanation: String,
    /// Of the targets, those that are online.
    pub online_sensors: u64,
    /// The selector, from whichever fields it came.
    pub selector: String,
    /// The first of the targets.
    pub sensors: Vec<PreviewedSensor>,
    /// Targets.
    pub total_sensors: u64,
}

/// A command that tasks can run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TaskCommand {
    /// With which its line begins.
    pub name: String,
    /// Platforms whose sensors can carry it out.
    pub platforms: Vec<String>,
    /// One line for people.
    pub summary: String,
    /// How it is written: the syntax in one line, then each argument.
    pub usage: String,
}

/// What tasks can run: the answer of `commands`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TaskCommands {
    /// All, by name; the one of the line if one was asked about.
    pub commands: Vec<TaskCommand>,
}

/// What was taken back: the answer of `untask`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Untasked {
    /// Targets that never get it.
    pub deleted: u64,
    /// Targets that may have it already, without a confirmation; they are not offered it again. Absent is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withdrawn: Option<u64>,
}

/// What became of a task that was cancelled, in numbers of targets: the answer of `cancel`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CancelledTask {
    /// They never get it.
    pub deleted: u64,
    /// They have it, and are told to end it; their state is `cancelled` once they have.
    pub stopping: u64,
    /// Why nothing was cancelled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning: Option<String>,
    /// It was sent to them without a confirmation: they are not offered it again, and those that have it end it.
    pub withdrawn: u64,
}

/// What sensors are still owed, in the shapes of both generations of documents: the answer of `list`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PendingTasks {
    /// By task.
    pub requests: Vec<PendingRequest>,
    /// By sensor, and by task.
    pub tasks: BTreeMap<String, BTreeMap<String, PendingTask>>,
    /// True if there are more than are listed; else absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub truncated: Option<bool>,
}

/// A task that sensors are still owed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PendingRequest {
    /// The task.
    #[serde(flatten)]
    pub summary: TaskSummary,
    /// Sensors that have confirmed it.
    #[schemars(with = "Vec<schema::Sid>")]
    pub acked: Vec<Sid>,
    /// Sensors on which it failed, with how it ended.
    pub failed: BTreeMap<String, TargetState>,
    /// Sensors that may still be offered it.
    #[schemars(with = "Vec<schema::Sid>")]
    pub pending: Vec<Sid>,
}

/// A task that one sensor is still owed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PendingTask {
    /// Deliveries so far.
    pub attempts: u32,
    /// The same as `task`.
    pub command: String,
    /// The investigation id that was asked for.
    pub context: Option<String>,
    /// When it was accepted.
    #[schemars(with = "schema::UnixSeconds")]
    pub created: i64,
    /// From when on it is not offered any more.
    #[schemars(with = "schema::UnixSeconds")]
    pub expiry: i64,
    /// Which sensors, as submitted.
    pub sensor_selector: String,
    /// Command line.
    pub task: String,
    /// Seconds for which it is offered.
    pub ttl: u64,
}
