//! Groups: records that wait are evaluated together, and stored in one commit.
//!
//! # Invariants
//!
//! 1. Of each detector, one group at a time is between its evaluation and its answer.
//! 2. A group whose commit fails is undone: nothing of it was counted, remembered or ordered.
//! 3. A member that cannot be stored does not keep the others of its group from it.

use super::action::Action;
use super::pass::{Pass, Share};
use super::pending::Room;
use super::trouble::Trouble;
use super::{Detect, Detector, LANES, Role, VARIABLES, act};
use crate::clock;
use crate::intake::{Record, Wait, WithTaken};
use muster_model::{Sid, Timestamp};
use muster_rules::Suppression;
use muster_store::{CounterRow, StoreError, Write};
use parking_lot::MutexGuard;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use tokio::sync::{mpsc, oneshot};

/// Members that may wait for their group; those behind wait with their callers.
pub(super) const MEMBERS_MAX: usize = 1_024;

/// Records after which a group takes no further member: all of them are one commit.
const GROUP_RECORDS_MAX: usize = 4_096;

/// Records from which on a group is worth several threads.
const PARALLEL_MIN: usize = 512;

/// How often windows that have ended are dropped.
const SWEEP_EVERY_MS: i64 = 60_000;

/// Records that come and are stored together.
pub(super) struct Member {
    /// What is evaluated, shared with the threads that do it.
    pub(super) given: Arc<Given>,
    pub(super) beside: WithTaken,
    /// How many records were taken.
    pub(super) answer: oneshot::Sender<Result<usize, StoreError>>,
}

/// Records to be evaluated, in order.
pub(super) struct Given {
    pub(super) role: Role,
    pub(super) records: Vec<Record>,
    /// What keeps records from being taken.
    pub(super) wait: Wait,
}

impl Given {
    /// The sensor that the records are about.
    pub(super) fn sid(&self) -> Option<Sid> {
        self.records.first().and_then(|record| record.sid)
    }
}

impl Member {
    /// The records that are kept with what came of them.
    fn kept(&self, pass: &Pass) -> &[Record] {
        if matches!(self.given.role, Role::Stream) { &self.given.records[..pass.taken] } else { &[] }
    }
}

/// Has the groups of a detector handled.
pub(super) fn begin(detect: &Arc<Detect>, detector: &Arc<Detector>, members: mpsc::Receiver<Member>) {
    detect.detectors.spawn(detector.oid, run(Arc::downgrade(detect), Arc::clone(detector), members));
}

/// Handles groups of one detector, until the server is gone.
async fn run(detect: Weak<Detect>, detector: Arc<Detector>, mut members: mpsc::Receiver<Member>) {
    while let Some(first) = members.recv().await {
        let Some(detect) = detect.upgrade() else { return };
        let mut records = first.given.records.len();
        let mut group = vec![first];
        while records < GROUP_RECORDS_MAX
            && let Ok(next) = members.try_recv()
        {
            records += next.given.records.len();
            group.push(next);
        }
        let _turn = detector.turn.lock().await;
        handle(&detect, &detector, group).await;
    }
}

async fn handle(detect: &Arc<Detect>, detector: &Arc<Detector>, group: Vec<Member>) {
    match attempt(detect, detector, &group).await {
        Ok(taken) => {
            for (member, taken) in group.into_iter().zip(taken) {
                // A caller that is gone is no error.
                let _ = member.answer.send(Ok(taken));
            }
        }
        // Someone's condition did not hold: that is no reason for the others to fail.
        Err(StoreError::Conflict(_)) if group.len() > 1 => {
            for member in group {
                let taken = attempt(detect, detector, std::slice::from_ref(&member)).await;
                let _ = member.answer.send(taken.map(|taken| taken.into_iter().sum()));
            }
        }
        Err(error) => {
            for member in group {
                let _ = member.answer.send(Err(error.clone()));
            }
        }
    }
}

/// Evaluates and stores members, all or none of them; gives how many records of each were taken.
async fn attempt(detect: &Arc<Detect>, detector: &Arc<Detector>, members: &[Member]) -> Result<Vec<usize>, StoreError> {
    let now = clock::now();
    detector.begin(now);
    let mut passes = match evaluate(detect, detector, members, now).await {
        Ok(passes) => passes,
        Err(error) => {
            detector.undo();
            return Err(error);
        }
    };
    let (mut records, mut enqueued, mut writes) = (Vec::new(), Vec::new(), Vec::new());
    for (member, pass) in members.iter().zip(&mut passes).filter(|(_, pass)| pass.taken > 0) {
        enqueued.append(&mut pass.tailored);
        writes.extend((member.beside)(pass.taken));
    }
    for (member, pass) in members.iter().zip(&passes) {
        records.extend(member.kept(pass).iter().chain(&pass.detections));
    }
    writes.extend(detector.changes());
    let (actions, dropped) = detector.plan(&passes);
    writes.extend(actions.iter().map(|action| action.write(detector.oid)));
    if let Err(error) = detect.intake.store(&records, enqueued, writes).await {
        detector.undo();
        return Err(error);
    }
    detector.keep();
    detect.telemetry.rules_cut_off.inc_by(passes.iter().map(|pass| pass.cut_off).sum());
    let troubles = passes.iter().flat_map(|pass| pass.troubles.iter().cloned()).chain(dropped);
    troubles.for_each(|trouble| trouble.tell(detect));
    passes.iter().flat_map(|pass| pass.overrunning.iter().cloned()).for_each(|overrunning| overrunning.disable(detect));
    act::begin(detect, detector, detector.pending.push(actions));
    Ok(passes.iter().map(|pass| pass.taken).collect())
}

/// Evaluates each member on the threads for rules; a large group on several, each with lanes of its own.
async fn evaluate(
    detect: &Arc<Detect>,
    detector: &Arc<Detector>,
    members: &[Member],
    now: Timestamp,
) -> Result<Vec<Pass>, StoreError> {
    let records: usize = members.iter().map(|member| member.given.records.len()).sum();
    let pool = &detect.detectors.pool;
    let count = if records < PARALLEL_MIN { 1 } else { pool.share().min(LANES) };
    let mut shares: Vec<Vec<(usize, Arc<Given>)>> = vec![Vec::new(); count];
    for (at, member) in members.iter().enumerate() {
        shares[detector.lane(member.given.sid()) % count].push((at, Arc::clone(&member.given)));
    }
    let answers = shares.into_iter().filter(|share| !share.is_empty()).map(|share| {
        let (answer, answered) = oneshot::channel();
        pool.add(detector.oid, Box::new(Share::new(detect, detector, share, now, answer)));
        answered
    });
    let mut passes: Vec<Pass> = members.iter().map(|_| Pass::default()).collect();
    for answered in answers.collect::<Vec<_>>() {
        let lost = |_| StoreError::Unavailable("the evaluation of events was broken off".into());
        for (at, pass) in answered.await.map_err(lost)? {
            passes[at] = pass;
        }
    }
    Ok(passes)
}

impl Detector {
    fn begin(&self, now: Timestamp) {
        self.lanes.iter().for_each(|lane| lane.lock().begin());
        let mut counters = self.counters();
        counters.begin();
        let now_ms = now.as_millis();
        if now_ms.saturating_sub(self.swept_ms.load(Ordering::Relaxed)) >= SWEEP_EVERY_MS
            && counters.sweep(now_ms) < muster_rules::SWEPT_MAX
        {
            self.swept_ms.store(now_ms, Ordering::Relaxed);
        }
    }

    fn keep(&self) {
        self.lanes.iter().for_each(|lane| lane.lock().keep());
        self.counters().keep();
    }

    fn undo(&self) {
        self.lanes.iter().for_each(|lane| lane.lock().undo());
        self.counters().undo();
    }

    fn counters(&self) -> MutexGuard<'_, Suppression> {
        self.counters.lock()
    }

    /// What this group changed of counters and variables.
    fn changes(&self) -> Vec<Write> {
        let (mut counters, mut keys) = (Vec::new(), Vec::new());
        for (key, window) in self.counters().changes() {
            match window {
                Some(window) => counters.push(CounterRow {
                    key: key.to_bytes(),
                    start_ms: window.start_ms,
                    expires_ms: window.expires_ms,
                    count: window.counter,
                }),
                None => keys.push(key.to_bytes()),
            }
        }
        let oid = self.oid;
        let mut writes = Vec::new();
        if !counters.is_empty() {
            writes.push(Write::PutCounters { oid, counters });
        }
        if !keys.is_empty() {
            writes.push(Write::DeleteCounters { oid, keys });
        }
        for lane in &self.lanes {
            for (sid, variables) in lane.lock().changed_variables() {
                writes.push(match serde_json::to_string(&*variables) {
                    Ok(body) if !variables.is_empty() => VARIABLES.write(oid, sid, body),
                    _ => VARIABLES.removal(oid, sid),
                });
            }
        }
        writes
    }

    /// Gives the ordered actions their places, as far as there is room; beyond, operators are told.
    fn plan(&self, passes: &[Pass]) -> (Vec<Action>, Vec<Trouble>) {
        let (mut actions, mut troubles) = (Vec::new(), Vec::new());
        let mut room = Room::default();
        for ordered in passes.iter().flat_map(|pass| &pass.ordered) {
            match self.pending.admit(&mut room, ordered) {
                Ok(action) => actions.push(action),
                Err(why) => troubles.push(Trouble::of_rule(self.oid, &ordered.namespace, &ordered.rule, &why)),
            }
        }
        (actions, troubles)
    }
}
