//! Tasks with many targets: which of them might concern a sensor?
//!
//! Listing such a task under each of its targets would make its creation cost
//! as much as it has targets; asking each task would make every connection cost
//! as much as there are tasks. So tasks stand in groups of neighbours, and each
//! group keeps one set of everyone whom any of its tasks concerns: a sensor that
//! connects asks the groups, and then only the tasks of those that know it.

use roaring::RoaringBitmap;
use std::collections::{BTreeMap, BTreeSet};

/// Numbers of tasks in one group. The sets of the groups take at most one part in
/// so many of the memory that the sets of the tasks take themselves.
const GROUP: u64 = 64;

#[derive(Clone, Debug, Default)]
pub(super) struct Wide {
    groups: BTreeMap<u64, Group>,
}

#[derive(Clone, Debug, Default)]
struct Group {
    numbers: BTreeSet<u64>,
    /// Everyone who was ever a target of a task in `numbers`, and maybe more.
    concerned: RoaringBitmap,
}

impl Wide {
    pub fn insert(&mut self, number: u64, targets: &RoaringBitmap) {
        let group = self.groups.entry(number / GROUP).or_default();
        group.numbers.insert(number);
        group.concerned |= targets;
    }

    /// A sensor joins a task that is here.
    pub fn join(&mut self, number: u64, ordinal: u32) {
        if let Some(group) = self.groups.get_mut(&(number / GROUP)) {
            group.concerned.insert(ordinal);
        }
    }

    /// Tells whether it was here.
    pub fn remove(&mut self, number: u64) -> bool {
        let Some(group) = self.groups.get_mut(&(number / GROUP)) else { return false };
        let was_here = group.numbers.remove(&number);
        if group.numbers.is_empty() {
            self.groups.remove(&(number / GROUP));
        }
        was_here
    }

    /// Tasks that may concern the sensor, oldest first; each has to be asked.
    pub fn candidates(&self, ordinal: u32) -> impl Iterator<Item = u64> + '_ {
        let groups = self.groups.values().filter(move |group| group.concerned.contains(ordinal));
        groups.flat_map(|group| &group.numbers).copied()
    }
}
