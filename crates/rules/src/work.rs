//! What an evaluation may cost, counted in steps.
//!
//! A step is about the time in which an automaton looks at one byte: a nanosecond or two. Steps are counted and not
//! timed, so that the same event has the same outcome on every machine: a rule is never cut off because the machine was
//! busy, and an event that is evaluated again after a failed commit ends as it did before. See docs/adr/0010.
//!
//! # Invariants
//!
//! 1. Whatever may take long is paid for before it is done, in pieces of bounded size.
//! 2. A rule whose steps are used up is not true of the event, also under `not`, and the caller is told.
//! 3. What one rule spends is taken from no other: [`RULE_STEPS_LEAST`] are always left for each.

use regex_automata::hybrid::dfa::{Cache, DFA};
use std::cell::{Cell, RefCell};

/// Steps of one rule on one event: about 0.2 s. A search for an ordinary pattern through the largest event takes a tenth.
pub const RULE_STEPS_MAX: u64 = 1 << 27;
/// Steps of all rules on one event and the detections that it causes: about 2 s. What is left of it bounds the rules that
/// come later, down to [`RULE_STEPS_LEAST`].
pub const EVENT_STEPS_MAX: u64 = 1 << 30;
/// Steps that each rule has, whatever others have spent: about 1 ms.
const RULE_STEPS_LEAST: u64 = 1 << 20;

/// States of a pattern times bytes of a text up to which one search may be handed to an engine that cannot be
/// interrupted: about 40 ms where that engine has its worst day, and some microseconds on all others.
const QUICK_SEARCH_MAX: u64 = 1 << 22;
/// The same for all searches on one event together: about 0.3 s at worst. Later ones are made step by step.
const QUICK_EVENT_MAX: u64 = 1 << 25;

/// Automata whose memory, some megabytes each, is kept for the next search on the same event.
const CACHES_MAX: usize = 4;

/// What one event may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Steps of one rule on it; [`RULE_STEPS_MAX`] by default.
    pub rule_steps: u64,
    /// Steps of all rules together; [`EVENT_STEPS_MAX`] by default.
    pub event_steps: u64,
}

impl Default for Budget {
    fn default() -> Self {
        Self { rule_steps: RULE_STEPS_MAX, event_steps: EVENT_STEPS_MAX }
    }
}

/// The account of one event.
#[derive(Debug, Default)]
pub(crate) struct Work {
    budget: Budget,
    /// Of the event, beside what the rule in hand was given.
    event_left: Cell<u64>,
    quick_left: Cell<u64>,
    given: Cell<u64>,
    left: Cell<u64>,
    is_over: Cell<bool>,
    caches: RefCell<Vec<(usize, Cache)>>,
}

impl Work {
    /// An account for one rule alone on one event.
    pub(crate) fn of_one_rule(budget: Budget) -> Self {
        let mut work = Self::default();
        work.begin_event(budget);
        work.begin_rule();
        work
    }

    pub(crate) fn begin_event(&mut self, budget: Budget) {
        self.budget = budget;
        self.event_left.set(budget.event_steps);
        self.quick_left.set(QUICK_EVENT_MAX);
        self.caches.get_mut().clear();
    }

    /// Gives steps to the next rule, or to the search for candidates.
    pub(crate) fn begin_rule(&self) {
        let steps = self.budget.rule_steps.min(self.event_left.get().max(RULE_STEPS_LEAST));
        self.given.set(steps);
        self.left.set(steps);
        self.is_over.set(false);
    }

    /// Takes back what the rule left over; tells what it spent if that was too much.
    pub(crate) fn end_rule(&self) -> Option<u64> {
        let spent = self.given.get() - self.left.get();
        self.event_left.set(self.event_left.get().saturating_sub(spent));
        self.is_over.get().then_some(spent)
    }

    /// Pays for steps; false if there are not so many left, now and until the next rule.
    pub(crate) fn spend(&self, steps: u64) -> bool {
        match self.left.get().checked_sub(steps) {
            Some(left) if !self.is_over.get() => {
                self.left.set(left);
                true
            }
            _ => {
                self.left.set(0);
                self.is_over.set(true);
                false
            }
        }
    }

    pub(crate) fn is_over(&self) -> bool {
        self.is_over.get()
    }

    /// Whether a search that takes at most `cost` states times bytes may be made at one go.
    pub(crate) fn takes_quickly(&self, cost: u64) -> bool {
        let left = self.quick_left.get();
        let is_quick = cost <= QUICK_SEARCH_MAX.min(left);
        if is_quick {
            self.quick_left.set(left - cost);
        }
        is_quick
    }

    /// Runs `search` with the memory that an automaton has on this event.
    pub(crate) fn with_cache<R>(&self, dfa: &DFA, search: impl FnOnce(&mut Cache) -> R) -> R {
        let id = std::ptr::from_ref(dfa).addr();
        let mut caches = self.caches.borrow_mut();
        let at = match caches.iter().position(|(of, _)| *of == id) {
            Some(at) => at,
            None => {
                if caches.len() >= CACHES_MAX {
                    caches.remove(0);
                }
                caches.push((id, dfa.create_cache()));
                caches.len() - 1
            }
        };
        search(&mut caches[at].1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rule_has_steps_left_whatever_the_others_spent() {
        let mut work = Work::default();
        work.begin_event(Budget { rule_steps: 1 << 21, event_steps: 1 << 22 });
        for _ in 0..2 {
            work.begin_rule();
            assert!(work.spend(1 << 21) && !work.spend(1));
            assert_eq!(work.end_rule(), Some(1 << 21));
        }
        work.begin_rule();
        assert!(work.spend(RULE_STEPS_LEAST) && !work.spend(1), "not more than the least");
        work.end_rule();
        work.begin_rule();
        assert!(work.spend(5));
        assert_eq!(work.end_rule(), None);
    }

    #[test]
    fn what_is_over_stays_over_until_the_next_rule() {
        let work = Work::of_one_rule(Budget { rule_steps: 10, event_steps: 100 });
        assert!(work.spend(4) && !work.spend(7) && !work.spend(0) && work.is_over());
        assert_eq!(work.end_rule(), Some(10), "the last piece was asked for, so all counts as spent");
        work.begin_rule();
        assert!(work.spend(10));
    }
}
