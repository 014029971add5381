//! Unit tests that a rule carries.
//!
//! Source: reference/detection-response.md section 20.1.

use super::cursor::Cursor;
use super::{LoadError, Resources, Rule};
use crate::document::Document;
use crate::replay;
use serde_json::Value;

/// Most events in all tests of a rule.
const TEST_EVENTS_MAX: usize = 10_000;

/// How one unit test of a rule went.
#[derive(Clone, Debug)]
pub struct TestOutcome {
    /// Whether its events are to match: one of them, or none.
    pub is_match: bool,
    /// Which one of its kind, counted from 1.
    pub number: usize,
    /// Its events, which are alternatives.
    pub events: Vec<TestEvent>,
    /// What is wrong; `None` if it passed.
    pub failure: Option<LoadError>,
}

/// One event of a unit test.
#[derive(Clone, Debug)]
pub struct TestEvent {
    /// As it is written.
    pub value: Value,
    /// Whether the rule is true of it; `None` if its type is none that the rule looks at.
    pub is_matched: Option<bool>,
}

/// The first test that fails is the error.
pub(super) fn check(rule: &Rule, at: &Cursor<'_>, resources: &dyn Resources) -> Result<(), LoadError> {
    run(rule, at, resources)?.into_iter().find_map(|test| test.failure).map_or(Ok(()), Err)
}

/// Runs every test; an error if they are not written as tests are.
pub(super) fn run(rule: &Rule, at: &Cursor<'_>, resources: &dyn Resources) -> Result<Vec<TestOutcome>, LoadError> {
    if rule.detect.is_stateful {
        let message = "error parsing rule: rule context does not support stateful operators";
        return Err(at.error(
            "rule/stateful-tests",
            message,
            "remove tests, or with child, with descendant, with events",
        ));
    }
    let (mut events_left, mut outcomes) = (TEST_EVENTS_MAX, Vec::new());
    for is_match in [true, false] {
        let Some(tests) = at.get(if is_match { "match" } else { "non_match" }) else { continue };
        for (index, test) in tests.items()?.iter().enumerate() {
            let events = test.items()?;
            events_left = events_left
                .checked_sub(events.len())
                .ok_or_else(|| test.error("rule/too-large", "tests hold too many events", "keep the telling ones"))?;
            outcomes.push(one(rule, test, &events, (is_match, index + 1), resources));
        }
    }
    Ok(outcomes)
}

fn one(
    rule: &Rule,
    test: &Cursor<'_>,
    events: &[Cursor<'_>],
    (is_match, number): (bool, usize),
    resources: &dyn Resources,
) -> TestOutcome {
    let (mut tried, mut failure) = (Vec::new(), None);
    for at in events {
        let value = at.tree.to_value();
        let document = Document::from_value(&value);
        let now_ms = document.event_time_ms().unwrap_or(0);
        let wrong_type = wrong_type(rule, &document);
        if let Some((kind, expected)) = wrong_type.as_ref().filter(|_| is_match && failure.is_none()) {
            let message = format!(
                "test {number} failed validation: test event type '{kind}' does not match rule's expected event(s): [{expected}]"
            );
            failure = Some(at.error("rule/test-type", message, "give the event one of these types"));
        }
        let is_matched = wrong_type.is_none().then(|| replay::evaluate_one(rule, &document, now_ms, resources));
        tried.push(TestEvent { value, is_matched });
    }
    let is_matched = tried.iter().any(|event| event.is_matched == Some(true));
    if failure.is_none() && is_matched != is_match {
        let what = if is_match { "no event matches" } else { "an event matches" };
        let message = format!("test {number} failed: {what}");
        failure = Some(test.error("rule/test-failed", message, "correct the rule or the test"));
    }
    TestOutcome { is_match, number, events: tried, failure }
}

/// The type of an event and the types that the rule looks at, if it is none of these.
fn wrong_type(rule: &Rule, document: &Document) -> Option<(String, String)> {
    let expected = &rule.detect.root.events;
    let kind = replay::event_type(rule.target(), document).unwrap_or_default();
    let is_wrong = !expected.is_empty() && !expected.iter().any(|event| **event == *kind);
    is_wrong.then(|| (kind.to_owned(), expected.join(" ")))
}
