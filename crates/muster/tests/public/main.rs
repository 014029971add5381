//! Cases that rules, configurations and reports of other people brought to light, on the real programs
//! (`conformance/public`, whose README says what a step is). A file with steps is carried out on a fresh server of its
//! own; one without needs machines, and is the test of `machines` that has its name.

mod configurations;
#[path = "../shared/env_file.rs"]
mod env_file;
mod machines;
mod world;

use muster_client::{ClientError, HiveChange, UserMetadata};
use muster_rules::{YamlBounds, read_yaml};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use tokio::time::Instant;
use world::World;

const BOUNDS: YamlBounds = YamlBounds { depth: 40, values: 100_000, text_bytes: 1 << 20 };

fn cases() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../conformance/public")
}

/// A YAML file as rules and configurations are read, so that text that only looks like a number is text here, too.
fn read(path: &Path) -> Value {
    read_yaml(&std::fs::read_to_string(path).unwrap(), BOUNDS).unwrap()
}

fn text<'a>(step: &'a Value, name: &str) -> &'a str {
    step[name].as_str().unwrap_or_else(|| panic!("{name} is missing: {step}"))
}

fn number(step: &Value, name: &str) -> u64 {
    step[name].as_u64().unwrap_or_else(|| panic!("{name} is missing: {step}"))
}

/// What stands at a path, or the whole.
fn at<'a>(data: &'a Value, step: &Value) -> &'a Value {
    let path = step["at"].as_str().unwrap_or_default();
    path.split('/').filter(|part| !part.is_empty()).fold(data, |value, part| &value[part])
}

impl World {
    async fn carry_out(&self, step: &Value) {
        match text(step, "do") {
            "set" => self.set(step).await,
            "get" => {
                let record = self.client.hive_record(text(step, "hive"), text(step, "key")).await.unwrap();
                assert_eq!(at(&record.data, step), &step["is"]);
            }
            "size" => {
                let record = self.client.hive_record(text(step, "hive"), text(step, "key")).await.unwrap();
                assert_eq!(at(&record.data, step).as_object().unwrap().len() as u64, number(step, "is"));
            }
            "count" => {
                let records = self.client.hive_records(text(step, "hive")).await.unwrap();
                let named = records.keys().filter(|key| key.starts_with(text(step, "prefix"))).count();
                assert_eq!(named as u64, number(step, "is"));
            }
            "lint" => {
                let file = self.file("rule.yaml", text(step, "text"));
                self.muster(&["rule", "lint", &file]).ends_with(number(step, "code"));
            }
            "push" => {
                let file = self.file("pushed.yaml", text(step, "text"));
                let skip = if step["skip_unknown"] == true { vec!["--skip-unknown"] } else { Vec::new() };
                self.push(&file, &skip).ends_with(number(step, "code"));
            }
            "push_rules" => {
                let document = rules(number(step, "count"), number(step, "leaves"), number(step, "bytes"));
                let file = self.file("rules.yaml", &document.to_string());
                self.push(&file, &[]).ends_with(number(step, "code"));
            }
            "push_lookup" => {
                let file = self.file("lookup.yaml", &lookup(number(step, "count")).to_string());
                self.push(&file, &[]).ends_with(number(step, "code"));
            }
            "pull_and_push" => {
                let file = self.file("pulled.yaml", "");
                self.muster(&["sync", "pull", &file]).ends_with(0);
                let pushed = self.push(&file, &["--force"]);
                pushed.ends_with(0);
                assert!(pushed.stdout.starts_with("0 changes, "), "{}", pushed.stdout);
            }
            other => panic!("no such step: {other}"),
        }
    }

    async fn set(&self, step: &Value) {
        let usr_mtd = Some(UserMetadata { enabled: true, ..UserMetadata::default() });
        let change = HiveChange { data: Some(step["data"].clone()), usr_mtd, etag: None };
        let done = self.client.set_hive_record(text(step, "hive"), text(step, "key"), &change).await;
        let status = match &done {
            Ok(()) => 200,
            Err(ClientError::Refused { status, .. }) => u64::from(*status),
            Err(other) => panic!("{other}"),
        };
        assert_eq!(status, number(step, "status"), "{done:?}");
    }
}

/// So many rules, each of so many comparisons with a text of so many bytes.
fn rules(count: u64, leaves: u64, bytes: u64) -> Value {
    let padding = "x".repeat(usize::try_from(bytes).unwrap());
    let rule = |number: u64| {
        let leaf = |leaf: u64| json!({"op": "ends with", "path": "event/FILE_PATH", "value": format!("/opt/{padding}/{number}/{leaf}.sh"), "case sensitive": false});
        let detect = json!({"event": "NEW_PROCESS", "op": "or", "rules": (0..leaves).map(leaf).collect::<Vec<_>>()});
        let data = json!({"detect": detect, "respond": [{"action": "report", "name": format!("seen-{number}")}]});
        (format!("big {number:05}"), json!({"data": data, "usr_mtd": {"enabled": true, "tags": ["big"]}}))
    };
    json!({"version": 3, "hives": {"dr-general": (0..count).map(rule).collect::<Map<_, _>>()}})
}

/// A lookup of so many addresses.
fn lookup(count: u64) -> Value {
    let address = |number: u64| format!("10.{}.{}.{}", number >> 16, number >> 8 & 255, number & 255);
    let entries: Map<_, _> = (0..count).map(|number| (address(number), json!({}))).collect();
    json!({"version": 3, "hives": {"lookup": {"many": {"data": {"lookup_data": entries}, "usr_mtd": {"enabled": true}}}}})
}

/// A step at the size that is asked for.
fn sized(step: &Value) -> Value {
    let mut sized = step.as_object().unwrap().clone();
    if std::env::var_os("MUSTER_FULL_SIZE").is_some() {
        sized.extend(step["full"].as_object().into_iter().flatten().map(|(name, value)| (name.clone(), value.clone())));
    }
    Value::Object(sized)
}

async fn run(name: &str) {
    let case = read(&cases().join(format!("{name}.yaml")));
    let world = World::start();
    for (number, step) in case["steps"].as_array().unwrap().iter().enumerate() {
        let begun = Instant::now();
        world.carry_out(&sized(step)).await;
        println!("{name}: step {}, {}: {:.1?}", number + 1, text(step, "do"), begun.elapsed());
    }
}

macro_rules! carried_out {
    ($($test:ident: $file:literal),* $(,)?) => {
        /// Files that are carried out here.
        const CARRIED_OUT: &[&str] = &[$($file),*];
        $(
            // Commands are waited for; meanwhile another thread sees which connections the server closes.
            #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
            async fn $test() {
                run($file).await;
            }
        )*
    };
}

carried_out! {
    g1_text_that_looks_like_an_endless_number: "g1-text-that-looks-like-an-endless-number",
    g2_rule_before_its_lookup: "g2-rule-before-its-lookup",
    g3_rule_without_respond: "g3-rule-without-respond",
    g4_whole_number_written_as_a_float: "g4-whole-number-written-as-a-float",
    g5_large_configuration: "g5-large-configuration",
    g6_older_sections: "g6-older-sections",
}

#[test]
fn every_case_has_its_test() {
    let files: BTreeSet<String> = std::fs::read_dir(cases())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .map(|path| path.file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    let tested: BTreeSet<String> = CARRIED_OUT.iter().chain(machines::CASES).map(ToString::to_string).collect();
    assert_eq!(files, tested);
}
