//! Turns requests to the older tasking service into requests to the extension.
//!
//! What the published converter loses, this one keeps: the command, the targets, the keys
//! beside the request, and everything of the rule but the items that change. A rule is
//! converted as a whole or not at all.
//!
//! Source: reference/rest-api.md sections 10.5 and 11.3.

use serde_json::{Map, Value};

/// The extension whose older service can be converted.
pub const CONVERTIBLE_EXTENSION: &str = "ext-reliable-tasking";

/// The older service.
const SERVICE: &str = "reliable-tasking";

/// Actions of both.
const ACTIONS: &[&str] = &["task", "untask", "list", "signal_attempt", "signal_received"];

/// What came of a rule.
#[derive(Clone, Debug, PartialEq)]
pub enum Conversion {
    /// The rule makes no request to the older service.
    NothingToDo,
    /// The whole rule with the requests converted.
    Converted(Value),
    /// It cannot be converted; the reason names the place and says what to do.
    Impossible(String),
}

/// Converts the requests of one rule.
#[must_use]
pub fn convert(rule: &Value) -> Conversion {
    let Some(items) = rule.get("respond").and_then(Value::as_array) else { return Conversion::NothingToDo };
    let (mut respond, mut has_changed) = (Vec::with_capacity(items.len()), false);
    for (at, item) in items.iter().enumerate() {
        if !is_legacy(item) {
            respond.push(item.clone());
            continue;
        }
        match convert_item(item) {
            Ok(item) => respond.push(item),
            Err(reason) => return Conversion::Impossible(format!("respond/{at}: {reason}")),
        }
        has_changed = true;
    }
    if !has_changed {
        return Conversion::NothingToDo;
    }
    let mut rule = rule.clone();
    rule["respond"] = Value::Array(respond);
    Conversion::Converted(rule)
}

fn is_legacy(item: &Value) -> bool {
    let text = |name: &str| item.get(name).and_then(Value::as_str);
    text("action") == Some("service request") && text("name") == Some(SERVICE)
}

/// An item with the request in its new place; other keys stay as they are.
fn convert_item(item: &Value) -> Result<Value, String> {
    let request = item.get("request").and_then(Value::as_object).ok_or("request must be an object")?;
    let action = request.get("action").and_then(Value::as_str).unwrap_or_default();
    if !ACTIONS.contains(&action) {
        return Err(format!("request/action is {action:?}; it must be one of {}", ACTIONS.join(", ")));
    }
    if action == "task" && !request.contains_key("task") {
        return Err("request/task is missing: there is no command to convert".into());
    }
    let mut converted = Map::new();
    for (name, value) in request.iter().filter(|(name, _)| *name != "action") {
        let value = convert_value(name, value)?;
        converted.insert(name.clone(), value);
    }
    // Every sensor was written `*` where a sensor id stands.
    if request.get("sid").and_then(Value::as_str) == Some("*") {
        converted.remove("sid");
        converted.entry("selector").or_insert_with(|| Value::String(literal("*")));
    }
    if action == "task"
        && let Some(context) = converted.remove("inv_id")
    {
        converted.entry("context").or_insert(context);
    }
    let others = item.as_object().into_iter().flatten();
    let others = others.filter(|(name, _)| !matches!(name.as_str(), "action" | "name" | "request"));
    let mut new: Map<String, Value> = others.map(|(name, value)| (name.clone(), value.clone())).collect();
    new.insert("action".into(), "extension request".into());
    new.insert("extension name".into(), CONVERTIBLE_EXTENSION.into());
    new.insert("extension action".into(), action.into());
    new.insert("extension request".into(), Value::Object(converted));
    Ok(Value::Object(new))
}

/// Plain text becomes a template that makes it: in the new form it would be a path into the event.
fn convert_value(name: &str, value: &Value) -> Result<Value, String> {
    Ok(match value {
        Value::String(text) if name == "ttl" && text.parse::<u64>().is_ok() => text.parse::<u64>().unwrap_or(0).into(),
        Value::String(text) => Value::String(template(text).map_err(|reason| format!("request/{name}: {reason}"))?),
        Value::Array(items) => {
            let items = items.iter().enumerate().map(|(at, item)| convert_value(&format!("{name}/{at}"), item));
            Value::Array(items.collect::<Result<_, _>>()?)
        }
        Value::Object(fields) => {
            let field =
                |(key, item): (&String, &Value)| Ok((key.clone(), convert_value(&format!("{name}/{key}"), item)?));
            Value::Object(fields.iter().map(field).collect::<Result<_, String>>()?)
        }
        other => other.clone(),
    })
}

/// A text with lookbacks as a template: literal pieces, `{{ … }}` as it stands, and paths.
fn template(text: &str) -> Result<String, String> {
    let (mut out, mut left) = (String::new(), text);
    while !left.is_empty() {
        let lookback = left.find("<<").filter(|at| left[*at..].contains(">>"));
        let action = left.find("{{").filter(|at| left[*at..].contains("}}"));
        let next = match (lookback, action) {
            (Some(lookback), Some(action)) => lookback.min(action),
            (Some(at), None) | (None, Some(at)) => at,
            (None, None) => left.len(),
        };
        if next > 0 {
            out.push_str(&literal(&left[..next]));
        }
        left = &left[next..];
        if let Some((path, rest)) = left.strip_prefix("<<").and_then(|inner| inner.split_once(">>")) {
            out.push_str(&field(path)?);
            left = rest;
        } else if let Some((action, rest)) = left.split_once("}}") {
            out.push_str(action);
            out.push_str("}}");
            left = rest;
        }
    }
    Ok(if text.is_empty() { literal("") } else { out })
}

/// A template that makes exactly this text.
fn literal(text: &str) -> String {
    // JSON's escapes are all known to the template language, and its strings may hold braces.
    format!("{{{{ {} }}}}", Value::String(text.to_owned()))
}

/// A template that makes the value at a path.
fn field(path: &str) -> Result<String, String> {
    let parts: Vec<&str> = path.trim().split('/').filter(|part| !part.is_empty()).collect();
    if parts.is_empty() {
        return Err(format!("<<{path}>> is no path"));
    }
    if parts.iter().any(|part| matches!(*part, "*" | "?")) {
        return Err(format!("<<{path}>> has a wildcard, which templates do not; write the keys out"));
    }
    let is_identifier = |part: &&str| {
        part.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    if parts.iter().all(is_identifier) {
        return Ok(format!("{{{{ .{} }}}}", parts.join(".")));
    }
    let keys: Vec<String> = parts.iter().map(|part| Value::String((*part).to_owned()).to_string()).collect();
    Ok(format!("{{{{ index . {} }}}}", keys.join(" ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Budget, Document, Effect, Engine, Facts, NoResources, RuleLoader, RuleMeta, RuleSet, Source, Suppression, Way,
    };
    use parking_lot::Mutex;
    use serde_json::json;
    use std::sync::Arc;

    fn rule(request: Value) -> Value {
        json!({
            "detect": {"op": "exists", "path": "event/FILE_PATH"},
            "respond": [
                {"action": "report", "name": "kept"},
                {"action": "service request", "name": "reliable-tasking", "request": request,
                 "suppression": {"max_count": 1, "period": "1h"}},
                {"action": "service request", "name": "other", "request": {"sid": "<<routing/sid>>"}},
            ],
            "tests": {"match": []},
        })
    }

    fn converted(request: Value) -> Value {
        match convert(&rule(request)) {
            Conversion::Converted(rule) => rule,
            other => panic!("{other:?}"),
        }
    }

    /// What both forms ask of the tasking extension, on one event.
    fn asked(rule: &Value) -> Value {
        let rule = RuleLoader::new(&NoResources, "").rule_value(RuleMeta::general("r"), rule).unwrap();
        let mut engine = Engine::new(Arc::new(RuleSet::new(vec![rule], Vec::new())), Way::Shared);
        let event = json!({
            "routing": {"sid": "s-1", "event_type": "E"},
            "event": {"FILE_PATH": "/tmp/a \"b\"}}", "user-name": "u", "N": 3},
        });
        let counters = Mutex::new(Suppression::default());
        let facts = Facts {
            now_ms: 0,
            entropy: 1,
            resources: &NoResources,
            counters: &counters,
            console_url: None,
            budget: Budget::default(),
        };
        let outcome = engine.process(&Source::default(), &Document::from_value(&event), &facts);
        match &outcome.effects[1].effect {
            Effect::ExtensionRequest { extension_action, extension_request, .. } => {
                let mut request = extension_request.clone();
                request["action"] = extension_action.as_str().into();
                request
            }
            Effect::ServiceRequest { request, .. } => request.clone(),
            other => panic!("{other:?}"),
        }
    }

    /// The table of reference/rest-api.md section 11.3, row by row.
    #[test]
    fn each_field_gets_its_published_value() {
        let request = json!({
            "action": "task", "task": "file_get -f <<event/FILE_PATH>>", "sid": "<<routing/sid>>", "tag": "vip",
            "ttl": 3600, "inv_id": "hunt-7",
        });
        let old = rule(request.clone());
        let new = converted(request);
        let item = &new["respond"][1];
        assert_eq!(
            *item,
            json!({
                "action": "extension request", "extension name": "ext-reliable-tasking", "extension action": "task",
                "extension request": {
                    "task": "{{ \"file_get -f \" }}{{ .event.FILE_PATH }}", "sid": "{{ .routing.sid }}",
                    "tag": "{{ \"vip\" }}", "ttl": 3600, "context": "{{ \"hunt-7\" }}",
                },
                "suppression": {"max_count": 1, "period": "1h"},
            })
        );
        for kept in ["/detect", "/tests", "/respond/0", "/respond/2"] {
            assert_eq!(new.pointer(kept), old.pointer(kept), "{kept}");
        }
        let every = converted(json!({"action": "untask", "sid": "*", "task_id": "x"}));
        assert_eq!(
            every["respond"][1]["extension request"],
            json!({"selector": "{{ \"*\" }}", "task_id": "{{ \"x\" }}"})
        );
        assert_eq!(convert(&new), Conversion::NothingToDo, "a second run changes nothing");
    }

    /// Whatever the text holds, the converted rule asks for what the older one asked for.
    #[test]
    fn both_forms_ask_for_the_same() {
        let texts = [
            "os_version",
            "file_get -f \"<<event/FILE_PATH>>\"",
            "run --shell-command 'echo {{ .event.FILE_PATH | base }} \\ }} \" << x'",
            "<<routing/sid>><<event/N>>",
            "<<event/user-name>> ä\u{1f600}\ttab \u{7}",
            "a >> b << c {{ .event.N }}",
            "",
        ];
        for text in texts {
            let request = json!({"action": "task", "task": text, "sid": "<<routing/sid>>", "ttl": 60});
            assert_eq!(asked(&converted(request.clone())), asked(&rule(request)), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_converted_is_left_and_named() {
        let cases = [
            (json!({"action": "dance", "sid": "x"}), "respond/1: request/action is \"dance\""),
            (json!({"action": "task", "sid": "x", "ttl": 1}), "respond/1: request/task is missing"),
            (
                json!({"action": "untask", "sid": "<<event/*/X>>"}),
                "respond/1: request/sid: <<event/*/X>> has a wildcard",
            ),
            (json!("no object"), "respond/1: request must be an object"),
        ];
        for (request, expected) in cases {
            match convert(&rule(request)) {
                Conversion::Impossible(reason) => assert!(reason.starts_with(expected), "{reason}"),
                other => panic!("{other:?}"),
            }
        }
        let respond = json!([{"action": "service request", "name": "dumper", "request": {}}, {"action": "report"}]);
        assert_eq!(convert(&json!({"detect": {}, "respond": respond})), Conversion::NothingToDo);
        assert_eq!(convert(&json!("text")), Conversion::NothingToDo);
    }
}
