//! How fast a program is called: no faster than its registration says, and not at all for as long as it asks for. Pure: the
//! clock is the caller's.

use std::time::Duration;

/// Calls in a second to which a registration may hold the server. Beyond, calls that are under way at once are the bound.
pub const RATE_MAX: u32 = 1_000;

/// For how long a program is left alone that says that it is called too often: at least, if it does not say for how long, and
/// at most.
const BUSY_MIN: Duration = Duration::from_secs(1);
const BUSY_UNTOLD: Duration = Duration::from_secs(5);
const BUSY_MAX: Duration = Duration::from_secs(5 * 60);

/// The turns that were given to calls of one program, over all organizations.
#[derive(Clone, Debug, Default)]
pub struct Pace {
    /// No turn is given before.
    free_at: Duration,
}

impl Pace {
    /// The turn of one more call, which is made then and not before. `rate` is how many may be made in a second. Both instants
    /// are by a clock that nobody can set.
    pub fn turn(&mut self, now: Duration, rate: Option<u32>) -> Duration {
        let Some(rate) = rate.filter(|rate| *rate > 0) else { return now };
        let turn = self.free_at.max(now);
        self.free_at = turn + Duration::from_secs(1) / rate;
        turn
    }
}

/// For how long a program is left alone which answered that it is called too often, by what it says of that: seconds in the
/// header `retry-after`. A date there is not read, since clocks differ.
#[must_use]
pub fn busy_for(retry_after: Option<&str>) -> Duration {
    let said = retry_after.and_then(|text| text.trim().parse().ok()).map(Duration::from_secs);
    said.map_or(BUSY_UNTOLD, |said| said.clamp(BUSY_MIN, BUSY_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_are_as_far_apart_as_the_rate_says_and_nobody_saves_any_up() {
        let (mut pace, now) = (Pace::default(), Duration::from_secs(1_000));
        let apart: Vec<u128> = (0..4).map(|_| (pace.turn(now, Some(4)) - now).as_millis()).collect();
        assert_eq!(apart, [0, 250, 500, 750]);
        let later = now + Duration::from_secs(60);
        assert_eq!((pace.turn(later, Some(4)), (pace.turn(later, Some(4)) - later).as_millis()), (later, 250));
        assert_eq!(Pace::default().turn(now, None), now);
    }

    #[test]
    fn a_program_that_is_called_too_often_says_for_how_long_within_bounds() {
        let seconds = |said| busy_for(said).as_secs();
        assert_eq!((seconds(None), seconds(Some("17")), seconds(Some("0")), seconds(Some("86400"))), (5, 17, 1, 300));
        assert_eq!(seconds(Some("Fri, 31 Dec 1999 23:59:59 GMT")), 5);
    }
}
