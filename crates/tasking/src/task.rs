//! One task in memory: its target set, and who of it stands where.

use crate::TargetState;
use crate::pace::Meter;
use crate::spec::{Control, Spec};
use crate::target::Target;
use muster_model::Timestamp;
use roaring::RoaringBitmap;
use std::collections::BTreeMap;

/// How many targets stand in each state, in the order of [`TargetState::ALL`].
pub type Counts = [u64; TargetState::ALL.len()];

/// One task, with one bit per sensor and state, so that a request for a million
/// sensors costs kilobytes and its counts cost nothing.
#[derive(Clone, Debug)]
pub struct Task {
    /// Rises within the organization; the order of delivery.
    pub number: u64,
    /// What was asked.
    pub spec: Spec,
    /// What changed since.
    pub control: Control,
    /// Everyone it is for.
    pub(crate) targets: RoaringBitmap,
    /// Those who may still be offered it: queued or sent.
    pub(crate) open: RoaringBitmap,
    /// Those of them whose taking back waits to be stored: they are offered nothing.
    pub(crate) withheld: RoaringBitmap,
    /// That an operator holds it back waits to be stored.
    pub(crate) is_pausing: bool,
    /// By state; the set of the queued is not kept, since it is the open rest.
    pub(crate) by_state: [RoaringBitmap; TargetState::ALL.len()],
    /// Ended, and not well.
    pub(crate) failed: RoaringBitmap,
    /// Details of targets that were sent and may still change.
    pub(crate) under_way: BTreeMap<u32, Target>,
    pub(crate) meter: Meter,
}

impl Task {
    /// A task for these sensor ordinals, all queued.
    #[must_use]
    pub fn new(number: u64, spec: Spec, control: Control, targets: RoaringBitmap) -> Self {
        let mut task = Self {
            number,
            spec,
            control,
            open: targets.clone(),
            targets,
            withheld: RoaringBitmap::new(),
            is_pausing: false,
            by_state: Default::default(),
            failed: RoaringBitmap::new(),
            under_way: BTreeMap::new(),
            meter: Meter::default(),
        };
        let removed = &task.control.removed & &task.targets;
        let unsupported = &task.control.unsupported & &task.targets;
        task.open -= &removed;
        task.open -= &unsupported;
        task.by_state[TargetState::Removed as usize] = removed;
        task.failed = unsupported.clone();
        task.by_state[TargetState::Unsupported as usize] = unsupported;
        task
    }

    /// Puts back what is stored of a target; also adds a target that joined later.
    pub fn restore(&mut self, ordinal: u32, target: Target) {
        self.targets.insert(ordinal);
        let was_taken_back = target.state.is_pending() && self.control.removed.contains(ordinal);
        let target = if was_taken_back {
            Target { state: TargetState::Removed, ended_at: self.control.removed_at, ..target }
        } else {
            target
        };
        self.put(ordinal, target);
    }

    /// Everyone it is for.
    #[must_use]
    pub fn targets(&self) -> &RoaringBitmap {
        &self.targets
    }

    /// Those who may still be offered it.
    #[must_use]
    pub fn open(&self) -> &RoaringBitmap {
        &self.open
    }

    /// Those in a state.
    #[must_use]
    pub fn in_state(&self, state: TargetState) -> RoaringBitmap {
        match state {
            TargetState::Queued => &self.open - &self.by_state[TargetState::Sent as usize],
            _ => self.by_state[state as usize].clone(),
        }
    }

    /// The state of one target; `None` if the task is not for it.
    #[must_use]
    pub fn state_of(&self, ordinal: u32) -> Option<TargetState> {
        if !self.targets.contains(ordinal) {
            return None;
        }
        let stored =
            TargetState::ALL.into_iter().skip(1).find(|state| self.by_state[*state as usize].contains(ordinal));
        Some(stored.unwrap_or(TargetState::Queued))
    }

    /// How many stand where.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let mut counts = TargetState::ALL.map(|state| self.by_state[state as usize].len());
        counts[0] = self.open.len() - counts[TargetState::Sent as usize];
        counts
    }

    /// How many ended, and not well.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.failed.len()
    }

    /// Those who ended, and not well.
    #[must_use]
    pub fn failed_targets(&self) -> &RoaringBitmap {
        &self.failed
    }

    /// How many have it and have not ended.
    #[must_use]
    pub fn in_flight(&self) -> u64 {
        use TargetState::{Confirmed, Sent, Started};
        [Sent, Confirmed, Started].into_iter().map(|state| self.by_state[state as usize].len()).sum()
    }

    /// Those that have confirmed it and not ended.
    pub(crate) fn held(&self) -> RoaringBitmap {
        &self.by_state[TargetState::Confirmed as usize] | &self.by_state[TargetState::Started as usize]
    }

    /// Those of them on which it is to be ended.
    #[must_use]
    pub fn cancelling(&self) -> RoaringBitmap {
        if self.control.cancelled.is_empty() { RoaringBitmap::new() } else { self.held() & &self.control.cancelled }
    }

    /// Whether a sensor has it and is to end it.
    #[must_use]
    pub fn is_cancelling(&self, ordinal: u32) -> bool {
        self.control.cancelled.contains(ordinal)
            && [TargetState::Confirmed, TargetState::Started]
                .into_iter()
                .any(|state| self.by_state[state as usize].contains(ordinal))
    }

    /// Whether it holds back: paused by an operator, or stopped by its failure limit.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.is_paused() || self.control.stopped.is_some()
    }

    /// Whether an operator holds it back.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.control.paused || self.is_pausing
    }

    /// Whether it may be handed to this sensor at a steady instant.
    #[must_use]
    pub fn may_send(&self, ordinal: u32, steady: Timestamp) -> bool {
        steady < self.spec.ends_at() && self.open.contains(ordinal) && !self.withheld.contains(ordinal)
    }

    /// Holds itself back if more failed than its pace allows; tells whether it begins to.
    pub(crate) fn stop_if_too_many_failed(&mut self) -> bool {
        let total = self.targets.len();
        let failed = self.failed.len().saturating_sub(self.control.forgiven);
        let limit = self.spec.pace.stop_on_failures;
        let stops = self.control.stopped.is_none() && limit.is_some_and(|limit| limit.is_exceeded(failed, total));
        if stops {
            self.control.stopped = Some(format!("{failed} of {total} targets failed"));
        }
        stops
    }

    /// Whether it can still be offered to anyone at a steady instant.
    #[must_use]
    pub fn is_active(&self, steady: Timestamp) -> bool {
        steady < self.spec.ends_at() && (self.spec.dynamic || !self.open.is_empty())
    }

    /// Closes what is open once its time has run out at a steady instant; what is being taken back will be removed.
    pub fn expire(&mut self, steady: Timestamp) {
        if steady < self.spec.ends_at() || self.open.is_empty() {
            return;
        }
        let open = &self.open - &self.withheld;
        self.close(&open, TargetState::Expired, self.spec.expires_at());
    }

    /// Ends targets that are open, all in the same way.
    pub(crate) fn close(&mut self, targets: &RoaringBitmap, state: TargetState, at: Timestamp) {
        self.open -= targets;
        self.by_state[TargetState::Sent as usize] -= targets;
        self.by_state[state as usize] |= targets;
        for (ordinal, target) in &mut self.under_way {
            if targets.contains(*ordinal) {
                target.state = state;
                target.ended_at = at;
            }
        }
    }

    /// What is known of a target without asking the store: details only between
    /// sent and the end, otherwise the state and the times that follow from it.
    #[must_use]
    pub fn known(&self, ordinal: u32) -> Option<Target> {
        if let Some(target) = self.under_way.get(&ordinal) {
            return Some(target.clone());
        }
        let state = self.state_of(ordinal)?;
        let ended_at = match state {
            TargetState::Expired => self.spec.expires_at(),
            TargetState::Removed => self.control.removed_at,
            TargetState::Unsupported => self.spec.created_at,
            _ => Timestamp::ZERO,
        };
        Some(Target { state, ended_at, ..Target::default() })
    }

    /// Sets the state of a target.
    pub(crate) fn put(&mut self, ordinal: u32, target: Target) {
        for set in &mut self.by_state {
            set.remove(ordinal);
        }
        if target.state != TargetState::Queued {
            self.by_state[target.state as usize].insert(ordinal);
        }
        if target.state.is_pending() {
            self.open.insert(ordinal);
        } else {
            self.open.remove(ordinal);
        }
        if target.has_failed() {
            self.failed.insert(ordinal);
        } else {
            self.failed.remove(ordinal);
        }
        if target.attempts > 0 && (may_still_change(target.state) || may_prove_doubled(&target)) {
            self.under_way.insert(ordinal, target);
        } else {
            self.under_way.remove(&ordinal);
        }
    }
}

/// Whether another word that it began can come: only what was sent again can have reached two machines.
fn may_prove_doubled(target: &Target) -> bool {
    target.attempts > 1 && target.began() && target.state != TargetState::Doubled
}

/// Whether a receipt can still move a target that was sent: also one that expired
/// or was taken back meanwhile, since the endpoint knows best what it did.
fn may_still_change(state: TargetState) -> bool {
    !state.is_final() || matches!(state, TargetState::Expired | TargetState::Removed)
}
