//! Which task begins next.
//!
//! Tasks begin in the order in which they came, since they mostly rest on each other. Three things are stronger
//! than that order: an urgent task waits for none; a task whose lane is full does not hold up those of the other
//! lane; and none waits longer than [`ORDER_WAIT_MS`] for the end of the one before it.

use std::collections::{BTreeMap, VecDeque};

use muster_model::TaskId;
use muster_wire::{Deliver, Step};

use super::{Agent, Effect, Now, Run, events, is_within};

/// Tasks of the long lane that run at the same time.
pub const LONG_MAX: usize = 8;
/// Tasks of the short lane that run at the same time: a responder's session goes on beside eight long tasks.
pub const SHORT_MAX: usize = 4;
/// Urgent tasks that run at the same time, beside all others.
pub const URGENT_MAX: usize = 4;
/// Tasks that run at the same time.
pub const RUNNING_MAX: usize = LONG_MAX + SHORT_MAX + URGENT_MAX;
/// How long the next task waits for the one before it. Tasks that were sent in
/// order mostly rest on each other; a long one must not block the endpoint.
pub const ORDER_WAIT_MS: u64 = 2_000;

/// Among which others a command runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// Ends within seconds on any endpoint that works.
    Short,
    /// May take minutes: runs programs, reads many or large files, moves data.
    Long,
}

#[derive(Clone, Copy, Debug)]
struct Kind {
    lane: Lane,
    is_urgent: bool,
}

#[derive(Clone, Copy, Debug)]
struct Waiting {
    id: TaskId,
    kind: Kind,
    /// It was taken before the endpoint booted: only the server's clock can say whether its time has passed.
    needs_clock: bool,
}

/// The tasks that wait, in order of arrival, and those that run, with when they began (`boot_ms`).
#[derive(Debug, Default)]
pub(super) struct Lanes {
    waiting: VecDeque<Waiting>,
    running: BTreeMap<TaskId, (Kind, u64)>,
}

impl Lanes {
    pub(super) fn running(&self) -> usize {
        self.running.len()
    }

    pub(super) fn is_running(&self, id: TaskId) -> bool {
        self.running.contains_key(&id)
    }

    /// A task that waits is not to begin.
    pub(super) fn forget(&mut self, id: TaskId) {
        self.waiting.retain(|waiting| waiting.id != id);
    }

    /// A task ended; tells whether it ran.
    pub(super) fn end(&mut self, id: TaskId) -> bool {
        self.running.remove(&id).is_some()
    }

    fn has_room(&self, kind: Kind) -> bool {
        let of_kind = |(other, _): &&(Kind, u64)| {
            other.is_urgent == kind.is_urgent && (kind.is_urgent || other.lane == kind.lane)
        };
        let most = match kind {
            Kind { is_urgent: true, .. } => URGENT_MAX,
            Kind { lane: Lane::Short, .. } => SHORT_MAX,
            Kind { lane: Lane::Long, .. } => LONG_MAX,
        };
        self.running.values().filter(of_kind).count() < most
    }

    /// From when (`boot_ms`) the next task need not wait for those before it; `None` if none runs.
    fn order_ends(&self) -> Option<u64> {
        let ordinary = self.running.values().filter(|(kind, _)| !kind.is_urgent);
        ordinary.map(|(_, began)| began.saturating_add(ORDER_WAIT_MS)).max()
    }

    /// The first that waits and for which there is room.
    fn find(&self, is_urgent: bool, has_clock: bool) -> Option<usize> {
        self.waiting.iter().position(|waiting| {
            waiting.kind.is_urgent == is_urgent && self.has_room(waiting.kind) && (has_clock || !waiting.needs_clock)
        })
    }

    fn next(&mut self, now: Now, has_clock: bool) -> Option<(TaskId, Kind)> {
        let is_due = self.order_ends().is_none_or(|at| at <= now.boot_ms);
        let ordinary = || is_due.then(|| self.find(false, has_clock)).flatten();
        let at = self.find(true, has_clock).or_else(ordinary)?;
        self.waiting.remove(at).map(|waiting| (waiting.id, waiting.kind))
    }
}

impl Agent {
    /// By when (`boot_ms`) [`Agent::tick`] has something to decide.
    #[must_use]
    pub fn deadline(&self) -> Option<u64> {
        self.lanes.find(false, self.link.is_some())?;
        self.lanes.order_ends()
    }

    pub(super) fn wait(&mut self, id: TaskId, deliver: &Deliver) {
        let look = (self.setup.look)(&deliver.command);
        let needs_clock =
            deliver.not_after_ms != 0 && self.ledger.get(id).is_some_and(|task| !task.is_of_boot(&self.setup.boot_id));
        let kind = Kind { lane: look.lane, is_urgent: deliver.urgent };
        self.lanes.waiting.push_back(Waiting { id, kind, needs_clock });
    }

    pub(super) fn start_due(&mut self, now: Now) {
        while let Some((id, kind)) = self.lanes.next(now, self.link.is_some()) {
            self.start(id, kind, now);
        }
    }

    fn start(&mut self, id: TaskId, kind: Kind, now: Now) {
        let Some((task, deliver)) = self.ledger.get(id).and_then(|task| Some((task, task.deliver()?.clone()))) else {
            return;
        };
        let server_ms = self.link.as_ref().map(|up| up.server_ms(now));
        if task.is_expired(now, &self.setup.boot_id, server_ms) {
            return self.step(id, Step::Expired, events::TIMEOUT, "its time passed before it could begin", now);
        }
        let conditions = deliver.conditions.clone().unwrap_or_default();
        if !is_within(&conditions, now) {
            return self.step(id, Step::NotNow, 0, "outside its time window", now);
        }
        if let Some((code, reason)) = (self.setup.look)(&deliver.command).refusal {
            self.tell_of_refusal(id, &deliver, code, &reason, now);
            let step = if code == events::NOT_SUPPORTED { Step::Unsupported } else { Step::Refused };
            return self.step(id, step, code, &reason, now);
        }
        self.step(id, Step::Started, 0, "", now);
        self.lanes.running.insert(id, (kind, now.boot_ms));
        self.out.effects.push(Effect::Run(Run {
            task: id,
            command: deliver.command,
            investigation_id: deliver.investigation_id,
            payload_sha256: conditions.payload_sha256,
        }));
    }
}
