//! The rules of every run. Events have a number `N` and a `KIND`.

use serde_json::{Value, json};

/// Most detections that the rule `global` makes in a run.
pub const GLOBAL_MAX: usize = 5;

/// The event at which the rule `threshold` reports.
pub const THRESHOLD: usize = 3;

/// Longer than any run.
const EVER: &str = "720h";

fn of_kind(kind: &str) -> Value {
    json!({"event": "TEST", "op": "is", "path": "event/KIND", "value": kind})
}

fn any() -> Value {
    json!({"event": "TEST", "op": "exists", "path": "event/N"})
}

fn report(name: &str) -> Value {
    json!([{"action": "report", "name": name}])
}

fn suppressed(name: &str, suppression: &Value) -> Value {
    json!([{"action": "report", "name": name, "suppression": suppression}])
}

/// Names and contents.
pub fn all() -> Vec<(&'static str, Value)> {
    let rule = |detect: Value, respond: Value| json!({"detect": detect, "respond": respond});
    let mut pair = of_kind("A");
    pair["with events"] = of_kind("B");
    let global = json!({"max_count": GLOBAL_MAX, "period": EVER, "is_global": true, "keys": ["budget"]});
    let threshold = json!({"min_count": THRESHOLD, "max_count": THRESHOLD, "period": EVER});
    let recall = json!({"op": "and", "rules": [
        of_kind("B"), {"event": "TEST", "op": "is", "path": "event/REF", "value": "[[seen]]"},
    ]});
    let request = json!({
        "task": r#"{{ "os_version" }}"#, "selector": "sid=='{{ .routing.sid }}'",
        "context": "{{ .routing.sid }}/{{ .event.N }}", "ttl": 86_400,
    });
    let slow =
        json!({"event": "TEST", "op": "matches", "path": "event/TEXT", "re": "(a|aa|aaa|b*)+(c|d|[a-z]{2,40})+z"});
    vec![
        ("seen", rule(any(), report("seen"))),
        ("global", rule(any(), suppressed("global", &global))),
        ("threshold", rule(any(), suppressed("threshold", &threshold))),
        ("pair", rule(pair, report("pair"))),
        ("remember", rule(of_kind("A"), json!([{"action": "add var", "name": "seen", "value": "{{ .event.N }}"}]))),
        ("recall", rule(recall, report("recall"))),
        ("mark", rule(of_kind("A"), json!([{"action": "add tag", "tag": "mark"}]))),
        ("unmark", rule(of_kind("B"), json!([{"action": "remove tag", "tag": "mark"}]))),
        (
            "task",
            rule(of_kind("T"), json!([{"action": "task", "command": "os_version", "investigation": "{{ .event.N }}"}])),
        ),
        (
            "reliable",
            rule(
                of_kind("R"),
                json!([{"action": "extension request", "extension name": "ext-reliable-tasking",
                        "extension action": "task", "extension request": request}]),
            ),
        ),
        (
            "failing",
            rule(
                of_kind("F"),
                json!([{"action": "service request", "name": "no-such-service", "request": {}},
                       {"action": "add tag", "tag": "after"}]),
            ),
        ),
        (
            "waiting",
            rule(of_kind("W"), json!([{"action": "wait", "duration": 1}, {"action": "add tag", "tag": "waited"}])),
        ),
        ("waited", rule(json!({"event": "TEST", "op": "is tagged", "tag": "waited"}), report("waited"))),
        ("slow", rule(slow, report("slow"))),
    ]
}
