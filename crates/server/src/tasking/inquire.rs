//! Questions about tasks: list, counts, pages of targets, explanations, dry runs.

use super::{Error, Tasking};
use crate::organization::{Organization, State};
use crate::{clock, names};
use muster_command::Command;
use muster_model::{Sid, TaskId, Timestamp};
use muster_selector::Selector;
use muster_tasking::{Queue, SensorOrder, Target, TargetState, Task};
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::sync::Arc;

/// Sensors named in one answer of `list`; beyond, counts only.
const LISTED_MAX: usize = 10_000;

/// Sensors shown by a dry run when the caller names no number.
const PREVIEW_DEFAULT: usize = 10;

/// Most sensors on one page.
const PAGE_MAX: usize = 1_000;

/// Pending tasks of the sensors of a selector, in the shapes of both generations.
/// Source: reference/sensor.md section 12.3.
#[must_use]
pub fn list(organization: &Organization, selector: &Selector) -> Value {
    let now = clock::now();
    let state = organization.state.lock();
    let sensors = (!selector.is_all()).then(|| selector.select(&state.fleet));
    let mut by_sensor: Map<String, Value> = Map::new();
    let mut requests = Vec::new();
    let mut listed = 0;
    for task in state.queue.tasks().filter(|task| !state.queue.is_over(task, now)) {
        let pending = sensors.as_ref().map_or_else(|| task.open().clone(), |sensors| task.open() & sensors);
        // A task without any targets would be out of sight, and with it that it reached nobody.
        let reached_nobody = task.targets().is_empty() && sensors.is_none();
        if pending.is_empty() && !reached_nobody {
            continue;
        }
        for ordinal in pending.iter().take(LISTED_MAX - listed) {
            let Some(row) = state.fleet.row(ordinal) else { continue };
            let of_sensor = by_sensor.entry(row.sensor.sid.to_string()).or_insert_with(|| json!({}));
            let attempts = task.known(ordinal).map_or(0, |target| target.attempts);
            of_sensor[task.spec.task_id.to_string()] = pending_entry(task, state.queue.expires_at(task), attempts);
            listed += 1;
        }
        requests.push(request(&state, task, &pending));
    }
    let mut answer = json!({"tasks": by_sensor, "requests": requests});
    if listed >= LISTED_MAX {
        answer["truncated"] = json!(true);
    }
    answer
}

fn pending_entry(task: &Task, expires_at: Timestamp, attempts: u32) -> Value {
    let spec = &task.spec;
    json!({
        "task": spec.command, "command": spec.command, "context": spec.context, "sensor_selector": spec.selector,
        "created": spec.created_at.as_secs(), "expiry": expires_at.as_secs(), "ttl": spec.ttl_s,
        "attempts": attempts,
    })
}

fn request(state: &State, task: &Task, pending: &roaring::RoaringBitmap) -> Value {
    let sids = |set: &roaring::RoaringBitmap| -> Vec<Sid> {
        set.iter().take(LISTED_MAX).filter_map(|ordinal| Some(state.fleet.row(ordinal)?.sensor.sid)).collect()
    };
    let unanswered = task.open() | &task.in_state(TargetState::Removed) | &task.in_state(TargetState::Unsupported);
    let acked = task.targets() - &unanswered;
    let failed: Map<String, Value> = task
        .failed_targets()
        .iter()
        .take(LISTED_MAX)
        .filter_map(|ordinal| {
            let state_name = task.state_of(ordinal)?.name();
            Some((state.fleet.row(ordinal)?.sensor.sid.to_string(), json!(state_name)))
        })
        .collect();
    let mut value = summary(&state.queue, task);
    value["acked"] = json!(sids(&acked));
    value["pending"] = json!(sids(pending));
    value["failed"] = Value::Object(failed);
    value
}

/// A request with its counts per state.
#[must_use]
pub fn summary(queue: &Queue, task: &Task) -> Value {
    let spec = &task.spec;
    let counts: Map<String, Value> = TargetState::ALL
        .into_iter()
        .zip(task.counts())
        .map(|(state, count)| (state.name().to_owned(), json!(count)))
        .collect();
    json!({
        "task_id": spec.task_id, "task": spec.command, "sensor_selector": spec.selector, "context": spec.context,
        "ttl": spec.ttl_s, "created": spec.created_at.as_secs(), "created_by": spec.created_by,
        "expiry": queue.expires_at(task).as_secs(), "total": task.targets().len(), "counts": counts,
        "failures": task.failed(), "dynamic": spec.dynamic, "urgent": spec.urgent, "paused": task.control.paused,
        "stopped": task.control.stopped, "conditions": spec.conditions, "pace": spec.pace,
    })
}

/// Every task of the organization, newest first, with its counts. Of one sensor, those that have it as a target, each
/// with where it stands there.
#[must_use]
pub fn overview(organization: &Organization, limit: usize, sid: Option<Sid>) -> Value {
    let state = organization.state.lock();
    let newest = state.queue.tasks().rev();
    let shown = newest.filter_map(|task| {
        let Some(sid) = sid else { return Some(summary(&state.queue, task)) };
        let target = task.known(state.fleet.ordinal(sid)?)?;
        let mut shown = summary(&state.queue, task);
        shown["state"] = json!(target.state.name());
        Some(shown)
    });
    json!({"requests": shown.take(limit.clamp(1, PAGE_MAX)).collect::<Vec<Value>>()})
}

/// Names of the fields of a target.
pub const TARGET_FIELDS: &[&str] =
    &["sid", "hostname", "state", "attempts", "online", "sent", "confirmed", "started", "ended", "code", "error"];

/// Which targets of a task to show.
pub struct TargetsAsked<'a> {
    /// Only those in this state.
    pub state: Option<TargetState>,
    /// Where the page begins.
    pub from: From,
    /// Most on the page, up to 1,000.
    pub limit: usize,
    /// Only these of [`TARGET_FIELDS`]; none is all of them.
    pub fields: Vec<&'a str>,
}

/// Where a page of targets begins.
#[derive(Clone, Copy)]
pub enum From {
    /// Behind this target.
    After(u32),
    /// At a place of an order of the sensors.
    Offset(u64, SensorOrder),
}

/// One task: its counts, and a page of its targets. `matching` counts those in the state that was asked for.
///
/// # Errors
///
/// [`Error::NoTask`].
pub async fn page_of_targets(
    tasking: &Arc<Tasking>,
    organization: &Arc<Organization>,
    id: TaskId,
    asked: &TargetsAsked<'_>,
) -> Result<Value, Error> {
    let limit = asked.limit.clamp(1, PAGE_MAX);
    let (number, mut answer, ordinals, has_more) = {
        let mut state = organization.state.lock();
        state.dispatch().expire(clock::now());
        let task = state.queue.find(id).ok_or(Error::NoTask)?;
        let of_state = asked.state.map(|wanted| task.in_state(wanted));
        let set = of_state.as_ref().unwrap_or_else(|| task.targets());
        let (offset, order) = match asked.from {
            From::After(last) => (set.rank(last), SensorOrder::ENROLLED),
            From::Offset(offset, order) => (offset, order),
        };
        let ordinals = state.fleet.page(set, &state.online, order, (offset, limit));
        let has_more = offset.saturating_add(limit as u64) < set.len() && order == SensorOrder::ENROLLED;
        let mut answer = summary(&state.queue, task);
        answer["matching"] = json!(set.len());
        (task.number, answer, ordinals, has_more)
    };
    let (oid, mut in_store) = (organization.oid, ordinals.clone());
    in_store.sort_unstable();
    let stored = tasking.store.read(move |read| read.targets_of(oid, number, &in_store)).await?;
    let state = organization.state.lock();
    let task = state.queue.task(number).ok_or(Error::NoTask)?;
    let mut stored: HashMap<u32, Target> = stored.into_iter().collect();
    let shown = |ordinal: &u32| {
        let target = target_value(&state, task, *ordinal, stored.remove(ordinal));
        if asked.fields.is_empty() { target } else { names::only(&target, &asked.fields).into() }
    };
    answer["targets"] = ordinals.iter().map(shown).collect();
    if let Some(last) = ordinals.last().filter(|_| has_more) {
        answer["cursor"] = json!(last.to_string());
    }
    Ok(answer)
}

/// What memory knows of the state is newer than the store; the store knows the times.
fn merged(task: &Task, ordinal: u32, stored: Option<Target>) -> Target {
    let known = task.known(ordinal).unwrap_or_default();
    match stored {
        Some(stored) if stored.state == known.state => stored,
        Some(stored) => Target { state: known.state, ended_at: known.ended_at, ..stored },
        None => known,
    }
}

fn target_value(state: &State, task: &Task, ordinal: u32, stored: Option<Target>) -> Value {
    let target = merged(task, ordinal, stored);
    let row = state.fleet.row(ordinal);
    let ms = |at: Timestamp| (at != Timestamp::ZERO).then(|| at.as_millis());
    json!({
        "sid": row.map(|row| row.sensor.sid), "hostname": row.map(|row| &row.sensor.hostname),
        "state": target.state.name(), "attempts": target.attempts, "online": state.is_online(ordinal),
        "sent": ms(target.sent_at), "confirmed": ms(target.confirmed_at), "started": ms(target.started_at),
        "ended": ms(target.ended_at), "code": (target.state == TargetState::Finished).then_some(target.code),
        "error": target.error,
    })
}

/// Why a sensor has, had, or does not have a task.
///
/// # Errors
///
/// [`Error::NoTask`] or [`Error::NoSensor`].
pub async fn explain(
    tasking: &Arc<Tasking>,
    organization: &Arc<Organization>,
    id: TaskId,
    sid: Sid,
) -> Result<Value, Error> {
    let (number, ordinal) = {
        let state = organization.state.lock();
        let task = state.queue.find(id).ok_or(Error::NoTask)?;
        let ordinal = state.fleet.ordinal(sid).ok_or(Error::NoSensor)?;
        (task.number, ordinal)
    };
    let oid = organization.oid;
    let stored = tasking.store.read(move |read| read.targets_of(oid, number, &[ordinal])).await?;
    let stored = stored.into_iter().next().map(|(_, target)| target);
    let now = clock::now();
    let mut state = organization.state.lock();
    state.dispatch().expire(now);
    let task = state.queue.task(number).ok_or(Error::NoTask)?;
    let target = task.state_of(ordinal).map(|_| merged(task, ordinal, stored.clone()));
    let explanation = state.queue.explain(task, ordinal, target.as_ref(), state.is_online(ordinal), now);
    Ok(json!({
        "task_id": id, "sid": sid, "code": explanation.code, "explanation": explanation.text,
        "target": target.map(|_| target_value(&state, task, ordinal, stored)),
    }))
}

/// Which sensors a request would reach now; changes nothing.
#[must_use]
pub fn preview(organization: &Organization, selector: &Selector, limit: Option<usize>) -> Value {
    let state = organization.state.lock();
    let targets = selector.select(&state.fleet);
    let first: Vec<Value> = targets
        .iter()
        .take(limit.unwrap_or(PREVIEW_DEFAULT).min(PAGE_MAX))
        .filter_map(|ordinal| {
            let sensor = &state.fleet.row(ordinal)?.sensor;
            Some(json!({"sid": sensor.sid, "hostname": sensor.hostname, "online": state.is_online(ordinal)}))
        })
        .collect();
    json!({
        "total_sensors": targets.len(), "online_sensors": targets.intersection_len(&state.online),
        "sensors": first, "selector": selector.text(), "explanation": selector.explain(),
    })
}

/// The commands that tasks can run, or the one that a line calls.
///
/// # Errors
///
/// [`Error::Command`] if the line is wrong.
pub fn commands(line: Option<&str>) -> Result<Value, Error> {
    let one = line.map(Command::parse).transpose()?.map(|command| command.spec);
    let all = one.map_or(muster_command::commands(), std::slice::from_ref);
    let shown = all.iter().map(|spec| {
        let platforms: Vec<_> = spec.platforms.iter().map(|platform| platform.name()).collect();
        json!({"name": spec.name, "summary": spec.summary, "usage": spec.usage(), "platforms": platforms})
    });
    Ok(json!({"commands": shown.collect::<Vec<_>>()}))
}
