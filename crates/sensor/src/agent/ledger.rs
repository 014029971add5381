//! What the sensor knows of its tasks: the journal's records, replayed.

use std::collections::{HashMap, VecDeque};

use muster_model::TaskId;
use muster_wire::{AckedStep, Deliver, Receipt, Step};
use uuid::Uuid;

use super::clock::Now;
use super::record::{Accepted, Record};

/// Ids remembered whatever their age. Source: reference/sensor.md section 10.2, rule 4.
pub const REMEMBERED_MIN: usize = 1_024;
/// Tasks held at most; beyond it new ones are not confirmed, so the server keeps
/// them. Some 4 MiB of memory.
pub const REMEMBERED_MAX: usize = 16_384;
/// How long after its last instant to begin an id is remembered: a server clock
/// that is a day off cannot make a task run twice.
const REMEMBERED_MS: i64 = 24 * 60 * 60 * 1_000;

/// One task and its steps.
#[derive(Clone, Debug)]
pub struct Task {
    accepted: Accepted,
    steps: Vec<Journalled>,
    acked: u16,
}

#[derive(Clone, Debug)]
struct Journalled {
    serial: u64,
    receipt: Receipt,
}

/// All tasks that are remembered, in order of arrival.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    tasks: HashMap<TaskId, Task>,
    arrivals: VecDeque<TaskId>,
    serial: u64,
}

impl Task {
    /// The delivery as it arrived.
    #[must_use]
    pub fn deliver(&self) -> Option<&Deliver> {
        self.accepted.deliver.as_ref()
    }

    /// Whether the task took this step.
    #[must_use]
    pub fn has(&self, step: Step) -> bool {
        self.steps.iter().any(|taken| taken.receipt.step == step as i32)
    }

    /// Whether nothing will follow.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.steps.iter().any(|taken| is_last(taken.receipt.step))
    }

    /// Its steps in order.
    pub fn receipts(&self) -> impl Iterator<Item = &Receipt> {
        self.steps.iter().map(|taken| &taken.receipt)
    }

    /// Whether its time to begin has passed. Within one boot the clock that
    /// nobody can set decides; after a reboot only the wall clock is left.
    #[must_use]
    pub fn is_expired(&self, now: Now, boot_id: &str) -> bool {
        let accepted = &self.accepted;
        if accepted.boot_id == boot_id {
            return now.boot_ms.saturating_sub(accepted.boot_ms) >= accepted.lifetime_ms;
        }
        let lifetime_ms = i64::try_from(accepted.lifetime_ms).unwrap_or(i64::MAX);
        now.wall_ms >= accepted.wall_ms.saturating_add(lifetime_ms)
    }

    fn wants_receipts(&self) -> bool {
        self.deliver().is_some_and(|deliver| deliver.wants_receipts)
    }

    fn is_acked(&self, step: i32) -> bool {
        !self.wants_receipts() || self.acked & bit(step) != 0
    }

    fn may_be_forgotten(&self, now: Now) -> bool {
        let lifetime_ms = i64::try_from(self.accepted.lifetime_ms).unwrap_or(i64::MAX);
        let until = self.accepted.wall_ms.saturating_add(lifetime_ms).saturating_add(REMEMBERED_MS);
        self.has_ended() && now.wall_ms > until && self.receipts().all(|receipt| self.is_acked(receipt.step))
    }
}

impl Ledger {
    /// Takes in one record, from disk or just made. Records that make no sense
    /// (a step of a task that never arrived) change nothing.
    pub fn apply(&mut self, record: &Record) {
        match record {
            Record::Accepted(accepted) => self.accept(accepted),
            Record::Step(receipt) => self.step(receipt),
            Record::Acked(acked) => self.acknowledge(acked),
        }
    }

    fn accept(&mut self, accepted: &Accepted) {
        let Some(id) = accepted.deliver.as_ref().and_then(|deliver| task_id(&deliver.task_id)) else { return };
        if self.tasks.contains_key(&id) {
            return;
        }
        self.arrivals.push_back(id);
        self.tasks.insert(id, Task { accepted: accepted.clone(), steps: Vec::new(), acked: 0 });
    }

    fn step(&mut self, receipt: &Receipt) {
        let Some(task) = task_id(&receipt.task_id).and_then(|id| self.tasks.get_mut(&id)) else { return };
        if task.has_ended() || task.steps.iter().any(|taken| taken.receipt.step == receipt.step) {
            return;
        }
        self.serial += 1;
        task.steps.push(Journalled { serial: self.serial, receipt: receipt.clone() });
        if is_last(receipt.step)
            && let Some(deliver) = task.accepted.deliver.as_mut()
        {
            deliver.command = String::new();
            deliver.conditions = None;
        }
    }

    fn acknowledge(&mut self, acked: &AckedStep) {
        if let Some(task) = task_id(&acked.task_id).and_then(|id| self.tasks.get_mut(&id)) {
            task.acked |= bit(acked.step);
        }
    }

    /// The task of this id.
    #[must_use]
    pub fn get(&self, id: TaskId) -> Option<&Task> {
        self.tasks.get(&id)
    }

    /// Whether no further task can be remembered.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.tasks.len() >= REMEMBERED_MAX
    }

    /// Tasks that have not ended, in order of arrival.
    pub fn open(&self) -> impl Iterator<Item = (TaskId, &Task)> {
        self.arrivals.iter().filter_map(|id| Some((*id, self.tasks.get(id)?))).filter(|(_, task)| !task.has_ended())
    }

    /// Whether an acknowledgement is news; others need not be journalled.
    #[must_use]
    pub fn awaits(&self, acked: &AckedStep) -> bool {
        let task = task_id(&acked.task_id).and_then(|id| self.tasks.get(&id));
        task.is_some_and(|task| task.receipts().any(|receipt| receipt.step == acked.step) && !task.is_acked(acked.step))
    }

    /// Every step that the server has not acknowledged, in the order of journalling.
    #[must_use]
    pub fn unacknowledged(&self) -> Vec<Receipt> {
        let mut owed: Vec<_> = self
            .tasks
            .values()
            .flat_map(|task| task.steps.iter().filter(|taken| !task.is_acked(taken.receipt.step)))
            .collect();
        owed.sort_unstable_by_key(|taken| taken.serial);
        owed.into_iter().map(|taken| taken.receipt.clone()).collect()
    }

    /// Forgets what may be forgotten.
    pub fn forget(&mut self, now: Now) {
        let may_go = self.arrivals.len().saturating_sub(REMEMBERED_MIN);
        let (tasks, mut at) = (&mut self.tasks, 0);
        self.arrivals.retain(|id| {
            at += 1;
            let goes = at <= may_go && tasks.get(id).is_none_or(|task| task.may_be_forgotten(now));
            if goes {
                tasks.remove(id);
            }
            !goes
        });
    }

    /// Forgets what may be forgotten, and gives the records that say the rest.
    pub fn compact(&mut self, now: Now) -> Vec<Record> {
        self.forget(now);
        let mut records = Vec::new();
        let mut steps = Vec::new();
        for (id, task) in self.arrivals.iter().filter_map(|id| Some((id, self.tasks.get(id)?))) {
            records.push(Record::Accepted(task.accepted.clone()));
            steps.extend(task.steps.iter());
            records.extend(task.acked_steps(*id));
        }
        steps.sort_unstable_by_key(|taken| taken.serial);
        records.extend(steps.into_iter().map(|taken| Record::Step(taken.receipt.clone())));
        records
    }
}

impl Task {
    fn acked_steps(&self, id: TaskId) -> impl Iterator<Item = Record> {
        let acked = self.acked;
        (0..16)
            .filter(move |step| acked & bit(*step) != 0)
            .map(move |step| Record::Acked(AckedStep { task_id: id.0.as_bytes().to_vec(), step }))
    }
}

/// Reads the 16 bytes of a task id.
#[must_use]
pub fn task_id(bytes: &[u8]) -> Option<TaskId> {
    Uuid::from_slice(bytes).ok().map(TaskId)
}

fn is_last(step: i32) -> bool {
    !matches!(Step::try_from(step), Ok(Step::Unspecified | Step::Confirmed | Step::Started))
}

fn bit(step: i32) -> u16 {
    u32::try_from(step).ok().and_then(|shift| 1_u16.checked_shl(shift)).unwrap_or(0)
}
