//! Conditions that stand together in an `and` or `or` and contradict, or complete, each other.

use super::{ALWAYS, Around, Findings, NEVER};
use crate::ast::{Comparison, Node, Op, Operand, Predicate, Scalar, Test};
use crate::fold::folded;
use crate::number::Number;
use std::cmp::Ordering;
use std::collections::HashSet;

/// Conditions that are compared with each other; every pair is looked at.
const COMPARED_MAX: usize = 200;

/// Whether a node is an `and` or a condition on the same event, and nothing more.
pub(super) fn is_plain(node: &Node) -> bool {
    !node.is_negated && node.follow.is_none() && node.times.is_empty()
}

struct Condition<'n> {
    node: &'n Node,
    predicate: &'n Predicate,
}

/// The conditions that must all hold of one event.
fn flatten<'n>(rules: &'n [Node], conditions: &mut Vec<Condition<'n>>) {
    for rule in rules {
        match &rule.op {
            Op::All(inner) if is_plain(rule) => flatten(inner, conditions),
            Op::Test(leaf) if rule.follow.is_none() && conditions.len() < COMPARED_MAX => {
                conditions.push(Condition { node: rule, predicate: &leaf.predicate });
            }
            _ => {}
        }
    }
}

/// Looks for conditions of an `and` that cannot hold together.
pub(super) fn all(findings: &mut Findings<'_>, node: &Node, around: &Around<'_>) {
    let Op::All(rules) = &node.op else { return };
    let mut conditions = Vec::new();
    flatten(rules, &mut conditions);
    let platforms: HashSet<Option<i64>> = conditions
        .iter()
        .filter(|condition| !condition.node.is_negated)
        .filter_map(|condition| match condition.predicate.test {
            Test::Platform(code) => Some(code),
            _ => None,
        })
        .collect();
    if platforms.len() > 1 {
        findings.add(NEVER, "a sensor cannot be of two platforms at once; use or", &node.place);
    }
    if let [Some(code)] = platforms.iter().copied().collect::<Vec<_>>()[..]
        && let Ok(code) = u32::try_from(code)
    {
        let types: Vec<&str> = around.types.iter().copied().collect();
        findings.platform_of_types(&types, &muster_model::Platform(code).name(), &node.place);
    }
    for (at, second) in conditions.iter().enumerate() {
        let clash = conditions[..at].iter().find_map(|first| Some((first, clash(first, second)?)));
        if let Some((first, why)) = clash {
            findings.add(NEVER, format!("{why}; see {}", first.node.place), &second.node.place);
        }
    }
}

/// Looks for conditions of an `or` of which one always holds.
pub(super) fn any(findings: &mut Findings<'_>, node: &Node, rules: &[Node]) {
    if node.is_negated || rules.len() > COMPARED_MAX {
        return;
    }
    let leaf = |rule: &Node| match &rule.op {
        Op::Test(leaf) if rule.is_negated && rule.events.is_empty() => Some(leaf.predicate.clone()),
        _ => None,
    };
    let negated: Vec<_> = rules.iter().filter_map(leaf).collect();
    let is_complete = negated.iter().enumerate().any(|(at, second)| {
        negated[..at].iter().any(|first| has_one_value(first) && same_subject(first, second) && differ(first, second))
    });
    if is_complete {
        let message = "one of these is always true: a value differs from one or from the other; use and";
        findings.add(ALWAYS, message, &node.place);
    }
}

fn clash(first: &Condition<'_>, second: &Condition<'_>) -> Option<&'static str> {
    let (one, two) = (first.predicate, second.predicate);
    if !same_subject(one, two) {
        return None;
    }
    match (first.node.is_negated, second.node.is_negated) {
        (true, true) => None,
        (false, false) => {
            let is_single = has_one_value(one);
            if is_single && differ(one, two) {
                return Some("one value cannot be both");
            }
            (is_single && (excludes(one, two) || excludes(two, one))).then_some("no value is both")
        }
        (is_first_negated, _) => {
            let (negated, plain) = if is_first_negated { (one, two) } else { (two, one) };
            let is_absent = matches!(negated.test, Test::Exists { is_truthy: false });
            if is_absent && !matches!(plain.test, Test::Exists { .. }) {
                return Some("what does not exist has no value");
            }
            (format!("{:?}", one.test) == format!("{:?}", two.test)).then_some("this and its opposite")
        }
    }
}

/// Conditions on the same value; those on the sensor have no path and are compared by platform only.
fn same_subject(one: &Predicate, two: &Predicate) -> bool {
    let is_of_sensor = |test: &Test| matches!(test, Test::Platform(_) | Test::Architecture(_) | Test::Tagged(_));
    let is_alike = is_of_sensor(&one.test) == is_of_sensor(&two.test);
    is_alike && one.path == two.path && one.transform == two.transform
}

/// Whether the path leads to one value, as far as the path alone tells.
fn has_one_value(predicate: &Predicate) -> bool {
    predicate.path.is_single() && predicate.transform.labels.is_none()
}

/// Two different values that are both to be equal.
fn differ(one: &Predicate, two: &Predicate) -> bool {
    let literal = |predicate: &Predicate| match &predicate.test {
        Test::Compare(Comparison::Is { .. }, Operand::Literal(literal)) => Some(literal.clone()),
        _ => None,
    };
    match (literal(one), literal(two)) {
        (Some(Scalar::Text(one)), Some(Scalar::Text(two))) => folded(&one) != folded(&two),
        (Some(Scalar::Number(one)), Some(Scalar::Number(two))) => !one.is_equal(two),
        (Some(Scalar::Bool(one)), Some(Scalar::Bool(two))) => one != two,
        _ => false,
    }
}

/// Whether the first condition leaves no value to the second.
fn excludes(one: &Predicate, two: &Predicate) -> bool {
    let (Test::Compare(first, Operand::Literal(a)), Test::Compare(second, Operand::Literal(b))) =
        (&one.test, &two.test)
    else {
        return false;
    };
    match (first, a, second, b) {
        (Comparison::Greater { is_length: x }, a, Comparison::Lower { is_length: y }, b) => {
            x == y && compare(a, b).is_some_and(Ordering::is_ge)
        }
        (Comparison::Is { .. }, Scalar::Number(_), Comparison::Greater { is_length: false }, _) => {
            compare(a, b).is_some_and(Ordering::is_le)
        }
        (Comparison::Is { .. }, Scalar::Number(_), Comparison::Lower { is_length: false }, _) => {
            compare(a, b).is_some_and(Ordering::is_ge)
        }
        (Comparison::Is { .. }, Scalar::Text(whole), partial, Scalar::Text(part)) => {
            let (whole, part) = (folded(whole), folded(part));
            match partial {
                Comparison::Contains { count, .. } => *count == 1 && !whole.contains(&part),
                Comparison::StartsWith { .. } => !whole.starts_with(&part),
                Comparison::EndsWith { .. } => !whole.ends_with(&part),
                _ => false,
            }
        }
        (Comparison::StartsWith { .. }, Scalar::Text(a), Comparison::StartsWith { .. }, Scalar::Text(b)) => {
            let (a, b) = (folded(a), folded(b));
            !a.starts_with(&b) && !b.starts_with(&a)
        }
        (Comparison::EndsWith { .. }, Scalar::Text(a), Comparison::EndsWith { .. }, Scalar::Text(b)) => {
            let (a, b) = (folded(a), folded(b));
            !a.ends_with(&b) && !b.ends_with(&a)
        }
        _ => false,
    }
}

fn compare(one: &Scalar, two: &Scalar) -> Option<Ordering> {
    let number = |scalar: &Scalar| -> Option<Number> {
        match scalar {
            Scalar::Number(number) => Some(*number),
            _ => None,
        }
    };
    number(one)?.compare(number(two)?)
}
