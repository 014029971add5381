//! Time windows of a node.
//!
//! Source: reference/detection-response.md section 9.3, resolution A-09.

use crate::ast::Window;
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// Whether an instant, in milliseconds since the Unix epoch, lies in the window.
pub(super) fn is_inside(window: &Window, now_ms: i64) -> bool {
    if !is_between(window.epoch_seconds, now_ms.div_euclid(1000)) {
        return false;
    }
    let Ok(now) = Timestamp::from_millisecond(now_ms) else { return false };
    let local = now.to_zoned(window.zone.clone().unwrap_or(TimeZone::UTC));
    let day_of_week = i64::from(local.weekday().to_sunday_one_offset());
    let time_of_day = i64::from(local.hour()) * 100 + i64::from(local.minute());
    is_between(window.day_of_week, day_of_week)
        && is_between(window.time_of_day, time_of_day)
        && window.day_of_month.is_none_or(|day| day == i64::from(local.day()))
        && window.month_of_year.is_none_or(|month| month == i64::from(local.month()))
}

fn is_between((from, to): (Option<i64>, Option<i64>), value: i64) -> bool {
    from.is_none_or(|from| from <= value) && to.is_none_or(|to| value <= to)
}
