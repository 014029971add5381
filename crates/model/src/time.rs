//! Instants as the core sees them: plain numbers, given as arguments.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// An instant in UTC, in microseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The Unix epoch; also stands for "never" where a record has no instant.
    pub const ZERO: Self = Self(0);
    /// The latest representable instant.
    pub const MAX: Self = Self(i64::MAX);

    /// Makes an instant from microseconds since the Unix epoch.
    #[must_use]
    pub const fn from_micros(unix_micros: i64) -> Self {
        Self(unix_micros)
    }

    /// Makes an instant from milliseconds since the Unix epoch.
    #[must_use]
    pub const fn from_millis(unix_millis: i64) -> Self {
        Self(unix_millis.saturating_mul(1_000))
    }

    /// Makes an instant from seconds since the Unix epoch.
    #[must_use]
    pub const fn from_secs(unix_secs: i64) -> Self {
        Self(unix_secs.saturating_mul(1_000_000))
    }

    /// Microseconds since the Unix epoch.
    #[must_use]
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// Whole milliseconds since the Unix epoch, rounded down.
    #[must_use]
    pub const fn as_millis(self) -> i64 {
        self.0.div_euclid(1_000)
    }

    /// Whole seconds since the Unix epoch, rounded down.
    #[must_use]
    pub const fn as_secs(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// Adds a span; stays at [`Timestamp::MAX`] instead of overflowing.
    #[must_use]
    pub fn saturating_add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(span.as_micros()).unwrap_or(i64::MAX)))
    }

    /// The span since `earlier`; zero if `earlier` is later (a clock may step back).
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}
