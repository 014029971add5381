//! What a tab can be told of: rows of sensors, tasks and targets, and records as they come.

use super::super::Console;
use crate::access::Caller;
use crate::intake::{Filter, Subscription};
use crate::organization::{Organizations, State};
use crate::tasking;
use muster_model::{Oid, Sid, TaskId};
use muster_store::Stream;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

/// Rows of one subscription: what a screen shows, with some to spare.
const ROWS_MAX: usize = 400;

/// Records told at once; more wait, and those that do not fit where they wait are counted as a gap.
const RECORDS_MAX: usize = 200;

/// A subscription.
pub struct Topic {
    oid: Oid,
    permission: &'static str,
    source: Source,
}

enum Source {
    /// Rows that are compared with what was told before.
    Rows { organizations: Arc<Organizations>, rows: Rows, told: HashMap<String, u64> },
    /// Records as they come.
    Records(Subscription),
}

enum Rows {
    Sensors(Vec<Sid>),
    Tasks(Vec<TaskId>),
    Targets(TaskId, Vec<Sid>),
}

impl Topic {
    /// Opens a subscription.
    ///
    /// # Errors
    ///
    /// Why there is none, for people.
    pub fn open(console: &Arc<Console>, caller: &Caller, name: &str, args: &Value) -> Result<Self, String> {
        let oid: Option<Oid> = args["oid"].as_str().and_then(|oid| oid.parse().ok());
        let organization = oid.filter(|oid| caller.is_in(*oid)).and_then(|oid| console.organizations.get(oid));
        let organization = organization.ok_or("organization not found")?;
        let permission = match name {
            "sensors" => "sensor.list",
            "tasks" | "targets" => "ext.request",
            "events" => "insight.evt.get",
            "detections" => "insight.det.get",
            other => return Err(format!("unknown topic: {other}")),
        };
        let oid = organization.oid;
        if !caller.may(oid, permission) {
            return Err(format!("missing permission: {permission}"));
        }
        let task = || args["task_id"].as_str().and_then(|id| id.parse().ok()).ok_or("task_id is required");
        let organizations = Arc::clone(&console.organizations);
        let rows = |rows| Source::Rows { organizations, rows, told: HashMap::new() };
        let records = |stream, sid| {
            let filter = Filter { sid, ..Filter::default() };
            let subscription = console.streams.subscribe(oid, stream, filter);
            subscription.map(Source::Records).ok_or("too many live readers in this organization")
        };
        let source = match name {
            "sensors" => rows(Rows::Sensors(listed(&args["sids"])?)),
            "tasks" => rows(Rows::Tasks(listed(&args["task_ids"])?)),
            "targets" => rows(Rows::Targets(task()?, listed(&args["sids"])?)),
            "events" => {
                let sid = args["sid"].as_str().and_then(|sid| sid.parse().ok()).ok_or("sid is required")?;
                records(Stream::Event, Some(sid))?
            }
            _ => records(Stream::Detect, None)?,
        };
        Ok(Self { oid, permission, source })
    }

    /// Whether a caller may still see it.
    pub fn is_allowed(&self, caller: &Caller) -> bool {
        caller.may(self.oid, self.permission)
    }

    /// Records that were lost since the last call.
    pub fn take_gap(&mut self) -> u64 {
        match &self.source {
            Source::Records(subscription) => subscription.take_dropped(),
            Source::Rows { .. } => 0,
        }
    }

    /// Rows that changed since the last call, as JSON.
    pub fn news(&mut self) -> Vec<String> {
        match &mut self.source {
            Source::Records(subscription) => {
                let next = || subscription.records.try_recv().ok();
                let records = std::iter::from_fn(next).take(RECORDS_MAX);
                records.map(|record| String::from_utf8_lossy(&record).into_owned()).collect()
            }
            Source::Rows { organizations, rows, told } => {
                // It may be someone else's by now, and come back.
                let Some(organization) = organizations.get(self.oid) else { return Vec::new() };
                let rows = read(&organization.state.lock(), rows);
                let fresh = rows.into_iter().filter_map(|(key, row)| {
                    let text = row.to_string();
                    let mut hasher = DefaultHasher::new();
                    text.hash(&mut hasher);
                    let hash = hasher.finish();
                    (told.insert(key, hash) != Some(hash)).then_some(text)
                });
                fresh.collect()
            }
        }
    }
}

fn listed<T: std::str::FromStr>(ids: &Value) -> Result<Vec<T>, String> {
    let ids = ids.as_array().map(Vec::as_slice).unwrap_or_default();
    if ids.len() > ROWS_MAX {
        return Err(format!("a subscription names at most {ROWS_MAX} rows"));
    }
    Ok(ids.iter().filter_map(|id| id.as_str()?.parse().ok()).collect())
}

/// Rows by their key.
fn read(state: &State, rows: &Rows) -> Vec<(String, Value)> {
    match rows {
        Rows::Sensors(sids) => sids.iter().filter_map(|sid| sensor(state, *sid)).collect(),
        Rows::Tasks(ids) => {
            let found = ids
                .iter()
                .filter_map(|id| Some((id.to_string(), tasking::summary(&state.queue, state.queue.find(*id)?))));
            found.collect()
        }
        Rows::Targets(id, sids) => {
            let Some(task) = state.queue.find(*id) else { return Vec::new() };
            let target = |sid: &Sid| {
                let ordinal = state.fleet.ordinal(*sid)?;
                let target = task.known(ordinal)?;
                let online = state.is_online(ordinal);
                Some((sid.to_string(), json!({"sid": sid, "state": target.state.name(), "online": online})))
            };
            let summary = ("task".to_owned(), tasking::summary(&state.queue, task));
            std::iter::once(summary).chain(sids.iter().filter_map(target)).collect()
        }
    }
}

fn sensor(state: &State, sid: Sid) -> Option<(String, Value)> {
    let row = state.fleet.find(sid)?;
    let sensor = &row.sensor;
    let row = json!({
        "sid": sid, "is_online": state.is_online(row.ordinal), "hostname": sensor.hostname,
        "alive": crate::clock::text(sensor.alive_at), "tags": sensor.tag_names().collect::<Vec<_>>(),
        "is_isolated": sensor.isolated, "should_isolate": sensor.should_isolate, "is_sealed": sensor.sealed,
        "should_seal": sensor.should_seal,
    });
    Some((sid.to_string(), row))
}
