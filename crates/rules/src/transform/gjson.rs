//! The part of gjson's path language that transforms use.
//!
//! Source: reference/detection-response.md section 16. Keys with `*` and `?`,
//! list indexes, `#`, the modifiers, `|`. Queries `#(…)` are refused.

use crate::pattern::Pattern;
use crate::template::layout;
use serde_json::{Map, Value};

/// Longest path, in bytes; long enough for an `@extract` pattern.
const PATH_BYTES_MAX: usize = 4096;
/// Most steps of one path.
const STEPS_MAX: usize = 64;
/// Longest text that `@parsejson` reads, in bytes.
const PARSE_BYTES_MAX: usize = 1 << 20;

const MODIFIERS: &[&str] = &["this", "keys", "values", "reverse", "parsejson", "extract", "parsetime"];

#[derive(Debug)]
enum Step {
    Key(Vec<Glob>),
    /// `#`: every element, or the length at the end.
    Each,
    Modifier(String, Option<String>),
    /// `|` after `#`: back to the whole list.
    Pipe,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Glob {
    Letter(char),
    One,
    Many,
}

/// Whether a path can be used at all.
pub(super) fn check(path: &str) -> Result<(), String> {
    for step in steps(path)? {
        if let Step::Modifier(name, argument) = &step {
            check_modifier(name, argument.as_deref())?;
        }
    }
    Ok(())
}

fn check_modifier(name: &str, argument: Option<&str>) -> Result<(), String> {
    match name {
        "extract" => extract_pattern(argument).map(|_| ()),
        "parsetime" => match serde_json::from_str::<Value>(argument.unwrap_or_default()) {
            Ok(spec) if spec["from"].is_string() && spec["to"].is_string() => Ok(()),
            _ => Err("@parsetime takes JSON with \"from\" and \"to\"".to_owned()),
        },
        _ if MODIFIERS.contains(&name) => Ok(()),
        _ => Err(format!("the modifier @{name} does not exist; modifiers are: {}", MODIFIERS.join(", "))),
    }
}

/// The value at a path; nothing if it is missing.
pub(super) fn get(root: &Value, path: &str) -> Result<Option<Value>, String> {
    follow(root, &steps(path)?)
}

fn follow(value: &Value, steps: &[Step]) -> Result<Option<Value>, String> {
    let Some((step, rest)) = steps.split_first() else { return Ok(Some(value.clone())) };
    match step {
        Step::Pipe => follow(value, rest),
        Step::Modifier(name, argument) => match modify(value, name, argument.as_deref())? {
            Some(made) => follow(&made, rest),
            None => Ok(None),
        },
        Step::Key(key) => match child(value, key) {
            Some(found) => follow(found, rest),
            None => Ok(None),
        },
        Step::Each => each(value, rest),
    }
}

fn each(value: &Value, rest: &[Step]) -> Result<Option<Value>, String> {
    let Value::Array(items) = value else { return Ok(None) };
    let pipe = rest.iter().position(|step| matches!(step, Step::Pipe)).unwrap_or(rest.len());
    let (inner, after) = rest.split_at(pipe);
    if inner.is_empty() {
        return follow(&Value::from(items.len()), after);
    }
    let mut found = Vec::new();
    for item in items {
        found.extend(follow(item, inner)?);
    }
    follow(&Value::Array(found), after)
}

fn child<'v>(value: &'v Value, key: &[Glob]) -> Option<&'v Value> {
    match value {
        Value::Object(map) => {
            let plain: Option<String> =
                key.iter().map(|part| if let Glob::Letter(letter) = part { Some(*letter) } else { None }).collect();
            match plain {
                Some(name) => map.get(&name),
                None => map.iter().find(|(name, _)| is_glob_match(key, name)).map(|(_, item)| item),
            }
        }
        Value::Array(items) => {
            let digits: Option<String> =
                key.iter().map(|part| if let Glob::Letter(letter) = part { Some(*letter) } else { None }).collect();
            items.get(digits?.parse::<usize>().ok()?)
        }
        _ => None,
    }
}

/// Matches with one point to return to, so the cost is at most the product of both lengths.
fn is_glob_match(glob: &[Glob], name: &str) -> bool {
    let name: Vec<char> = name.chars().collect();
    let (mut at, mut glob_at, mut back) = (0, 0, None);
    while at < name.len() {
        match glob.get(glob_at) {
            Some(Glob::Many) => {
                back = Some((glob_at, at));
                glob_at += 1;
            }
            Some(Glob::One) => (at, glob_at) = (at + 1, glob_at + 1),
            Some(Glob::Letter(letter)) if *letter == name[at] => (at, glob_at) = (at + 1, glob_at + 1),
            _ => {
                let Some((star, from)) = back else { return false };
                back = Some((star, from + 1));
                (at, glob_at) = (from + 1, star + 1);
            }
        }
    }
    glob[glob_at..].iter().all(|part| *part == Glob::Many)
}

fn modify(value: &Value, name: &str, argument: Option<&str>) -> Result<Option<Value>, String> {
    Ok(match (name, value) {
        ("keys", Value::Object(map)) => Some(map.keys().cloned().map(Value::String).collect()),
        ("values", Value::Object(map)) => Some(map.values().cloned().collect()),
        ("reverse", Value::Array(items)) => Some(items.iter().rev().cloned().collect()),
        ("parsejson", Value::String(text)) if text.len() <= PARSE_BYTES_MAX => serde_json::from_str(text).ok(),
        ("extract", Value::String(text)) => extract_pattern(argument)?.named_groups(text).map(|groups| {
            Value::Object(groups.into_iter().map(|(name, text)| (name, Value::String(text))).collect::<Map<_, _>>())
        }),
        ("parsetime", Value::String(text)) => {
            layout::convert(argument.unwrap_or_default(), text).ok().map(Value::String)
        }
        ("parsetime", Value::Number(number)) => {
            layout::convert(argument.unwrap_or_default(), &number.to_string()).ok().map(Value::String)
        }
        ("keys" | "values" | "parsejson" | "extract" | "parsetime", _) => None,
        _ => Some(value.clone()),
    })
}

fn extract_pattern(argument: Option<&str>) -> Result<Pattern, String> {
    let spec: Value = serde_json::from_str(argument.unwrap_or_default()).unwrap_or_default();
    let Some(re) = spec["re"].as_str() else { return Err("@extract takes JSON with \"re\"".to_owned()) };
    Pattern::new(re, true)
}

fn steps(path: &str) -> Result<Vec<Step>, String> {
    if path.len() > PATH_BYTES_MAX {
        return Err(format!("a path has at most {PATH_BYTES_MAX} bytes"));
    }
    let (mut left, mut steps) = (path, Vec::new());
    while !left.is_empty() {
        if steps.len() >= STEPS_MAX {
            return Err(format!("a path has at most {STEPS_MAX} steps"));
        }
        let (step, rest) = if let Some(rest) = left.strip_prefix('@') { modifier(rest) } else { key(left)? };
        steps.push(step);
        left = rest;
        if let Some(rest) = left.strip_prefix('|') {
            steps.push(Step::Pipe);
            left = rest;
        } else {
            left = left.strip_prefix('.').unwrap_or(left);
        }
    }
    Ok(steps)
}

fn key(path: &str) -> Result<(Step, &str), String> {
    let (mut key, mut letters) = (Vec::new(), path.char_indices());
    let mut end = path.len();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '.' | '|' => {
                end = at;
                break;
            }
            '\\' => key.extend(letters.next().map(|(_, letter)| Glob::Letter(letter))),
            '*' if key.last() == Some(&Glob::Many) => {}
            '*' => key.push(Glob::Many),
            '?' => key.push(Glob::One),
            _ => key.push(Glob::Letter(letter)),
        }
    }
    let text = &path[..end];
    if text.starts_with("#(") {
        return Err("queries #(…) are not available; use #.KEY".to_owned());
    }
    Ok((if text == "#" { Step::Each } else { Step::Key(key) }, &path[end..]))
}

/// A modifier's argument is JSON, or text up to the next separator.
fn modifier(path: &str) -> (Step, &str) {
    let end = path.find([':', '.', '|']).unwrap_or(path.len());
    let (name, rest) = path.split_at(end);
    let Some(argument) = rest.strip_prefix(':') else { return (Step::Modifier(name.to_owned(), None), rest) };
    let mut values = serde_json::Deserializer::from_str(argument).into_iter::<serde::de::IgnoredAny>();
    let len = match values.next() {
        Some(Ok(_)) if argument.starts_with(['{', '[', '"']) => values.byte_offset(),
        _ => argument.find(['.', '|']).unwrap_or(argument.len()),
    };
    (Step::Modifier(name.to_owned(), Some(argument[..len].to_owned())), &argument[len..])
}
