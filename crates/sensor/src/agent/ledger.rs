//! What the sensor knows of its tasks: the journal's records, replayed.

use std::collections::{BTreeMap, HashMap, VecDeque};

use muster_model::TaskId;
use muster_wire::{AckedStep, Deliver, Receipt, Step};
use uuid::Uuid;

use super::clock::Now;
use super::record::{Accepted, Ended, Record};

/// Tasks at most of which something is still owed: they have not ended, or the server has not acknowledged
/// how. Beyond it the sensor takes no more and says so. Some 8 MiB of memory with ordinary command lines.
pub const OWED_MAX: usize = 16_384;
/// Settled tasks that are kept with all their steps. Source: reference/sensor.md section 10.2, rule 4.
pub const SETTLED_MAX: usize = 1_024;
/// Settled tasks before those of which only the end is kept, 29 bytes each: some 3 MiB of memory.
///
/// The server stored how each of them ended before it acknowledged that, and offers none of them again; a copy
/// that was under way then came before the acknowledgement. What is remembered beyond that is for a server
/// which was set back to an older state: it is told how they ended.
pub const ENDS_MAX: usize = 65_536;

/// One task and its steps.
#[derive(Clone, Debug)]
pub struct Task {
    accepted: Accepted,
    steps: Vec<Journalled>,
    acked: u16,
    arrival: u64,
}

#[derive(Clone, Debug)]
struct Journalled {
    serial: u64,
    receipt: Receipt,
}

/// How a task ended of which nothing else is remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// The last step.
    pub step: Step,
    /// `ERROR` of the answer.
    pub code: i32,
    /// When, by the endpoint's clock.
    pub at_ms: i64,
}

/// All tasks that are remembered.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    tasks: HashMap<TaskId, Task>,
    /// In order of arrival.
    arrivals: BTreeMap<u64, TaskId>,
    /// Ended, and the server knows all about it: in the order in which that came about.
    settled: VecDeque<TaskId>,
    /// Those settled before.
    ends: HashMap<TaskId, End>,
    ends_order: VecDeque<TaskId>,
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

    /// Whether it was taken since the endpoint booted.
    #[must_use]
    pub fn is_of_boot(&self, boot_id: &str) -> bool {
        self.accepted.boot_id == boot_id
    }

    /// Whether its time to begin has passed. Within one boot the clock that nobody can set decides; after a
    /// reboot the server's, and the wall clock only for tasks that came without a time of the server.
    #[must_use]
    pub fn is_expired(&self, now: Now, boot_id: &str, server_ms: Option<i64>) -> bool {
        let accepted = &self.accepted;
        if self.is_of_boot(boot_id) {
            return now.boot_ms.saturating_sub(accepted.boot_ms) >= accepted.lifetime_ms;
        }
        let not_after_ms = self.deliver().map_or(0, |deliver| deliver.not_after_ms);
        if let Some(server_ms) = server_ms.filter(|_| not_after_ms != 0) {
            return server_ms >= not_after_ms;
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

    /// Whether it ended, and the server has stored every step.
    fn is_settled(&self) -> bool {
        self.has_ended() && self.receipts().all(|receipt| self.is_acked(receipt.step))
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
            Record::Ended(ended) => self.remember(ended),
        }
    }

    fn accept(&mut self, accepted: &Accepted) {
        let Some(id) = accepted.deliver.as_ref().and_then(|deliver| task_id(&deliver.task_id)) else { return };
        if self.tasks.contains_key(&id) || self.ends.contains_key(&id) {
            return;
        }
        self.serial += 1;
        self.arrivals.insert(self.serial, id);
        self.tasks.insert(id, Task { accepted: accepted.clone(), steps: Vec::new(), acked: 0, arrival: self.serial });
    }

    fn step(&mut self, receipt: &Receipt) {
        let Some(id) = task_id(&receipt.task_id) else { return };
        let Some(task) = self.tasks.get_mut(&id) else { return };
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
        self.settle(id, false);
    }

    fn acknowledge(&mut self, acked: &AckedStep) {
        let Some(id) = task_id(&acked.task_id) else { return };
        if let Some(task) = self.tasks.get_mut(&id) {
            let was_settled = task.is_settled();
            task.acked |= bit(acked.step);
            self.settle(id, was_settled);
        }
    }

    /// Keeps less of tasks that the server knows all about.
    fn settle(&mut self, id: TaskId, was_settled: bool) {
        if was_settled || !self.tasks.get(&id).is_some_and(Task::is_settled) {
            return;
        }
        self.settled.push_back(id);
        if self.settled.len() <= SETTLED_MAX {
            return;
        }
        let Some(oldest) = self.settled.pop_front() else { return };
        let Some(task) = self.tasks.remove(&oldest) else { return };
        self.arrivals.remove(&task.arrival);
        if let Some(last) = task.steps.last().map(|taken| &taken.receipt) {
            self.put_end(oldest, End { step: last.step(), code: last.code, at_ms: last.at_ms });
        }
    }

    fn remember(&mut self, ended: &Ended) {
        let Some(id) = task_id(&ended.task_id) else { return };
        if !self.tasks.contains_key(&id) {
            self.put_end(id, End { step: ended.step(), code: ended.code, at_ms: ended.at_ms });
        }
    }

    fn put_end(&mut self, id: TaskId, end: End) {
        if self.ends.insert(id, end).is_none() {
            self.ends_order.push_back(id);
        }
        if self.ends_order.len() > ENDS_MAX
            && let Some(oldest) = self.ends_order.pop_front()
        {
            self.ends.remove(&oldest);
        }
    }

    /// The task of this id.
    #[must_use]
    pub fn get(&self, id: TaskId) -> Option<&Task> {
        self.tasks.get(&id)
    }

    /// How the task of this id ended, if only that is remembered.
    #[must_use]
    pub fn end(&self, id: TaskId) -> Option<End> {
        self.ends.get(&id).copied()
    }

    /// Tasks of which something is still owed.
    #[must_use]
    pub fn owed(&self) -> usize {
        self.tasks.len() - self.settled.len()
    }

    /// Tasks that are remembered in any way.
    #[must_use]
    pub fn remembered(&self) -> usize {
        self.tasks.len() + self.ends.len()
    }

    /// Tasks that have not ended, in order of arrival.
    pub fn open(&self) -> impl Iterator<Item = (TaskId, &Task)> {
        self.arrivals.values().filter_map(|id| Some((*id, self.tasks.get(id)?))).filter(|(_, task)| !task.has_ended())
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

    /// The records that say all this.
    #[must_use]
    pub fn compact(&self) -> Vec<Record> {
        let end = |id: &TaskId| {
            let End { step, code, at_ms } = *self.ends.get(id)?;
            let task_id = id.0.as_bytes().to_vec();
            Some(Record::Ended(Ended { task_id, step: step as i32, code, at_ms }))
        };
        let mut records: Vec<Record> = self.ends_order.iter().filter_map(end).collect();
        // Those that are settled first and in their order, so that they are settled in that order again.
        for (id, task) in self.settled.iter().filter_map(|id| Some((id, self.tasks.get(id)?))) {
            records.push(Record::Accepted(task.accepted.clone()));
            records.extend(task.steps.iter().map(|taken| Record::Step(taken.receipt.clone())));
            records.extend(task.acked_steps(*id));
        }
        let mut steps = Vec::new();
        for (id, task) in self.arrivals.values().filter_map(|id| Some((id, self.tasks.get(id)?))) {
            if !task.is_settled() {
                records.push(Record::Accepted(task.accepted.clone()));
                steps.extend(task.steps.iter());
                records.extend(task.acked_steps(*id));
            }
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
