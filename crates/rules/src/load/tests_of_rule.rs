//! Unit tests that a rule carries.
//!
//! Source: reference/detection-response.md section 20.1.

use super::cursor::Cursor;
use super::{LoadError, Resources, Rule};
use crate::document::Document;
use crate::replay;

/// Most events in all tests of a rule.
const TEST_EVENTS_MAX: usize = 10_000;

pub(super) fn check(rule: &Rule, at: &Cursor<'_>, resources: &dyn Resources) -> Result<(), LoadError> {
    if rule.detect.is_stateful {
        let message = "error parsing rule: rule context does not support stateful operators";
        return Err(at.error(
            "rule/stateful-tests",
            message,
            "remove tests, or with child, with descendant, with events",
        ));
    }
    let mut events_left = TEST_EVENTS_MAX;
    for is_match in [true, false] {
        let Some(tests) = at.get(if is_match { "match" } else { "non_match" }) else { continue };
        for (index, test) in tests.items()?.iter().enumerate() {
            let mut is_matched = false;
            for event in test.items()? {
                events_left = events_left.checked_sub(1).ok_or_else(|| {
                    event.error("rule/too-large", "tests hold too many events", "keep the telling ones")
                })?;
                is_matched |= one(rule, &event, is_match, index + 1, resources)?;
            }
            if is_matched != is_match {
                let what = if is_match { "no event matches" } else { "an event matches" };
                let message = format!("test {} failed: {what}", index + 1);
                return Err(test.error("rule/test-failed", message, "correct the rule or the test"));
            }
        }
    }
    Ok(())
}

/// Whether one event matches; of another type it is an error in `match` and skipped in `non_match`.
fn one(
    rule: &Rule,
    at: &Cursor<'_>,
    is_match: bool,
    number: usize,
    resources: &dyn Resources,
) -> Result<bool, LoadError> {
    let document = Document::from_value(&at.tree.to_value());
    let expected = &rule.detect.root.events;
    let kind = replay::event_type(rule.target(), &document).unwrap_or_default();
    if !expected.is_empty() && !expected.iter().any(|event| **event == *kind) {
        if !is_match {
            return Ok(false);
        }
        let message = format!(
            "test {number} failed validation: test event type '{kind}' does not match rule's expected event(s): [{}]",
            expected.join(" ")
        );
        return Err(at.error("rule/test-type", message, "give the event one of these types"));
    }
    let now_ms = document.event_time_ms().unwrap_or(0);
    Ok(replay::evaluate_one(rule, &document, now_ms, resources))
}
