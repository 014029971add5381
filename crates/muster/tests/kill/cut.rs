//! A sensor whose journal lost its second half while it was down.

use std::fs::File;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{BETWEEN_TRIES, Operator, Programs, count, end, sensors_of, start_sensor};

/// Tasks that have ended before the cut.
const TASKS: u64 = 8;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_journal_doubles_nothing_and_every_state_ends() {
    let folder = TempDir::new().unwrap();
    let mut programs = Programs::start(folder.path());
    let operator = Operator::new(folder.path()).await;
    sensors_of(&operator).await;
    let state_dir = folder.path().join("sensor-0");
    let identity: Value = serde_json::from_slice(&std::fs::read(state_dir.join("identity.json")).unwrap()).unwrap();
    let sid = identity["sid"].as_str().unwrap();
    let effects = folder.path().join("effects");
    let id = |number: u64| format!("00000000-0000-4000-8000-{number:012}");
    let is_in = |state: &'static str| move |answer: &Value| answer["targets"][0]["state"] == state;
    for number in 0..=TASKS {
        // The last one still runs when the sensor is killed.
        let rest = if number == TASKS { "; sleep 600" } else { "" };
        let command = format!("run --shell-command \"echo {number} >> {}{rest}\" --timeout 900", effects.display());
        operator.ask("task", &json!({"task": command, "sid": sid, "task_id": id(number)})).await;
        let state = if number == TASKS { "started" } else { "finished" };
        operator.ask_until("get", &json!({"task_id": id(number)}), is_in(state)).await;
    }

    while !count(&effects).contains_key(&TASKS) {
        tokio::time::sleep(BETWEEN_TRIES).await;
    }
    end(&mut programs.sensors[0]);
    let journal = File::options().write(true).open(state_dir.join("journal")).unwrap();
    journal.set_len(journal.metadata().unwrap().len() / 2).unwrap();
    programs.sensors[0] = start_sensor(folder.path(), &programs.key, 0);

    operator.ask_until("get", &json!({"task_id": id(TASKS)}), is_in("interrupted")).await;
    // What is ordered after the cut runs, and comes after everything that could have run again.
    let after = format!("run --shell-command \"echo 77 >> {}\"", effects.display());
    operator.ask("task", &json!({"task": after, "sid": sid, "task_id": id(77)})).await;
    operator.ask_until("get", &json!({"task_id": id(77)}), is_in("finished")).await;
    for number in 0..TASKS {
        let answer = operator.ask("get", &json!({"task_id": id(number)})).await;
        assert_eq!(answer["targets"][0]["state"], "finished", "task {number}");
    }
    let lines = count(&effects);
    assert_eq!(lines.len() as u64, TASKS + 2);
    assert!(lines.values().all(|times| *times == 1), "{lines:?}");
}
