//! What time it is, and how it is written.

use crate::nature;
use muster_model::Timestamp;
use std::fmt::Write as _;
use std::time::Duration;

/// Of an instant in [`text`].
const TEXT_BYTES: usize = "2026-01-01 00:00:00".len();

/// The present instant; zero if the clock stands before 1970.
#[must_use]
pub fn now() -> Timestamp {
    nature::ask(|nature| nature.now())
}

/// Time since the machine was booted, suspension included: by a clock that nobody can set.
#[must_use]
pub fn since_boot() -> Duration {
    nature::ask(|nature| nature.since_boot())
}

/// `YYYY-MM-DD HH:MM:SS` in UTC: how records write instants; empty for "never".
/// Source: reference/sensor.md section 13.
#[must_use]
pub fn text(at: Timestamp) -> String {
    if at == Timestamp::ZERO {
        return String::new();
    }
    let mut text = String::with_capacity(TEXT_BYTES);
    if let Ok(instant) = jiff::Timestamp::from_second(at.as_secs()) {
        // Nothing fails to be written to a string.
        let _ = write!(text, "{}", instant.strftime("%Y-%m-%d %H:%M:%S"));
    }
    text
}

/// RFC 3339 in UTC with `Z`: how audit records write instants.
#[must_use]
pub fn rfc3339(at: Timestamp) -> String {
    jiff::Timestamp::from_second(at.as_secs()).map(|instant| instant.to_string()).unwrap_or_default()
}
