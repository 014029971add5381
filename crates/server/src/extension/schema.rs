//! What an extension says of itself. Source: reference/rest-api.md section 10.2.

use serde_json::{Map, Value, json};

/// The schema of a built-in extension; `None` for an unknown one.
#[must_use]
pub fn schema(name: &str) -> Option<Value> {
    match name {
        crate::tasking::EXTENSION => Some(tasking()),
        super::INFRASTRUCTURE => Some(infrastructure()),
        _ => None,
    }
}

fn infrastructure() -> Value {
    let options = field("object", "Options", "sync_outputs and so on: true; sync_hives: hive to true");
    let push = field("object", "Options", "as for fetch, and is_dry_run, is_force, ignore_inaccessible");
    let config = field("yaml", "Configuration", "YAML text with version: 3 and sections");
    let as_caller = |mut action: Value| {
        action["is_impersonated"] = json!(true);
        action
    };
    json!({
        "config_schema": {"fields": {}, "requirements": []},
        "request_schema": {
            "fetch": as_caller(action(true, "The configuration as one document", &[("options", options)], &json!([]))),
            "push": as_caller(action(
                true,
                "Make the organization look like a document",
                &[("config", config), ("options", push)],
                &json!([["config"]]),
            )),
        },
        "required_events": [],
        "views": [],
    })
}

fn field(data_type: &str, label: &str, description: &str) -> Value {
    json!({"data_type": data_type, "label": label, "description": description, "is_list": false})
}

fn action(is_user_facing: bool, about: &str, fields: &[(&str, Value)], requirements: &Value) -> Value {
    let fields: Map<String, Value> = fields
        .iter()
        .enumerate()
        .map(|(at, (name, field))| {
            let mut field = field.clone();
            field["display_index"] = json!(at + 1);
            ((*name).to_owned(), field)
        })
        .collect();
    json!({
        "is_user_facing": is_user_facing, "is_impersonated": false, "short_description": about,
        "long_description": about, "messages": {},
        "parameters": {"fields": fields, "requirements": requirements}, "response": {},
    })
}

fn tasking() -> Value {
    let targets = [
        ("selector", field("sensor_selector", "Selector", "sensor selector expression; * is every sensor")),
        ("sid", field("sid", "Sensor", "one sensor id")),
        ("tag", field("tag", "Tag", "every sensor with this tag")),
        ("plat", field("platform", "Platform", "every sensor of this platform")),
    ];
    let task_id = ("task_id", field("string", "Task", "id of a reliable task"));
    let with = |more: &[(&'static str, Value)]| [more, &targets[..]].concat();
    let ttl = field("duration", "Time to live", "seconds for which the task is offered; default one week");
    let task = with(&[
        ("task", field("string", "Command", "one command line, such as os_version")),
        ("context", field("string", "Context", "becomes routing/investigation_id of the answers")),
        ("ttl", ttl),
        ("dynamic", field("bool", "Dynamic", "sensors that begin to match before expiry get it too")),
        ("urgent", field("bool", "Urgent", "overtakes tasks that are not urgent")),
        ("conditions", field("object", "Conditions", "what the sensor checks just before it runs it")),
        ("pace", field("object", "Pace", "limits of the roll-out")),
    ]);
    let target_or_all = json!([["sid", "tag", "selector", "plat"], ["task"]]);
    json!({
        "config_schema": {"fields": {}, "requirements": []},
        "request_schema": {
            "task": action(true, "Hold a command for sensors until each of them ran it", &task, &target_or_all),
            "list": action(true, "Pending tasks", &targets, &json!([])),
            "untask": action(true, "Take back what was not delivered yet", &with(std::slice::from_ref(&task_id)), &json!([["sid", "tag", "selector", "plat", "task_id"]])),
            "get": action(true, "Counts per state, and a page of targets", std::slice::from_ref(&task_id), &json!([["task_id"]])),
            "overview": action(true, "Every task with its counts", &[], &json!([])),
            "explain": action(true, "Why a sensor does or does not have a task", &[task_id.clone(), targets[1].clone()], &json!([["task_id"], ["sid"]])),
            "preview": action(true, "Which sensors a request would reach", &targets, &json!([])),
            "pause": action(true, "Hold a task back", std::slice::from_ref(&task_id), &json!([["task_id"]])),
            "resume": action(true, "Let a task go on", std::slice::from_ref(&task_id), &json!([["task_id"]])),
            "signal_attempt": action(false, "Internal", &targets[1..2], &json!([["sid"]])),
            "signal_received": action(false, "Internal", &targets[1..2], &json!([["sid"]])),
        },
        "required_events": ["subscribe", "unsubscribe"],
        "views": [],
    })
}
