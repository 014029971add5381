//! Runs the golden selector cases and names each that fails.
//!
//! `MUSTER_CONFORMANCE_DIR` points it at another folder of the same format. It is
//! a plain program, so that the count is printed when everything passes too.

#[path = "shared/golden.rs"]
mod golden;
#[path = "shared/roster.rs"]
mod roster;

use golden::Record;
use muster_model::Sensor;
use muster_selector::Selector;
use roster::Roster;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::process::ExitCode;

/// The fields that every view must have.
const FIELD_COUNT: usize = 20;

/// The whole of `selectors/cases.yaml`.
#[derive(Deserialize)]
struct Golden {
    sensors: BTreeMap<String, Entry>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Entry {
    record: Record,
    view: View,
}

/// What the evaluator is to see.
#[derive(Deserialize)]
struct View {
    #[serde(flatten)]
    fields: BTreeMap<String, Field>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Field {
    Flag(bool),
    UnixSeconds(i64),
    Text(String),
    Tags(Vec<String>),
}

#[derive(Deserialize)]
struct Case {
    id: String,
    expression: String,
    sensor: String,
    expect: Expected,
    error_kind: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Expected {
    Truth(bool),
    Word(String),
}

fn main() -> ExitCode {
    let golden = golden::read::<Golden>();
    let roster = Roster::new(golden.sensors.values().map(|entry| entry.record.sensor()).collect());
    let by_name: BTreeMap<&str, usize> = golden.sensors.keys().map(String::as_str).zip(0..).collect();
    let projections = failed_projections(&golden, &roster);
    let failures: Vec<String> = golden
        .cases
        .iter()
        .filter_map(|case| {
            let outcome = by_name.get(&*case.sensor).ok_or("unknown sensor".to_owned());
            let outcome = outcome.and_then(|at| run(case, &roster, *at));
            outcome.err().map(|reason| format!("{}: {reason}: {}", case.id, case.expression))
        })
        .collect();

    let (sensor_count, case_count) = (golden.sensors.len(), golden.cases.len());
    println!("selector projections: {}/{sensor_count} passed", sensor_count - projections.len());
    println!("selector cases: {}/{case_count} passed", case_count - failures.len());
    for failure in projections.iter().chain(&failures) {
        println!("FAILED {failure}");
    }
    if case_count == 0 {
        println!("FAILED there are no cases");
    }
    ExitCode::from(u8::from(case_count == 0 || !projections.is_empty() || !failures.is_empty()))
}

/// Sensors whose record does not project onto their view.
fn failed_projections(golden: &Golden, roster: &Roster) -> Vec<String> {
    let checked = golden.sensors.iter().zip(roster.sensors()).filter_map(|((name, entry), sensor)| {
        let wrong = wrong_fields(&entry.view, sensor);
        (!wrong.is_empty()).then(|| format!("projection of {name}: {}", wrong.join(", ")))
    });
    checked.collect()
}

/// Asks the evaluator for each field of a view.
fn wrong_fields(view: &View, sensor: &Sensor) -> Vec<String> {
    let quote = |text: &str| format!("'{}'", text.replace('\\', r"\\").replace('\'', r"\'"));
    let holds = |expression: String| Selector::parse(&expression).is_ok_and(|selector| selector.matches(sensor));
    let is_right = |name: &String, field: &Field| match field {
        Field::Flag(flag) => holds(format!("{name} == {flag}")),
        Field::UnixSeconds(seconds) => holds(format!("{name} == {seconds}")),
        Field::Text(text) => holds(format!("{name} == {}", quote(text))),
        Field::Tags(tags) => {
            let all_in = tags.iter().all(|tag| holds(format!("{} in {name}", quote(tag))));
            all_in && sensor.tags.len() == tags.len()
        }
    };
    let wrong = view.fields.iter().filter(|(name, field)| !is_right(name, field));
    let missing = (view.fields.len() != FIELD_COUNT).then(|| format!("{} fields", view.fields.len()));
    wrong.map(|(name, field)| format!("{name} is not {field:?}")).chain(missing).collect()
}

fn run(case: &Case, roster: &Roster, at: usize) -> Result<(), String> {
    let parsed = Selector::parse(&case.expression);
    match (&case.expect, parsed) {
        (Expected::Truth(wanted), Ok(selector)) => {
            let sensor = &roster.sensors()[at];
            let matched = selector.matches(sensor);
            if matched != *wanted {
                return Err(format!("gave {matched}"));
            }
            let is_left_out = sensor.deleted && !selector.mentions_deleted();
            let selected = selector.select(roster).contains(u32::try_from(at).map_err(|error| error.to_string())?);
            if selected != (matched && !is_left_out) {
                return Err(format!("matches, but select gave {selected}"));
            }
            Ok(())
        }
        (Expected::Truth(_), Err(error)) => Err(format!("gave {} error {error}", error.kind.name())),
        (Expected::Word(word), Err(error)) if word == "error" => match case.error_kind.as_deref() {
            Some(kind) if kind == error.kind.name() => Ok(()),
            wanted => Err(format!("gave {} error {error}, wanted {wanted:?}", error.kind.name())),
        },
        (wanted, _) => Err(format!("gave no error, wanted {wanted:?}")),
    }
}
