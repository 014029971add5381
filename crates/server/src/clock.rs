//! The one place where the server reads the wall clock.

use muster_model::Timestamp;
use std::time::{SystemTime, UNIX_EPOCH};

/// The present instant; zero if the clock stands before 1970.
#[must_use]
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
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
