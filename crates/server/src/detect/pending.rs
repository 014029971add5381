//! Actions that wait to be carried out: one queue per sensor, in the order of the events.
//!
//! Everything in it is stored. It is bounded per sensor, so that one noisy sensor or one
//! slow action does not take the room of the others, and as a whole. What exceeds it is
//! dropped when it is ordered, and operators are told.

use super::action::{Action, Ordered};
use muster_model::Sid;
use parking_lot::Mutex;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use tokio::sync::{Notify, Semaphore};

/// Actions that may wait for one sensor.
pub(super) const SENSOR_ACTIONS_MAX: usize = 1_024;

/// Actions that may wait in an organization, and the bytes of their stored form.
const ACTIONS_MAX: usize = 65_536;
const ACTIONS_BYTES_MAX: usize = 128 << 20;

/// Bytes of one action: a transform may make it large.
const ACTION_BYTES_MAX: usize = 1 << 20;

/// Actions of one organization that are carried out at the same time.
const ACTING_MAX: usize = 32;

/// The queues of one organization.
pub(super) struct Pending {
    state: Mutex<State>,
    /// Something was done with.
    moved: Notify,
    /// To be held while an action is carried out.
    pub(super) acting: Semaphore,
}

#[derive(Default)]
struct State {
    queues: BTreeMap<Option<Sid>, Queue>,
    count: usize,
    bytes: usize,
    last: u64,
}

#[derive(Default)]
struct Queue {
    actions: VecDeque<Arc<Action>>,
    /// The sensor's events are held back until this position is done with.
    holds_through: u64,
}

/// Room that the actions of a group take before they are in the queue.
#[derive(Default)]
pub(super) struct Room {
    count: usize,
    bytes: usize,
    by_sensor: BTreeMap<Option<Sid>, usize>,
}

impl Default for Pending {
    fn default() -> Self {
        Self { state: Mutex::default(), moved: Notify::new(), acting: Semaphore::new(ACTING_MAX) }
    }
}

impl Pending {
    /// Gives an action its place if there is room for it, beside what has been admitted to `room`.
    ///
    /// # Errors
    ///
    /// Why there is none.
    pub(super) fn admit(&self, room: &mut Room, ordered: &Ordered) -> Result<Action, String> {
        let mut state = self.state.lock();
        let action = Action::new(state.last + 1, ordered).map_err(|error| error.to_string())?;
        if action.bytes > ACTION_BYTES_MAX {
            return Err(format!("an action has at most {ACTION_BYTES_MAX} bytes, and this one {}", action.bytes));
        }
        let waiting = state.queues.get(&ordered.sid).map_or(0, |queue| queue.actions.len());
        let planned = room.by_sensor.entry(ordered.sid).or_default();
        if waiting + *planned >= SENSOR_ACTIONS_MAX {
            return Err(format!("{SENSOR_ACTIONS_MAX} actions wait for one sensor; this one was dropped"));
        }
        let is_full = state.count + room.count >= ACTIONS_MAX;
        if is_full || state.bytes + room.bytes + action.bytes > ACTIONS_BYTES_MAX {
            return Err(format!("{} actions wait; this one was dropped", state.count + room.count));
        }
        *planned += 1;
        room.count += 1;
        room.bytes += action.bytes;
        state.last += 1;
        Ok(action)
    }

    /// Queues stored actions, in order. Gives the sensors whose queues have to be worked on from now on.
    pub(super) fn push(&self, actions: Vec<Action>) -> Vec<Option<Sid>> {
        let mut state = self.state.lock();
        let state = &mut *state;
        let mut started = Vec::new();
        for action in actions {
            let (sid, position) = (action.ordered.sid, action.position);
            state.count += 1;
            state.bytes += action.bytes;
            state.last = state.last.max(position);
            let queue = state.queues.entry(sid).or_insert_with(|| {
                started.push(sid);
                Queue::default()
            });
            if action.ordered.holds {
                queue.holds_through = position;
            }
            queue.actions.push_back(Arc::new(action));
        }
        started
    }

    /// The next action of a sensor; without one, its queue is gone and need not be worked on.
    pub(super) fn next(&self, sid: Option<Sid>) -> Option<Arc<Action>> {
        let mut state = self.state.lock();
        let next = state.queues.get(&sid)?.actions.front().cloned();
        if next.is_none() {
            state.queues.remove(&sid);
        }
        next
    }

    /// Takes out the first action of a sensor: it was done with, and is stored no more.
    pub(super) fn done(&self, sid: Option<Sid>) {
        let mut state = self.state.lock();
        let done = state.queues.get_mut(&sid).and_then(|queue| queue.actions.pop_front());
        if let Some(done) = done {
            state.count -= 1;
            state.bytes -= done.bytes;
        }
        drop(state);
        self.moved.notify_waiters();
    }

    /// Whether a `wait` holds a sensor's events back.
    pub(super) fn is_held(&self, sid: Option<Sid>) -> bool {
        let state = self.state.lock();
        let Some(queue) = state.queues.get(&sid) else { return false };
        queue.actions.front().is_some_and(|next| next.position <= queue.holds_through)
    }

    /// Waits until no `wait` holds a sensor's events back.
    pub(super) async fn settled(&self, sid: Option<Sid>) {
        loop {
            let moved = self.moved.notified();
            if !self.is_held(sid) {
                return;
            }
            moved.await;
        }
    }
}
