//! The truth of one leaf, worked out from the document.
//!
//! Source: reference/detection-response.md sections 6 to 9.

use super::{Sight, address};
use crate::ast::{Comparison, Labels, Operand, Predicate, Scalar, Test, Transform};
use crate::document::{Document, Kind, NodeIndex};
use crate::fold::folded;
use crate::load::DISTANCE_CHARS_MAX;
use crate::number::Number;
use crate::path::Path;
use crate::template::to_data;
use crate::work::Work;
use memchr::memmem;
use std::borrow::Cow;
use std::cmp::Ordering;
use std::ops::ControlFlow;

/// One value on the left side, after transforms.
#[derive(Clone, Copy)]
pub(crate) struct Sample<'a> {
    pub(crate) document: &'a Document,
    pub(crate) node: NodeIndex,
    /// The transformed text; none if the value is not text.
    pub(crate) text: Option<&'a str>,
    /// The same folded, where somebody has made it already.
    pub(crate) folded: Option<&'a str>,
}

impl<'a> Sample<'a> {
    fn text_for(&self, is_case_sensitive: bool) -> Option<Cow<'a, str>> {
        let text = self.text?;
        Some(match (is_case_sensitive, self.folded) {
            (true, _) => Cow::Borrowed(text),
            (false, Some(folded)) => Cow::Borrowed(folded),
            (false, None) => Cow::Owned(folded(text)),
        })
    }
}

/// Steps to come to a value and to leave it, and bytes that are compared in one step.
const VALUE_STEPS: u64 = 8;
const BYTES_PER_STEP: u64 = 4;
/// Steps per byte of an event that is made into data for a template.
const DATA_STEPS_PER_BYTE: u64 = 16;

fn steps_to_compare(bytes: usize) -> u64 {
    VALUE_STEPS + bytes as u64 / BYTES_PER_STEP
}

/// Whether a predicate is true of what `sight` shows.
pub(crate) fn holds(predicate: &Predicate, sight: &Sight<'_>) -> bool {
    let root = sight.root;
    match &predicate.test {
        Test::Platform(code) => code.is_some() && root.document.plat() == *code,
        Test::Architecture(codes) => root.document.arch().is_some_and(|code| codes.contains(&code)),
        Test::Tagged(tag) => is_tagged(root.document, tag),
        Test::Exists { is_truthy } => exists(&predicate.path, *is_truthy, sight),
        Test::Compare(Comparison::Greater { is_length: true } | Comparison::Lower { is_length: true }, _) => {
            measures(predicate, sight)
        }
        Test::Compare(comparison, operand) if !matches!(operand, Operand::Literal(_)) => {
            let right = right_side(*comparison, operand, sight);
            let is_variable = matches!(operand, Operand::Variable(_));
            any_sample(predicate, sight, &mut |sample| {
                right.iter().any(|right| {
                    if !sight.work.spend(steps_to_compare(sample.text.map_or(0, str::len))) {
                        false
                    } else if is_variable {
                        equals_text(*comparison, right, sample)
                    } else {
                        compares(*comparison, right, sample)
                    }
                })
            })
        }
        _ => any_sample(predicate, sight, &mut |sample| sample_holds(predicate, sample, sight)),
    }
}

/// Whether a predicate that only looks at values is true of one of them.
pub(crate) fn sample_holds(predicate: &Predicate, sample: &Sample<'_>, sight: &Sight<'_>) -> bool {
    let work = sight.work;
    if !work.spend(steps_to_compare(sample.text.map_or(0, str::len))) {
        return false;
    }
    match &predicate.test {
        Test::Compare(comparison, Operand::Literal(literal)) => compares(*comparison, literal, sample),
        Test::Matches(pattern) => sample.text.is_some_and(|text| pattern.is_match(text, work)),
        Test::Distance { values, max, is_case_sensitive } => sample
            .text_for(*is_case_sensitive)
            .is_some_and(|text| values.iter().any(|value| is_near(value, &text, *max, work))),
        Test::OlderThan { seconds } => {
            number_at(sample).is_some_and(|time| is_older(time.to_i64(), *seconds, sight.now_ms))
        }
        Test::Network(network) => sample.text.is_some_and(|text| address::is_in(network, text)),
        Test::Address(class) => sample.text.is_some_and(|text| address::is_of(*class, text)),
        _ => false,
    }
}

/// Whether any value at the predicate's path satisfies `check`.
pub(crate) fn any_sample(predicate: &Predicate, sight: &Sight<'_>, check: &mut dyn FnMut(&Sample<'_>) -> bool) -> bool {
    let document = sight.root.document;
    let mut is_found = false;
    let _ = predicate.path.select_values(sight.root, sight.work, &mut |node| {
        is_found = match document.text(node) {
            None => check(&Sample { document, node, text: None, folded: None }),
            Some(text) => any_transformed(&predicate.transform, text, &mut |text| {
                check(&Sample { document, node, text: Some(text), folded: None })
            }),
        };
        if is_found || sight.work.is_over() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    is_found
}

/// Whether any scalar at a path, as transformed text, satisfies `check`.
pub(crate) fn any_text(
    path: &Path,
    transform: &Transform,
    sight: &Sight<'_>,
    check: &mut dyn FnMut(&str) -> bool,
) -> bool {
    let (root, mut is_found) = (sight.root, false);
    let _ = path.select_values(root, sight.work, &mut |node| {
        let text = match root.document.text(node) {
            Some(text) => Some(Cow::Borrowed(text)),
            None => root.document.scalar_text(node).map(Cow::Owned),
        };
        if let Some(text) = text {
            is_found = any_transformed(transform, &text, check);
        }
        if is_found || sight.work.is_over() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    is_found
}

/// Calls `check` with each text that a transform makes of one.
pub(crate) fn any_transformed(transform: &Transform, text: &str, check: &mut dyn FnMut(&str) -> bool) -> bool {
    let text = if transform.is_file_name { text.rsplit(['/', '\\']).next().unwrap_or(text) } else { text };
    let Some(labels) = transform.labels else { return check(text) };
    let starts = || std::iter::once(0).chain(text.match_indices('.').map(|(at, _)| at + 1));
    let count = starts().count() as i64;
    let bound = |index: i64| if index < 0 { (index + count).max(0) } else { index.min(count) };
    let (from, to) = match labels {
        Labels::Each => return text.split('.').any(check),
        Labels::Index(index) => {
            let index = if index < 0 { index + count } else { index };
            (index, index + 1)
        }
        Labels::Range(from, to) => (from.map_or(0, bound), to.map_or(count, bound)),
    };
    if from < 0 || from >= to || to > count {
        return false;
    }
    let offset = |index: i64| usize::try_from(index).ok().and_then(|index| starts().nth(index));
    let (start, end) = (offset(from), offset(to).map_or(text.len(), |next| next - 1));
    start.and_then(|start| text.get(start..end)).is_some_and(check)
}

fn is_tagged(document: &Document, tag: &str) -> bool {
    let tags = document.routing().and_then(|routing| document.child(routing, "tags"));
    tags.is_some_and(|tags| document.children(tags).any(|item| document.text(item) == Some(tag)))
}

fn exists(path: &Path, is_truthy: bool, sight: &Sight<'_>) -> bool {
    let document = sight.root.document;
    let mut is_found = false;
    let _ = path.select(sight.root, sight.work, &mut |node| {
        let is_blank = matches!(document.kind(node), Kind::Null) || document.text(node) == Some("");
        is_found = !(is_truthy && is_blank);
        if is_found { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    is_found
}

/// `length of`: measures the nodes themselves, lists unopened.
fn measures(predicate: &Predicate, sight: &Sight<'_>) -> bool {
    let Test::Compare(comparison, operand) = &predicate.test else { return false };
    let made;
    let right = match operand {
        Operand::Literal(literal) => std::slice::from_ref(literal),
        _ => {
            made = right_side(*comparison, operand, sight);
            &made
        }
    };
    let document = sight.root.document;
    let mut is_found = false;
    let _ = predicate.path.select(sight.root, sight.work, &mut |node| {
        let length = match document.kind(node) {
            Kind::List | Kind::Object => Some(document.children(node).take_while(|_| sight.work.spend(1)).count()),
            _ => document.text(node).map(str::len),
        };
        if let Some(length) = length {
            let length = Number::Int(length as i128);
            is_found = right.iter().any(|right| is_ordered(*comparison, length, right));
        }
        if is_found { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    is_found
}

/// The values of a right side that is not written in the rule.
fn right_side(comparison: Comparison, operand: &Operand, sight: &Sight<'_>) -> Vec<Scalar> {
    let text = |text: &str| Scalar::Text(if comparison.is_case_sensitive() { text.to_owned() } else { folded(text) });
    match operand {
        Operand::Literal(literal) => vec![literal.clone()],
        Operand::Variable(name) => sight.variables.values(name, sight.now_ms).map(text).collect(),
        Operand::Template(_) if !sight.work.spend(sight.root.document.bytes() as u64 * DATA_STEPS_PER_BYTE) => {
            Vec::new()
        }
        Operand::Template(template) => match template.render(&to_data(&sight.root.document.to_value())) {
            Ok(made) => vec![text(&made)],
            Err(_) => {
                sight.is_void.set(true);
                Vec::new()
            }
        },
        Operand::Lookback(path) => {
            let document = sight.root.document;
            let mut values = Vec::new();
            let _ = path.select_values(sight.root, sight.work, &mut |node| {
                values.extend(match document.kind(node) {
                    Kind::Null => Some(Scalar::Null),
                    Kind::Bool(flag) => Some(Scalar::Bool(flag)),
                    Kind::Text(span) => Some(text(document.slice(span))),
                    _ => document.number(node).map(Scalar::Number),
                });
                ControlFlow::Continue(())
            });
            values
        }
    }
}

/// Stored variables are text: `is` compares the text of the left value.
fn equals_text(comparison: Comparison, right: &Scalar, sample: &Sample<'_>) -> bool {
    let (Comparison::Is { .. }, Scalar::Text(right), None) = (comparison, right, sample.text) else {
        return compares(comparison, right, sample);
    };
    sample.document.scalar_text(sample.node).is_some_and(|left| left == *right)
}

fn compares(comparison: Comparison, right: &Scalar, sample: &Sample<'_>) -> bool {
    match comparison {
        Comparison::Is { is_case_sensitive } => match right {
            Scalar::Null => matches!(sample.document.kind(sample.node), Kind::Null),
            Scalar::Bool(flag) => matches!(sample.document.kind(sample.node), Kind::Bool(left) if left == *flag),
            Scalar::Number(number) => sample.document.number(sample.node).is_some_and(|left| left.is_equal(*number)),
            Scalar::Text(text) => sample.text_for(is_case_sensitive).is_some_and(|left| *left == **text),
        },
        Comparison::Greater { .. } | Comparison::Lower { .. } => {
            number_at(sample).is_some_and(|left| is_ordered(comparison, left, right))
        }
        _ => {
            let left = sample.text_for(comparison.is_case_sensitive());
            left.is_some_and(|left| text_of(right).is_some_and(|right| has_text(comparison, &left, &right)))
        }
    }
}

fn has_text(comparison: Comparison, left: &str, right: &str) -> bool {
    match comparison {
        Comparison::Contains { count: 1, .. } => memmem::find(left.as_bytes(), right.as_bytes()).is_some(),
        Comparison::Contains { count, .. } => {
            memmem::find_iter(left.as_bytes(), right.as_bytes()).nth(count as usize - 1).is_some()
        }
        Comparison::StartsWith { .. } => left.starts_with(right),
        _ => left.ends_with(right),
    }
}

fn text_of(scalar: &Scalar) -> Option<Cow<'_, str>> {
    match scalar {
        Scalar::Text(text) => Some(Cow::Borrowed(text)),
        Scalar::Number(Number::Int(int)) => Some(Cow::Owned(int.to_string())),
        Scalar::Number(Number::Float(float)) => Some(Cow::Owned(float.to_string())),
        Scalar::Bool(flag) => Some(Cow::Owned(flag.to_string())),
        Scalar::Null => None,
    }
}

fn is_ordered(comparison: Comparison, left: Number, right: &Scalar) -> bool {
    let right = match right {
        Scalar::Number(number) => Some(*number),
        Scalar::Text(text) => Number::from_text(text),
        Scalar::Bool(_) | Scalar::Null => None,
    };
    let wanted = if matches!(comparison, Comparison::Greater { .. }) { Ordering::Greater } else { Ordering::Less };
    right.and_then(|right| left.compare(right)) == Some(wanted)
}

/// The number a value is, or that its decimal text says.
fn number_at(sample: &Sample<'_>) -> Option<Number> {
    sample.document.number(sample.node).or_else(|| sample.text.and_then(Number::from_text))
}

/// Whether an epoch in seconds or milliseconds is more than `seconds` ago.
fn is_older(time: i64, seconds: i64, now_ms: i64) -> bool {
    const MILLISECONDS_FROM: i64 = 100_000_000_000;
    let time_ms = if time >= MILLISECONDS_FROM { time } else { time.saturating_mul(1000) };
    now_ms.saturating_sub(time_ms) > seconds.saturating_mul(1000)
}

fn is_near(value: &str, text: &str, max: usize, work: &Work) -> bool {
    let (left, right) = (value.chars().count(), text.chars().count());
    right <= DISTANCE_CHARS_MAX
        && left.abs_diff(right) <= max
        && (left.max(right) <= max || (work.spend((left * right) as u64) && strsim::levenshtein(value, text) <= max))
}
