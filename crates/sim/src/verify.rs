//! What must hold once all faults are over and everyone had time.

use std::collections::BTreeMap;

use muster_model::Sid;
use muster_selector::Fleet as _;
use muster_store::{EntryQuery, SensorRow, Store, Stream};
use muster_tasking::{Fleet, Queue, TargetState, Task};

use crate::endpoint::Endpoint;
use crate::kernel::{Micros, SECOND};
use crate::oracle::{Fate, Truth};
use crate::server::{self, OID, Server};

/// A task that lives for so long after the last fault must have reached its sensors.
const ENOUGH: Micros = 40 * 60 * SECOND;

/// Checks the end of a run; what does not hold is told to the truth.
pub fn verify(server: &Server, endpoints: &[Endpoint], truth: &mut Truth, calm_since: Micros) {
    let mut faults = Vec::new();
    let state = &server.dispatch;
    promises(&state.queue, &state.fleet, truth, &mut faults);
    for task in state.queue.tasks() {
        for ordinal in task.targets() {
            let Some(row) = state.fleet.row(ordinal) else {
                faults.push(format!("task {} has an unknown target {ordinal}", task.number));
                continue;
            };
            let current = endpoints.iter().find(|endpoint| endpoint.sid == Some(row.sensor.sid));
            let Some(host) = current.map(|endpoint| endpoint.number) else { continue };
            let fault = target(task, ordinal, row, host, truth, calm_since);
            faults.extend(fault.map(|why| format!("task {} on host {host}: {why}", task.spec.task_id)));
        }
    }
    for (host, task) in truth.effects() {
        if state.queue.find(task).is_none() && !truth.forgotten.contains(&task) {
            faults.push(format!("task {task} ran on host {host}, and the server does not know it"));
        }
    }
    for endpoint in endpoints {
        let is_deleted = rows(&state.fleet).any(|row| Some(row.sensor.sid) == endpoint.sid && row.sensor.deleted);
        if !is_deleted && !endpoint.is_connected() {
            faults.push(format!("host {} is not connected", endpoint.number));
        }
        if !is_deleted && endpoint.disk.borrow().queued() > 0 {
            faults.push(format!("the spool of host {} is not empty", endpoint.number));
        }
    }
    events(&server.site.store, truth, &state.fleet, &mut faults);
    durable(server, &state.queue, &mut faults);
    faults.into_iter().for_each(|fault| truth.fault(fault));
}

fn rows(fleet: &Fleet) -> impl Iterator<Item = &SensorRow> {
    // Of enrolments that could not be stored, ordinals are left over.
    fleet.all().iter().filter_map(|ordinal| fleet.row(ordinal))
}

/// Every acknowledged task is there, with every target.
fn promises(queue: &Queue, fleet: &Fleet, truth: &Truth, faults: &mut Vec<String>) {
    let ordinals: BTreeMap<Sid, u32> = rows(fleet).map(|row| (row.sensor.sid, row.ordinal)).collect();
    for (id, targets) in &truth.promised {
        let Some(task) = queue.find(*id) else {
            if !targets.is_empty() {
                faults.push(format!("task {id} was acknowledged and is gone"));
            }
            continue;
        };
        for sid in targets {
            if ordinals.get(sid).and_then(|ordinal| task.state_of(*ordinal)).is_none() {
                faults.push(format!("task {id} has lost its target {sid}"));
            }
        }
    }
}

/// Compares the server's word with the endpoint's truth.
fn target(
    task: &Task,
    ordinal: u32,
    row: &SensorRow,
    host: usize,
    truth: &Truth,
    calm_since: Micros,
) -> Option<String> {
    use TargetState::{
        Cancelled, Confirmed, Doubled, Expired, Finished, Interrupted, NotNow, Queued, Refused, Removed, Sent, Started,
        Unsupported,
    };
    let state = task.state_of(ordinal)?;
    let run = truth.run(host, task.spec.task_id);
    let is_gone = row.sensor.deleted;
    // What a lost journal or a deletion has cut off may have happened without the server knowing.
    let is_cloned = truth.cloned.contains(&host);
    let is_excused = is_gone || is_cloned || truth.wiped.contains(&host) || truth.deleted.contains(&row.sensor.sid);
    // What operators asked for after a backup is forgotten with it, and not what came of it.
    let was_restored = truth.counts.restores > 0;
    let had_time = truth.end_of(task.spec.task_id).is_some_and(|ends| ends > calm_since + ENOUGH);
    let why = match state {
        Doubled if !is_cloned && !truth.set_back.contains(&host) => "doubled by no one",
        Doubled => return None,
        _ if is_cloned && truth.beginnings(task.spec.task_id) > 1 && !is_gone => "it began on two machines",
        Finished if run.happened != 1 && !is_cloned && !truth.may_repeat(host, run) => "finished without an effect",
        Interrupted if !is_excused && (!run.is_started || run.is_ended) => "it never started, or it ended",
        Refused | NotNow | Unsupported if run.begun > 0 && !is_cloned => "declined, but it began",
        Expired | Removed | Queued if run.begun > 0 && !is_excused && !was_restored => {
            "never ran by the server's word, but it began"
        }
        Expired if had_time && !is_excused && !task.is_held() => "expired, but had time",
        Queued if !is_gone && !task.is_held() => "still queued",
        Sent if !is_gone && !task.is_held() => "still sent",
        Confirmed | Started if !is_gone => "neither ended nor interrupted",
        Refused if !is_excused => "refused",
        Cancelled if !task.control.cancelled.contains(ordinal) && !was_restored => "cancelled by no one",
        Removed if !is_excused && !task.spec.dynamic && !task.control.removed.contains(ordinal) => "removed by no one",
        _ => return None,
    };
    Some(format!("{state}: {why} ({run:?})"))
}

/// Every event that a sensor kept is stored once; no event is stored twice.
fn events(store: &Store, truth: &Truth, fleet: &Fleet, faults: &mut Vec<String>) {
    let mut stored = BTreeMap::<uuid::Uuid, u64>::new();
    let mut query = EntryQuery::all(OID, Stream::Event);
    loop {
        let page = match store.read_blocking(|read| read.entries(&query)) {
            Ok(page) => page,
            Err(error) => return faults.push(format!("the events cannot be read: {error}")),
        };
        page.entries.iter().for_each(|entry| *stored.entry(entry.id).or_default() += 1);
        query.cursor = page.cursor;
        if query.cursor.is_none() {
            break;
        }
    }
    for (id, times) in &stored {
        match truth.spool.get(id) {
            None => faults.push(format!("event {id} was stored, and no sensor made it")),
            // Of a sensor the server knows how far one spool is: after an earlier one, it begins with this one anew.
            Some((host, ..)) if truth.set_back.contains(host) || truth.cloned.contains(host) => {}
            Some((host, seq, _)) if *times > 1 => {
                faults.push(format!("event {seq} of host {host} is stored {times} times"))
            }
            Some(_) => {}
        }
    }
    let is_deleted =
        |host: usize| rows(fleet).any(|row| row.sensor.deleted && truth.hosts.get(&row.sensor.sid) == Some(&host));
    for (id, (host, seq, fate)) in &truth.spool {
        // Two machines with one spool tell different events under one number.
        let is_excused = is_deleted(*host) || truth.cloned.contains(host);
        if *fate == Fate::Kept && !stored.contains_key(id) && !is_excused {
            faults.push(format!("event {seq} of host {host} is lost"));
        }
    }
}

/// A restart brings back what the server knew.
fn durable(server: &Server, queue: &Queue, faults: &mut Vec<String>) {
    let mut again = match server::load(&server.site.store, 0) {
        Ok(loaded) => loaded,
        Err(error) => return faults.push(format!("the store cannot be loaded: {error}")),
    };
    again.expire(server.now());
    for task in queue.tasks() {
        let Some(loaded) = again.queue.task(task.number) else {
            faults.push(format!("task {} is not in the store", task.number));
            continue;
        };
        for ordinal in task.targets() {
            let (have, stored) = (task.state_of(ordinal), loaded.state_of(ordinal));
            if have != stored {
                faults.push(format!("task {} on sensor {ordinal}: {have:?} in memory, {stored:?} stored", task.number));
            }
        }
        let kept = |task: &Task| (task.control.paused, task.control.forgiven, task.control.removed.clone());
        if kept(task) != kept(loaded) || task.is_held() != loaded.is_held() {
            faults.push(format!("task {}: the control in memory is not what is stored", task.number));
        }
    }
}
