//! Which events are fit to be taken in: those that rules, outputs and queries see whole.
//!
//! The sensor lets no other into its spool, and the server takes no other in: each counts what it leaves out.

use crate::Event;
use std::ops::RangeInclusive;

/// Levels of objects and lists in the body of an event. Readers of JSON stop at 127; the rest is for what is put
/// around an event: its envelope, and the detections that rules make of detections.
pub const EVENT_DEPTH_MAX: usize = 100;

/// Times of events, in milliseconds since the Unix epoch: up to the end of the year 9999, since no text form of a
/// time goes further.
pub const EVENT_TIMES_MS: RangeInclusive<i64> = 0..=253_402_300_799_999;

/// Why an event is not taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Unfit {
    /// Nothing could be found in it.
    #[error("the body is not a JSON object, or the type is missing or too long")]
    Malformed,
    /// Rules could not read it.
    #[error("the body nests deeper than {EVENT_DEPTH_MAX} levels")]
    TooDeep,
    /// No query for a time would find it.
    #[error("the time lies before 1970 or after 9999")]
    ImpossibleTime,
}

impl Event {
    /// Looks at depth and time, whatever else the body is.
    ///
    /// # Errors
    ///
    /// [`Unfit::TooDeep`], [`Unfit::ImpossibleTime`].
    pub fn check(&self) -> Result<(), Unfit> {
        if !EVENT_TIMES_MS.contains(&self.time_ms) {
            return Err(Unfit::ImpossibleTime);
        }
        if depth(&self.body) > EVENT_DEPTH_MAX { Err(Unfit::TooDeep) } else { Ok(()) }
    }
}

/// Levels of objects and lists in a JSON text.
fn depth(json: &[u8]) -> usize {
    let (mut depth, mut deepest, mut in_text, mut is_escaped) = (0_usize, 0, false, false);
    for byte in json {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = in_text,
            b'"' => in_text = !in_text,
            b'{' | b'[' if !in_text => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' if !in_text => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(body: &str, time_ms: i64) -> Event {
        Event { body: body.as_bytes().to_vec(), time_ms, ..Event::default() }
    }

    #[test]
    fn four_4_brackets_in_texts_are_no_levels_and_times_have_ends() {
        let nested = |levels: usize| format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
        let cases = [
            (nested(EVENT_DEPTH_MAX), Ok(())),
            (nested(EVENT_DEPTH_MAX + 1), Err(Unfit::TooDeep)),
            (format!("{{\"a\":\"\\\"{}\"}}", "[{".repeat(200)), Ok(())),
            (format!("[{}]", "{},[],".repeat(500)), Ok(())),
            (format!("{{\"a\\\\\":{}}}", nested(EVENT_DEPTH_MAX)), Err(Unfit::TooDeep)),
        ];
        for (body, fit) in cases {
            assert_eq!(event(&body, 0).check(), fit, "{body}");
        }
        let (first, last) = (*EVENT_TIMES_MS.start(), *EVENT_TIMES_MS.end());
        for (time_ms, is_fit) in [(first, true), (first - 1, false), (last, true), (last + 1, false), (i64::MAX, false)]
        {
            assert_eq!(event("{}", time_ms).check().is_ok(), is_fit, "{time_ms}");
        }
    }
}
