//! The store in memory: for tests, simulation and throw-away servers.
//!
//! It is the readable statement of what every adapter does. A list is applied
//! write by write while an undo step is kept for each change; a write that
//! fails undoes the list, so that it leaves no trace.

mod delivery;
mod read;

use crate::claim::{Claim, Standing};
use crate::row::*;
use crate::run::{Left, Run};
use crate::store::{Faults, Gate, Read, StoreError, TRIM_ENTRIES_MAX};
use muster_model::{Oid, Sid, TaskId, Timestamp};
use muster_tasking::Target;
use parking_lot::RwLock;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The shared state, and the failures that a test asked for.
pub(crate) struct Memory {
    state: RwLock<State>,
    faults: Faults,
}

impl Memory {
    pub(crate) fn new(faults: Faults) -> Self {
        Self { state: RwLock::default(), faults }
    }

    /// Another one with what this one holds now, which fails as this one does.
    pub(crate) fn copied(&self) -> Self {
        Self { state: RwLock::new(self.state.read().clone()), faults: self.faults.clone() }
    }

    /// Where commits wait, if a test holds them up.
    pub(crate) fn gate(&self) -> Option<Arc<Gate>> {
        self.faults.gated()
    }

    pub(crate) fn commit(&self, writes: &[Write]) -> Result<usize, StoreError> {
        if let Some(error) = self.faults.take() {
            return Err(error);
        }
        let mut state = self.state.write();
        let mut change = Change { state: &mut state, undo: Vec::new(), forgotten: 0 };
        match writes.iter().try_for_each(|write| change.apply(write)) {
            Ok(()) => self.faults.answer(change.forgotten),
            Err(error) => {
                change.undo_all();
                Err(error)
            }
        }
    }

    pub(crate) fn read<T>(&self, f: impl FnOnce(&mut dyn Read) -> Result<T, StoreError>) -> Result<T, StoreError> {
        match self.faults.of_reads() {
            Some(error) => Err(error),
            None => f(&mut read::View(&self.state.read())),
        }
    }

    pub(crate) fn size_bytes(&self) -> u64 {
        let state = self.state.read();
        state.stream_sizes.values().map(|size| size.bytes).sum::<u64>()
            + state.queues.values().map(|queue| queue.size.bytes).sum::<u64>()
    }
}

#[derive(Clone, Default)]
struct State {
    standings: BTreeMap<Oid, Standing>,
    records: BTreeMap<(Oid, String, String), Record>,
    sensors: BTreeMap<(Oid, u32), SensorRow>,
    spools: BTreeMap<(Oid, u32), ([u8; 16], u64)>,
    tasks: BTreeMap<(Oid, u64), TaskRow>,
    task_ids: BTreeMap<(Oid, TaskId), u64>,
    targets: BTreeMap<(Oid, u64, u32), Target>,
    entries: BTreeMap<EntryKey, Entry>,
    stream_sizes: BTreeMap<(Oid, Stream), Size>,
    sensor_sizes: BTreeMap<(Oid, Stream, Option<Sid>), Size>,
    queues: BTreeMap<(Oid, String), Queue>,
    queued: BTreeMap<(Oid, String, u64), Vec<u8>>,
    counters: BTreeMap<(Oid, [u8; 16]), CounterRow>,
    deliveries: BTreeMap<(Oid, u64), (Delivery, Vec<u8>)>,
    runs: BTreeMap<(Oid, u64), (Run, Left)>,
    live: BTreeMap<(Oid, u64, LivePart, u32), LiveRow>,
    /// Number of the next entry; those that an undone list took are left out.
    next_entry: u64,
}

/// The last part counts arrivals.
type EntryKey = (Oid, Stream, Timestamp, u64);

#[derive(Clone, Copy, Default)]
struct Size {
    count: u64,
    bytes: u64,
}

impl Size {
    fn add(&mut self, body: &[u8]) {
        self.count += 1;
        self.bytes += body.len() as u64;
    }

    fn sub(&mut self, body: &[u8]) {
        self.count -= 1;
        self.bytes -= body.len() as u64;
    }
}

#[derive(Clone, Copy, Default)]
struct Queue {
    /// Position given out last.
    last: u64,
    size: Size,
}

type Undo = Box<dyn FnOnce(&mut State)>;
type Table<K, V> = fn(&mut State) -> &mut BTreeMap<K, V>;

/// One list being applied.
struct Change<'a> {
    state: &'a mut State,
    undo: Vec<Undo>,
    /// Records that were forgotten.
    forgotten: usize,
}

impl Change<'_> {
    fn undo_all(self) {
        for step in self.undo.into_iter().rev() {
            step(self.state);
        }
    }

    fn put<K: Ord + Clone + 'static, V: 'static>(&mut self, table: Table<K, V>, key: K, value: V) {
        let old = table(self.state).insert(key.clone(), value);
        self.undo.push(Box::new(move |state| {
            match old {
                Some(old) => table(state).insert(key, old),
                None => table(state).remove(&key),
            };
        }));
    }

    fn delete<K: Ord + Clone + 'static, V: Clone + 'static>(&mut self, table: Table<K, V>, key: K) -> Option<V> {
        let old = table(self.state).remove(&key)?;
        let kept = old.clone();
        self.undo.push(Box::new(move |state| {
            table(state).insert(key, kept);
        }));
        Some(old)
    }

    fn apply(&mut self, write: &Write) -> Result<(), StoreError> {
        match write {
            Write::Claim(claim) => self.claim(*claim)?,
            Write::Hold(claim) => self.hold(*claim)?,
            Write::GiveUp(claim) => self.give_up(*claim),
            Write::PutRecord { record, expect } => self.put_record(record, *expect)?,
            Write::DeleteRecord { oid, kind, key } => {
                self.delete(|state| &mut state.records, (*oid, (*kind).to_owned(), key.clone()));
            }
            Write::PutSensor(row) => {
                self.put(|state| &mut state.sensors, (row.sensor.oid, row.ordinal), (**row).clone());
            }
            Write::PutSpool { oid, ordinal, spool_id, seq, after } => {
                if after.is_some_and(|after| self.state.spools.get(&(*oid, *ordinal)) != Some(&(*spool_id, after))) {
                    return Err(spool_moved(*ordinal));
                }
                let seq = match self.state.spools.get(&(*oid, *ordinal)) {
                    Some((id, have)) if id == spool_id => *have.max(seq),
                    _ => *seq,
                };
                self.put(|state| &mut state.spools, (*oid, *ordinal), (*spool_id, seq));
            }
            Write::CreateTask(row) => self.create_task(row)?,
            Write::PutTaskControl { oid, task, control } => {
                if let Some(row) = self.state.tasks.get(&(*oid, *task)) {
                    let row = TaskRow { control: control.clone(), ..row.clone() };
                    self.put(|state| &mut state.tasks, (*oid, *task), row);
                }
            }
            Write::PutTargets { oid, targets } => {
                for (task, ordinal, target) in targets {
                    if self.state.tasks.contains_key(&(*oid, *task)) {
                        self.put(|state| &mut state.targets, (*oid, *task, *ordinal), target.clone());
                    }
                }
            }
            Write::DeleteTask { oid, task } => self.delete_task(*oid, *task),
            Write::Append(entries) => entries.iter().for_each(|entry| self.append(entry)),
            Write::Trim { oid, stream, what } => self.trim(*oid, *stream, *what),
            Write::Enqueue { oid, output, bodies } => self.enqueue(*oid, output, bodies),
            Write::Dequeue { oid, output, through } => self.dequeue(*oid, output, *through),
            Write::PutDeliveries { oid, deliveries } => self.put_deliveries(*oid, deliveries),
            Write::PutRuns { oid, runs } => self.put_runs(*oid, runs),
            Write::PutTries { oid, tries } => self.put_tries(*oid, tries),
            Write::DeleteDeliveries { oid, positions } => self.delete_deliveries(*oid, positions),
            Write::PutCounters { oid, counters } => self.put_counters(*oid, counters),
            Write::DeleteCounters { oid, keys } => {
                for key in keys {
                    self.delete(|state| &mut state.counters, (*oid, *key));
                }
            }
            Write::PutLive(rows) => self.put_live(rows),
            Write::DeleteLive { oid, session } => self.delete_live(*oid, *session),
        }
        Ok(())
    }

    fn claim(&mut self, claim: Claim) -> Result<(), StoreError> {
        self.hold(Claim { term: claim.term.saturating_sub(1), ..claim })?;
        self.put(|state| &mut state.standings, claim.oid, Standing { term: claim.term, is_free: false });
        Ok(())
    }

    fn hold(&self, claim: Claim) -> Result<(), StoreError> {
        if self.stands(claim) { Ok(()) } else { Err(StoreError::Deposed(claim.oid)) }
    }

    fn give_up(&mut self, claim: Claim) {
        if self.stands(claim) {
            self.put(|state| &mut state.standings, claim.oid, Standing { term: claim.term, is_free: true });
        }
    }

    fn stands(&self, claim: Claim) -> bool {
        self.state.standings.get(&claim.oid).copied().unwrap_or_default().term == claim.term
    }

    fn put_counters(&mut self, oid: Oid, counters: &[CounterRow]) {
        for counter in counters {
            self.put(|state| &mut state.counters, (oid, counter.key), *counter);
        }
    }

    fn put_live(&mut self, rows: &[LiveRow]) {
        for row in rows {
            self.put(|state| &mut state.live, (row.oid, row.session, row.part, row.item), row.clone());
        }
    }

    fn delete_live(&mut self, oid: Oid, session: u64) {
        let all = (oid, session, LivePart::Session, 0)..=(oid, session, LivePart::File, u32::MAX);
        let keys: Vec<_> = self.state.live.range(all).map(|(key, _)| *key).collect();
        for key in keys {
            self.delete(|state| &mut state.live, key);
        }
    }

    fn put_record(&mut self, record: &Record, expect: Expect) -> Result<(), StoreError> {
        let key = (record.oid, record.kind.clone(), record.key.clone());
        let have = self.state.records.get(&key).map(|record| record.revision);
        expect.check(have, record)?;
        let record = Record { revision: have.unwrap_or(0) + 1, ..record.clone() };
        self.put(|state| &mut state.records, key, record);
        Ok(())
    }

    fn create_task(&mut self, row: &TaskRow) -> Result<(), StoreError> {
        let (number, id) = ((row.oid, row.number), (row.oid, row.task_id));
        if self.state.tasks.contains_key(&number) || self.state.task_ids.contains_key(&id) {
            return Err(row.taken());
        }
        self.put(|state| &mut state.task_ids, id, row.number);
        self.put(|state| &mut state.tasks, number, row.clone());
        Ok(())
    }

    fn delete_task(&mut self, oid: Oid, task: u64) {
        let Some(row) = self.delete(|state| &mut state.tasks, (oid, task)) else { return };
        self.delete(|state| &mut state.task_ids, (oid, row.task_id));
        let keys: Vec<_> =
            self.state.targets.range((oid, task, 0)..=(oid, task, u32::MAX)).map(|(key, _)| *key).collect();
        for key in keys {
            self.delete(|state| &mut state.targets, key);
        }
    }

    fn append(&mut self, entry: &Entry) {
        self.resize(entry, Size::add);
        let key = (entry.oid, entry.stream, entry.time, self.state.next_entry);
        self.state.next_entry += 1;
        self.put(|state| &mut state.entries, key, entry.clone());
    }

    fn trim(&mut self, oid: Oid, stream: Stream, what: Trim) {
        let range = (oid, stream, Timestamp::from_micros(i64::MIN), 0)..=(oid, stream, Timestamp::MAX, u64::MAX);
        let entries = self.state.entries.range(range);
        let keys: Vec<EntryKey> = match what {
            Trim::Before(before) => entries
                .take_while(|(_, entry)| entry.time < before)
                .map(|(key, _)| *key)
                .take(TRIM_ENTRIES_MAX)
                .collect(),
            Trim::Sensor { sid, bytes_max } => {
                let mut left = self.state.sensor_sizes.get(&(oid, stream, sid)).map_or(0, |size| size.bytes);
                let of_sensor = entries.filter(|(_, entry)| entry.sid == sid).take(TRIM_ENTRIES_MAX);
                let is_over = |(_, entry): &(&EntryKey, &Entry)| {
                    let is_over = left > bytes_max;
                    left = left.saturating_sub(entry.body.len() as u64);
                    is_over
                };
                of_sensor.take_while(is_over).map(|(key, _)| *key).collect()
            }
        };
        self.forgotten += keys.len();
        for key in keys {
            if let Some(entry) = self.delete(|state| &mut state.entries, key) {
                self.resize(&entry, Size::sub);
            }
        }
    }

    /// Changes what is kept of the stream and of the sensor of an entry.
    fn resize(&mut self, entry: &Entry, change: fn(&mut Size, &[u8])) {
        let stream = (entry.oid, entry.stream);
        let mut size = self.state.stream_sizes.get(&stream).copied().unwrap_or_default();
        change(&mut size, &entry.body);
        self.put(|state| &mut state.stream_sizes, stream, size);
        let sensor = (entry.oid, entry.stream, entry.sid);
        let mut size = self.state.sensor_sizes.get(&sensor).copied().unwrap_or_default();
        change(&mut size, &entry.body);
        if size.count > 0 {
            self.put(|state| &mut state.sensor_sizes, sensor, size);
        } else {
            self.delete(|state| &mut state.sensor_sizes, sensor);
        }
    }

    fn enqueue(&mut self, oid: Oid, output: &str, bodies: &[Vec<u8>]) {
        let mut queue = self.state.queues.get(&(oid, output.to_owned())).copied().unwrap_or_default();
        for body in bodies {
            queue.last += 1;
            queue.size.add(body);
            self.put(|state| &mut state.queued, (oid, output.to_owned(), queue.last), body.clone());
        }
        self.put(|state| &mut state.queues, (oid, output.to_owned()), queue);
    }

    fn dequeue(&mut self, oid: Oid, output: &str, through: u64) {
        let Some(mut queue) = self.state.queues.get(&(oid, output.to_owned())).copied() else { return };
        let range = (oid, output.to_owned(), 0)..=(oid, output.to_owned(), through);
        let keys: Vec<_> = self.state.queued.range(range).map(|(key, _)| key.clone()).collect();
        for key in keys {
            if let Some(body) = self.delete(|state| &mut state.queued, key) {
                queue.size.sub(&body);
            }
        }
        self.put(|state| &mut state.queues, (oid, output.to_owned()), queue);
    }
}
