//! Finds rules that load but cannot match, or that cost much.
//!
//! Source: reference/detection-response.md sections 4, 6, 10 and 25 ("published slips").

use crate::action::Effectuate;
use crate::ast::{Comparison, Labels, Node, Op, Operand, Scalar, Target, Test, Window};
use crate::load::{Rule, Warning};
use crate::plan;
use std::collections::HashSet;

/// What is odd about a rule, the warnings of loading first.
#[must_use]
pub fn lint(rule: &Rule) -> Vec<Warning> {
    let mut findings = Findings(rule.warnings.clone());
    findings.node(&rule.detect.root, &HashSet::new());
    findings.cost(rule);
    for action in &rule.respond {
        if let Some(suppress) = action.suppress.as_ref().filter(|suppress| suppress.min_count > suppress.max_count) {
            let counts_by_one = suppress.count_path.is_none();
            if counts_by_one {
                findings.add(
                    "lint/never-runs",
                    "min_count is above max_count, so the action never runs",
                    &action.place,
                );
            }
        }
        let is_report = matches!(action.does, Effectuate::Report { .. });
        let is_confused = !is_report && rule.target() != Target::Detection && !action.is_based_on_report();
        if is_confused && format!("{:?}", action.does).contains("{{ .detect.") {
            let message = ".detect exists in reports and in rules on detections only, so the template fails";
            findings.add("lint/wrong-context", message, &action.place);
        }
    }
    findings.0
}

struct Findings(Vec<Warning>);

impl Findings {
    fn add(&mut self, code: &'static str, message: &str, place: &str) {
        self.0.push(Warning { code, message: message.to_owned(), place: place.to_owned() });
    }

    /// `seen_types` are the event types that the nodes around let through; empty is any.
    fn node<'n>(&mut self, node: &'n Node, seen_types: &HashSet<&'n str>) {
        let own: HashSet<&str> = node.events.iter().map(|event| &**event).collect();
        if !own.is_empty() && !seen_types.is_empty() && own.is_disjoint(seen_types) {
            self.add("lint/never-matches", "no event type passes both this filter and the one around it", &node.place);
        }
        let types = if own.is_empty() { seen_types.clone() } else { own };
        if node.times.iter().any(is_reversed) {
            let message = "a time range ends before it starts; ranges do not wrap, write two descriptors";
            self.add("lint/never-matches", message, &node.place);
        }
        match &node.op {
            Op::All(rules) => {
                self.contradiction(node, rules);
                rules.iter().for_each(|rule| self.node(rule, &types));
            }
            Op::Any(rules) => rules.iter().for_each(|rule| self.node(rule, &types)),
            Op::Scope { rule, .. } => self.node(rule, &types),
            Op::External(inner) => self.node(inner, &types),
            Op::Unanswerable => self.add("lint/never-matches", "this operator cannot be answered here", &node.place),
            Op::Lookup(lookup) if lookup.path.is_wild() => self.wildcard(node),
            Op::Lookup(_) => {}
            Op::Test(leaf) => {
                if leaf.predicate.path.is_wild() {
                    self.wildcard(node);
                }
                if !node.is_negated
                    && let Some(message) = impossible(&leaf.predicate.test, leaf.predicate.transform.labels)
                {
                    self.add("lint/never-matches", message, &node.place);
                }
            }
        }
        if let Some(follow) = &node.follow {
            self.node(&follow.rule, &HashSet::new());
        }
    }

    fn wildcard(&mut self, node: &Node) {
        self.add("lint/slow", "a wildcard walks the whole subtree of every event; name the keys", &node.place);
    }

    /// Two platforms at once: no sensor has both.
    fn contradiction(&mut self, node: &Node, rules: &[Node]) {
        let platform = |rule: &Node| match &rule.op {
            Op::Test(leaf) if !rule.is_negated => match leaf.predicate.test {
                Test::Platform(code) => code,
                _ => None,
            },
            _ => None,
        };
        let platforms: HashSet<i64> = rules.iter().filter_map(platform).collect();
        if platforms.len() > 1 {
            self.add("lint/never-matches", "a sensor cannot be of two platforms at once; use or", &node.place);
        }
    }

    fn cost(&mut self, rule: &Rule) {
        if !plan::has_cover(&rule.detect.root) {
            let message = if rule.detect.root.events.is_empty() {
                "nothing in this rule can be searched for, so it is evaluated on every event; name an event"
            } else {
                "nothing in this rule can be searched for, so it is evaluated on every event of its types"
            };
            self.add("lint/slow", message, &rule.detect.root.place);
        }
    }
}

fn is_reversed(window: &Window) -> bool {
    let is_reversed = |(from, to): (Option<i64>, Option<i64>)| from.zip(to).is_some_and(|(from, to)| from > to);
    is_reversed(window.day_of_week) || is_reversed(window.time_of_day) || is_reversed(window.epoch_seconds)
}

fn impossible(test: &Test, labels: Option<Labels>) -> Option<&'static str> {
    if let Some(Labels::Range(Some(from), Some(to))) = labels
        && from >= to
        && (from < 0) == (to < 0)
    {
        return Some("the slice is empty");
    }
    match test {
        Test::Platform(None) => Some("no platform has this name; names are lower-case"),
        Test::Compare(Comparison::Greater { .. } | Comparison::Lower { .. }, Operand::Literal(literal))
            if !matches!(literal, Scalar::Number(_)) =>
        {
            Some("value is not a number, so nothing is greater or lower")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{NoResources, RuleLoader, RuleMeta};

    fn codes(text: &str) -> Vec<(&'static str, String)> {
        let rule = RuleLoader::new(&NoResources, "").rule(RuleMeta::general("r"), text).unwrap();
        lint(&rule).into_iter().map(|warning| (warning.code, warning.place)).collect()
    }

    #[test]
    fn rules_that_cannot_match_or_cost_much_are_found() {
        let never = "lint/never-matches";
        let cases = [
            (
                "detect: {op: and, event: X, rules: [{op: is windows}, {op: is linux}, {op: is, path: event/A, value: b}]}",
                vec![(never, "detect")],
            ),
            (
                "detect: {op: and, event: X, rules: [{op: is, event: Y, path: event/A, value: b}]}",
                vec![(never, "detect/rules/0")],
            ),
            ("detect: {op: is platform, name: Windows, event: X}", vec![(never, "detect"), ("lint/slow", "detect")]),
            ("detect: {op: is greater than, event: X, path: event/A, value: many}", vec![(never, "detect")]),
            (
                "detect: {op: is, path: event/A, value: b, times: [{time_of_day_start: 2200, time_of_day_end: 600}]}",
                vec![(never, "detect")],
            ),
            ("detect: {op: is, path: event/*/A, value: b}", vec![("lint/slow", "detect")]),
            ("detect: {op: is, path: event/A, value: b, sverity: 3}", vec![("rule/unknown-key", "detect/sverity")]),
            (
                "detect: {op: is, path: event/A, value: b}\nrespond: [{action: task, command: 'x {{ .detect.event.A }}'}]",
                vec![("lint/wrong-context", "respond/0")],
            ),
            ("detect: {op: is, path: event/A, value: b}\nrespond: [{action: report, name: x}]", vec![]),
        ];
        for (text, expected) in cases {
            let expected: Vec<_> = expected.into_iter().map(|(code, place)| (code, place.to_owned())).collect();
            assert_eq!(codes(text), expected, "{text}");
        }
    }
}
