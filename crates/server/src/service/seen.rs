//! What came before: a thing that comes a second time within two hours is not done again.

use muster_model::Timestamp;
use parking_lot::Mutex;
use std::collections::{HashSet, VecDeque};
use std::time::Duration;

/// For how long. Source: reference/extension-protocol.md section 9.
const REMEMBERED: Duration = Duration::from_secs(2 * 3_600);

/// How much is remembered at once: some 10 MB. Beyond, the oldest is forgotten.
const KEYS_MAX: usize = 100_000;

/// Keys that came within the last two hours; a restart forgets them.
#[derive(Default)]
pub(super) struct Seen(Mutex<Known>);

#[derive(Default)]
struct Known {
    keys: HashSet<String>,
    in_order: VecDeque<(Timestamp, String)>,
}

impl Seen {
    /// Whether a key was noted.
    pub(super) fn has(&self, key: &str, now: Timestamp) -> bool {
        let known = &mut *self.0.lock();
        known.forget(now);
        known.keys.contains(key)
    }

    /// Notes a key, once what it stands for is stored.
    pub(super) fn note(&self, key: String, now: Timestamp) {
        let known = &mut *self.0.lock();
        known.forget(now);
        if known.keys.insert(key.clone()) {
            known.in_order.push_back((now, key));
        }
    }
}

impl Known {
    fn forget(&mut self, now: Timestamp) {
        let is_over = |(at, _): &(Timestamp, String)| now.since(*at) >= REMEMBERED;
        while self.in_order.len() >= KEYS_MAX || self.in_order.front().is_some_and(is_over) {
            if let Some((_, oldest)) = self.in_order.pop_front() {
                self.keys.remove(&oldest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_again_is_known_for_two_hours_and_memory_is_bounded() {
        let (seen, at) = (Seen::default(), Timestamp::from_secs);
        assert!(!seen.has("a", at(0)));
        seen.note("a".into(), at(0));
        assert!(seen.has("a", at(7_199)));
        assert!(!seen.has("a", at(7_200)));
        (0..KEYS_MAX + 5).for_each(|key| seen.note(key.to_string(), at(7_201)));
        let known = seen.0.lock();
        assert_eq!((known.keys.len(), known.in_order.len()), (KEYS_MAX, KEYS_MAX));
    }
}
