//! A sensor that is killed while it carries out a batch.

use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{BETWEEN_TRIES, Operator, Programs, TRIES_MAX, end, read, sensors_of, start_sensor};

/// Lines of a batch that is killed in a line of its own choice.
const LINES: usize = 3;
/// Lines of a batch that is killed wherever it is.
const MANY_LINES: usize = 40;

/// A batch whose lines write their numbers; that at `stays` then stays for long.
fn batch(round: usize, lines: usize, effects: &str, stays: Option<usize>) -> String {
    let line = |number| {
        let rest = if stays == Some(number) { "; sleep 600" } else { "" };
        format!("'run --shell-command \"echo {number} >> {effects}; echo said-{round}-{number}{rest}\" --timeout 900'")
    };
    format!("batch {}", (0..lines).map(line).collect::<Vec<_>>().join(" "))
}

fn numbers(lines: usize) -> String {
    (0..lines).map(|number| format!("{number}\n")).collect()
}

/// Waits until this is in the answers.
async fn until_told(operator: &Operator, path: &str, said: &str) {
    for _ in 0..TRIES_MAX {
        if json!(operator.all(path, "events").await).to_string().contains(said) {
            return;
        }
        tokio::time::sleep(BETWEEN_TRIES).await;
    }
    panic!("{said} is in no answer");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p6_a_batch_whose_sensor_is_killed_ends_truly_and_each_of_its_lines_has_its_effect_at_most_once() {
    let folder = TempDir::new().unwrap();
    let mut programs = Programs::start(folder.path());
    let operator = Operator::new(folder.path()).await;
    sensors_of(&operator).await;
    let identity: Value = serde_json::from_str(&read(&folder.path().join("sensor-0/identity.json"))).unwrap();
    let sid = identity["sid"].as_str().unwrap();
    let has_ended =
        |answer: &Value| ["finished", "interrupted"].iter().any(|end| answer["targets"][0]["state"] == *end);
    for (round, stays) in (0..LINES).map(Some).chain([None]).enumerate() {
        let (id, effects) =
            (format!("00000000-0000-4000-8000-{round:012}"), folder.path().join(format!("effects-{round}")));
        let lines = stays.map_or(MANY_LINES, |_| LINES);
        let task = batch(round, lines, &effects.display().to_string(), stays);
        operator.ask("task", &json!({"task": task, "sid": sid, "task_id": id, "context": id})).await;
        // It is in that line; or else it has begun.
        while !read(&effects).contains(&format!("{}\n", stays.unwrap_or(0))) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        end(&mut programs.sensors[0]);
        programs.sensors[0] = start_sensor(folder.path(), &programs.key, 0);

        let answer = operator.ask_until("get", &json!({"task_id": id}), has_ended).await;
        let (state, had) = (answer["targets"][0]["state"].as_str().unwrap(), read(&effects));
        let done = had.lines().count();
        assert_eq!(had, numbers(done), "round {round}: in their order, each once, and none after the kill");
        match stays {
            Some(stays) => assert_eq!((state, done), ("interrupted", stays + 1), "round {round}"),
            None => assert!(state == "interrupted" || done == MANY_LINES, "{state} after {done} lines"),
        }
        // What the lines before it have answered is known.
        let path = format!("v1/insight/{}/{sid}?event_type=RECEIPT", operator.oid);
        for number in 0..done.saturating_sub(1) {
            until_told(&operator, &path, &format!("said-{round}-{number}\\n")).await;
        }
    }
    // Nothing of them comes later: what is ordered now is carried out after all that could be.
    let (id, after) = ("00000000-0000-4000-8000-000000000077", folder.path().join("after"));
    let task = format!("run --shell-command \"echo 77 >> {}\"", after.display());
    operator.ask("task", &json!({"task": task, "sid": sid, "task_id": id})).await;
    operator.ask_until("get", &json!({"task_id": id}), has_ended).await;
    assert_eq!(read(&after), "77\n");
    for stays in 0..LINES {
        assert_eq!(read(&folder.path().join(format!("effects-{stays}"))), numbers(stays + 1));
    }
}
