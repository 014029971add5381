//! Instants as the agent is told them, and local time windows.

use muster_wire::Conditions;

const DAY_S: i64 = 24 * 60 * 60;
/// 1970-01-01 was a Thursday; Monday is 0.
const EPOCH_WEEKDAY: i64 = 3;

/// One instant by all clocks of the endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Milliseconds since the Unix epoch; may be set by anyone.
    pub wall_ms: i64,
    /// Milliseconds since boot, suspension included; only rises.
    pub boot_ms: u64,
    /// Seconds that local time is ahead of UTC.
    pub utc_offset_s: i32,
}

impl Now {
    /// Milliseconds that the wall clock is ahead of the time since boot: it changes when that clock is set.
    #[must_use]
    pub fn ahead_ms(self) -> i64 {
        self.wall_ms.saturating_sub(i64::try_from(self.boot_ms).unwrap_or(i64::MAX))
    }
}

/// Whether local time is within the window of the conditions. A window that
/// passes midnight belongs to the weekday on which it begins.
#[must_use]
pub fn is_within(conditions: &Conditions, now: Now) -> bool {
    let local_s = now.wall_ms.div_euclid(1_000) + i64::from(now.utc_offset_s);
    let minute = local_s.rem_euclid(DAY_S) / 60;
    let today = (local_s.div_euclid(DAY_S) + EPOCH_WEEKDAY).rem_euclid(7);
    let yesterday = (today + 6) % 7;
    let on = |weekday: i64| conditions.weekdays == 0 || conditions.weekdays & (1 << weekday) != 0;
    let (start, end) = (i64::from(conditions.window_start_min), i64::from(conditions.window_end_min));
    if start == end {
        on(today)
    } else if start < end {
        (start..end).contains(&minute) && on(today)
    } else {
        (minute >= start && on(today)) || (minute < end && on(yesterday))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(weekday: i64, minute: i64) -> Now {
        let wall_s = (weekday + 7 - EPOCH_WEEKDAY) * DAY_S + minute * 60;
        Now { wall_ms: wall_s * 1_000, ..Now::default() }
    }

    #[test]
    fn windows_keep_to_their_minutes_and_to_the_weekday_on_which_they_begin() {
        let office =
            Conditions { window_start_min: 540, window_end_min: 1_020, weekdays: 0b1_1111, ..Default::default() };
        for (now, inside) in
            [(at(0, 539), false), (at(0, 540), true), (at(4, 1_019), true), (at(4, 1_020), false), (at(5, 600), false)]
        {
            assert_eq!(is_within(&office, now), inside, "{now:?}");
        }
        let friday_night = Conditions { window_start_min: 1_320, window_end_min: 360, weekdays: 1 << 4, ..office };
        for (now, inside) in
            [(at(4, 1_330), true), (at(5, 359), true), (at(5, 360), false), (at(4, 100), false), (at(5, 1_330), false)]
        {
            assert_eq!(is_within(&friday_night, now), inside, "{now:?}");
        }
        let all_day = Conditions { window_start_min: 7, window_end_min: 7, ..Default::default() };
        assert!(is_within(&all_day, at(6, 0)));
    }

    #[test]
    fn the_window_is_in_local_time() {
        let morning = Conditions { window_start_min: 360, window_end_min: 720, ..Default::default() };
        assert!(!is_within(&morning, at(0, 300)));
        assert!(is_within(&morning, Now { utc_offset_s: 7_200, ..at(0, 300) }));
    }
}
