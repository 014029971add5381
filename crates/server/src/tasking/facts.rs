//! Records of what the dispatch machine tells. Source: reference/events.md sections 9 and 10.

use super::EXTENSION;
use crate::clock;
use crate::intake::Record;
use crate::intake::event::{self, Actor};
use muster_model::{Oid, Sid, TaskId, Timestamp};
use muster_tasking::dispatch::{Edit, Fact, Flag, Happening};
use muster_tasking::{Spec, Target, TargetState};
use serde::Serialize;
use serde_json::{Value, json};

/// What `denied_for` says: the time for which the refusal is remembered.
const DENIED_FOR: &str = "720h0m0s";

/// What an event about an order at one sensor says.
#[derive(Serialize)]
struct AboutTarget {
    task_id: TaskId,
    sid: Sid,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

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

/// What of these facts is an error of the organization, by component: who uses an identity twice.
pub fn errors(facts: &[Fact]) -> Vec<(String, String)> {
    let error = |fact: &Fact| {
        let Fact::Sensor(sensor, Happening::Cloned { previous, new, addresses: [of_previous, of_new] }) = fact else {
            return None;
        };
        let mut machines = [format!("{previous} ({of_previous})"), format!("{new} ({of_new})")];
        // They take turns; the error is the same.
        machines.sort();
        let [one, other] = machines;
        let text = format!(
            "two machines have the identity of this sensor: {one} and {other}; an order may run on both. On one of them, stop the \
             sensor, remove its state directory, and start it with an installation key: it enrols as a sensor of its own"
        );
        Some((format!("sensors/{}", sensor.sid), text))
    };
    facts.iter().filter_map(error).collect()
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
            let about = AboutTarget { task_id: *task_id, sid: *sid, error: None };
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
                Happening::Returned => {
                    let entity = json!({"type": "sensor", "sid": sensor.sid, "hostname": sensor.hostname});
                    let text = "a sensor enrolled again with the identity that it had, which this server did not know";
                    records.push(event::audit(oid, by, text, &entity, "enrol_again", &address(), now));
                    ("enrollment", address())
                }
                Happening::Cloned { previous, new, .. } => {
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
    let mut about = AboutTarget { task_id, sid, error: None };
    if was_pending {
        records.push(event::activity(oid, EXTENSION, "task_done", &about, now));
    }
    if target.has_failed() {
        let text = match (&target.error, target.state) {
            (Some(error), _) => error.to_string(),
            (None, TargetState::Unsupported) => "UNSUPPORTED_FOR_PLATFORM".to_owned(),
            (None, state) => format!("{state} with {}", target.code),
        };
        about.error = Some(text);
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

#[cfg(test)]
mod tests {
    use super::*;
    use muster_model::{Architecture, Iid, Platform, Sensor};
    use uuid::Uuid;

    #[test]
    fn a_clone_is_an_error_that_names_both_machines_and_is_the_same_whichever_comes() {
        let oid = Oid(Uuid::nil());
        let sensor = Sensor::enrolled(
            Sid(Uuid::from_u128(7)),
            oid,
            Iid(Uuid::nil()),
            Platform::LINUX,
            Architecture::X64,
            Timestamp::ZERO,
        );
        let fact = |previous: &str, new: &str, from: [&str; 2]| {
            let happening =
                Happening::Cloned { previous: previous.into(), new: new.into(), addresses: from.map(Into::into) };
            Fact::Sensor(Box::new(sensor.clone()), happening)
        };
        let (there, back) =
            (fact("web-2", "web-1", ["10.0.0.2", "10.0.0.1"]), fact("web-1", "web-2", ["10.0.0.1", "10.0.0.2"]));
        let told = errors(&[there]);
        assert_eq!(told[0].0, format!("sensors/{}", sensor.sid));
        assert!(told[0].1.contains("web-1 (10.0.0.1) and web-2 (10.0.0.2)"), "{}", told[0].1);
        assert_eq!(told, errors(&[back]));
    }
}
