//! The endpoint's clocks: the only place that reads them for the agent.

use std::fs::File;
use std::io::Read as _;
use std::path::{Component, Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::Instant;

use jiff::tz::TimeZone;

use crate::agent::Now;
use crate::platform::host;

/// How long a zone is taken to be the endpoint's: people travel.
const ZONE_AGE_MAX: Duration = Duration::from_secs(300);
/// Longest zone file; real ones have a few kilobytes.
const ZONE_BYTES_MAX: u64 = 64 * 1024;
/// Where the zones are that `TZ` names.
const ZONES: &str = "/usr/share/zoneinfo";

/// The endpoint's zone, and when it was read. The ready-made way to it keeps a
/// database of all zones in memory, a hundred times the size of one.
static ZONE: Mutex<Option<(Instant, TimeZone)>> = Mutex::new(None);

/// Unix milliseconds by the endpoint's clock.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the one place")]
pub fn wall_ms() -> i64 {
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(wall.as_millis()).unwrap_or(i64::MAX)
}

/// This instant by all clocks.
#[must_use]
pub fn now() -> Now {
    let wall_ms = wall_ms();
    Now { wall_ms, boot_ms: host::boot_ms(), utc_offset_s: utc_offset_s(wall_ms) }
}

fn utc_offset_s(wall_ms: i64) -> i32 {
    let mut zone = ZONE.lock().unwrap_or_else(PoisonError::into_inner);
    if zone.as_ref().is_none_or(|(read, _)| read.elapsed() > ZONE_AGE_MAX) {
        *zone = Some((Instant::now(), zone_of(std::env::var("TZ").ok().as_deref())));
    }
    let at = jiff::Timestamp::from_millisecond(wall_ms).unwrap_or_default();
    zone.as_ref().map_or(0, |(_, zone)| zone.to_offset(at).seconds())
}

/// The zone that `TZ` describes, else that of the system; UTC if there is none. Source: tzset(3).
fn zone_of(variable: Option<&str>) -> TimeZone {
    let text = variable.map(|text| text.strip_prefix(':').unwrap_or(text));
    let zone = match text {
        None => read(Path::new("/etc/localtime")),
        Some(text) => read(&zone_path(text)).or_else(|| TimeZone::posix(text).ok()),
    };
    zone.unwrap_or(TimeZone::UTC)
}

fn zone_path(text: &str) -> PathBuf {
    let path = Path::new(text);
    let is_name = path.components().all(|part| matches!(part, Component::Normal(_)));
    if is_name { Path::new(ZONES).join(path) } else { path.to_owned() }
}

fn read(path: &Path) -> Option<TimeZone> {
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(ZONE_BYTES_MAX).read_to_end(&mut bytes).ok()?;
    TimeZone::tzif("local", &bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_is_found_by_name_by_path_and_by_rule() {
        let hours = |variable: &str| {
            let summer = "2026-07-01T00:00:00Z".parse().unwrap();
            zone_of(Some(variable)).to_offset(summer).seconds() / 3_600
        };
        assert_eq!(hours("Asia/Tokyo"), 9);
        assert_eq!(hours(":/usr/share/zoneinfo/Asia/Tokyo"), 9);
        assert_eq!(hours("CET-1CEST,M3.5.0,M10.5.0/3"), 2);
        assert_eq!(hours("no such zone"), 0);
    }
}
