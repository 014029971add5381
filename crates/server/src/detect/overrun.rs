//! Rules that cost more than they may.
//!
//! A rule that exceeds its budget on an event is cut off on that event, and operators are told. One that does so again and
//! again is evaluated no more, at once; then its record is disabled, as if an operator had done it, so that everyone sees
//! it. It is in force again when it is set again.

use super::pass::Pass;
use super::trouble::Trouble;
use super::{Detect, Detector};
use crate::hive;
use crate::intake::Record;
use muster_model::{Oid, Timestamp};
use muster_rules::{Overran, Overrun};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;

/// Events on which a rule may be cut off within [`WINDOW_MS`] before it is disabled. Each costs about 0.2 s.
const OVERRUNS_MAX: u32 = 5;

/// An hour.
const WINDOW_MS: i64 = 3_600_000;

/// Rules that are counted at the same time; as many as there can be, as far as memory is concerned.
const COUNTED_MAX: usize = 4_096;

/// How often rules were cut off, by hive and name.
#[derive(Default)]
pub(super) struct Overruns(Mutex<HashMap<(String, String), Count>>);

struct Count {
    /// Of the record that the rule was made from.
    etag: String,
    since_ms: i64,
    count: u32,
}

/// A rule that is to be disabled.
#[derive(Clone)]
pub(super) struct Overrunning {
    oid: Oid,
    hive: String,
    name: String,
    etag: String,
    text: String,
}

impl Overruns {
    /// Counts; gives how often the rule was cut off within the window, this time included.
    fn count(&self, hive: &str, name: &str, etag: &str, now: Timestamp) -> u32 {
        let mut counts = self.0.lock();
        let now_ms = now.as_millis();
        let is_over = |count: &Count| now_ms.saturating_sub(count.since_ms) > WINDOW_MS;
        if counts.len() >= COUNTED_MAX {
            counts.retain(|_, count| !is_over(count));
        }
        let key = (hive.to_owned(), name.to_owned());
        let fresh = || Count { etag: etag.to_owned(), since_ms: now_ms, count: 0 };
        let count = counts.entry(key).or_insert_with(fresh);
        if is_over(count) || count.etag != etag {
            *count = fresh();
        }
        count.count += 1;
        count.count
    }
}

impl Detector {
    /// Notes that a rule was cut off on a record.
    pub(super) fn note(&self, record: &Record, overrun: Overrun, now: Timestamp, pass: &mut Pass) {
        let (hive, name, etag) = match &overrun.of {
            Overran::Rule(rule) => {
                (format!("dr-{}", rule.meta.namespace), rule.meta.name.clone(), rule.meta.etag.clone())
            }
            Overran::FalsePositive { name, etag } => {
                (hive::FALSE_POSITIVES.name.to_owned(), name.clone(), etag.clone())
            }
        };
        let count = self.overruns.count(&hive, &name, &etag, now);
        pass.cut_off += 1;
        let steps = overrun.steps;
        let mut text = format!(
            "cut off on event {} ({} bytes): the rule needs more than {steps} steps on it, and counts as not matching; \
             make its patterns and paths narrower",
            record.id,
            record.body.len()
        );
        if count >= OVERRUNS_MAX {
            text = format!(
                "disabled, as it was {text} - this was the {count}th time within an hour; mend it, then enable it"
            );
            if let Overran::Rule(rule) = &overrun.of {
                self.lanes[self.lane(record.sid)].lock().suspend(rule);
            }
            let oid = self.oid;
            pass.overrunning.push(Overrunning {
                oid,
                hive: hive.clone(),
                name: name.clone(),
                etag,
                text: text.clone(),
            });
        }
        pass.troubles.push(Trouble::of_record(self.oid, &hive, &name, &text));
    }
}

impl Overrunning {
    /// Disables the record, unless it was changed meanwhile; does not wait.
    pub(super) fn disable(self, detect: &Arc<Detect>) {
        let shared = Arc::clone(detect);
        detect.detectors.spawn(self.oid, async move {
            let Self { oid, hive, name, etag, text } = self;
            let Some(hive) = hive::find(&hive) else { return };
            if let Err(error) = hive::disable(&shared.hives, hive, oid, &name, &etag, &text).await {
                tracing::warn!(%oid, hive = hive.name, name, %error, "a rule that costs too much could not be disabled");
                return;
            }
            shared.telemetry.rules_disabled.inc();
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_counted_within_an_hour_and_until_it_is_set_again() {
        let overruns = Overruns::default();
        let at = |ms: i64| Timestamp::from_micros(ms * 1_000);
        let count = |etag, ms| overruns.count("dr-general", "r", etag, at(ms));
        assert_eq!([count("a", 0), count("a", 1), count("a", WINDOW_MS)], [1, 2, 3]);
        assert_eq!(overruns.count("dr-managed", "r", "a", at(1)), 1, "another rule");
        assert_eq!(count("a", WINDOW_MS + 1), 1, "another hour");
        assert_eq!([count("a", WINDOW_MS + 2), count("b", WINDOW_MS + 3)], [2, 1], "another rule of the same name");
    }
}
