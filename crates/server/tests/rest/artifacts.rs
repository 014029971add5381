//! Rules on the content of artifacts.

use crate::actions::eventually;
use crate::detections::{set, stored};
use crate::world::World;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use muster_model::Sid;
use muster_server::clock;
use muster_server::gateway::grant_transfer;
use muster_server::intake::event;
use muster_server::link::Link;
use muster_server::organization::Place;
use muster_store::{Store, StoreError, Stream};
use muster_wire::{ArtifactOffer, TRANSFER_PATH, Transfer, TransferRequest, from_server};
use serde_json::{Value, json};

pub async fn ingestion_key(world: &World) -> String {
    let made = world.ok("POST", &format!("insight/{}/ingestion_keys", world.oid), &[("name", "i")]).await;
    made["key"].as_str().unwrap().to_owned()
}

/// Uploads `(id, type, path, source)`.
pub async fn upload(world: &World, key: &str, (id, hint, path, source): (&str, &str, &str, &str), bytes: Vec<u8>) {
    let request = world
        .request("POST", "/ingest")
        .basic_auth(world.oid, Some(key))
        .header("lc-payload-id", id)
        .header("lc-hint", hint)
        .header("lc-path", BASE64_STANDARD.encode(path))
        .header("lc-source", source)
        .body(bytes);
    assert_eq!(request.send().await.unwrap().status(), 200, "{id}");
}

/// Has a sensor send an artifact.
async fn send(world: &World, sid: Sid, hint: &str, bytes: &str) {
    let organization = world.server.app.organization(world.oid).unwrap();
    let ordinal = organization.state.lock().fleet.ordinal(sid).unwrap();
    let _online = world.link(sid).await;
    world.ok("POST", &sid.to_string(), &[("tasks", "artifact_get /tmp/a")]).await;
    let size = bytes.len() as u64;
    let offer = ArtifactOffer { path: "/tmp/a".into(), hint: hint.into(), size, ..ArtifactOffer::default() };
    let request = TransferRequest { id: 1, transfer: Some(Transfer::Artifact(offer)) };
    let link = Link::new(1);
    grant_transfer(&world.server.owner, &Place { organization, ordinal }, &link, request);
    let Some(from_server::Message::Grant(grant)) = link.take().pop_front().and_then(|message| message.message) else {
        panic!("a request is answered with a grant");
    };
    let request = world.request("PUT", &format!("{TRANSFER_PATH}{}", grant.token)).body(bytes.to_owned());
    assert_eq!(request.send().await.unwrap().status(), 200);
}

/// How many artifacts are still being read.
async fn being_read(world: &World) -> usize {
    let oid = world.oid;
    world.server.app.store.read(move |read| read.records(Some(oid), Some("reading"))).await.unwrap().len()
}

/// Detections of which this is true of the name, once everything is read.
async fn detections(world: &World, cat: &str) -> Vec<Value> {
    eventually("all is read", async || (being_read(world).await == 0).then_some(())).await;
    let query = format!("insight/{}/detections?start=0&cat={cat}&limit=1000", world.oid);
    let found = world.ok("GET", &query, &[]).await["detects"].clone();
    found.as_array().unwrap().clone()
}

fn rule(selectors: Value, path: &str, re: &str, report: Value) -> Value {
    let mut detect = json!({"target": "artifact", "op": "matches", "path": path, "re": re});
    detect.as_object_mut().unwrap().extend(selectors.as_object().unwrap().clone());
    json!({"detect": detect, "respond": [report]})
}

fn report(name: &str) -> Value {
    json!({"action": "report", "name": name})
}

#[tokio::test]
async fn lines_of_selected_artifacts_are_detected() {
    let world = World::new().await;
    let key = ingestion_key(&world).await;
    let selectors = json!({"artifact type": "auth", "artifact path": "/var/log/auth.log", "artifact source": "web01"});
    set(&world, "dr-general", "new", rule(selectors, "/text", "Failed password", report("new"))).await;
    let older = json!({"target": "log", "log type": "auth", "op": "contains", "path": "txt", "value": "Failed"});
    set(&world, "dr-general", "old", json!({"detect": older, "respond": [report("old")]})).await;
    let log = b"Accepted password for ana\nFailed password for bob\r\n\nFailed password for eve".to_vec();
    for (id, hint, path, source) in [
        ("hit", "auth", "/var/log/auth.log.1", "web01"),
        ("type", "txt", "/var/log/auth.log", "web01"),
        ("path", "auth", "/srv/var/log/auth.log", "web01"),
        ("source", "auth", "/var/log/auth.log", "web02"),
    ] {
        upload(&world, &key, (id, hint, path, source), log.clone()).await;
    }
    let binary = [b"Failed password \0".to_vec(), log].concat();
    upload(&world, &key, ("binary", "auth", "/var/log/auth.log", "web01"), binary).await;
    let found = detections(&world, "new").await;
    let seen: Vec<_> = found.iter().map(|found| (&found["detect"]["text"], &found["routing"]["log_id"])).collect();
    let expected = [json!("Failed password for bob"), json!("Failed password for eve")];
    assert_eq!(seen, [(&expected[0], &json!("hit")), (&expected[1], &json!("hit"))]);
    let routing = &found[0]["routing"];
    assert_eq!((&routing["log_type"], &routing["oid"]), (&json!("auth"), &json!(world.oid)));
    assert_eq!((&found[0]["source_rule"], &routing["event_type"]), (&json!("general.new"), &json!("artifact")));
    assert_eq!(detections(&world, "old").await.len(), 3 * 2, "of all sources and paths");
}

#[tokio::test]
async fn a_record_cannot_say_that_it_is_of_another_sensor() {
    let world = World::new().await;
    let (one, two) = (world.sensor("host", &["a"]).await, world.sensor("two", &[]).await);
    let once = json!({"action": "report", "name": "once", "suppression": {"max_count": 1, "period": "1h"}});
    set(&world, "dr-general", "r", rule(json!({"artifact type": "json"}), "user/name", "^b", once)).await;
    let chained = json!({"target": "detection", "op": "is linux"});
    set(&world, "dr-general", "c", json!({"detect": chained, "respond": [{"action": "add tag", "tag": "seen"}]})).await;
    let forged = json!({"routing": {"sid": two, "oid": two, "plat": 0}, "user": {"name": "bob"}});
    send(&world, one, "json", &format!("{forged}\nnot an object: bob\n{forged}\n")).await;
    let found = detections(&world, "once").await;
    assert_eq!(found.len(), 1, "once for a sensor");
    let routing = &found[0]["routing"];
    assert_eq!((&found[0]["detect"], &routing["sid"]), (&forged, &json!(one)));
    assert_eq!((&routing["hostname"], &routing["tags"]), (&json!("host"), &json!(["a"])));
    let tagged = async |sid: Sid| {
        let info = world.ok("GET", &format!("{sid}/tags"), &[]).await;
        info["tags"][sid.to_string()].get("seen").is_some()
    };
    eventually("the sensor is tagged", async || tagged(one).await.then_some(())).await;
    assert!(!tagged(two).await);
    send(&world, two, "json", &forged.to_string()).await;
    assert_eq!(detections(&world, "once").await.len(), 2, "each sensor has a counter of its own");
}

/// The server ends after the first of three steps, which are stored each in one commit.
#[tokio::test]
async fn a_line_is_evaluated_once_whatever_happens_amid_the_file() {
    let (store, faults) = Store::memory_with_faults();
    let world = World::on(tempfile::tempdir().unwrap(), store).await;
    let key = ingestion_key(&world).await;
    let lines: Vec<String> = (0..2_500).map(|number| format!("line {number}")).collect();
    let bytes = || [lines.join("\n").into_bytes(), b"\n".to_vec(), vec![b'5'; 200_000]].concat();
    let of = |id| (id, "txt", "/a", "s");
    faults.fail_all(Some(StoreError::Full));
    faults.pass_next();
    upload(&world, &key, of("before"), bytes()).await;
    assert_eq!(being_read(&world).await, 0, "without rules nothing is planned");
    faults.fail_all(None);

    set(&world, "dr-general", "r", rule(json!({}), "/text", "5$", report("hit"))).await;
    let at_200 = json!({"action": "report", "name": "at 200", "suppression": {
        "min_count": 200, "max_count": 200, "period": "1h", "is_global": true,
    }});
    set(&world, "dr-general", "s", rule(json!({}), "/text", "5$", at_200)).await;
    faults.fail_all(Some(StoreError::Full));
    faults.pass_next();
    faults.pass_next();
    upload(&world, &key, of("after"), bytes()).await;
    eventually("a step is stored", async || (!stored(&world, Stream::Detect).await.is_empty()).then_some(())).await;
    assert_eq!((stored(&world, Stream::Detect).await.len(), being_read(&world).await), (102, 1));
    let world = world.restart().await;
    assert_eq!((stored(&world, Stream::Detect).await.len(), being_read(&world).await), (102, 1));
    faults.fail_all(None);
    let found = detections(&world, "hit").await;
    let texts: Vec<&str> = found.iter().map(|found| found["detect"]["text"].as_str().unwrap()).collect();
    let mut expected: Vec<&str> = lines.iter().map(String::as_str).filter(|line| line.ends_with('5')).collect();
    let long = "5".repeat(64 * 1024);
    expected.push(&long);
    assert_eq!(texts, expected);
    let found = detections(&world, "at%20200").await;
    assert_eq!(found.len(), 1);
    assert_eq!(found[0]["detect"]["text"], json!(lines[1_995]), "the 200th of both steps together");
    let text = async || {
        let errors = world.ok("GET", &format!("errors/{}", world.oid), &[]).await["errors"].clone();
        let error = errors.as_array()?.iter().find(|error| error["component"] == "artifacts")?;
        error["error"].as_str().map(str::to_owned)
    };
    let text = eventually("operators are told", text).await;
    assert!(text.contains("artifact after: lines of more than 65536 bytes were cut there: 1"), "{text}");
}

#[tokio::test]
async fn events_wait_for_one_step_and_not_for_the_file() {
    let (store, faults) = Store::memory_with_faults();
    let world = World::on(tempfile::tempdir().unwrap(), store).await;
    let key = ingestion_key(&world).await;
    set(&world, "dr-general", "r", rule(json!({}), "/text", "^never$", report("r"))).await;
    let gate = faults.gate();
    let upload = upload(&world, &key, ("long", "txt", "/a", "s"), b"a line\n".repeat(10_000));
    let release = async |commits: usize| {
        for _ in 0..commits {
            eventually("a commit waits", async || (gate.waiting().0 > 0).then_some(())).await;
            gate.store(1);
            gate.answer(1);
        }
    };
    tokio::join!(upload, release(1));
    eventually("the first step is under way", async || (gate.waiting().0 > 0).then_some(())).await;
    let event = event::activity(world.oid, "test", "A", &json!({}), clock::now());
    let emitted = world.server.app.intake.commit(event);
    let (emitted, ()) = tokio::join!(emitted, release(2));
    emitted.unwrap();
    assert_eq!(being_read(&world).await, 1);
    faults.open();
    gate.store(100);
    gate.answer(100);
    assert!(detections(&world, "r").await.is_empty(), "it is read to its end");
}
