//! What really happened on the endpoints and was promised to operators: an
//! indestructible log, which checks each entry against what must always hold.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use muster_model::{Sid, TaskId};
use muster_sensor::agent::task_id;
use muster_wire::{Deliver, Event};
use uuid::Uuid;

use crate::kernel::{MS, Micros, SECOND};

/// How long a message may be under way, at most, with what waits for it to be handled.
const LATE_MAX: Micros = 10 * SECOND;

/// Number of the machine that a copy was before it became one of its own.
const PARTED: usize = usize::MAX;

/// The log, as everything in a run shares it.
pub type SharedTruth = Rc<RefCell<Truth>>;

/// What became of an event that a sensor put into its spool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is there, or was acknowledged: the server must have it.
    Kept,
    /// Dropped and counted, because the spool was full.
    Dropped,
    /// Lost with the power or the disk before it was flushed.
    Lost,
    /// It has another number, or is on another machine: the server may have it under this one.
    Moved,
}

/// How much happened in a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is what it says")]
pub struct Counts {
    pub server_crashes: u64,
    /// Servers that were taken over from.
    pub deposed: u64,
    pub sensor_crashes: u64,
    pub wipes: u64,
    /// Servers that came back with an older state of their store.
    pub restores: u64,
    pub clones: u64,
    /// Offers that a sensor without room did not take.
    pub declined: u64,
    pub cuts: u64,
    pub tasks: u64,
    pub targets: u64,
    pub deliveries: u64,
    pub effects: u64,
    pub removed: u64,
    pub cancelled: u64,
    pub events: u64,
}

/// What happened with one task on one endpoint.
#[derive(Clone, Copy, Debug, Default)]
pub struct Run {
    /// The executor was told to run it.
    pub begun: u32,
    /// It had its effect.
    pub happened: u32,
    /// Its start is in the journal.
    pub is_started: bool,
    /// Its end is in the journal.
    pub is_ended: bool,
    /// The journal says that it was cancelled: nothing of it may happen from then on.
    is_cancelled: bool,
    /// The server's store was set back since it began.
    is_forgotten: bool,
    answer_seq: Option<u64>,
}

#[derive(Clone, Copy, Debug)]
struct Arrival {
    deadline: Micros,
    server_micros: i64,
    /// The store was not set back to a state before it since.
    is_known: bool,
}

/// What was promised when a backup was made.
pub struct Promises {
    promised: BTreeMap<TaskId, Vec<Sid>>,
    cancels: BTreeSet<TaskId>,
    removed: BTreeSet<(Sid, TaskId)>,
}

/// The log.
#[derive(Default)]
pub struct Truth {
    /// How much happened.
    pub counts: Counts,
    faults: Vec<String>,
    commands: BTreeMap<TaskId, &'static str>,
    /// Acknowledged tasks and their targets at that time.
    pub promised: BTreeMap<TaskId, Vec<Sid>>,
    /// Tasks of which a cancel was acknowledged.
    pub cancels: BTreeSet<TaskId>,
    /// Endpoints by the identities that they ever had.
    pub hosts: BTreeMap<Sid, usize>,
    /// Endpoints whose journal was lost at least once.
    pub wiped: BTreeSet<usize>,
    /// Endpoints whose journal was set back to an earlier state: what it forgot may happen again.
    pub set_back: BTreeSet<usize>,
    /// Endpoints of which there is a copy, or that are one.
    pub cloned: BTreeSet<usize>,
    /// Tasks that were asked for after a backup to which the server was set back, and not since.
    pub forgotten: BTreeSet<TaskId>,
    /// By how much the server's clock was set ahead without a server that noticed, all in all.
    server_micros: i64,
    /// When the time of each task is over, in true time, and what the server had not noticed when it was asked for.
    ends: BTreeMap<TaskId, (Micros, i64)>,
    /// Sensors that were deleted at least once.
    pub deleted: BTreeSet<Sid>,
    runs: BTreeMap<(usize, TaskId), Run>,
    arrivals: BTreeMap<(Sid, TaskId), Arrival>,
    removed: BTreeSet<(Sid, TaskId)>,
    /// Events by the id under which the server keeps them.
    pub spool: BTreeMap<Uuid, (usize, u64, Fate)>,
}

impl Truth {
    /// Notes that something does not hold.
    pub fn fault(&mut self, text: String) {
        self.faults.push(text);
    }

    /// The first thing that did not hold.
    #[must_use]
    pub fn first_fault(&self) -> Option<&str> {
        self.faults.first().map(String::as_str)
    }

    /// An operator is about to ask for a task, for the first time or again.
    pub fn asked(&mut self, task: TaskId, command: &'static str, ends: Micros) {
        self.commands.insert(task, command);
        // Which of the calls was the first that was taken, nobody knows for certain.
        let known = self.ends.entry(task).or_insert((ends, self.server_micros));
        known.0 = known.0.max(ends);
    }

    /// A server starts; its clock was set by so much without its noticing.
    pub fn server_started(&mut self, unnoticed: i64) {
        self.server_micros = unnoticed;
    }

    /// When the time of a task is over; `None` if the server cannot know that: its clock was set while it was down.
    #[must_use]
    pub fn end_of(&self, task: TaskId) -> Option<Micros> {
        let (ends, unnoticed) = self.ends.get(&task)?;
        (*unnoticed == self.server_micros).then_some(*ends)
    }

    /// The command of a task.
    #[must_use]
    pub fn command_of(&self, task: TaskId) -> Option<&'static str> {
        self.commands.get(&task).copied()
    }

    /// A task was acknowledged.
    pub fn acknowledged(&mut self, task: TaskId, targets: Vec<Sid>) {
        self.counts.tasks += 1;
        self.counts.targets += targets.len() as u64;
        self.promised.insert(task, targets);
        self.forgotten.remove(&task);
    }

    /// A backup is made.
    #[must_use]
    pub fn promises(&self) -> Promises {
        Promises { promised: self.promised.clone(), cancels: self.cancels.clone(), removed: self.removed.clone() }
    }

    /// The server goes on with a backup: what was promised after it is forgotten, and so is what was stored.
    pub fn restored(&mut self, promises: Promises) {
        self.counts.restores += 1;
        let Promises { promised, cancels, removed } = promises;
        self.forgotten.extend(self.ends.keys().filter(|task| !promised.contains_key(task)));
        (self.promised, self.cancels, self.removed) = (promised, cancels, removed);
        self.arrivals.values_mut().for_each(|arrival| arrival.is_known = false);
        self.runs.values_mut().for_each(|run| run.is_forgotten = true);
        for (_, _, fate) in self.spool.values_mut().filter(|(_, _, fate)| *fate == Fate::Kept) {
            *fate = Fate::Lost;
        }
    }

    /// One endpoint was copied to another.
    pub fn cloned(&mut self, host: usize, copy: usize) {
        self.counts.clones += 1;
        self.cloned.extend([host, copy]);
        // What was taken to one endpoint is with the other, too.
        let runs: Vec<_> =
            self.runs.iter().filter(|((of, _), _)| *of == host).map(|((_, task), run)| (*task, *run)).collect();
        for (task, run) in runs {
            self.runs.insert((copy, task), Run { is_started: false, ..run });
        }
    }

    /// A copy is a machine of its own from now on: what was of it before is of the machine that it was.
    pub fn parted(&mut self, copy: usize) {
        self.cloned.remove(&copy);
        self.cloned.insert(PARTED);
        let runs = std::mem::take(&mut self.runs);
        let whose = |host: usize| if host == copy { PARTED } else { host };
        self.runs = runs.into_iter().map(|((host, task), run)| ((whose(host), task), run)).collect();
        self.spool.values_mut().for_each(|(host, _, _)| *host = whose(*host));
    }

    /// On how many machines a task began.
    #[must_use]
    pub fn beginnings(&self, task: TaskId) -> usize {
        self.cloned.iter().filter(|host| self.run(**host, task).is_started).count()
    }

    /// An untask answered that these targets never get the task.
    pub fn taken_back(&mut self, task: TaskId, sid: Sid) {
        self.counts.removed += 1;
        self.removed.insert((sid, task));
        if self.arrivals.get(&(sid, task)).is_some_and(|arrival| arrival.is_known) {
            self.fault(format!("task {task} was counted as deleted for {sid}, which had it delivered before"));
        }
    }

    /// An endpoint got an identity.
    pub fn enrolled(&mut self, host: usize, sid: Sid) {
        self.hosts.insert(sid, host);
    }

    /// An endpoint loses its journal.
    pub fn wiped(&mut self, host: usize) {
        self.counts.wipes += 1;
        self.wiped.insert(host);
    }

    /// An endpoint's journal is an earlier one from now on.
    pub fn set_back(&mut self, host: usize) {
        self.set_back.insert(host);
        self.wiped.insert(host);
    }

    /// A task arrived at a sensor.
    pub fn delivered(&mut self, sid: Sid, deliver: &Deliver, now: Micros) {
        let Some(task) = task_id(&deliver.task_id) else { return };
        self.counts.deliveries += 1;
        if self.removed.contains(&(sid, task)) {
            self.fault(format!("task {task} reached {sid} after it was removed"));
        }
        let deadline = now + deliver.lifetime_ms * MS;
        if self.end_of(task).is_some_and(|ends| deadline > ends + LATE_MAX) {
            self.fault(format!("task {task} reached {sid} with more time than it has"));
        }
        // A copy that came after the server's clock was set back unnoticed may live longer.
        let server_micros = self.server_micros;
        let arrival = self.arrivals.entry((sid, task)).or_insert(Arrival { deadline, server_micros, is_known: true });
        arrival.is_known = true;
        arrival.deadline = arrival.deadline.max(deadline);
    }

    /// A command begins.
    pub fn begun(&mut self, host: usize, sid: Sid, task: TaskId, now: Micros) {
        let run = self.runs.entry((host, task)).or_default();
        run.begun += 1;
        if run.is_cancelled && !self.set_back.contains(&host) {
            self.faults.push(format!("host {host} begins task {task} after it said that it was cancelled"));
        }
        let run = *run;
        if run.begun > 1 && !self.may_repeat(host, run) {
            self.fault(format!("host {host} begins task {task} a second time"));
        }
        match self.arrivals.get(&(sid, task)) {
            None => self.fault(format!("host {host} runs task {task}, which never arrived")),
            Some(arrival) => {
                // After a reboot the server's clock decides, which may have been set unnoticed.
                let set_back = self.server_micros.abs_diff(arrival.server_micros);
                if now > arrival.deadline + set_back + SECOND {
                    self.fault(format!("host {host} begins task {task} after its time"));
                }
            }
        }
    }

    /// A command has its effect.
    pub fn happened(&mut self, host: usize, task: TaskId) {
        self.counts.effects += 1;
        let run = self.runs.entry((host, task)).or_default();
        run.happened += 1;
        if run.is_cancelled && !self.set_back.contains(&host) {
            self.faults.push(format!("task {task} has its effect on host {host} after it said that it was cancelled"));
        }
        let run = *run;
        if run.happened > 1 && !self.may_repeat(host, run) {
            self.fault(format!("task {task} has its effect twice on host {host}"));
        }
    }

    /// Whether nobody knows any more that a command began: its endpoint was set back to a time before, or lost its
    /// journal, and the server forgot it with its store.
    #[must_use]
    pub fn may_repeat(&self, host: usize, run: Run) -> bool {
        self.set_back.contains(&host) || run.is_forgotten && self.wiped.contains(&host)
    }

    /// An event entered a spool, or left it unsent.
    pub fn spooled(&mut self, host: usize, spool_id: [u8; 16], seq: u64, fate: Fate) {
        let id = Uuid::new_v5(&Uuid::from_bytes(spool_id), &seq.to_be_bytes());
        if fate == Fate::Kept {
            self.counts.events += 1;
        }
        self.spool.insert(id, (host, seq, fate));
    }

    /// Looks whether a spooled event is the answer of a task.
    pub fn spoke(&mut self, host: usize, event: &Event, seq: u64) {
        if let Some(task) = task_id(&event.task_id).filter(|_| event.event_type == "REP") {
            self.runs.entry((host, task)).or_default().answer_seq = Some(seq);
        }
    }

    /// The start of a task is in the journal.
    pub fn started(&mut self, host: usize, task: &[u8]) {
        let Some(task) = task_id(task) else { return };
        self.runs.entry((host, task)).or_default().is_started = true;
    }

    /// The end of a task is in the journal; by then its answer must be safe.
    pub fn ended(&mut self, host: usize, task: &[u8], synced_seq: u64) {
        let Some(task) = task_id(task) else { return };
        let run = self.runs.entry((host, task)).or_default();
        run.is_ended = true;
        if run.answer_seq.is_none_or(|seq| seq > synced_seq) {
            self.fault(format!("host {host} journals the end of task {task} before its answer is safe"));
        }
    }

    /// That a task was cancelled is in the journal.
    pub fn cancelled(&mut self, host: usize, task: &[u8]) {
        let Some(task) = task_id(task) else { return };
        self.counts.cancelled += 1;
        let run = self.runs.entry((host, task)).or_default();
        (run.is_cancelled, run.is_ended) = (true, true);
    }

    /// What happened with a task on an endpoint.
    #[must_use]
    pub fn run(&self, host: usize, task: TaskId) -> Run {
        self.runs.get(&(host, task)).copied().unwrap_or_default()
    }

    /// Every command that had its effect.
    pub fn effects(&self) -> impl Iterator<Item = (usize, TaskId)> {
        self.runs.iter().filter(|(_, run)| run.happened > 0).map(|(key, _)| *key)
    }
}
