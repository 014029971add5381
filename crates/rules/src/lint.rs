//! Finds rules that load but cannot match, always match, or cost much.
//!
//! What is found is probably a mistake, not surely: a list may hold both values that a
//! single field cannot, and an event type that nothing here knows may come from an adapter.
//!
//! Source: reference/detection-response.md sections 4, 6, 8, 10 and 25 ("published slips").

mod event_type;
mod pattern;
mod together;

use crate::action::Effectuate;
use crate::ast::{Comparison, Follow, Labels, Leaf, Node, Op, Operand, Relation, Scalar, Target, Test, Window};
use crate::load::{Rule, Warning};
use crate::plan;
use std::collections::HashSet;

const NEVER: &str = "lint/never-matches";
const ALWAYS: &str = "lint/always-matches";
const SLOW: &str = "lint/slow";
const SUSPICIOUS: &str = "lint/suspicious";

/// Longest `within` that is not worth a word, in milliseconds: each sensor remembers for so long.
const WITHIN_MS_USUAL: i64 = 24 * 3_600_000;

/// Largest `count` that is not worth a word: so many times are remembered per sensor and anchor.
const COUNT_USUAL: u32 = 1_000;

/// An event type, and the only platform that has it; `None` if several have it.
#[derive(Clone, Copy, Debug)]
pub struct KnownEvent<'a> {
    /// Such as `NEW_PROCESS`.
    pub name: &'a str,
    /// As `is platform` names it.
    pub platform: Option<&'a str>,
}

/// What is odd about a rule, the warnings of loading first. Without known events, types are not looked at.
#[must_use]
pub fn lint(rule: &Rule, known: &[KnownEvent<'_>]) -> Vec<Warning> {
    let mut findings = Findings { list: rule.warnings.clone(), known };
    let around = Around { is_edr: rule.target() == Target::Edr, ..Around::default() };
    findings.node(&rule.detect.root, &around);
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
        if matches!(&action.does, Effectuate::Service { name, .. } if name.is("reliable-tasking")) {
            let message = "this service was replaced by an extension; `muster rule convert` rewrites the request";
            findings.add("lint/legacy-service", message, &action.place);
        }
    }
    findings.list
}

/// What stands around a node.
#[derive(Clone, Default)]
struct Around<'n> {
    is_edr: bool,
    /// In `scope`, where paths begin at the element, or in what follows, where events differ.
    is_inside: bool,
    /// Event types that the nodes around let through; empty is any.
    types: HashSet<&'n str>,
    /// The node is a part of an `and` whose parts were compared already.
    is_part: bool,
    /// Different events may satisfy the parts of an `and`: the node is in what follows, and keeps state.
    is_across_events: bool,
}

struct Findings<'k> {
    list: Vec<Warning>,
    known: &'k [KnownEvent<'k>],
}

impl Findings<'_> {
    fn add(&mut self, code: &'static str, message: impl Into<String>, place: &str) {
        self.list.push(Warning { code, message: message.into(), place: place.to_owned() });
    }

    fn node<'n>(&mut self, node: &'n Node, around: &Around<'n>) {
        let own: HashSet<&str> = node.events.iter().map(|event| &**event).collect();
        if !own.is_empty() && !around.types.is_empty() && own.is_disjoint(&around.types) {
            self.add(NEVER, "no event type passes both this filter and the one around it", &node.place);
        }
        if around.is_edr {
            self.event_types(node);
        }
        let types = if own.is_empty() { around.types.clone() } else { own };
        if node.times.iter().any(is_reversed) {
            let message = "a time range ends before it starts; ranges do not wrap, write two descriptors";
            self.add(NEVER, message, &node.place);
        }
        let is_across_events = around.is_across_events && !node.is_stateless && !node.is_negated;
        let inner = Around { types, is_part: false, is_across_events, ..around.clone() };
        self.operator(node, around, &inner);
        if let Some(follow) = &node.follow {
            self.follow(node, follow, around.is_edr);
        }
    }

    fn operator<'n>(&mut self, node: &'n Node, around: &Around<'n>, inner: &Around<'n>) {
        match &node.op {
            Op::All(rules) => {
                let is_part = around.is_part && together::is_plain(node);
                if !is_part && !inner.is_across_events {
                    together::all(self, node, inner);
                }
                rules.iter().for_each(|rule| self.node(rule, &Around { is_part: true, ..inner.clone() }));
            }
            Op::Any(rules) => {
                together::any(self, node, rules);
                rules.iter().for_each(|rule| self.node(rule, inner));
            }
            Op::Scope { rule, .. } => self.node(rule, &Around { is_inside: true, ..inner.clone() }),
            Op::External(external) => self.node(external, inner),
            Op::Unanswerable => self.add(NEVER, "this operator cannot be answered here", &node.place),
            Op::Lookup(lookup) if lookup.path.is_wild() => self.wildcard(node),
            Op::Lookup(_) => {}
            Op::Test(leaf) => self.leaf(node, leaf, around),
        }
    }

    fn leaf(&mut self, node: &Node, leaf: &Leaf, around: &Around<'_>) {
        let predicate = &leaf.predicate;
        if predicate.path.is_wild() {
            self.wildcard(node);
        }
        let is_of_sensor = matches!(predicate.test, Test::Platform(_) | Test::Architecture(_) | Test::Tagged(_));
        if around.is_edr && !around.is_inside && !is_of_sensor {
            self.root_of_path(node, predicate.path.first_key());
        }
        if let Some(message) = impossible(&predicate.test, predicate.transform.labels) {
            let code = if node.is_negated { ALWAYS } else { NEVER };
            self.add(code, message, &node.place);
        }
        match &predicate.test {
            Test::Matches(pattern) => pattern::check(self, node, pattern),
            Test::Compare(comparison, Operand::Literal(Scalar::Text(text))) => self.text(node, *comparison, text),
            _ => {}
        }
    }

    fn root_of_path(&mut self, node: &Node, first: Option<&str>) {
        let Some(first) = first else { return };
        if !matches!(first, "event" | "routing" | "ts" | "mtd" | "detect") {
            let message = format!("an event has event and routing at its root, not {first}; write event/{first}");
            self.add(SUSPICIOUS, message, &node.place);
        }
    }

    fn text(&mut self, node: &Node, comparison: Comparison, text: &str) {
        let is_partial = matches!(
            comparison,
            Comparison::Contains { .. } | Comparison::StartsWith { .. } | Comparison::EndsWith { .. }
        );
        if is_partial && text.is_empty() {
            let code = if node.is_negated { NEVER } else { ALWAYS };
            self.add(code, "every text contains the empty one", &node.place);
        }
        let is_pattern_like = text.len() > 1 && (text.starts_with('*') || text.ends_with('*'));
        if is_pattern_like && matches!(comparison, Comparison::Is { .. }) {
            let message = "* is compared as it stands here; use starts with, ends with, contains or matches";
            self.add(SUSPICIOUS, message, &node.place);
        }
    }

    fn follow(&mut self, node: &Node, follow: &Follow, is_edr: bool) {
        if node.events.is_empty() && !plan::has_cover(node) {
            let message = "nearly every event opens a wait here; name an event, or what the first event must hold";
            self.add(SLOW, message, &node.place);
        }
        if let Some(repeat) = follow.rule.repeat {
            let place = &follow.rule.place;
            match repeat.within_ms {
                None if repeat.count > 1 && follow.relation == Relation::Events => {
                    let message = "count without within adds up for as long as the sensor lives; give within";
                    self.add(SLOW, message, place);
                }
                Some(within) if within > WITHIN_MS_USUAL => {
                    let message = format!("each sensor remembers for {} hours; shorten within", within / 3_600_000);
                    self.add(SLOW, message, place);
                }
                _ => {}
            }
            if repeat.count > COUNT_USUAL {
                let message = format!("the times of {} events are remembered per first event", repeat.count);
                self.add(SLOW, message, place);
            }
        }
        self.node(&follow.rule, &Around { is_edr, is_across_events: true, ..Around::default() });
    }

    fn wildcard(&mut self, node: &Node) {
        self.add(SLOW, "a wildcard walks the whole subtree of every event; name the keys", &node.place);
    }

    /// A rule that names its events, or listens to a quiet stream, may well mean all of them.
    fn cost(&mut self, rule: &Rule) {
        let root = &rule.detect.root;
        if root.events.is_empty() && rule.target() == Target::Edr && !plan::has_cover(root) {
            let message = "nothing in this rule can be searched for, so it is evaluated on every event; name an event";
            self.add(SLOW, message, &root.place);
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
        lint(&rule, KNOWN).into_iter().map(|warning| (warning.code, warning.place)).collect()
    }

    const KNOWN: &[KnownEvent<'static>] = &[
        KnownEvent { name: "NEW_PROCESS", platform: None },
        KnownEvent { name: "REGISTRY_WRITE", platform: Some("windows") },
    ];

    fn check(cases: &[(&str, &[(&str, &str)])]) {
        for (text, expected) in cases {
            let expected: Vec<_> = expected.iter().map(|(code, place)| (*code, (*place).to_owned())).collect();
            assert_eq!(codes(text), expected, "{text}");
        }
    }

    #[test]
    fn rules_that_are_odd_alone_are_found() {
        check(&[
            (
                "detect: {op: and, event: X, rules: [{op: is, event: Y, path: event/A, value: b}]}",
                &[(NEVER, "detect/rules/0")],
            ),
            ("detect: {op: is platform, name: Windows, event: X}", &[(NEVER, "detect")]),
            ("detect: {op: is greater than, event: X, path: event/A, value: many}", &[(NEVER, "detect")]),
            (
                "detect: {op: is, path: event/A, value: b, times: [{time_of_day_start: 2200, time_of_day_end: 600}]}",
                &[(NEVER, "detect")],
            ),
            ("detect: {op: is, path: event/*/A, value: b}", &[(SLOW, "detect")]),
            ("detect: {op: is, path: event/A, value: b, sverity: 3}", &[("rule/unknown-key", "detect/sverity")]),
            (
                "detect: {op: is, path: event/A, value: b}\nrespond: [{action: task, command: 'x {{ .detect.event.A }}'}]",
                &[("lint/wrong-context", "respond/0")],
            ),
            (
                "detect: {op: is, path: event/A, value: b}\nrespond: [{action: service request, name: reliable-tasking}]",
                &[("lint/legacy-service", "respond/0")],
            ),
            ("detect: {op: is, path: event/A, value: b}\nrespond: [{action: report, name: x}]", &[]),
            ("detect: {op: exists, event: X, path: event/A}", &[]),
            ("detect: {op: exists, path: event/A}", &[(SLOW, "detect")]),
            ("detect: {op: is, path: A, value: b}", &[(SUSPICIOUS, "detect")]),
            ("detect: {target: detection, op: is, path: cat, value: b}", &[]),
            ("detect: {op: scope, path: event/L, rule: {op: is, path: A, value: b}}", &[]),
            ("detect: {op: is, path: event/A, value: '*.exe'}", &[(SUSPICIOUS, "detect")]),
            ("detect: {op: contains, path: event/A, value: ''}", &[(ALWAYS, "detect")]),
            ("detect: {op: is, event: NEW_PROCES, path: event/A, value: b}", &[(SUSPICIOUS, "detect")]),
            ("detect: {op: is, event: new_process, path: event/A, value: b}", &[(SUSPICIOUS, "detect")]),
            ("detect: {op: is, event: OF_AN_ADAPTER, path: event/A, value: b}", &[]),
        ]);
    }

    #[test]
    fn conditions_that_contradict_each_other_are_found() {
        let and = |rules: &str| format!("detect: {{op: and, event: X, rules: [{rules}]}}");
        let is = |value: &str| format!("{{op: is, path: event/A, value: {value}}}");
        let second = &[(NEVER, "detect/rules/1")][..];
        let cases: Vec<(String, &[(&str, &str)])> = vec![
            (and(&format!("{{op: is windows}}, {{op: is linux}}, {}", is("b"))), &[(NEVER, "detect")]),
            (and(&format!("{}, {}", is("b"), is("c"))), second),
            (and(&format!("{}, {{op: and, rules: [{}]}}", is("b"), is("c"))), &[(NEVER, "detect/rules/1/rules/0")]),
            (and(&format!("{}, {}", is("b"), is("B"))), &[]),
            (and(&format!("{}, {{op: is, path: event/B, value: c}}", is("b"))), &[]),
            (and(&format!("{}, {{op: starts with, path: event/A, value: /usr/}}", is("/bin/x"))), second),
            (and(&format!("{}, {{op: starts with, path: event/A, value: /BIN/}}", is("/bin/x"))), &[]),
            (and(&format!("{}, {{op: is, path: event/A, value: b, not: true}}", is("b"))), second),
            (and(&format!("{}, {{op: exists, path: event/A, not: true}}", is("b"))), second),
            (
                and("{op: is greater than, path: event/A, value: 9}, {op: is lower than, path: event/A, value: 5}"),
                second,
            ),
            (and("{op: is greater than, path: event/A, value: 5}, {op: is lower than, path: event/A, value: 9}"), &[]),
            (
                "detect: {op: and, event: REGISTRY_WRITE, rules: [{op: is linux}, {op: is, path: event/A, value: b}]}".into(),
                &[(NEVER, "detect")],
            ),
            (
                "detect: {op: or, event: X, rules: [{op: is, path: event/A, value: b, not: true}, {op: is, path: event/A, value: c, not: true}]}".into(),
                &[(ALWAYS, "detect")],
            ),
        ];
        let cases: Vec<(&str, &[(&str, &str)])> =
            cases.iter().map(|(text, expected)| (text.as_str(), *expected)).collect();
        check(&cases);
    }

    #[test]
    fn patterns_and_waits_that_cost_or_say_nothing_are_found() {
        let matches = |re: &str| format!("detect: {{op: matches, event: X, path: event/A, re: '{re}'}}");
        let always = &[(ALWAYS, "detect")][..];
        let slow = &[(SLOW, "detect")][..];
        for (re, expected) in [
            (".*", always),
            ("^.*$", always),
            ("(a|)", always),
            ("a*", always),
            (r"[^\x00-\x{10FFFF}]", &[(NEVER, "detect")][..]),
            (".*evil", slow),
            ("^(.*evil)", slow),
            (r"^\d+\.\d$", slow),
            ("^[a-z]*evil", &[]),
            (r"\\evil\.exe$", &[]),
        ] {
            check(&[(&matches(re), expected)]);
        }
        let first = "op: is, event: X, path: event/A, value: b";
        let next = |repeat: &str| {
            format!("detect: {{{first}, with events: {{op: is, event: X, path: event/A, value: c{repeat}}}}}")
        };
        let follow = &[(SLOW, "detect/with events")][..];
        for (repeat, expected) in [
            ("", &[][..]),
            (", count: 5, within: 60", &[]),
            (", count: 5", follow),
            (", count: 5000, within: 60", follow),
            (", count: 5, within: 604800", follow),
        ] {
            check(&[(&next(repeat), expected)]);
        }
        // Two children may each satisfy one part; one child cannot satisfy both.
        let parts = "rules: [{op: is, path: event/A, value: c}, {op: is, path: event/A, value: d}]";
        for (more, expected) in [("", &[][..]), (", is stateless: true", &[(NEVER, "detect/with child/rules/1")][..])] {
            check(&[(&format!("detect: {{{first}, with child: {{op: and, event: X, {parts}{more}}}}}"), expected)]);
        }
        let opens = "detect: {op: is windows, with child: {op: is, event: X, path: event/A, value: c}}";
        check(&[(opens, &[(SLOW, "detect"), (SLOW, "detect")])]);
    }
}
