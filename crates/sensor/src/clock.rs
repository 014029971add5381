//! The endpoint's clocks: the only place that reads them for the agent.

use std::time::{SystemTime, UNIX_EPOCH};

use jiff::tz::TimeZone;

use crate::agent::Now;
use crate::platform::host;

/// This instant by all clocks.
#[must_use]
pub fn now() -> Now {
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let offset = TimeZone::system().to_offset(jiff::Timestamp::now());
    Now {
        wall_ms: i64::try_from(wall.as_millis()).unwrap_or(i64::MAX),
        boot_ms: host::boot_ms(),
        utc_offset_s: offset.seconds(),
    }
}
