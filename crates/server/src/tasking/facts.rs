//! Records of what the dispatch machine tells. Source: reference/events.md sections 9 and 10.

use super::EXTENSION;
use crate::clock;
use crate::intake::Record;
use crate::intake::event::{self, Actor};
use muster_model::{Oid, Sid, TaskId, Timestamp};
use muster_tasking::dispatch::{Edit, Fact, Flag, Happening};
use muster_tasking::{Spec, Target, TargetState};
use serde_json::{Value, json};

/// What `denied_for` says: the time for which the refusal is remembered.
const DENIED_FOR: &str = "720h0m0s";

/// The records of facts, in their order. `by` is who asked; `None` is the server itself.
pub fn records(oid: Oid, facts: &[Fact], by: Option<&Actor>) -> Vec<Record> {
    let system = Actor::system();
    let (by, now) = (by.unwrap_or(&system), clock::now());
    let mut records = Vec::with_capacity(facts.len());
    for fact in facts {
        of_one(oid, fact, by, now, &mut records);
    }
    records
}

fn of_one(oid: Oid, fact: &Fact, by: &Actor, now: Timestamp, records: &mut Vec<Record>) {
    match fact {
        Fact::Created(spec) => records.extend(created(oid, spec, by)),
        Fact::Untasked { task_id, deleted, withdrawn } => {
            let detail = json!({"deleted": deleted, "withdrawn": withdrawn});
            let entity = json!({"type": "reliable_task", "name": task_id});
            records.push(event::audit(oid, by, "reliable task removed", &entity, "untask", &detail, now));
        }
        Fact::Cancelled { task_id, deleted, withdrawn, stopping } => {
            let detail = json!({"deleted": deleted, "withdrawn": withdrawn, "stopping": stopping});
            let entity = json!({"type": "reliable_task", "name": task_id});
            records.push(event::audit(oid, by, "reliable task cancelled", &entity, "cancel", &detail, now));
        }
        Fact::Paused(task_id) => records.push(changed(oid, *task_id, by, "pause", now)),
        Fact::Resumed(task_id) => records.push(changed(oid, *task_id, by, "resume", now)),
        Fact::Sent { task_id, sid, at } => {
            let about = json!({"task_id": task_id, "sid": sid});
            let of_kind = |kind| event::activity(oid, EXTENSION, kind, &about, *at);
            records.extend(["try_task", "task_sent"].map(of_kind));
        }
        Fact::Stepped { task_id, sid, was_pending, target } => {
            stepped(oid, (*task_id, *sid), *was_pending, target, now, records);
        }
        Fact::Edited { edit, sid, hostname } => {
            let (message, action, detail) = told(edit);
            let entity = json!({"type": "sensor", "sid": sid, "hostname": hostname});
            records.push(event::audit(oid, by, message, &entity, action, &detail, now));
        }
        Fact::Sensor(sensor, happening) => {
            let address = || {
                json!({
                    "public_ip": sensor.ext_ip, "internal_ip": sensor.int_ip, "host_name": sensor.hostname,
                })
            };
            let (kind, about) = match happening {
                Happening::Enrolled => ("enrollment", address()),
                Happening::Cloned { previous, new } => {
                    ("sensor_clone", json!({"previous_hostname": previous, "new_hostname": new}))
                }
                Happening::Disconnected => ("disconnected", json!({})),
                Happening::Denied => ("deleted_sensor", json!({"denied_for": DENIED_FOR})),
                Happening::OverQuota => ("sensor_over_quota", address()),
            };
            records.push(event::deployment(sensor, kind, &about, now));
        }
    }
}

fn created(oid: Oid, spec: &Spec, by: &Actor) -> [Record; 2] {
    let about = json!({
        "task_id": spec.task_id, "task": spec.command, "selector": spec.selector, "context": spec.context,
        "ttl": spec.ttl_s, "total_sensors": spec.total,
    });
    let entity = json!({"type": "reliable_task", "name": spec.task_id});
    [
        event::activity(oid, EXTENSION, "add_task", &about, spec.created_at),
        event::audit(oid, by, "reliable task created", &entity, "reliable_task", &about, spec.created_at),
    ]
}

fn changed(oid: Oid, task_id: TaskId, by: &Actor, action: &str, now: Timestamp) -> Record {
    let entity = json!({"type": "reliable_task", "name": task_id});
    event::audit(oid, by, "reliable task changed", &entity, action, &json!({}), now)
}

fn stepped(
    oid: Oid,
    (task_id, sid): (TaskId, Sid),
    was_pending: bool,
    target: &Target,
    now: Timestamp,
    records: &mut Vec<Record>,
) {
    let mut about = json!({"task_id": task_id, "sid": sid});
    if was_pending {
        records.push(event::activity(oid, EXTENSION, "task_done", &about, now));
    }
    if target.has_failed() {
        let text = match (&target.error, target.state) {
            (Some(error), _) => error.to_string(),
            (None, TargetState::Unsupported) => "UNSUPPORTED_FOR_PLATFORM".to_owned(),
            (None, state) => format!("{state} with {}", target.code),
        };
        about["error"] = Value::String(text);
        records.push(event::activity(oid, EXTENSION, "task_failure", &about, now));
    }
}

/// How an edit is told: for people, for programs, and more about it.
fn told(edit: &Edit) -> (&'static str, &'static str, Value) {
    match edit {
        Edit::PutTags { names, ttl, .. } => {
            ("tags added", "add_tag", json!({"tags": names, "ttl": ttl.map(|ttl| ttl.as_secs())}))
        }
        Edit::TakeTags(names) => ("tags removed", "remove_tag", json!({"tags": names})),
        Edit::Fade => ("tags expired", "expire_tag", json!({})),
        Edit::Flag(Flag::Isolation, true) => ("network isolation requested", "isolate", json!({})),
        Edit::Flag(Flag::Isolation, false) => ("end of network isolation requested", "rejoin", json!({})),
        Edit::Flag(Flag::Seal, true) => ("seal requested", "seal", json!({})),
        Edit::Flag(Flag::Seal, false) => ("end of seal requested", "unseal", json!({})),
        Edit::Delete => ("sensor deleted", "delete_sensor", json!({})),
        Edit::Undelete => ("sensor undeleted", "undelete_sensor", json!({})),
        Edit::Report(_) | Edit::Deny => ("sensor reported", "report", json!({})),
    }
}
