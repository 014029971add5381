//! One rule in the language of each engine: the same predicates, other words.

use crate::condition::Condition;
use crate::sigma::{Item, Rule, Scalar, Selection, Test, Wanted, escaped};
use anyhow::Context as _;
use serde_json::{Map, Value, json};

/// The event type that stands for a category.
pub fn event_type(category: &str) -> &str {
    match category {
        "process_creation" => "NEW_PROCESS",
        "network_connection" => "NETWORK_CONNECTIONS",
        "dns_query" => "DNS_REQUEST",
        other => other,
    }
}

/// Sigma, for the engines that read it.
pub fn sigma(rule: &Rule) -> String {
    let mut detection = Map::new();
    for selection in &rule.selections {
        let group = |items: &Vec<Item>| Value::Object(items.iter().map(sigma_item).collect());
        let groups: Vec<Value> = selection.groups.iter().map(group).collect();
        let value = if groups.len() == 1 { groups[0].clone() } else { groups.into() };
        detection.insert(selection.name.clone(), value);
    }
    detection.insert("condition".to_owned(), rule.condition.clone().into());
    let logsource = json!({"category": rule.category, "product": "windows"});
    yaml(&json!({"title": rule.title, "logsource": logsource, "detection": detection, "level": "high"}))
}

fn sigma_item(item: &Item) -> (String, Value) {
    let modifier = match item.test {
        Test::Is => "",
        Test::Contains => "|contains",
        Test::StartsWith => "|startswith",
        Test::EndsWith => "|endswith",
        Test::Pattern => "|re",
        Test::Network => "|cidr",
    };
    let all = if item.is_all { "|all" } else { "" };
    let value = |scalar: &Scalar| match scalar {
        Scalar::Text(text) => text.clone().into(),
        Scalar::Number(number) => (*number).into(),
        Scalar::Null => Value::Null,
    };
    let values: Vec<Value> = item.values.iter().map(value).collect();
    let value = if values.len() == 1 { values[0].clone() } else { values.into() };
    (format!("{}{modifier}{all}", item.field), value)
}

/// A detection and response rule that reports.
pub fn detection_and_response(rule: &Rule) -> anyhow::Result<String> {
    let node = compose(rule, &|name| {
        let selection = named(rule, name)?;
        let groups = selection.groups.iter().map(|items| both("and", items.iter().map(rule_item).collect()));
        Ok(both("or", groups.collect()))
    })?;
    let detect = json!({"event": event_type(&rule.category), "op": "and", "rules": [{"op": "is windows"}, node]});
    Ok(yaml(&json!({"detect": detect, "respond": [{"action": "report", "name": rule.title}]})))
}

fn named<'a>(rule: &'a Rule, name: &str) -> anyhow::Result<&'a Selection> {
    rule.selections.iter().find(|selection| selection.name == name).context("no such selection")
}

fn compose(rule: &Rule, selection: &dyn Fn(&str) -> anyhow::Result<Value>) -> anyhow::Result<Value> {
    fn walk(condition: &Condition, selection: &dyn Fn(&str) -> anyhow::Result<Value>) -> anyhow::Result<Value> {
        let each = |parts: &[Condition]| parts.iter().map(|part| walk(part, selection)).collect::<anyhow::Result<_>>();
        Ok(match condition {
            Condition::Name(name) => selection(name)?,
            Condition::All(parts) => both("and", each(parts)?),
            Condition::Any(parts) => both("or", each(parts)?),
            Condition::Not(inner) => negated(walk(inner, selection)?),
        })
    }
    walk(&rule.condition()?, selection)
}

fn negated(mut node: Value) -> Value {
    if node["not"] == true {
        return json!({"op": "or", "rules": [node], "not": true});
    }
    node["not"] = true.into();
    node
}

fn both(op: &str, mut nodes: Vec<Value>) -> Value {
    if nodes.len() == 1 { nodes.remove(0) } else { json!({"op": op, "rules": nodes}) }
}

fn rule_item(item: &Item) -> Value {
    let path = format!("event/{}", item.field);
    let nodes = item.wanted().map(|wanted| rule_node(&path, wanted)).collect();
    both(if item.is_all { "and" } else { "or" }, nodes)
}

fn rule_node(path: &str, wanted: Wanted) -> Value {
    // Text that would be read as a reference or a template is looked for by pattern instead.
    let is_plain = |text: &str| !["<<", "[[", "{{"].iter().any(|mark| text.contains(mark));
    let text = |op: &str, text: &str| json!({"op": op, "path": path, "value": text, "case sensitive": false});
    let pattern = |re: String, is_sensitive: bool| json!({"op": "matches", "path": path, "re": re, "case sensitive": is_sensitive});
    match &wanted {
        Wanted::Any => json!({"op": "exists", "path": path}),
        Wanted::Absent => json!({"op": "or", "rules": [
            {"op": "exists", "path": path, "not": true}, {"op": "is", "path": path, "value": null},
        ]}),
        Wanted::Number(number) => json!({"op": "is", "path": path, "value": number}),
        Wanted::Network(network) => json!({"op": "cidr", "path": path, "cidr": network}),
        Wanted::Pattern(re, is_sensitive) => pattern(re.clone(), *is_sensitive),
        Wanted::Is(value) if is_plain(value) => text("is", value),
        Wanted::Contains(value) if is_plain(value) => text("contains", value),
        Wanted::StartsWith(value) if is_plain(value) => text("starts with", value),
        Wanted::EndsWith(value) if is_plain(value) => text("ends with", value),
        Wanted::Is(_) | Wanted::Contains(_) | Wanted::StartsWith(_) | Wanted::EndsWith(_) => {
            pattern(as_pattern(&wanted), false)
        }
    }
}

/// A plain text as a pattern.
fn as_pattern(wanted: &Wanted) -> String {
    match wanted {
        Wanted::Is(text) => format!("(?s)^{}$", escaped(text)),
        Wanted::StartsWith(text) => format!("(?s)^{}", escaped(text)),
        Wanted::EndsWith(text) => format!("(?s){}$", escaped(text)),
        Wanted::Contains(text) | Wanted::Pattern(text, _) | Wanted::Network(text) => escaped(text),
        Wanted::Any | Wanted::Absent | Wanted::Number(_) => String::new(),
    }
}

/// A rule of tau-engine; each test is an identifier of its own, which its optimiser joins again.
pub fn tau(rule: &Rule) -> anyhow::Result<String> {
    let mut detection = Map::new();
    for (at, selection) in rule.selections.iter().enumerate() {
        for (group, items) in selection.groups.iter().enumerate() {
            for (place, item) in items.iter().enumerate() {
                let values: anyhow::Result<Vec<Value>> = item.wanted().map(tau_value).collect();
                let values = values?;
                let (key, value) = match values.len() {
                    1 => (item.field.clone(), values[0].clone()),
                    _ if item.is_all => (format!("all({})", item.field), values.into()),
                    _ => (item.field.clone(), values.into()),
                };
                detection.insert(format!("s{at}_{group}_{place}"), json!({key: value}));
            }
        }
    }
    let condition = tau_condition(&rule.condition()?, rule)?;
    detection.insert("condition".to_owned(), condition.into());
    Ok(yaml(&json!({"detection": detection, "true_positives": [], "true_negatives": []})))
}

fn tau_condition(condition: &Condition, rule: &Rule) -> anyhow::Result<String> {
    let join = |parts: &[Condition], word: &str| -> anyhow::Result<String> {
        let parts: anyhow::Result<Vec<_>> = parts.iter().map(|part| tau_condition(part, rule)).collect();
        Ok(format!("({})", parts?.join(word)))
    };
    match condition {
        Condition::All(parts) => join(parts, " and "),
        Condition::Any(parts) => join(parts, " or "),
        Condition::Not(inner) => Ok(format!("not ({})", tau_condition(inner, rule)?)),
        Condition::Name(name) => {
            let at = rule.selections.iter().position(|selection| selection.name == *name);
            let at = at.context("no such selection")?;
            let group = |(group, items): (usize, &Vec<Item>)| {
                let names: Vec<_> = (0..items.len()).map(|place| format!("s{at}_{group}_{place}")).collect();
                format!("({})", names.join(" and "))
            };
            let groups: Vec<_> = rule.selections[at].groups.iter().enumerate().map(group).collect();
            Ok(format!("({})", groups.join(" or ")))
        }
    }
}

fn tau_value(wanted: Wanted) -> anyhow::Result<Value> {
    let is_plain = |text: &str| !text.starts_with(['*', '?', '>', '<', '=']) && !text.ends_with('*');
    Ok(match &wanted {
        Wanted::Any => json!("*"),
        Wanted::Absent => Value::Null,
        Wanted::Number(number) => (*number).into(),
        Wanted::Network(_) => anyhow::bail!("no networks"),
        Wanted::Pattern(re, true) => format!("?{re}").into(),
        Wanted::Pattern(re, false) => format!("i?{re}").into(),
        Wanted::Is(text) if text.is_empty() => json!("\"\""),
        Wanted::Is(text) if is_plain(text) => format!("i\"{text}\"").into(),
        Wanted::Contains(text) if is_plain(text) => format!("i*{text}*").into(),
        Wanted::StartsWith(text) if is_plain(text) => format!("i{text}*").into(),
        Wanted::EndsWith(text) if is_plain(text) => format!("i*{text}").into(),
        _ => format!("i?{}", as_pattern(&wanted)).into(),
    })
}

/// A value as block YAML.
fn yaml(value: &Value) -> String {
    let mut out = String::new();
    block(value, 0, &mut out);
    out
}

fn block(value: &Value, depth: usize, out: &mut String) {
    let margin = " ".repeat(depth);
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (key, value) in map {
                out.push_str(&format!("\n{margin}{}:", quoted(key)));
                block(value, depth + 2, out);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for item in items {
                out.push_str(&format!("\n{margin}-"));
                block(item, depth + 2, out);
            }
        }
        Value::String(text) => out.push_str(&format!(" {}", quoted(text))),
        scalar => out.push_str(&format!(" {scalar}")),
    }
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
