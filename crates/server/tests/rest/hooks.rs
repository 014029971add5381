//! Webhooks: what is posted to one becomes events of a sensor of its own.

use crate::actions::{eventually, written};
use crate::detections::{set, stored};
use crate::world::World;
use flate2::Compression;
use flate2::write::GzEncoder;
use muster_store::Stream;
use serde_json::{Value, json};
use std::io::Write as _;

/// The name of the extension, and of its webhook.
const NAME: &str = "ext-feed";

/// Makes a webhook as published extensions do; gives the path of its address.
pub async fn hook(world: &World, secret: &str) -> String {
    let oid = world.oid;
    let form = [("desc", "ext ext-feed webhook adapter"), ("tags", "lc:system"), ("tags", "ext:ext-feed")];
    let iid = world.ok("POST", &format!("installationkeys/{oid}"), &form).await["iid"].clone();
    let mapping = json!({"event_type_path": "kind", "investigation_id_path": "of/case"});
    let record = json!({"sensor_type": "webhook", "webhook": {"secret": secret, "client_options": {
        "hostname": NAME, "identity": {"oid": oid, "installation_key": iid}, "platform": "json",
        "sensor_seed_key": NAME, "mapping": mapping,
    }}});
    set(world, "cloud_sensor", NAME, record).await;
    format!("/{oid}/{NAME}/{secret}")
}

pub async fn post(world: &World, path: &str, body: impl Into<reqwest::Body>, encoding: Option<&str>) -> (u16, Value) {
    let mut request = world.request("POST", path).header("content-type", "application/json").body(body);
    if let Some(encoding) = encoding {
        request = request.header("content-encoding", encoding);
    }
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap_or(Value::Null))
}

fn packed(text: &str) -> Vec<u8> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::default());
    packer.write_all(text.as_bytes()).unwrap();
    packer.finish().unwrap()
}

async fn events(world: &World) -> Vec<Value> {
    let events = stored(world, Stream::Event).await.into_iter();
    events.filter(|event| event["routing"]["hostname"] == NAME).collect()
}

#[tokio::test]
async fn checklist_19_1_19_posted_events_are_those_of_a_sensor_and_reach_rules_and_timelines() {
    let world = World::new().await;
    let path = hook(&world, "hook-secret").await;
    let detect = json!({"event": "ALERT", "op": "is greater than", "path": "event/score", "value": 5});
    let rule = json!({"detect": detect, "respond": [{"action": "report", "name": "loud"}, {"action": "add tag", "tag": "loud"}]});
    set(&world, "dr-general", "loud", rule).await;
    let first = json!({"kind": "ALERT", "score": 9, "of": {"case": "case/1 é"}}).to_string();
    assert_eq!(post(&world, &path, packed(&first), Some("gzip")).await.0, 200);
    let lines = "{\"kind\": \"ALERT\", \"score\": 1}\n{\"free\": true}\n";
    assert_eq!(post(&world, &path, lines, None).await.0, 200);

    let events = events(&world).await;
    let kinds: Vec<&str> = events.iter().map(|event| event["routing"]["event_type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["ALERT", "ALERT", "json"]);
    let routing = &events[0]["routing"];
    assert_eq!(routing["investigation_id"], "case/1 é");
    assert_eq!(events[0]["event"]["score"], 9);
    let sid = routing["sid"].as_str().unwrap();
    assert!(events.iter().all(|event| event["routing"]["sid"] == sid), "one webhook has one sensor");
    let sensor = world.ok("GET", sid, &[]).await["info"].clone();
    assert_eq!((&sensor["hostname"], &sensor["plat"]), (&json!(NAME), &json!(0x9000_0000_u32)));
    assert_eq!(sensor["is_online"], json!(false), "nobody can send it a command");
    let detections = stored(&world, Stream::Detect).await;
    assert_eq!(detections.len(), 1);
    assert_eq!(detections[0]["detect"]["event"]["score"], 9);
    let enrolments = stored(&world, Stream::Deployment).await;
    assert_eq!(enrolments.iter().filter(|event| event["routing"]["event_type"] == "enrollment").count(), 1);
    eventually("the rule reaches the sensor", async || {
        let tags = world.ok("GET", sid, &[]).await["info"]["tags"].to_string();
        (tags.contains("loud") && tags.contains("ext:ext-feed") && tags.contains("lc:system")).then_some(())
    })
    .await;
    let now = muster_server::clock::now().as_secs();
    let timeline = format!("insight/{}/{sid}?start={}&end={}", world.oid, now - 3_600, now + 60);
    assert_eq!(world.ok("GET", &timeline, &[]).await["events"].as_array().unwrap().len(), 3);
    // The same sensor after a restart.
    let world = world.restart().await;
    assert_eq!(post(&world, &path, first, None).await.0, 200);
    assert_eq!(crate::hooks::events(&world).await.last().unwrap()["routing"]["sid"], sid);
}

#[tokio::test]
async fn checklist_19_1_19_posted_events_reach_outputs_in_their_order() {
    let world = World::new().await;
    let output = [("name", "fed"), ("module", "file"), ("type", "event"), ("dir", "fed")];
    world.ok("POST", &format!("outputs/{}", world.oid), &output).await;
    let path = hook(&world, "hook-secret").await;
    let lines = "{\"kind\": \"ALERT\", \"score\": 1}\n{\"kind\": \"ALERT\", \"score\": 2}\n";
    assert_eq!(post(&world, &path, lines, None).await.0, 200);
    let got = eventually("both are written", async || written(&world, "fed").filter(|lines| lines.len() == 2)).await;
    let scores: Vec<&Value> = got.iter().map(|event| &event["event"]["score"]).collect();
    assert_eq!((scores, &got[0]["routing"]["hostname"]), (vec![&json!(1), &json!(2)], &json!(NAME)));
}

#[tokio::test]
async fn checklist_19_1_19_a_webhook_takes_its_secret_alone_and_nothing_when_it_is_gone() {
    let world = World::new().await;
    let path = hook(&world, "hook-secret").await;
    let oid = world.oid;
    for wrong in [
        format!("/{oid}/{NAME}/hook-secre"),
        format!("/{oid}/{NAME}/hook-secret2"),
        format!("/{oid}/other/hook-secret"),
        format!("/{}/{NAME}/hook-secret", muster_server::random::uuid()),
    ] {
        let (status, answer) = post(&world, &wrong, "{}", None).await;
        assert_eq!((status, &answer["error"]), (401, &json!("no webhook of this name takes this secret")), "{wrong}");
    }
    let record = format!("hive/cloud_sensor/{oid}/{NAME}");
    world.ok("POST", &format!("{record}/mtd"), &[("usr_mtd", r#"{"enabled": false}"#)]).await;
    assert_eq!(post(&world, &path, "{}", None).await.0, 401, "one that is disabled takes nothing");
    world.ok("POST", &format!("{record}/mtd"), &[("usr_mtd", r#"{"enabled": true}"#)]).await;
    assert_eq!(post(&world, &path, "{}", None).await.0, 200);
    let sid = events(&world).await[0]["routing"]["sid"].as_str().unwrap().to_owned();
    world.ok("DELETE", &sid, &[]).await;
    let (status, answer) = post(&world, &path, "{}", None).await;
    assert_eq!((status, answer["error"].to_string().contains("was deleted")), (409, true), "{answer}");
    world.ok("DELETE", &record, &[]).await;
    assert_eq!(post(&world, &path, "{}", None).await.0, 401);
}

#[tokio::test]
async fn checklist_19_1_19_what_is_posted_beyond_the_bounds_is_refused_as_a_whole() {
    let folder = tempfile::tempdir().unwrap();
    let few = |config: &mut muster_server::config::Config| config.limits.events_per_minute = 20;
    let world = World::with(folder, muster_store::Store::memory(), few).await;
    let path = hook(&world, "hook-secret").await;
    let deep = format!("{}{}", "{\"a\":".repeat(200), "1") + &"}".repeat(200);
    let bomb = packed(&" ".repeat((32 << 20) + 1));
    for (body, encoding, expected, part) in [
        (b"nothing".to_vec(), None, 400, "no JSON"),
        (b"[]".to_vec(), None, 400, "no event"),
        (b"{} [1]".to_vec(), None, 400, "cannot be taken in"),
        (deep.into_bytes(), None, 400, ""),
        (b"no gzip".to_vec(), Some("gzip"), 400, "no gzip"),
        (bomb, Some("gzip"), 413, "unpacks to more"),
        (vec![b' '; (8 << 20) + 1], None, 413, ""),
        ("{}".repeat(10_001).into_bytes(), None, 400, "at most 10000 events"),
        ("{}".repeat(21).into_bytes(), None, 429, "too many"),
    ] {
        let (status, answer) = post(&world, &path, body, encoding).await;
        assert_eq!(status, expected, "{part}: {answer}");
        assert!(answer["error"].as_str().unwrap_or_default().contains(part), "{part}: {answer}");
    }
    assert_eq!(events(&world).await, Vec::<Value>::new());
}

#[tokio::test]
async fn checklist_19_1_19_a_webhook_that_cannot_work_is_refused_when_it_is_set() {
    let world = World::new().await;
    let path = format!("hive/cloud_sensor/{}/{NAME}/data", world.oid);
    let (status, error) =
        world.refused("POST", &path, &[("data", r#"{"sensor_type": "webhook", "webhook": {}}"#)]).await;
    assert_eq!((status, error.as_str()), (400, "webhook.secret is required"));
    world.ok("POST", &path, &[("data", r#"{"sensor_type": "s3", "s3": {"bucket": "kept as it is"}}"#)]).await;
}
