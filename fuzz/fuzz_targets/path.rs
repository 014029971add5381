//! Any path selects, from any event, what the written rules of paths say: here
//! they are followed word by word, on sets of nodes and without any haste.
//!
//! The first line is the path, the rest the event.

#![no_main]

use libfuzzer_sys::fuzz_target;
use muster_fuzz::engines::{START_MS, WORDS};
use muster_fuzz::line_and_rest;
use muster_rules::{Document, RuleLoader, RuleMeta, replay};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Most different values of one event that are asked for; each takes a rule of its own.
const VALUES_MAX: usize = 8;

/// Nodes by their address, so that one reached in two ways counts once.
type Nodes<'a> = BTreeMap<*const Value, &'a Value>;

fuzz_target!(|data: &[u8]| {
    let (path, event) = line_and_rest(data);
    let (Ok(path), Ok(document)) = (std::str::from_utf8(path), Document::from_json(event)) else { return };
    let value = document.to_value();
    let selected = select(path, &value);
    let holds = |detect: Value| {
        let rule = json!({"detect": detect, "respond": []});
        let rule = RuleLoader::new(&*WORDS, "seed").rule_value(RuleMeta::general("r"), &rule);
        rule.ok().map(|rule| replay::evaluate_one(&rule, &document, START_MS, &*WORDS))
    };
    let Some(exists) = holds(json!({"op": "exists", "path": path})) else { return };
    assert_eq!(exists, !selected.is_empty(), "exists {path} of {value}");
    let is_truthy = selected.values().any(|node| !node.is_null() && node.as_str() != Some(""));
    assert_eq!(
        holds(json!({"op": "exists", "path": path, "truthy": true})),
        Some(is_truthy),
        "truthy {path} of {value}"
    );
    let longest = selected.values().filter_map(|node| length(node)).max();
    for least in [0, 1, 2] {
        let longer = json!({"op": "is greater than", "path": path, "value": least, "length of": true});
        assert_eq!(holds(longer), Some(longest > Some(least)), "longer than {least}: {path} of {value}");
    }
    let opened: Vec<&Value> = selected.values().flat_map(|node| open(node)).collect();
    for wanted in scalars(&value) {
        let is = holds(json!({"op": "is", "path": path, "value": wanted}));
        assert_eq!(is, Some(opened.contains(&wanted)), "{path} is {wanted} of {value}");
    }
});

fn select<'a>(path: &str, root: &'a Value) -> Nodes<'a> {
    let start = Nodes::from([(std::ptr::from_ref(root), root)]);
    path.split('/').filter(|part| !part.is_empty()).fold(start, |nodes, part| step(&nodes, part))
}

fn step<'a>(nodes: &Nodes<'a>, part: &str) -> Nodes<'a> {
    let mut selected = Nodes::new();
    let mut add = |node: &'a Value| {
        selected.insert(std::ptr::from_ref(node), node);
    };
    for node in nodes.values() {
        match part {
            "*" => descendants(node, &mut add),
            "?" => {
                for child in children(node) {
                    add(child);
                    if node.is_array() {
                        children(child).for_each(&mut add);
                    }
                }
            }
            name => named(node, name, &mut add),
        }
    }
    selected
}

fn named<'a>(node: &'a Value, name: &str, add: &mut impl FnMut(&'a Value)) {
    if let Some(child) = node.as_object().and_then(|map| map.get(name)) {
        add(child);
    }
    for (at, child) in node.as_array().into_iter().flatten().enumerate() {
        let is_number = name.bytes().all(|byte| byte.is_ascii_digit());
        if is_number && name.parse() == Ok(at) {
            add(child);
        }
        named(child, name, add);
    }
}

fn descendants<'a>(node: &'a Value, add: &mut impl FnMut(&'a Value)) {
    add(node);
    children(node).for_each(|child| descendants(child, add));
}

fn children(node: &Value) -> impl Iterator<Item = &Value> {
    node.as_array().into_iter().flatten().chain(node.as_object().into_iter().flat_map(|map| map.values()))
}

/// What operators on values look at: lists give their elements, objects nothing.
fn open(node: &Value) -> Vec<&Value> {
    match node {
        Value::Array(items) => items.iter().flat_map(open).collect(),
        Value::Object(_) => Vec::new(),
        scalar => vec![scalar],
    }
}

fn length(node: &Value) -> Option<usize> {
    match node {
        Value::Array(items) => Some(items.len()),
        Value::Object(map) => Some(map.len()),
        Value::String(text) => Some(text.len()),
        _ => None,
    }
}

/// Values of the event that a rule can spell: no fractions, which compare with whole numbers too, and no dynamic texts.
fn scalars(value: &Value) -> Vec<&Value> {
    let mut all = Nodes::new();
    descendants(value, &mut |node| {
        all.insert(std::ptr::from_ref(node), node);
    });
    let mut found: Vec<&Value> = Vec::new();
    let has_fraction = all.values().any(|node| node.is_f64());
    for node in all.into_values() {
        let is_spellable = match node {
            Value::String(text) => !["<<", "[[", "{{"].iter().any(|dynamic| text.contains(dynamic)),
            Value::Number(_) => !has_fraction,
            Value::Bool(_) | Value::Null => true,
            Value::Array(_) | Value::Object(_) => false,
        };
        if is_spellable && found.len() < VALUES_MAX && !found.contains(&node) {
            found.push(node);
        }
    }
    found
}
