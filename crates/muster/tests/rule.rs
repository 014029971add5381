//! `muster rule` on files, without a server.

use serde_json::{Value, json};
use std::path::Path;
use std::process::{Command, Output};
use tempfile::TempDir;

const RULES: &str = "# the house's rules
name: first
detect:
  event: NEW_PROCESS
  op: ends with
  path: event/FILE_PATH
  value: /whoami
respond:
  - action: report
    name: seen
  # asks the sensor
  - action: service request   # the older way
    name: reliable-tasking
    request: {action: task, task: 'file_get -f <<event/FILE_PATH>>', sid: <<routing/sid>>, ttl: 60}

  - {action: add tag, tag: seen}
tests:
  match:
    - - {event: {FILE_PATH: /usr/bin/whoami}, routing: {event_type: NEW_PROCESS}}
  non_match:
    - - {event: {FILE_PATH: /usr/bin/id}, routing: {event_type: NEW_PROCESS}}
---
name: second
detect: {op: lookup, event: DNS_REQUEST, path: event/DOMAIN_NAME, resource: hive://lookup/bad}
respond: []
tests:
  match:
    - - {event: {DOMAIN_NAME: evil.example}, routing: {event_type: DNS_REQUEST}}
";

fn muster(folder: &Path, arguments: &[&str]) -> Output {
    // Nothing of the caller's: a command that asked for credentials would fail.
    let mut command = Command::new(env!("CARGO_BIN_EXE_muster"));
    command.args(arguments).current_dir(folder).env_clear().env("HOME", folder).output().unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn value(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap()
}

fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = TempDir::new().unwrap();
    for (name, content) in files {
        std::fs::write(folder.path().join(name), content).unwrap();
    }
    folder
}

#[test]
fn unit_tests_of_rules_run_and_failures_say_why() {
    let folder = folder(&[
        ("r.yaml", RULES),
        ("l.json", r#"{"bad": {"evil.example": {}}}"#),
        ("broken.yaml", "detect:\n  op: is\n"),
    ]);
    let good = muster(folder.path(), &["rule", "test", "r.yaml", "--lookups", "l.json"]);
    assert!(good.status.success(), "{}", text(&good));
    assert!(text(&good).contains("3 tests of 2 rules: 3 passed, 0 failed"), "{}", text(&good));
    // Without the lookup the second rule finds nothing.
    let bad = muster(folder.path(), &["rule", "test", "r.yaml", "broken.yaml", "--json"]);
    assert_eq!(bad.status.code(), Some(1));
    let report = value(&bad);
    assert_eq!((&report["passed"], &report["failed"], &report["broken"]), (&json!(2), &json!(1), &json!(1)));
    let failed = &report["rules"][1]["tests"][0];
    assert_eq!((&failed["passed"], &failed["failure"]["line"]), (&json!(false), &json!(28)));
    assert_eq!(
        failed["events"][0]["trace"][0],
        json!({"place": "detect", "op": "lookup", "outcome": false, "note": ""})
    );
    let error = &report["rules"][2]["error"];
    assert_eq!((&error["code"], &error["line"]), (&json!("rule/missing-key"), &json!(2)));
}

#[test]
fn lint_names_file_line_and_rule() {
    let odd = "detect:\n  op: and\n  rules:\n    - {op: is, path: event/A, value: b}\n    - {op: is, path: event/A, value: c}\n";
    let folder = folder(&[("odd.yaml", odd), ("r.yaml", RULES)]);
    let found = muster(folder.path(), &["rule", "lint", "odd.yaml"]);
    assert!(found.status.success());
    assert!(
        text(&found).contains("odd.yaml:5:7: warning[lint/never-matches] odd detect/rules/1: "),
        "{}",
        text(&found)
    );
    assert_eq!(muster(folder.path(), &["rule", "lint", "odd.yaml", "--strict"]).status.code(), Some(1));
    let found = value(&muster(folder.path(), &["rule", "lint", "r.yaml", "--json"]));
    assert_eq!(
        (&found["remarks"][0]["code"], &found["remarks"][0]["line"]),
        (&json!("lint/legacy-service"), &json!(12))
    );
    assert_eq!(found["warnings"], 1, "{found}");
}

#[test]
fn events_of_a_file_are_replayed_with_the_reason() {
    let events = [
        json!({"event": {"FILE_PATH": "/usr/bin/id"}, "routing": {"event_type": "NEW_PROCESS", "sid": "s"}}),
        json!({"event": {"FILE_PATH": "/usr/bin/whoami"}, "routing": {"event_type": "NEW_PROCESS", "sid": "s"}}),
    ];
    let lines = events.iter().map(|event| format!("{event}\n")).collect::<String>();
    let list = json!(events).to_string();
    let folder = folder(&[("r.yaml", RULES), ("e.jsonl", &lines), ("e.json", &list)]);
    for file in ["e.jsonl", "e.json"] {
        let shown = muster(folder.path(), &["rule", "replay", "r.yaml", "--events", file]);
        let shown = text(&shown);
        assert!(shown.contains("event 2 matches first") && shown.contains("yes detect (ends with)"), "{shown}");
        assert!(shown.contains("would report: \"seen\"") && !shown.contains("event 1 "), "{shown}");
        assert!(
            shown.contains("first: 1 of 2 events match") && shown.contains("second: 0 of 2 events match"),
            "{shown}"
        );
    }
    let traced = muster(folder.path(), &["rule", "replay", "r.yaml", "--events", "e.jsonl", "--trace", "--json"]);
    let decisions = &value(&traced)[0]["decisions"];
    assert_eq!((&decisions[0]["matches"], &decisions[0]["trace"][0]["outcome"]), (&json!(0), &json!(false)));
    assert_eq!(decisions[1]["effects"][2]["tag"], "seen");
}

#[test]
fn files_are_converted_and_keep_everything_else() {
    let folder = folder(&[("r.yaml", RULES)]);
    let read = || std::fs::read_to_string(folder.path().join("r.yaml")).unwrap();
    let shown = muster(folder.path(), &["rule", "convert", "--file", "r.yaml"]);
    let shown = text(&shown);
    assert!(
        shown.contains("-- action: service request\n") && shown.contains("+- action: extension request\n"),
        "{shown}"
    );
    assert_eq!(read(), RULES, "a dry run writes nothing");
    let asked = muster(folder.path(), &["rule", "convert", "--file", "r.yaml", "--no-dry-run"]);
    assert_eq!((asked.status.code(), read().as_str()), (Some(4), RULES), "nobody said yes");
    let done = muster(folder.path(), &["rule", "convert", "--file", "r.yaml", "--no-dry-run", "--yes"]);
    assert!(done.status.success(), "{done:?}");
    let converted = read();
    for kept in [
        "# the house's rules\n",
        "  # asks the sensor\n",
        "\n  - {action: add tag, tag: seen}\ntests:\n",
        "---\nname: second\n",
    ] {
        assert!(converted.contains(kept), "{kept:?} in {converted}");
    }
    assert!(converted.contains("      sid: \"{{ .routing.sid }}\"\n"), "{converted}");
    let again = muster(folder.path(), &["rule", "convert", "--file", "r.yaml"]);
    assert!(text(&again).contains("No rule makes requests"), "{again:?}");
    let other = muster(folder.path(), &["rule", "convert", "--name", "ext-zeek"]);
    assert_eq!(other.status.code(), Some(4));
}
