//! How a program is, as far as calls tell: one that is not reached is left alone for a while, and one that refuses our
//! signature until it accepts a health check. Pure: the clock is the caller's.

use muster_model::Timestamp;
use std::collections::BTreeSet;
use std::time::Duration;

/// For how long a program that is not reached is left alone: at first, and at most after doubling.
const REST_MIN: Duration = Duration::from_secs(5);
const REST_MAX: Duration = Duration::from_secs(5 * 60);

/// After so many calls in a row that did not reach it, a program is left alone, for a time that doubles.
const FAILURES_MAX: u32 = 5;

/// Why a program takes no calls now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Closed {
    /// It is called too often, and is left alone for so long.
    Busy(Duration),
    /// Secrets differ.
    WrongSecret,
}

impl Closed {
    /// What is told of it.
    pub(super) const fn text(self) -> &'static str {
        match self {
            Self::Busy(_) => {
                "it asks to be called less often (HTTP 429); what waits for it is sent when the time is over that it asks for"
            }
            Self::WrongSecret => {
                "it refuses the signature: its secret is another one than the registered one; nothing is sent until it accepts a \
                 health check"
            }
        }
    }
}

impl From<Closed> for String {
    fn from(closed: Closed) -> Self {
        closed.text().to_owned()
    }
}

/// How a program is.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// When it last said that it is well.
    pub well_at: Option<Timestamp>,
    /// Why it is not; empty if it is.
    pub error: String,
    /// It refused our signature: nothing is sent until it takes one.
    pub is_secret_wrong: bool,
    /// It was heard of, and every call since has reached it.
    pub is_heard: bool,
    /// Calls in a row that did not reach it.
    failures: u32,
    /// Nothing is sent before.
    closed_until: Timestamp,
    /// The same, because it asked for it.
    busy_until: Timestamp,
    /// When it is asked next.
    pub(super) ask_at: Timestamp,
    /// Callbacks of which it said that it has them not, since it was asked last.
    pub(super) missing: BTreeSet<String>,
}

impl State {
    /// It said that it is well, and is asked next at this instant. What it asked for while it was busy it still gets.
    pub fn is_well(&mut self, now: Timestamp, ask_at: Timestamp) {
        let busy_until = self.busy(now).map_or(Timestamp::ZERO, |_| self.busy_until);
        *self = Self { well_at: Some(now), ask_at, busy_until, is_heard: true, ..Self::default() };
    }

    /// Until when nothing is sent to it; `None` if it can be called.
    #[must_use]
    pub fn rest(&self, now: Timestamp) -> Option<Timestamp> {
        if self.is_secret_wrong {
            return Some(now.saturating_add(REST_MIN));
        }
        // A clock that was set back makes no rest longer.
        let closed = (self.closed_until > now).then(|| self.closed_until.min(now.saturating_add(REST_MAX)));
        closed.max(self.busy(now).map(|pause| now.saturating_add(pause)))
    }

    /// For how long it asked to be left alone, if that is not over. Nobody asks for more than [`REST_MAX`]: what is later was
    /// told by a clock that has been set back since.
    #[must_use]
    pub(super) fn busy(&self, now: Timestamp) -> Option<Duration> {
        (self.busy_until > now).then(|| self.busy_until.since(now)).filter(|pause| *pause <= REST_MAX)
    }

    /// Calls that it gets at once, of so many: one, until it was heard of. Thousands that are dead do not cost much then.
    #[must_use]
    pub const fn calls_max(&self, most: usize) -> usize {
        if self.is_heard { most } else { 1 }
    }

    /// A call reached it.
    pub fn reached(&mut self) {
        self.is_heard = true;
        self.failures = 0;
    }

    /// A call did not reach it. Those that were under way when it was given a rest do not make that longer.
    pub fn missed(&mut self, now: Timestamp, reason: &str) {
        self.is_heard = false;
        if self.rest(now).is_some() {
            return;
        }
        self.failures = self.failures.saturating_add(1);
        if self.failures >= FAILURES_MAX {
            self.error = reason.to_owned();
            let rest = REST_MIN.saturating_mul(2_u32.saturating_pow(self.failures - FAILURES_MAX)).min(REST_MAX);
            self.closed_until = now.saturating_add(rest);
        }
    }

    /// It says that it is called too often: it is left alone for so long, and then asked how it is.
    pub fn is_busy(&mut self, now: Timestamp, pause: Duration) {
        // Of several calls under way, the last one to be answered may ask for less.
        self.busy_until = now.saturating_add(pause.max(self.busy(now).unwrap_or_default()));
        self.error = Closed::Busy(pause).into();
        self.ask_at = self.ask_at.min(self.busy_until);
    }

    /// It refuses our signature: it is asked how it is before anything else is sent.
    pub fn refuses_signature(&mut self, now: Timestamp) {
        self.is_secret_wrong = true;
        self.error = Closed::WrongSecret.into();
        self.ask_at = now.saturating_add(REST_MIN);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_is_not_reached_is_left_alone_ever_longer_until_it_is() {
        let (mut state, mut now) = (State::default(), Timestamp::from_secs(1));
        for _ in 1..FAILURES_MAX {
            state.missed(now, "no route");
        }
        assert_eq!(state.rest(now), None);
        let rests: Vec<u64> = (0..9)
            .map(|_| {
                (0..16).for_each(|_| state.missed(now, "no route"));
                let until = state.rest(now).expect("it rests");
                let rest = until.since(now).as_secs();
                now = until;
                rest
            })
            .collect();
        assert_eq!(rests, [5, 10, 20, 40, 80, 160, 300, 300, 300], "calls that fail together count once");
        state.reached();
        state.missed(now, "no route");
        assert_eq!(state.rest(now), None);
    }

    #[test]
    fn a_program_that_was_not_heard_of_is_tried_with_one_call() {
        let (mut state, now) = (State::default(), Timestamp::from_secs(1));
        assert_eq!(state.calls_max(16), 1);
        state.is_well(now, now);
        assert_eq!(state.calls_max(16), 16);
        state.missed(now, "no route");
        assert_eq!(state.calls_max(16), 1);
        state.reached();
        assert_eq!(state.calls_max(16), 16);
    }

    #[test]
    fn a_program_that_is_busy_is_left_alone_for_as_long_as_it_says_also_if_it_is_well() {
        let (mut state, now) = (State::default(), Timestamp::from_secs(1_000_000));
        state.is_busy(now, Duration::from_secs(17));
        let until = now.saturating_add(Duration::from_secs(17));
        assert_eq!(
            (state.rest(now), state.error.as_str(), state.ask_at),
            (Some(until), Closed::Busy(Duration::ZERO).text(), Timestamp::ZERO)
        );
        state.is_busy(now, Duration::from_secs(1));
        assert_eq!(state.busy(Timestamp::from_secs(1_000)), None, "a clock that is set back makes it no longer");
        state.is_well(now, until);
        assert_eq!((state.rest(now), state.error.as_str(), state.rest(until)), (Some(until), "", None));
    }

    #[test]
    fn a_clock_that_is_set_back_makes_no_rest_longer() {
        let (mut state, now) = (State::default(), Timestamp::from_secs(1_000_000));
        (0..FAILURES_MAX).for_each(|_| state.missed(now, "no route"));
        let before = Timestamp::from_secs(1_000);
        assert_eq!(state.rest(before), Some(before.saturating_add(REST_MAX)));
    }
}
