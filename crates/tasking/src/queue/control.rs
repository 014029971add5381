//! What operators change about a task that is under way: pause, resume, untask, cancel.
//!
//! A change that holds something back is in force for offers at once, and for
//! all else once it is stored: until then nothing is overwritten, so giving it
//! up cannot erase what happened meanwhile. Of one task, one change at a time:
//! the caller lets no other begin before [`Queue::apply_change`] or
//! [`Queue::undo_change`], since each stores the whole control.

use super::Queue;
use crate::TargetState;
use crate::spec::Control;
use muster_model::{TaskId, Timestamp};
use roaring::RoaringBitmap;

/// A change of one task's control.
#[derive(Clone, Debug, PartialEq)]
pub struct ControlChange {
    /// Number of the task.
    pub number: u64,
    /// The control to store.
    pub control: Control,
    /// Targets that were still queued and are taken back: they never get it.
    pub deleted: RoaringBitmap,
    /// Targets that are taken back though it was sent to them, without a
    /// confirmation yet: they are not offered it again, but may have it.
    pub withdrawn: RoaringBitmap,
    /// Targets that have it and are to end it.
    pub stopping: RoaringBitmap,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Pause,
    Resume,
    Untask,
}

impl ControlChange {
    fn new(number: u64, control: Control, kind: Kind) -> Self {
        let none = RoaringBitmap::new;
        Self { number, control, deleted: none(), withdrawn: none(), stopping: none(), kind }
    }
}

impl Queue {
    /// Holds a task back: what was not sent yet waits, from this call on. `None` if there is no such task.
    pub fn pause(&mut self, id: TaskId) -> Option<ControlChange> {
        let task = self.tasks.get_mut(self.by_id.get(&id)?)?;
        task.is_pausing = true;
        let control = Control { paused: true, ..task.control.clone() };
        Some(ControlChange::new(task.number, control, Kind::Pause))
    }

    /// Lets a task go on that was paused, or that held itself back; what failed
    /// until this call is forgiven. `None` if there is no such task.
    #[must_use]
    pub fn resume(&self, id: TaskId) -> Option<ControlChange> {
        let task = self.find(id)?;
        let control = Control { paused: false, stopped: None, forgiven: task.failed(), ..task.control.clone() };
        Some(ControlChange::new(task.number, control, Kind::Resume))
    }

    /// Takes open targets back: of one task or of all, of some sensors or of all.
    /// They are not offered anything of it from this call on. Store every control.
    pub fn untask(
        &mut self,
        number: Option<u64>,
        sensors: Option<&RoaringBitmap>,
        now: Timestamp,
    ) -> Vec<ControlChange> {
        let numbers: Vec<u64> = match number {
            Some(number) => vec![number],
            None => self.tasks.keys().copied().collect(),
        };
        numbers.into_iter().filter_map(|number| self.take_back(number, sensors, false, now)).collect()
    }

    /// Takes open targets of a task back as [`Queue::untask`] does, and has it ended where sensors have it. `None`
    /// if there is no such target. Store the control, then tell those of [`Task::cancelling`].
    pub fn cancel(&mut self, number: u64, sensors: Option<&RoaringBitmap>, now: Timestamp) -> Option<ControlChange> {
        self.take_back(number, sensors, true, now)
    }

    fn take_back(
        &mut self,
        number: u64,
        sensors: Option<&RoaringBitmap>,
        is_cancel: bool,
        now: Timestamp,
    ) -> Option<ControlChange> {
        let steady = self.steady(now);
        let task = self.tasks.get_mut(&number)?;
        task.expire(steady);
        let of = |set: RoaringBitmap| sensors.map_or_else(|| set.clone(), |sensors| &set & sensors);
        let open = of(task.open.clone());
        let stopping = if is_cancel { of(task.held()) } else { RoaringBitmap::new() };
        if open.is_empty() && stopping.is_empty() {
            return None;
        }
        task.withheld |= &open;
        let mut control = task.control.clone();
        if !open.is_empty() {
            control.removed |= &open;
            control.removed_at = now;
        }
        if is_cancel {
            // Not only where it is known to be: what was sent may be confirmed yet, also after it expired or the
            // sensor was deleted and undeleted.
            control.cancelled |= of(task.targets.clone());
        }
        let withdrawn = &open & &task.by_state[TargetState::Sent as usize];
        let change = ControlChange::new(number, control, Kind::Untask);
        Some(ControlChange { deleted: open - &withdrawn, withdrawn, stopping, ..change })
    }

    /// Takes in a change that is stored. Tells whether the task holds itself back from
    /// now on, because too many failed since a resume; its control is then to be stored.
    pub fn apply_change(&mut self, change: &ControlChange) -> bool {
        let Some(task) = self.tasks.get_mut(&change.number) else { return false };
        match change.kind {
            Kind::Pause => {
                task.is_pausing = false;
                task.control.paused = true;
                false
            }
            Kind::Resume => {
                task.control.paused = false;
                task.control.stopped = None;
                task.control.forgiven = change.control.forgiven;
                task.stop_if_too_many_failed()
            }
            Kind::Untask => {
                let chosen = &change.deleted | &change.withdrawn;
                task.withheld -= &chosen;
                task.control.removed |= &chosen;
                task.control.removed_at = change.control.removed_at;
                task.control.cancelled |= &change.control.cancelled;
                // Not those whose receipt came, or that were deleted, while the store was asked.
                let open = &task.open & &chosen;
                task.close(&open, TargetState::Removed, change.control.removed_at);
                false
            }
        }
    }

    /// Gives up a change that could not be stored. Whom it held back is asked for again.
    pub fn undo_change(&mut self, change: &ControlChange, now: Timestamp) {
        let Some(task) = self.tasks.get_mut(&change.number) else { return };
        let held_back = match change.kind {
            Kind::Pause => {
                task.is_pausing = false;
                task.open.clone()
            }
            Kind::Resume => return,
            Kind::Untask => {
                let chosen = &change.deleted | &change.withdrawn;
                task.withheld -= &chosen;
                // What is free again may have run out of time meanwhile.
                self.expiries.insert((task.spec.ends_at(), change.number));
                &task.open & chosen
            }
        };
        self.postpone(held_back, now);
    }
}
