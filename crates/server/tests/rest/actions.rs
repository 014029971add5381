//! What rules order is done: each action, in order, also after a failed one and a restart.

use crate::detections::{receive, rule, set, stored};
use crate::world::World;
use muster_model::Sid;
use muster_server::link::Link;
use muster_server::organization::Place;
use muster_server::sensor;
use muster_server::{clock, extension, tasking};
use muster_store::{Expect, Stream};
use muster_wire::{SensorState, from_server};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// Waits for a condition; gives up after half a minute with what was waited for.
pub async fn eventually<T>(what: &str, mut check: impl AsyncFnMut() -> Option<T>) -> T {
    for _ in 0..1_500 {
        if let Some(found) = check().await {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("waited in vain for: {what}");
}

/// Lets so much time pass at once for everything that waits for time: what it is measured by otherwise goes on as it does.
pub async fn pass(span: Duration) {
    tokio::time::pause();
    tokio::time::advance(span).await;
    tokio::time::resume();
}

async fn subscribed() -> World {
    let world = World::new().await;
    let subscription = extension::Subscription { created_at: clock::now(), by: "test".into() };
    let records = &world.server.app.records;
    let name = tasking::EXTENSION;
    records.put(world.oid, extension::SUBSCRIPTION, name, &subscription, Expect::Any, Vec::new()).await.unwrap();
    world
}

async fn actions_wait(world: &World) -> usize {
    let oid = world.oid;
    world.server.app.store.read(move |read| read.records(Some(oid), Some("action"))).await.unwrap().len()
}

/// Puts a rule with these actions in force, has the event of this number matched, and waits until all is done.
async fn respond(world: &World, sid: Sid, number: u64, respond: Value) {
    set(world, "dr-general", "r", rule(respond)).await;
    receive(world, sid, number..=number).await;
    eventually("all actions are done with", async || (actions_wait(world).await == 0).then_some(())).await;
}

async fn reliable_tasks(world: &World) -> Vec<(String, String)> {
    let organization = world.server.app.organization(world.oid).unwrap();
    let state = organization.state.lock();
    let tasks = state.queue.tasks();
    tasks.map(|task| (task.spec.command.clone(), task.spec.context.clone().unwrap_or_default())).collect()
}

async fn errors(world: &World) -> Value {
    world.ok("GET", &format!("errors/{}", world.oid), &[]).await
}

#[tokio::test]
async fn flags_are_set_and_taken_back() {
    let world = World::new().await;
    let sid = world.sensor("one", &[]).await;
    let pairs = [("isolate network", "rejoin network", "should_isolate"), ("seal", "unseal", "should_seal")];
    let mut numbers = 1..;
    for (on, off, field) in pairs {
        for (action, wanted) in [(on, true), (off, false)] {
            respond(&world, sid, numbers.next().unwrap(), json!([{"action": action}])).await;
            let info = world.ok("GET", &sid.to_string(), &[]).await["info"].clone();
            assert_eq!(info[field], json!(wanted), "{action}");
        }
    }
    let actions: Vec<_> =
        world.audited().await.into_iter().map(|(action, record)| (action, record["ident"].clone())).collect();
    let by_rule = |action: &str| (action.to_owned(), json!("rule/general.r"));
    for action in ["isolate", "rejoin", "seal", "unseal"] {
        assert_eq!(actions.iter().filter(|have| **have == by_rule(action)).count(), 1, "{action}");
    }
}

#[tokio::test]
async fn a_deleted_sensor_that_comes_back_is_undeleted() {
    let world = World::new().await;
    let sid = world.sensor("one", &[]).await;
    let detect = json!({"target": "deployment", "event": "deleted_sensor", "op": "exists", "path": "routing/sid"});
    set(&world, "dr-general", "u", json!({"detect": detect, "respond": [{"action": "undelete sensor"}]})).await;
    world.ok("DELETE", &sid.to_string(), &[]).await;
    let organization = world.server.app.organization(world.oid).unwrap();
    let ordinal = organization.state.lock().fleet.ordinal(sid).unwrap();
    let is_deleted = || organization.state.lock().fleet.row(ordinal).unwrap().sensor.deleted;
    assert!(is_deleted());
    let (place, link) = (Place { organization: organization.clone(), ordinal }, Arc::new(Link::new(1)));
    let state = SensorState::default();
    assert!(sensor::went_online(&world.server.app.sensors, &place, &link, &state, None).await.is_err());
    eventually("the sensor is there again", async || (!is_deleted()).then_some(())).await;
}

#[tokio::test]
async fn both_doors_of_reliable_tasking_and_direct_tasks_work() {
    let world = subscribed().await;
    let sid = world.sensor("one", &[]).await;
    let request =
        json!({"task": "{{ \"os_version\" }}", "selector": "sid=='{{ .routing.sid }}'", "context": "{{ \"new\" }}"});
    let actions = json!([
        {"action": "extension request", "extension name": "ext-reliable-tasking", "extension action": "task",
         "extension request": request},
        {"action": "service request", "name": "reliable-tasking",
         "request": {"action": "task", "task": "os_version", "sid": "<<routing/sid>>", "context": "old {{ .event.N }}"}},
    ]);
    respond(&world, sid, 1, actions).await;
    let command = || "os_version".to_owned();
    assert_eq!(reliable_tasks(&world).await, [(command(), "new".to_owned()), (command(), "old 1".to_owned())]);
    assert_eq!(errors(&world).await["errors"], json!([]));

    let direct = json!([
        {"action": "task", "command": "os_version", "investigation": "n {{ .event.N }}"},
        {"action": "task", "command": ["dir_list", "/tmp/a b", "*"]},
    ]);
    set(&world, "dr-general", "r", rule(direct)).await;
    receive(&world, sid, 2..=2).await;
    let organization = world.server.app.organization(world.oid).unwrap();
    let current = organization.state.lock().link_of(sid).unwrap().clone();
    let mut told = Vec::new();
    eventually("both tasks are sent", async || {
        for message in current.take() {
            if let Some(from_server::Message::Deliver(task)) = message.message
                && !task.wants_receipts
            {
                told.push((task.command, task.investigation_id));
            }
        }
        (told.len() >= 2).then_some(())
    })
    .await;
    let list = r#"dir_list "/tmp/a b" "*""#.to_owned();
    assert_eq!(told, [(command(), "n 2".to_owned()), (list, String::new())]);
}

#[tokio::test]
async fn records_are_tagged_and_untagged() {
    let world = World::new().await;
    let sid = world.sensor("one", &[]).await;
    set(&world, "fp", "noisy", json!({"op": "is", "path": "cat", "value": "x"})).await;
    let tags =
        async || world.ok("GET", &format!("hive/fp/{}/noisy/mtd", world.oid), &[]).await["usr_mtd"]["tags"].clone();
    let act =
        |action: &str, tag: &str| json!([{"action": action, "hive name": "fp", "record name": "noisy", "tag": tag}]);
    respond(&world, sid, 1, act("add hive tag", "seen {{ .event.N }}")).await;
    assert_eq!(tags().await, json!(["label", "seen 1"]));
    respond(&world, sid, 2, act("remove hive tag", "label")).await;
    assert_eq!(tags().await, json!(["seen 1"]));
}

/// What an output has written into a folder, if its last line is whole.
pub fn written(world: &World, dir: &str) -> Option<Vec<Value>> {
    let mut texts = Vec::new();
    let mut folders = vec![world.folder.path().join("outputs").join(world.oid.to_string()).join(dir)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            match entry.path().is_dir() {
                true => folders.push(entry.path()),
                false => texts.push(std::fs::read_to_string(entry.path()).unwrap_or_default()),
            }
        }
    }
    let text = texts.into_iter().find(|text| text.ends_with('\n'))?;
    Some(text.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

#[tokio::test]
async fn a_tailored_output_gets_the_events_of_its_rule() {
    let world = World::new().await;
    let sid = world.sensor("one", &[]).await;
    let output = [("name", "mine"), ("module", "file"), ("type", "tailored"), ("dir", "mine")];
    world.ok("POST", &format!("outputs/{}", world.oid), &output).await;
    let second = json!({"event": "TEST", "op": "is", "path": "event/N", "value": 2});
    let respond = json!([{"action": "output", "name": "mine"}, {"action": "output", "name": "gone"}]);
    set(&world, "dr-general", "r", json!({"detect": second, "respond": respond})).await;
    receive(&world, sid, 1..=3).await;
    let lines = eventually("the event is written", async || written(&world, "mine")).await;
    assert_eq!((lines.len(), &lines[0]["event"]["N"]), (1, &json!(2)));
    let told = eventually("the missing output is told", async || {
        let errors = errors(&world).await;
        errors["errors"].as_array().unwrap().first().cloned()
    })
    .await;
    assert_eq!(told["component"], "dr-general/r");
    assert!(told["error"].as_str().unwrap().contains("\"gone\""), "{told}");
}

#[tokio::test]
async fn variables_are_kept_over_a_restart_until_they_are_over_or_deleted() {
    let world = World::new().await;
    let sid = world.sensor("one", &[]).await;
    let first = json!({"event": "TEST", "op": "is", "path": "event/N", "value": 1});
    let remember = json!([
        {"action": "add var", "name": "kept", "value": "{{ .event.N }}", "ttl": 3600},
        {"action": "add var", "name": "over", "value": "x", "ttl": 0},
        {"action": "add var", "name": "deleted", "value": "x"},
        {"action": "del var", "name": "deleted", "value": "x"},
    ]);
    set(&world, "dr-general", "a", json!({"detect": first, "respond": remember})).await;
    for (name, path) in [("kept", "event/ONE"), ("over", "event/X"), ("deleted", "event/X")] {
        let is = json!({"event": "TEST", "op": "is", "path": path, "value": format!("[[{name}]]")});
        set(&world, "dr-general", name, json!({"detect": is, "respond": [{"action": "report", "name": name}]})).await;
    }
    receive(&world, sid, 1..=1).await;
    let world = world.restart().await;
    receive(&world, sid, 2..=2).await;
    let detections = stored(&world, Stream::Detect).await;
    let cats: Vec<_> = detections.iter().map(|detection| detection["cat"].as_str().unwrap()).collect();
    assert_eq!(cats, ["kept", "kept"], "rules after the first see the variable at once");
}

#[tokio::test]
async fn what_waits_at_a_restart_is_done_after_it_and_a_failed_action_stops_no_other() {
    let world = World::new().await;
    let sid = world.sensor("one", &["before"]).await;
    let actions = json!([
        {"action": "wait", "duration": "300ms"},
        {"action": "service request", "name": "no-such-service", "request": {}},
        {"action": "add tag", "tag": "after", "ttl": 3600},
        {"action": "remove tag", "tag": "before"},
    ]);
    set(&world, "dr-general", "r", rule(actions)).await;
    receive(&world, sid, 1..=1).await;
    assert_eq!(actions_wait(&world).await, 4, "they are stored with the event");
    let world = world.restart().await;
    eventually("all actions are done with", async || (actions_wait(&world).await == 0).then_some(())).await;
    assert_eq!(world.ok("GET", &sid.to_string(), &[]).await["info"]["tags"], json!(["after"]));
    let note = eventually("the failure is noted", async || {
        let record = world.ok("GET", &format!("hive/dr-general/{}/r/mtd", world.oid), &[]).await;
        record["sys_mtd"]["last_error"].as_str().filter(|error| !error.is_empty()).map(str::to_owned)
    })
    .await;
    assert!(note.contains("no-such-service"), "{note}");
    assert!(errors(&world).await.to_string().contains("dr-general/r"));
}

#[tokio::test]
async fn a_deleted_sensor_is_forgotten_by_rules() {
    let world = World::new().await;
    let sid = world.sensor("one", &[]).await;
    set(&world, "dr-general", "r", rule(json!([{"action": "add var", "name": "n", "value": "x"}]))).await;
    receive(&world, sid, 1..=1).await;
    let oid = world.oid;
    let kept = async || {
        let read = world.server.app.store.read(move |read| read.records(Some(oid), Some("variables")));
        read.await.unwrap().len()
    };
    assert_eq!(kept().await, 1);
    world.ok("DELETE", &sid.to_string(), &[]).await;
    assert_eq!(kept().await, 0);
}
