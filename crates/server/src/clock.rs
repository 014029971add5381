//! The one place where the server reads the wall clock.

use muster_model::Timestamp;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The present instant; zero if the clock stands before 1970.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the one place")]
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

/// Time since the machine was booted, suspension included: by a clock that nobody can set.
#[must_use]
#[cfg(target_os = "linux")]
pub fn since_boot() -> Duration {
    let passed = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let part = |number| u64::try_from(number).unwrap_or(0);
    Duration::from_secs(part(passed.tv_sec)) + Duration::from_nanos(part(passed.tv_nsec))
}

/// Time since the server started: by a clock that nobody can set.
#[must_use]
#[cfg(not(target_os = "linux"))]
pub fn since_boot() -> Duration {
    static BEGUN: std::sync::LazyLock<std::time::Instant> = std::sync::LazyLock::new(std::time::Instant::now);
    BEGUN.elapsed()
}

/// `YYYY-MM-DD HH:MM:SS` in UTC: how records write instants; empty for "never".
/// Source: reference/sensor.md section 13.
#[must_use]
pub fn text(at: Timestamp) -> String {
    if at == Timestamp::ZERO {
        return String::new();
    }
    match jiff::Timestamp::from_second(at.as_secs()) {
        Ok(instant) => instant.strftime("%Y-%m-%d %H:%M:%S").to_string(),
        Err(_) => String::new(),
    }
}

/// RFC 3339 in UTC with `Z`: how audit records write instants.
#[must_use]
pub fn rfc3339(at: Timestamp) -> String {
    jiff::Timestamp::from_second(at.as_secs()).map(|instant| instant.to_string()).unwrap_or_default()
}
