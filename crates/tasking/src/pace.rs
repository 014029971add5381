//! How fast a task may go out, decided from counters and time.

use crate::clock::CLOCK_JITTER;
use crate::spec::SpecError;
use muster_model::Timestamp;
use serde::{Deserialize, Serialize};

/// Limits on the roll-out of one task. The default is no limit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pace {
    /// Most sends in any second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_per_second: Option<u32>,
    /// Most sensors that have it sent, confirmed or started, and not ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_in_flight: Option<u32>,
    /// Sensors that wait online get it in random order, not in order of enrolment.
    #[serde(default)]
    pub random_order: bool,
    /// Hold back the rest when more than this fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_on_failures: Option<FailureLimit>,
}

/// How many targets may fail before a task holds itself back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureLimit {
    /// More than this many targets.
    Count(u64),
    /// More than this share of all targets, in percent.
    Percent(u8),
}

impl FailureLimit {
    /// Whether `failed` of `total` targets is more than the limit allows.
    #[must_use]
    pub fn is_exceeded(self, failed: u64, total: u64) -> bool {
        match self {
            Self::Count(most) => failed > most,
            Self::Percent(percent) => failed.saturating_mul(100) > total.saturating_mul(u64::from(percent)),
        }
    }
}

impl Pace {
    pub(crate) fn check(&self) -> Result<(), SpecError> {
        if self.max_per_second == Some(0) {
            return Err(SpecError::Pace("max_per_second"));
        }
        if self.max_in_flight == Some(0) {
            return Err(SpecError::Pace("max_in_flight"));
        }
        match self.stop_on_failures {
            Some(FailureLimit::Percent(0 | 101..)) => Err(SpecError::FailureLimit),
            _ => Ok(()),
        }
    }
}

/// Counts the sends of the running second.
///
/// A fixed window keeps the promise "most sends in any second" up to a factor
/// of two at a window's edge; a token bucket filled at `max_per_second` does not
/// have that edge, so the meter is one: it holds at most one second's worth.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Meter {
    /// Sends that may be made now, in millionths of a send.
    credit: u64,
    filled_at: Timestamp,
}

const WHOLE: u64 = 1_000_000;

impl Meter {
    /// Takes one send out of the meter, if there is one.
    pub fn take(&mut self, now: Timestamp, per_second: u32) -> bool {
        self.fill(now, per_second);
        if self.credit < WHOLE {
            return false;
        }
        self.credit -= WHOLE;
        true
    }

    /// Puts back a send that was not made.
    pub fn give_back(&mut self) {
        self.credit = self.credit.saturating_add(WHOLE);
    }

    fn fill(&mut self, now: Timestamp, per_second: u32) {
        let full = u64::from(per_second) * WHOLE;
        // A tenth of a second's worth at first, so that the first second does not get double.
        let start = (full / 10).max(WHOLE);
        if self.filled_at == Timestamp::ZERO {
            self.credit = start;
        } else {
            let micros = u64::try_from(now.since(self.filled_at).as_micros()).unwrap_or(u64::MAX);
            let gained = micros.saturating_mul(u64::from(per_second));
            self.credit = self.credit.saturating_add(gained).min(start);
        }
        // After a clock was set back, time counts from there; a mere jitter must not count any of it twice.
        let is_set_back = self.filled_at.since(now) > CLOCK_JITTER;
        self.filled_at = if is_set_back { now } else { self.filled_at.max(now) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_meter_lets_through_what_the_second_allows() {
        let mut meter = Meter::default();
        let sent = (0..10_000).filter(|ms| meter.take(Timestamp::from_millis(1_000 + ms), 50)).count();
        assert!((500..=506).contains(&sent), "{sent} in ten seconds at 50 a second");
    }

    #[test]
    fn a_clock_that_steps_back_neither_blocks_nor_floods() {
        let mut meter = Meter::default();
        assert!(meter.take(Timestamp::from_secs(100), 1));
        assert!(!meter.take(Timestamp::from_secs(50), 1));
        assert!(meter.take(Timestamp::from_secs(51), 1));
        assert!(!meter.take(Timestamp::from_millis(50_900), 1));
        assert!(!meter.take(Timestamp::from_millis(51_900), 1), "a tenth of a second was told twice");
        assert!(meter.take(Timestamp::from_secs(52), 1));
    }

    #[test]
    fn failure_limits_are_exclusive() {
        assert!(!FailureLimit::Count(3).is_exceeded(3, 10));
        assert!(FailureLimit::Count(3).is_exceeded(4, 10));
        assert!(!FailureLimit::Percent(25).is_exceeded(25, 100));
        assert!(FailureLimit::Percent(25).is_exceeded(26, 100));
    }
}
