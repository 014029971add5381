//! Reliable tasking with a real server, a real store and real sensor processes.

mod schema;
mod world;

use muster_store::{EntryQuery, Stream};
use serde_json::json;
use world::{World, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn an_offline_sensor_gets_its_task_when_it_comes_back() {
    let mut world = World::new().await;
    let mut sensor = world.sensor("one");
    let sid = world.online(1).await.remove(0);
    let tagged = world.ask("preview", &json!({"tag": "from-key"})).await;
    assert_eq!(tagged["sensors"][0]["sid"], json!(sid), "tags of the key are put on at enrolment");
    sensor.kill();
    world.online(0).await;

    let mark = world.folder.path().join("mark");
    let command = format!("run --shell-command \"echo done >> {}\"", mark.display());
    let created = world.ask("task", &json!({"task": command, "selector": "plat == linux", "context": "ctx-1"})).await;
    assert_eq!((&created["total_sensors"], &created["tasked_sensors"]), (&json!(1), &json!(0)));
    let task_id = created["task_id"].as_str().unwrap().to_owned();
    let listed = world.ask("list", &json!({})).await;
    assert_eq!(listed["tasks"][&sid][&task_id]["task"], json!(command));

    // The server restarts while the task waits.
    world.stop_server().await;
    world.start_server().await;
    let explained = world.ask("explain", &json!({"task_id": task_id, "sid": sid})).await;
    assert_eq!(explained["code"], "offline");

    sensor.start();
    let got = world.counted(&task_id, "finished", 1).await;
    let target = &got["targets"][0];
    for time in ["sent", "confirmed", "started", "ended"] {
        assert!(target[time].as_i64().is_some(), "{time} is missing: {target}");
    }
    assert_eq!((&target["code"], &target["attempts"]), (&json!(0), &json!(1)));
    assert_eq!(std::fs::read_to_string(&mark).unwrap(), "done\n");
    assert_eq!(world.ask("list", &json!({})).await["tasks"], json!({}));

    // Restarts of the sensor do not run it again, and the server knows no more tasks for it.
    sensor.kill();
    sensor.start();
    world.online(1).await;
    let again = world.ask("task", &json!({"task": "os_version"})).await;
    world.counted(again["task_id"].as_str().unwrap(), "finished", 1).await;
    assert_eq!(std::fs::read_to_string(&mark).unwrap(), "done\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_taken_back_never_arrives() {
    let world = World::new().await;
    let mut sensor = world.sensor("one");
    world.online(1).await;
    sensor.kill();
    world.online(0).await;
    let mark = world.folder.path().join("mark");
    let command = format!("run --shell-command \"touch {}\"", mark.display());
    let created = world.ask("task", &json!({"task": command})).await;
    let untasked = world.ask("untask", &json!({"task_id": created["task_id"]})).await;
    assert_eq!(untasked, json!({"deleted": 1}));
    sensor.start();
    world.online(1).await;
    let later = world.ask("task", &json!({"task": "os_version"})).await;
    world.counted(later["task_id"].as_str().unwrap(), "finished", 1).await;
    assert!(!mark.exists());
    let got = world.ask("get", &json!({"task_id": created["task_id"], "state": "removed"})).await;
    assert_eq!(got["counts"]["removed"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_task_is_cancelled_on_the_endpoint_and_one_that_waits_there_never_begins() {
    let mut world = World::new().await;
    let sensor = world.sensor("one");
    world.online(1).await;
    let (begun, ended) = (world.folder.path().join("begun"), world.folder.path().join("ended"));
    let command = format!(
        "run --timeout 600 --shell-command \"touch {}; sleep 500; touch {}\"",
        begun.display(),
        ended.display()
    );
    let running = world.ask("task", &json!({"task": command})).await;
    let running = running["task_id"].as_str().unwrap();
    eventually("the command to begin", async || begun.exists().then_some(())).await;
    let cancelled = world.ask("cancel", &json!({"task_id": running})).await;
    assert_eq!(cancelled, json!({"deleted": 0, "withdrawn": 0, "stopping": 1}));
    let got = world.counted(running, "cancelled", 1).await;
    assert_eq!(got["targets"][0]["error"], "stopped while it ran");
    assert!(!ended.exists());
    let again = world.ask("cancel", &json!({"task_id": running})).await;
    assert!(again["warning"].as_str().unwrap().contains("nothing was cancelled"));

    // Offline while it is cancelled, and over a restart of the server: told when it comes back.
    let waiting = world.ask("task", &json!({"task": command})).await;
    let waiting = waiting["task_id"].as_str().unwrap().to_owned();
    world.counted(&waiting, "started", 1).await;
    sensor.pause();
    world.ask("cancel", &json!({"task_id": waiting})).await;
    world.stop_server().await;
    world.start_server().await;
    sensor.go_on();
    world.counted(&waiting, "cancelled", 1).await;
    assert!(!ended.exists());
}

/// A server that is restored from a backup does not know who enrolled after it.
#[tokio::test(flavor = "multi_thread")]
async fn a_sensor_that_enrolled_after_the_backup_comes_back_by_itself_or_is_told_as_a_stranger() {
    let mut world = World::new().await;
    world.stop_server().await;
    world.back_up();
    world.start_server().await;
    let mut sensor = world.sensor("one");
    let sid = world.online(1).await.remove(0);

    world.stop_server().await;
    world.restore();
    world.start_server().await;
    assert_eq!(world.online(1).await, std::slice::from_ref(&sid), "with the identity that it had");
    let task = world.ask("task", &json!({"task": "os_version", "selector": "`from-key` in tags"})).await;
    world.counted(task["task_id"].as_str().unwrap(), "finished", 1).await;
    let app = world.app();
    let query = EntryQuery::all(world.oid, Stream::Audit);
    let page = app.store.read(move |read| read.entries(&query)).await.unwrap();
    let told = page.entries.iter().map(|entry| String::from_utf8_lossy(&entry.body));
    assert!(told.into_iter().any(|text| text.contains("enrol_again") && text.contains(&sid)), "the audit tells it");

    // The backup does not even know its key.
    sensor.kill();
    world.stop_server().await;
    world.restore();
    world.start_server().await;
    world.remove_key().await;
    sensor.start();
    eventually("a stranger is told", async || {
        let (_, answer) = world.call("GET", &format!("errors/{}", world.oid), &[]).await;
        let text = answer.to_string();
        (text.contains("strangers") && text.contains(&sid) && text.contains("--install")).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_sensor_joins_a_dynamic_task_only() {
    let world = World::new().await;
    let first = world.ask("task", &json!({"task": "os_version"})).await;
    assert_eq!(first["total_sensors"], 0);
    let dynamic = world.ask("task", &json!({"task": "os_version", "dynamic": true, "selector": "vip in tags"})).await;
    let _sensor = world.sensor("late");
    let sid = world.online(1).await.remove(0);
    let (status, answer) = world.call("POST", &format!("{sid}/tags"), &[("tags", "vip")]).await;
    assert_eq!(status, 200, "{answer}");
    world.counted(dynamic["task_id"].as_str().unwrap(), "finished", 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_carry_the_context_and_are_kept() {
    let world = World::new().await;
    let _sensor = world.sensor("one");
    let sid = world.online(1).await.remove(0);
    let created = world.ask("task", &json!({"task": "os_version", "context": "audit-2024"})).await;
    world.counted(created["task_id"].as_str().unwrap(), "finished", 1).await;
    let app = &world.server.as_ref().unwrap().app;
    let (oid, sid) = (world.oid, sid.parse().unwrap());
    let query = EntryQuery {
        sid: Some(sid),
        investigation_id: Some("audit-2024".into()),
        ..EntryQuery::all(oid, Stream::Event)
    };
    let kinds = eventually("the answer is stored", async || {
        let query = query.clone();
        let page = app.store.read(move |read| read.entries(&query)).await.unwrap();
        let kinds: Vec<String> = page.entries.into_iter().map(|entry| entry.kind.to_string()).collect();
        (kinds.len() >= 2).then_some(kinds)
    })
    .await;
    assert_eq!(kinds, ["CLOUD_NOTIFICATION", "OS_VERSION_REP"]);
}

/// The published example: a context is reflected, a rule sends the answer to an output and reports it.
#[tokio::test(flavor = "multi_thread")]
async fn answers_of_a_reliable_task_are_captured_by_a_rule() {
    let world = World::new().await;
    let oid = world.oid;
    let rule = json!({
        "detect": {"op": "contains", "event": "RECEIPT", "path": "routing/investigation_id", "value": "version"},
        "respond": [
            {"action": "output", "name": "tasks-output"},
            {"action": "report", "name": "Reliable task ran"},
            {"action": "add tag", "tag": "captured"},
            {"action": "task", "command": "os_version", "investigation": "again"},
            {"action": "re-enroll"},
        ],
    });
    let output = [("name", "tasks-output"), ("module", "file"), ("type", "tailored"), ("dir", "captured")];
    let (status, answer) = world.call("POST", &format!("outputs/{oid}"), &output).await;
    assert_eq!(status, 200, "{answer}");
    let (data, mtd) = (rule.to_string(), json!({"enabled": true}).to_string());
    let form = [("data", data.as_str()), ("usr_mtd", mtd.as_str())];
    let (status, answer) = world.call("POST", &format!("hive/dr-general/{oid}/capture/data"), &form).await;
    assert_eq!(status, 200, "{answer}");

    let _sensor = world.sensor("one");
    let sid = world.online(1).await.remove(0);
    world.ask("task", &json!({"task": "run --shell-command \"echo hi\"", "context": "version"})).await;
    let detection =
        eventually("the detection is stored", async || world.stored(Stream::Detect).await.into_iter().next()).await;
    assert_eq!(
        (&detection["cat"], &detection["source_rule"]),
        (&json!("Reliable task ran"), &json!("general.capture"))
    );
    assert_eq!(detection["detect"]["routing"]["investigation_id"], "version");
    assert_eq!(detection["routing"]["sid"], json!(sid));
    let captured = eventually("the output is written", async || world.written("captured").into_iter().next()).await;
    assert_eq!(captured["routing"]["event_type"], "RECEIPT");
    eventually("the tag and the task of the rule arrive", async || {
        let (_, sensor) = world.call("GET", &sid, &[]).await;
        let is_tagged = sensor["info"]["tags"].as_array()?.contains(&json!("captured"));
        let events = world.stored(Stream::Event).await;
        let is_tasked = events.iter().any(|event| {
            event["routing"]["investigation_id"] == "again" && event["routing"]["event_type"] == "OS_VERSION_REP"
        });
        (is_tagged && is_tasked).then_some(())
    })
    .await;
    eventually("what failed is told", async || {
        let (_, errors) = world.call("GET", &format!("errors/{oid}"), &[]).await;
        errors.to_string().contains("dr-general/capture").then_some(())
    })
    .await;
    assert_eq!(world.stored(Stream::Detect).await.len(), 1, "the rule's own task does not match again");
}

/// A `wait` of a rule holds the events of a sensor back, and nothing else: what operators ask of it begins at once.
#[tokio::test(flavor = "multi_thread")]
async fn a_wait_of_a_rule_does_not_hold_tasks_back() {
    let world = World::new().await;
    let oid = world.oid;
    let rule = json!({
        "detect": {"op": "contains", "event": "RECEIPT", "path": "routing/investigation_id", "value": "holding"},
        // Longer than everything that follows takes, on the slowest machine.
        "respond": [{"action": "wait", "duration": "1m"}],
    });
    let (data, mtd) = (rule.to_string(), json!({"enabled": true}).to_string());
    let form = [("data", data.as_str()), ("usr_mtd", mtd.as_str())];
    let (status, answer) = world.call("POST", &format!("hive/dr-general/{oid}/hold/data"), &form).await;
    assert_eq!(status, 200, "{answer}");
    let _sensor = world.sensor("one");
    world.online(1).await;
    let run = async |context: &str| {
        let created = world.ask("task", &json!({"task": "run --shell-command \"echo hi\"", "context": context})).await;
        world.counted(created["task_id"].as_str().unwrap(), "finished", 1).await;
    };
    let app = &world.server.as_ref().unwrap().app;
    let is_held =
        async || app.store.read(move |read| read.records(Some(oid), Some("action"))).await.unwrap().len() == 1;
    run("holding").await;
    eventually("the wait is in force", async || is_held().await.then_some(())).await;
    run("behind").await;
    run("operator").await;
    let stored = world.stored(Stream::Event).await;
    assert!(is_held().await, "the tasks ran while the wait was in force");
    let is_behind = |event: &&serde_json::Value| {
        event["routing"]["event_type"] == "RECEIPT" && event["routing"]["investigation_id"] != "holding"
    };
    assert_eq!(stored.iter().filter(is_behind).count(), 0, "their answers wait");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_8_a_key_enrols_no_more_sensors_than_it_may() {
    let world = World::new().await;
    let keys = format!("installationkeys/{}", world.oid);
    let (_, listed) = world.call("GET", &keys, &[]).await;
    let iid = listed[world.oid.to_string()].as_object().unwrap().keys().next().unwrap().clone();
    let (status, answer) = world.call("POST", &keys, &[("iid", &iid), ("quota", "1")]).await;
    assert_eq!(status, 200, "{answer}");
    let _one = world.sensor("one");
    let sid = world.online(1).await.remove(0);
    let _two = world.sensor("two");
    let told = eventually("the refusal is told", async || {
        let (_, errors) = world.call("GET", &format!("errors/{}", world.oid), &[]).await;
        let mut errors = errors["errors"].as_array().unwrap().clone().into_iter();
        errors.find(|error| error["component"] == json!(format!("installation_keys/{iid}")))
    })
    .await;
    assert!(told["error"].as_str().unwrap().starts_with("1 sensors are enrolled with this installation key"), "{told}");
    assert_eq!(world.online(1).await, [sid], "who was enrolled before stays");
    let audit = format!("insight/{}/audit", world.oid);
    eventually("the audit tells it", async || {
        let (_, told) = world.call("GET", &audit, &[]).await;
        told["events"]
            .as_array()
            .unwrap()
            .iter()
            .any(|record| record["mtd"]["action"] == "refuse_enrolment")
            .then_some(())
    })
    .await;
}
