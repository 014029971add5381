//! Accepting tasks.

use super::effect::{Answer, Fact, NewTask, RequestId, Write};
use super::{Dispatch, Effect, Flight, Work};
use crate::fleet::Fleet;
use crate::spec::{Control, Spec};
use crate::task::Task;
use muster_command::Command;
use muster_model::Timestamp;
use muster_selector::Selector;
use roaring::RoaringBitmap;

/// A task that is asked for; its parts were checked ([`Spec::check`]).
#[derive(Clone, Debug)]
pub struct Order {
    /// What is asked; `total` and `tasked` are filled in.
    pub spec: Spec,
    /// `spec.command`, read.
    pub command: Command,
    /// `spec.selector`, read.
    pub selector: Selector,
}

/// What a dynamic task follows.
pub(super) struct Follower {
    pub selector: Selector,
    pub command: Command,
}

impl Dispatch {
    /// A task is asked for. Answers [`Answer::Created`], [`Answer::Taken`] or [`Answer::Failed`].
    pub fn create(&mut self, request: RequestId, order: Order, now: Timestamp) -> Vec<Effect> {
        self.decide_create(request, order);
        self.settle(now)
    }

    fn decide_create(&mut self, request: RequestId, order: Order) {
        let Order { mut spec, command, selector } = order;
        if let Some(earlier) = self.known.queue.find(spec.task_id) {
            let is_same = earlier.spec.asks_the_same(&spec);
            let answer = if is_same { created(&earlier.spec) } else { Answer::Taken };
            return self.answer(request, answer);
        }
        let targets = selector.select(&self.known.fleet);
        let unsupported = unsupported(&self.known.fleet, &targets, &command);
        spec.total = targets.len();
        spec.clock_us = self.known.queue.clock.set_us();
        spec.tasked = (&targets - &unsupported).intersection_len(&self.known.online);
        let number = self.known.queue.next_number();
        self.known.queue.reserve(number);
        let facts = vec![Fact::Created(Box::new(spec.clone()))];
        let new = Box::new(NewTask { number, spec, control: Control { unsupported, ..Control::default() }, targets });
        self.commit(Some(request), vec![Write::Task(new.clone())], facts, Flight::Create(request, new));
    }

    pub(super) fn created(&mut self, request: RequestId, new: NewTask, now: Timestamp) {
        let NewTask { number, spec, control, targets } = new;
        self.answer(request, created(&spec));
        self.follow(number, &spec);
        if let Some(follower) = self.followers.get(&number) {
            // Records that changed while it was stored: those changes did not know of it.
            let missed = follower.selector.select(&self.known.fleet) ^ &targets;
            if !missed.is_empty() {
                self.turns.enter(missed.iter().collect(), Work::Follow);
            }
        }
        self.known.queue.insert(Task::new(number, spec, control, targets));
        self.fan_out(number, now);
    }

    /// Remembers what a task follows, if it does.
    pub(super) fn follow(&mut self, number: u64, spec: &Spec) {
        if let (true, Ok(selector), Ok(command)) =
            (spec.dynamic, Selector::parse(&spec.selector), Command::parse(&spec.command))
        {
            self.followers.insert(number, Follower { selector, command });
        }
    }
}

fn created(spec: &Spec) -> Answer {
    Answer::Created { task_id: spec.task_id, total: spec.total, tasked: spec.tasked }
}

fn unsupported(fleet: &Fleet, targets: &RoaringBitmap, command: &Command) -> RoaringBitmap {
    let of_kind = fleet.kinds().filter(|(platform, architecture, _)| !command.supports(*platform, *architecture));
    of_kind.fold(RoaringBitmap::new(), |all, (_, _, set)| all | (set & targets))
}
