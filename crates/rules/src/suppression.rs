//! Suppression: how often an action runs, counted in fixed windows per key.
//!
//! Source: reference/detection-response.md section 14, resolutions.
//!
//! # Invariants
//!
//! 1. A window starts with the first counted activation of its key and lasts the
//!    period of the action that looks at it; at exactly `start + period` another one starts.
//! 2. Counting happens whether or not the action runs.
//! 3. Memory is bounded: beyond the capacity, expired windows go first, then the oldest.
//! 4. What was counted between [`Suppression::begin`] and [`Suppression::undo`] was never counted.

use crate::path::Path;
use crate::template::Template;
use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap};

/// Windows kept by default; about 64 bytes each.
pub const WINDOWS_MAX: usize = 2_000_000;
/// When full, this part of the windows is given up at once, so that the sweep's cost is shared,
/// and no single step has to store much of it.
const EVICTED_PART: usize = 64;
/// Most windows that one sweep drops: all of them are stored in one step.
pub const SWEPT_MAX: usize = 16_384;

/// A suppression as an action declares it.
#[derive(Clone, Debug)]
pub(crate) struct Suppress {
    pub(crate) max_count: i64,
    pub(crate) min_count: i64,
    pub(crate) period_ms: i64,
    pub(crate) is_global: bool,
    pub(crate) keys: Vec<Template>,
    pub(crate) count_path: Option<Path>,
}

/// The identity of a counter: a digest of organization, scope and rendered keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CounterKey(u64, u64);

impl CounterKey {
    /// The key for these parts, compared element by element.
    #[must_use]
    pub fn new<'p>(parts: impl IntoIterator<Item = &'p str>) -> Self {
        let mut hasher = Sha256::new();
        for part in parts {
            hasher.update((part.len() as u64).to_le_bytes());
            hasher.update(part.as_bytes());
        }
        let digest = hasher.finalize();
        let half = |from: usize| digest[from..from + 8].iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
        Self(half(0), half(8))
    }

    /// As it is stored.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 16] {
        ((u128::from(self.0) << 64) | u128::from(self.1)).to_be_bytes()
    }

    /// As it was stored.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        let number = u128::from_be_bytes(bytes);
        Self((number >> 64) as u64, number as u64)
    }
}

/// One activation of an action that is suppressed.
#[derive(Clone, Copy, Debug)]
pub struct Activation {
    /// Which counter.
    pub key: CounterKey,
    /// Length of the window, in milliseconds.
    pub period_ms: i64,
    /// The action runs while the counter before this activation is below this.
    pub max_count: i64,
    /// The action runs once the counter with this activation reaches this.
    pub min_count: i64,
    /// What to add; usually 1.
    pub increment: i64,
    /// The engine's clock, in milliseconds since the Unix epoch.
    pub now_ms: i64,
}

/// Where counters live. Shared by all shards of an organization, so that counting is linear.
pub trait Counters {
    /// Counts one activation and tells whether its action runs.
    fn count(&self, activation: &Activation) -> bool;
}

impl Counters for Mutex<Suppression> {
    fn count(&self, activation: &Activation) -> bool {
        // A panic elsewhere leaves whole windows behind, never half of one.
        self.lock().count(activation)
    }
}

/// One counter in its present window. Times are milliseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// When it was first counted.
    pub start_ms: i64,
    /// From when on nothing can look at it any more.
    pub expires_ms: i64,
    /// The sum so far.
    pub counter: i64,
}

/// The state of all counters. Plain data: a step's [`Suppression::changes`] are stored, and
/// [`Suppression::restore`] puts them back after a restart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suppression {
    windows: HashMap<CounterKey, Window>,
    windows_max: usize,
    evicted: u64,
    /// What each window touched in this step was before; `None` outside of a step.
    step: Option<BTreeMap<CounterKey, Option<Window>>>,
}

impl Default for Suppression {
    fn default() -> Self {
        Self::new(WINDOWS_MAX)
    }
}

impl Suppression {
    /// Keeps at most `windows_max` windows.
    #[must_use]
    pub fn new(windows_max: usize) -> Self {
        Self { windows: HashMap::new(), windows_max: windows_max.max(1), evicted: 0, step: None }
    }

    /// Puts a stored window back.
    pub fn restore(&mut self, key: CounterKey, window: Window) {
        if self.windows.len() < self.windows_max {
            self.windows.insert(key, window);
        }
    }

    /// Begins a step: what changes from now on is remembered until it is kept or undone.
    pub fn begin(&mut self) {
        self.step = Some(BTreeMap::new());
    }

    /// What this step changed so far, by key: the window as it is, or `None` if it is gone.
    pub fn changes(&self) -> impl Iterator<Item = (CounterKey, Option<Window>)> {
        let touched = self.step.iter().flatten();
        let now = touched.map(|(key, before)| (*key, *before, self.windows.get(key).copied()));
        now.filter(|(_, before, now)| before != now).map(|(key, _, now)| (key, now))
    }

    /// Ends a step whose changes are stored.
    pub fn keep(&mut self) {
        self.step = None;
    }

    /// Ends a step as if nothing had been counted in it.
    pub fn undo(&mut self) {
        for (key, before) in self.step.take().unwrap_or_default() {
            match before {
                Some(window) => self.windows.insert(key, window),
                None => self.windows.remove(&key),
            };
        }
    }

    fn touch(&mut self, key: CounterKey) {
        if let Some(step) = &mut self.step {
            step.entry(key).or_insert_with(|| self.windows.get(&key).copied());
        }
    }

    /// Counts one activation and tells whether its action runs.
    pub fn count(&mut self, activation: &Activation) -> bool {
        let now_ms = activation.now_ms;
        let is_new = !self.windows.contains_key(&activation.key);
        if is_new && self.windows.len() >= self.windows_max {
            self.make_room(now_ms);
        }
        self.touch(activation.key);
        let fresh = Window { start_ms: now_ms, expires_ms: i64::MIN, counter: 0 };
        let window = self.windows.entry(activation.key).or_insert(fresh);
        if now_ms >= window.start_ms.saturating_add(activation.period_ms) {
            *window = fresh;
        }
        window.expires_ms = window.expires_ms.max(window.start_ms.saturating_add(activation.period_ms));
        let before = window.counter;
        window.counter = before.saturating_add(activation.increment);
        before < activation.max_count && window.counter >= activation.min_count
    }

    /// Number of windows in memory.
    #[must_use]
    pub fn len(&self) -> usize {
        self.windows.len()
    }

    /// Whether nothing is counted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.windows.is_empty()
    }

    /// Windows that were given up before their end, since the state was made.
    #[must_use]
    pub fn evicted(&self) -> u64 {
        self.evicted
    }

    /// Drops windows that have ended, at most [`SWEPT_MAX`]; tells how many.
    pub fn sweep(&mut self, now_ms: i64) -> usize {
        let has_ended = self.windows.iter().filter(|(_, window)| now_ms >= window.expires_ms);
        let ended: Vec<CounterKey> = has_ended.map(|(key, _)| *key).take(SWEPT_MAX).collect();
        for key in &ended {
            self.touch(*key);
            self.windows.remove(key);
        }
        ended.len()
    }

    fn make_room(&mut self, now_ms: i64) {
        let surplus = (self.windows_max / EVICTED_PART).max(1);
        if self.sweep(now_ms) >= surplus.min(SWEPT_MAX) {
            return;
        }
        let mut ages: Vec<_> = self.windows.iter().map(|(key, window)| (window.start_ms, *key)).collect();
        let (older, last, _) = ages.select_nth_unstable(surplus - 1);
        for (_, key) in older.iter().chain(std::iter::once(&*last)) {
            self.touch(*key);
            self.windows.remove(key);
            self.evicted += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn activation(key: &str, increment: i64, now_ms: i64) -> Activation {
        let key = CounterKey::new([key]);
        Activation { key, period_ms: 1000, max_count: 10, min_count: 10, increment, now_ms }
    }

    #[test]
    fn a_budget_fires_once_even_when_one_step_jumps_over_it() {
        let mut state = Suppression::default();
        let runs: Vec<bool> = [4, 5, 300, 1].map(|step| state.count(&activation("k", step, 0))).into();
        assert_eq!(runs, [false, false, true, false]);
        assert!(state.count(&activation("k", 10, 1000)), "at start + period another window opens");
    }

    #[test]
    fn tuples_are_compared_element_by_element() {
        assert_ne!(CounterKey::new(["a", "bc"]), CounterKey::new(["ab", "c"]));
        assert_ne!(CounterKey::new(["a"]), CounterKey::new(["a", ""]));
    }

    #[test]
    fn what_a_step_changed_is_told_and_brings_the_state_back() {
        let mut state = Suppression::new(8);
        state.begin();
        state.count(&activation("k", 9, 0));
        let mut again = Suppression::new(8);
        for (key, window) in state.changes() {
            again.restore(CounterKey::from_bytes(key.to_bytes()), window.unwrap());
        }
        state.keep();
        assert_eq!(again, state);
        assert!(again.count(&activation("k", 1, 999)));
    }

    #[test]
    fn an_undone_step_has_counted_dropped_and_evicted_nothing() {
        let mut state = Suppression::new(4);
        for (at, key) in ["a", "b", "c", "d"].iter().enumerate() {
            state.count(&activation(key, 3, at as i64));
        }
        let before = state.clone();
        state.begin();
        for key in ["a", "new", "newer", "a"] {
            state.count(&activation(key, 3, 4));
        }
        state.sweep(1_001);
        let gone = state.changes().filter(|(_, window)| window.is_none()).count();
        assert!(gone >= 2, "evicted and swept windows are told");
        state.undo();
        assert_eq!(state.windows, before.windows);
        assert_eq!(state.changes().count(), 0);
    }

    #[test]
    fn memory_is_bounded_and_the_oldest_windows_go_first() {
        let mut state = Suppression::new(1000);
        for at in 0..50_000 {
            let period_ms = if at % 2 == 0 { 1 } else { i64::MAX };
            state.count(&Activation { period_ms, ..activation(&at.to_string(), 1, at) });
            assert!(state.len() <= 1000);
        }
        assert!(state.windows.contains_key(&CounterKey::new(["49999"])));
        assert!(!state.windows.contains_key(&CounterKey::new(["1"])));
        assert!(state.evicted() > 0);
    }
}
