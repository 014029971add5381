//! Events: generated, or read from a file of Sysmon records.

use crate::random::Random;
use crate::sigma::{Item, Rule, Scalar, Test};
use crate::write::event_type;
use anyhow::Context as _;
use serde_json::{Map, Value, json};

/// One generated event in so many is made to match some rule.
const HIT_EVERY: usize = 100;

/// An event in the two forms that engines read.
pub struct Event {
    pub category: String,
    /// The fields alone, as the engines for Sigma take them.
    pub fields: String,
    /// The same fields with routing around them.
    pub whole: String,
}

impl Event {
    fn new(category: &str, fields: &Map<String, Value>, at: usize) -> Self {
        let routing = json!({
            "oid": "8f0e2c1a-0000-4000-8000-000000000001", "iid": "8f0e2c1a-0000-4000-8000-0000000000aa",
            "sid": format!("c0ffee00-0000-4000-8000-{:012x}", at % 500), "event_type": event_type(category),
            "event_time": 1_700_000_000_000_usize + at, "event_id": format!("e0000000-0000-4000-8000-{at:012x}"),
            "hostname": "acct-07.corp.example", "ext_ip": "198.51.100.20", "int_ip": "10.1.4.7", "plat": 268_435_456,
            "arch": 2, "moduleid": 2, "this": format!("{at:032x}"), "parent": format!("{:032x}", at / 7), "tags": ["finance"],
        });
        let whole = json!({"routing": routing, "event": fields, "ts": "2023-11-14 22:13:21"});
        let fields = serde_json::to_string(fields).unwrap_or_default();
        Self { category: category.to_owned(), fields, whole: whole.to_string() }
    }
}

/// Reads a file of one JSON record per line: `Event.System.EventID` and `Event.EventData`.
pub fn read(path: &std::path::Path) -> anyhow::Result<Vec<Event>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
    let mut events = Vec::new();
    for line in text.lines() {
        let record: Value = serde_json::from_str(line)?;
        let system = &record["Event"]["System"];
        let is_sysmon = system["Channel"] == "Microsoft-Windows-Sysmon/Operational";
        let fields = record["Event"]["EventData"].as_object();
        if let (true, Some(category), Some(fields)) = (is_sysmon, category(&system["EventID"]), fields) {
            events.push(Event::new(category, fields, events.len()));
        }
    }
    Ok(events)
}

/// The kinds of event that Sigma has names for.
fn category(id: &Value) -> Option<&'static str> {
    Some(match id.as_str()? {
        "1" => "process_creation",
        "3" => "network_connection",
        "6" => "driver_load",
        "7" => "image_load",
        "8" => "create_remote_thread",
        "10" => "process_access",
        "11" => "file_event",
        "13" => "registry_set",
        "15" => "create_stream_hash",
        "17" | "18" => "pipe_created",
        "22" => "dns_query",
        "23" => "file_delete",
        _ => return None,
    })
}

/// Process, network and DNS events.
pub fn generated(count: usize, rules: &[Rule], random: &mut Random) -> Vec<Event> {
    let make = |at: usize| {
        let (category, mut fields) = random.event();
        let fitting: Vec<&Rule> = rules.iter().filter(|rule| rule.category == category).collect();
        if at.is_multiple_of(HIT_EVERY) && !fitting.is_empty() {
            provoke(&mut fields, fitting[random.below(fitting.len())]);
        }
        Event::new(category, &fields, at)
    };
    (0..count).map(make).collect()
}

/// Puts what a rule looks for into an event. Rules with patterns or filters may still not match.
fn provoke(fields: &mut Map<String, Value>, rule: &Rule) {
    let wanted = rule.selections.iter().filter(|selection| !selection.name.starts_with("filter"));
    for item in wanted.filter_map(|selection| selection.groups.first()).flatten() {
        let count = if item.is_all { item.values.len() } else { 1 };
        for value in &item.values[..count] {
            put(fields, item, value);
        }
    }
}

fn put(fields: &mut Map<String, Value>, item: &Item, value: &Scalar) {
    let old = fields.get(&item.field).and_then(Value::as_str).unwrap_or_default();
    let new = match (item.test, value) {
        (Test::Is, Scalar::Text(text)) => text.clone().into(),
        (Test::Contains | Test::EndsWith, Scalar::Text(text)) => format!("{old}{text}").into(),
        (Test::StartsWith, Scalar::Text(text)) => format!("{text}{old}").into(),
        (_, Scalar::Number(number)) => (*number).into(),
        _ => return,
    };
    fields.insert(item.field.clone(), new);
}
