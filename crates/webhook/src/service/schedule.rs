//! When periodic events are due. Time is an argument; what is stored is where each event stands.
//!
//! Time is divided into periods that all begin at 1970-01-01T00:00:00Z: a period has a number. An event is due once
//! per number, for each of those whom it is about, in their order. A number that was left behind, because the server
//! was away or the clock jumped, is not made up for; a clock that goes back repeats nothing.

use super::Period;
use muster_model::Timestamp;
use serde::{Deserialize, Serialize};

/// Where one periodic event stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Number of the period that was begun last.
    period: i64,
    /// Who is next in it; `None` if all had their event.
    next: Option<u32>,
}

/// What a turn gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn {
    /// Where the event stands once the events are stored; to be stored with them.
    pub progress: Progress,
    /// Whose event is due now.
    pub due: Vec<u32>,
}

impl Progress {
    /// The progress of an event that someone wants from now on: it is due when the next period begins.
    #[must_use]
    pub fn begin(period: Period, now: Timestamp) -> Self {
        Self { period: number(period, now), next: None }
    }

    /// When somebody's event is due next; long past if somebody is waiting for theirs.
    #[must_use]
    pub fn due(self, period: Period) -> Timestamp {
        match self.next {
            Some(_) => Timestamp::ZERO,
            None => {
                let seconds = i64::try_from(period.seconds()).unwrap_or(i64::MAX);
                Timestamp::from_secs(self.period.saturating_add(1).saturating_mul(seconds))
            }
        }
    }

    /// Whose event is due now, at most so many; `None` if nobody's. `from` gives those who are there, from a number
    /// on and sorted.
    pub fn turn<I: Iterator<Item = u32>>(
        self,
        period: Period,
        now: Timestamp,
        most: usize,
        from: impl FnOnce(u32) -> I,
    ) -> Option<Turn> {
        let present = number(period, now);
        let (number, next) = if present > self.period { (present, Some(0)) } else { (self.period, self.next) };
        let first = next.filter(|_| most > 0)?;
        let mut all = from(first);
        let due: Vec<u32> = all.by_ref().take(most).collect();
        Some(Turn { progress: Self { period: number, next: all.next() }, due })
    }
}

fn number(period: Period, now: Timestamp) -> i64 {
    now.as_secs().div_euclid(i64::try_from(period.seconds()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    const START: i64 = 1_700_000_000;
    const HOUR: i64 = 3_600;

    #[test]
    fn an_event_is_due_when_its_period_begins_or_while_somebody_waits_for_theirs() {
        let begun = Progress::begin(Period::Hour3, Timestamp::from_secs(START));
        let due = begun.due(Period::Hour3);
        assert_eq!(due.as_secs() % (3 * HOUR), 0);
        assert!((START + 1..=START + 3 * HOUR).contains(&due.as_secs()));
        assert_eq!(begun.turn(Period::Hour3, Timestamp::from_secs(due.as_secs() - 1), 9, |from| from..2), None);
        let turn = begun.turn(Period::Hour3, due, 1, |from| from..2).expect("it is due");
        assert_eq!((turn.due, turn.progress.due(Period::Hour3)), (vec![0], Timestamp::ZERO));
    }

    /// A month in steps of ten minutes, at most 300 events a step; the server is killed before every 50th step is stored, and the
    /// clock jumps five hours ahead once and two hours back once.
    #[test]
    fn a_month_for_a_thousand_sensors_gives_each_its_event_once_per_period_over_restarts_and_clock_jumps() {
        for period in [Period::Hour1, Period::Hour12, Period::Day7, Period::Day30] {
            let seconds = period.seconds().cast_signed();
            let mut progress = Progress::begin(period, Timestamp::from_secs(START));
            let (mut given, mut seen) = (BTreeMap::<(i64, u32), u32>::new(), Vec::new());
            let mut clock = START;
            for step in 0..(30 * 24 * 6) {
                clock += 600;
                clock += match step {
                    1_000 => 5 * HOUR,
                    2_000 => -2 * HOUR,
                    _ => 0,
                };
                let now = Timestamp::from_secs(clock);
                seen.push(number(period, now));
                while let Some(turn) = progress.turn(period, now, 300, |from| from..1_000) {
                    if step % 50 == 0 && given.len() % 7 == 3 {
                        break; // Killed before this was stored: neither progress nor events are.
                    }
                    for sensor in &turn.due {
                        *given.entry((turn.progress.period, *sensor)).or_default() += 1;
                    }
                    progress = turn.progress;
                }
            }
            seen.sort_unstable();
            seen.dedup();
            seen.retain(|number| *number > START.div_euclid(seconds));
            let expected: Vec<(i64, u32)> =
                seen.iter().flat_map(|number| (0..1_000).map(move |sensor| (*number, sensor))).collect();
            assert!(given.keys().copied().eq(expected), "{period:?}");
            assert!(given.values().all(|count| *count == 1), "{period:?}");
        }
    }

    #[test]
    fn whoever_subscribes_waits_for_the_next_period_and_bounded_turns_go_on_where_they_ended() {
        let at = |seconds: i64| Timestamp::from_secs(10 * HOUR + seconds);
        let progress = Progress::begin(Period::Hour1, at(5));
        assert_eq!(progress.turn(Period::Hour1, at(3_599), 9, |from| from..3), None);
        let turn = progress.turn(Period::Hour1, at(3_600), 2, |from| from..3).expect("due");
        assert_eq!(turn.due, [0, 1]);
        assert_eq!(turn.progress.turn(Period::Hour1, at(3_600), 0, |from| from..3), None, "no room");
        let turn = turn.progress.turn(Period::Hour1, at(3_601), 2, |from| from..3).expect("the rest");
        assert_eq!((turn.due, turn.progress.turn(Period::Hour1, at(3_602), 2, |from| from..3)), (vec![2], None));
        assert_eq!(turn.progress.turn(Period::Hour1, at(-9 * HOUR), 2, |from| from..3), None, "a clock that goes back");
        let skipped = progress.turn(Period::Hour1, at(5 * HOUR), 9, |from| from..1).expect("due");
        assert_eq!(skipped.due, [0], "periods that were slept through are one");
    }
}
