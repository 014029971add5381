//! Events that the agent makes itself.

use muster_model::{Oid, Sid, TaskId};
use muster_wire::{Deliver, Event};
use serde_json::{Value, json};

use super::{Agent, Now};

/// Source: reference/sensor.md section 11.
pub(super) const NOT_SUPPORTED: i32 = 50;
pub(super) const INVALID_PARAMETER: i32 = 87;
pub(super) const BROKEN_PIPE: i32 = 109;
pub(super) const BUSY: i32 = 170;
pub(super) const CANCELLED: i32 = 1_223;
pub(super) const TIMEOUT: i32 = 1_460;

impl Agent {
    /// A task that goes on has answered; what it says last comes with [`Agent::answered`].
    pub fn said(&mut self, events: Vec<Event>) {
        self.out.answers.extend(events);
    }
}

/// Makes an event. `body` gets a `TIMESTAMP` if it has none; `cause` is the task
/// that caused it, with its investigation id.
#[must_use]
pub fn event(event_type: &str, mut body: Value, cause: Option<(TaskId, &str)>, now: Now) -> Event {
    if let Some(fields) = body.as_object_mut() {
        fields.entry("TIMESTAMP").or_insert_with(|| now.wall_ms.into());
    }
    Event {
        event_type: event_type.to_owned(),
        time_ms: now.wall_ms,
        investigation_id: cause.map(|(_, id)| id.to_owned()).unwrap_or_default(),
        task_id: cause.map(|(task, _)| task.0.as_bytes().to_vec()).unwrap_or_default(),
        body: body.to_string().into_bytes(),
        ..Event::default()
    }
}

/// The proof that a task has arrived. Source: reference/events.md section 5.6.
#[must_use]
pub fn notification(request: &str, oid: Oid, sid: Sid, task: TaskId, deliver: &Deliver, now: Now) -> Event {
    let unchecked = "0".repeat(32);
    let body = json!({
        "NOTIFICATION_ID": request,
        "NOTIFICATION": {"INVESTIGATION_ID": deliver.investigation_id},
        "HCP_IDENT": {
            "HCP_ORG_ID": oid.0.as_simple().to_string(),
            "HCP_SENSOR_ID": sid.0.as_simple().to_string(),
            "HCP_INSTALLER_ID": unchecked,
            "HCP_ARCHITECTURE": 0,
            "HCP_PLATFORM": 0,
        },
        "EXPIRY": deliver.not_after_ms.div_euclid(1_000),
    });
    event("CLOUD_NOTIFICATION", body, Some((task, &deliver.investigation_id)), now)
}
