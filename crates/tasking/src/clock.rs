//! Time that passes, wherever clocks are set.

use muster_model::Timestamp;
use std::time::Duration;

/// Instants that were taken a moment apart may be told in the other order; an instant
/// that is earlier than another by more than this says that the clock was set back.
pub(crate) const CLOCK_JITTER: Duration = Duration::from_secs(1);

/// By how much the server's clock was set while it ran, all in all.
///
/// Without that, an instant lies on a line on which nothing moves but the time that has really passed: times to
/// live are judged there, by the *steady* instant. What people are shown is the instant of the clock.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Clock {
    set_us: i64,
    /// What the clock that can be set showed, and the one that nobody can set, before the last that was noticed.
    seen: Option<(Timestamp, Duration)>,
}

impl Clock {
    /// Begins with what was stored.
    pub fn restore(&mut self, set_us: i64) {
        self.set_us = set_us;
    }

    /// Takes a reading of both clocks of one instant; `passed` only rises. Tells whether the first was set since
    /// the last reading. Less than [`CLOCK_JITTER`] is not noticed, until it has added up to that.
    pub fn read(&mut self, now: Timestamp, passed: Duration) -> bool {
        let Some((before, since)) = self.seen else {
            self.seen = Some((now, passed));
            return false;
        };
        let expected = before.saturating_add(passed.saturating_sub(since));
        let set_us = now.as_micros().saturating_sub(expected.as_micros());
        if u128::from(set_us.unsigned_abs()) < CLOCK_JITTER.as_micros() {
            return false;
        }
        self.set_us = self.set_us.saturating_add(set_us);
        self.seen = Some((now, passed));
        true
    }

    /// By how many microseconds the clock was set ahead, all in all.
    pub fn set_us(&self) -> i64 {
        self.set_us
    }

    /// The steady instant of a reading of the clock.
    pub fn steady(&self, now: Timestamp) -> Timestamp {
        Timestamp::from_micros(now.as_micros().saturating_sub(self.set_us))
    }

    /// What the clock, as it is set now, shows at a steady instant.
    pub fn shown(&self, steady: Timestamp) -> Timestamp {
        Timestamp::from_micros(steady.as_micros().saturating_add(self.set_us))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_set_is_told_from_time_that_passes() {
        let (at, passed) = (Timestamp::from_secs, Duration::from_secs);
        let mut clock = Clock::default();
        assert!(!clock.read(at(1_000), passed(5)));
        assert!(!clock.read(at(9_000), passed(8_005)), "eight thousand seconds passed");
        assert_eq!(clock.steady(at(9_000)), at(9_000));
        assert!(clock.read(at(1_000), passed(8_006)), "set back");
        assert_eq!((clock.steady(at(1_000)), clock.shown(at(9_001))), (at(9_001), at(1_000)));
        assert!(clock.read(at(100_000), passed(8_106)), "and ahead");
        assert_eq!(clock.steady(at(100_000)), at(9_101));
    }

    #[test]
    fn a_clock_that_drifts_is_followed_once_it_is_off_by_a_second() {
        let mut clock = Clock::default();
        clock.read(Timestamp::ZERO, Duration::ZERO);
        let noticed =
            (1..=100).filter(|n| clock.read(Timestamp::from_millis(n * 1_100), Duration::from_secs(n.unsigned_abs())));
        assert_eq!(noticed.count(), 10, "a tenth of a second each second");
        assert_eq!(clock.set_us(), 10_000_000);
    }
}
