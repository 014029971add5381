//! Taking tasks back, holding them back, letting them go on: one change at a time, in order of arrival.

use super::effect::{Answer, Effect, Fact, Message, RequestId, Untasked, Write};
use super::{Dispatch, Flight};
use crate::fleet::Fleet;
use crate::queue::ControlChange;
use muster_model::{TaskId, Timestamp};
use muster_selector::Selector;
use roaring::RoaringBitmap;

/// What to take back.
#[derive(Clone, Debug)]
pub struct Choice {
    /// Only of this task; `None` is of all.
    pub task_id: Option<TaskId>,
    /// Only of these sensors; `None` is of all.
    pub selector: Option<Selector>,
}

/// A change of what holds for tasks.
pub(super) enum Control {
    Untask(RequestId, Choice),
    Cancel(RequestId, TaskId, Option<Selector>),
    Pause(RequestId, TaskId),
    Resume(RequestId, TaskId),
    /// A task has stopped itself: that is stored as it is. After a restart the failures are counted again, and
    /// stop it again.
    Stopped(u64),
}

impl Control {
    fn request(&self) -> Option<RequestId> {
        match self {
            Self::Untask(request, _)
            | Self::Cancel(request, ..)
            | Self::Pause(request, _)
            | Self::Resume(request, _) => Some(*request),
            Self::Stopped(_) => None,
        }
    }
}

impl Dispatch {
    /// Targets that were not confirmed are taken back. Answers [`Answer::Untasked`], [`Answer::Unknown`] or
    /// [`Answer::Failed`]. From this call's turn on nothing of it is offered.
    pub fn untask(&mut self, request: RequestId, choice: Choice, now: Timestamp) -> Vec<Effect> {
        self.controls.push_back(Control::Untask(request, choice));
        self.settle(now)
    }

    /// A task is to end on some sensors or, without a selector, on all: what they do not have they never get, and
    /// what they have they stop. Answers as [`Dispatch::untask`]. Each sensor is told once this is stored, and at
    /// each connection until it says how the task ended.
    pub fn cancel(
        &mut self,
        request: RequestId,
        task: TaskId,
        selector: Option<Selector>,
        now: Timestamp,
    ) -> Vec<Effect> {
        self.controls.push_back(Control::Cancel(request, task, selector));
        self.settle(now)
    }

    /// A task holds back: what was not sent yet waits. Answers [`Answer::Done`], [`Answer::Unknown`] or
    /// [`Answer::Failed`].
    pub fn pause(&mut self, request: RequestId, task: TaskId, now: Timestamp) -> Vec<Effect> {
        self.controls.push_back(Control::Pause(request, task));
        self.settle(now)
    }

    /// A task goes on that was paused, or that held itself back. Answers as [`Dispatch::pause`].
    pub fn resume(&mut self, request: RequestId, task: TaskId, now: Timestamp) -> Vec<Effect> {
        self.controls.push_back(Control::Resume(request, task));
        self.settle(now)
    }

    pub(super) fn next_control(&mut self, now: Timestamp) {
        while !self.is_controlling {
            let Some(control) = self.controls.pop_front() else { return };
            self.begin_control(control, now);
        }
    }

    fn begin_control(&mut self, control: Control, now: Timestamp) {
        let queue = &mut self.known.queue;
        let changes = match &control {
            Control::Untask(_, choice) => {
                let number = choice.task_id.map(|id| queue.find(id).map(|task| task.number));
                let sensors = chosen(choice.selector.as_ref(), &self.known.fleet);
                match number {
                    Some(None) => None,
                    number => Some(queue.untask(number.flatten(), sensors.as_ref(), now)),
                }
            }
            Control::Cancel(_, id, selector) => {
                let sensors = chosen(selector.as_ref(), &self.known.fleet);
                let number = queue.find(*id).map(|task| task.number);
                number.map(|number| queue.cancel(number, sensors.as_ref(), now).into_iter().collect())
            }
            Control::Pause(_, id) => queue.pause(*id).map(|change| vec![change]),
            Control::Resume(_, id) => queue.resume(*id).map(|change| vec![change]),
            Control::Stopped(number) => return self.store_stop(*number),
        };
        let Some(request) = control.request() else { return };
        let Some(changes) = changes else { return self.answer(request, Answer::Unknown) };
        if changes.is_empty() {
            return self.answer(request, Answer::Untasked(Vec::new()));
        }
        let fact = fact(&control, &changes);
        let write = |change: &ControlChange| Write::Control(change.number, Box::new(change.control.clone()));
        let writes = changes.iter().map(write).collect();
        self.is_controlling = true;
        self.commit(Some(request), writes, vec![fact], Flight::Control(control, changes));
    }

    fn store_stop(&mut self, number: u64) {
        let Some(task) = self.known.queue.task(number) else { return };
        let writes = vec![Write::Control(number, Box::new(task.control.clone()))];
        self.is_controlling = true;
        self.commit(None, writes, Vec::new(), Flight::Control(Control::Stopped(number), Vec::new()));
    }

    pub(super) fn controlled(&mut self, control: Control, changes: &[ControlChange], now: Timestamp) {
        self.is_controlling = false;
        for change in changes {
            if self.known.queue.apply_change(change) {
                self.controls.push_front(Control::Stopped(change.number));
            }
        }
        match control {
            Control::Untask(request, _) | Control::Cancel(request, ..) => {
                let untasked = changes.iter().filter_map(|change| {
                    let (deleted, withdrawn) = (change.deleted.clone(), change.withdrawn.clone());
                    let task_id = self.known.queue.task(change.number)?.spec.task_id;
                    Some(Untasked { task_id, deleted, withdrawn, stopping: change.stopping.clone() })
                });
                let untasked = untasked.collect();
                self.answer(request, Answer::Untasked(untasked));
                changes.iter().for_each(|change| self.send_cancels(change.number));
            }
            Control::Pause(request, _) => self.answer(request, Answer::Done),
            Control::Resume(request, _) => {
                self.answer(request, Answer::Done);
                changes.iter().for_each(|change| self.fan_out(change.number, now));
            }
            Control::Stopped(_) => {}
        }
    }

    /// Tells whoever has a task and is online that it is to end.
    fn send_cancels(&mut self, number: u64) {
        let Some(task) = self.known.queue.task(number) else { return };
        for ordinal in &(task.cancelling() & &self.known.online) {
            if let Some(presence) = self.links.get(&ordinal) {
                self.out.push(Effect::Send(presence.link, Message::Cancel(vec![task.spec.task_id])));
            }
        }
    }

    pub(super) fn control_failed(&mut self, control: Control, changes: &[ControlChange], now: Timestamp) {
        self.is_controlling = false;
        changes.iter().for_each(|change| self.known.queue.undo_change(change, now));
        if let Some(request) = control.request() {
            self.answer(request, Answer::Failed);
        }
    }
}

/// The sensors of a selector; `None` is every sensor.
fn chosen(selector: Option<&Selector>, fleet: &Fleet) -> Option<RoaringBitmap> {
    selector.filter(|selector| !selector.is_all()).map(|selector| selector.select(fleet))
}

/// What operators are told of a change.
fn fact(control: &Control, changes: &[ControlChange]) -> Fact {
    let count = |of: fn(&ControlChange) -> &RoaringBitmap| changes.iter().map(|change| of(change).len()).sum();
    let (deleted, withdrawn) = (count(|change| &change.deleted), count(|change| &change.withdrawn));
    match control {
        Control::Pause(_, id) => Fact::Paused(*id),
        Control::Resume(_, id) => Fact::Resumed(*id),
        Control::Cancel(_, task_id, _) => {
            Fact::Cancelled { task_id: *task_id, deleted, withdrawn, stopping: count(|change| &change.stopping) }
        }
        Control::Untask(_, choice) => Fact::Untasked { task_id: choice.task_id, deleted, withdrawn },
        Control::Stopped(_) => Fact::Untasked { task_id: None, deleted, withdrawn },
    }
}
