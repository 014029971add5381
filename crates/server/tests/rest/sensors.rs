//! Sensors, tags and flags.

use crate::world::World;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use muster_wire::{FromServer, from_server};
use serde_json::{Value, json};
use std::io::Read as _;

#[tokio::test]
async fn a_sensor_is_listed_and_shown_in_the_published_shape() {
    let world = World::new().await;
    let sid = world.sensor("Web01", &["vip", "web"]).await.to_string();
    let listed = world.ok("GET", &format!("sensors/{}?selector=plat+%3D%3D+linux", world.oid), &[]).await;
    assert_eq!(listed.get("continuation_token"), None);
    let shown = world.ok("GET", &sid, &[]).await;
    assert_eq!(shown["info"], listed["sensors"][0]);
    assert_eq!((&shown["online"], &shown["is_online"]), (&json!({}), &json!(false)));
    let info = &shown["info"];
    assert_eq!((&info["sid"], &info["oid"], &info["did"]), (&json!(sid), &json!(world.oid), &json!("")));
    assert_eq!((&info["plat"], &info["arch"]), (&json!(536_870_912), &json!(2)));
    assert_eq!((&info["hostname"], &info["tags"]), (&json!("Web01"), &json!(["vip", "web"])));
    assert_eq!(info["enroll"].as_str().unwrap().len(), "2024-02-01 00:00:00".len());
    let agent_id = format!("{}.{}.{sid}.10000000.2", world.oid, info["iid"].as_str().unwrap());
    assert_eq!(world.ok("GET", &agent_id, &[]).await["info"], *info);
}

#[tokio::test]
async fn a_list_is_narrowed_and_paged() {
    let world = World::new().await;
    let mut sids = Vec::new();
    for (hostname, tags) in [("web-1", ["a"]), ("web-2", ["b"]), ("db-1", ["a"])] {
        sids.push(world.sensor(hostname, &tags).await.to_string());
    }
    let list = async |query: &str| {
        let answer = world.ok("GET", &format!("sensors/{}?{query}", world.oid), &[]).await;
        let names: Vec<String> =
            answer["sensors"].as_array().unwrap().iter().map(|s| s["hostname"].as_str().unwrap().to_owned()).collect();
        (names, answer["continuation_token"].as_str().map(str::to_owned))
    };
    assert_eq!(list("with_hostname_prefix=WEB").await.0, ["web-1", "web-2"]);
    assert_eq!(list("filter_tag=a&with_hostname_prefix=db").await.0, ["db-1"]);
    assert_eq!(list("filter_tag=b").await.0, ["web-2"]);
    assert_eq!(list("with_ip=10.1.2.3&selector=").await.0.len(), 3);
    assert_eq!(list("with_ip=10.1.2.4").await.0.len(), 0);
    assert_eq!(list("is_online_only=true").await.0.len(), 0);
    let (first, token) = list("limit=2").await;
    assert_eq!(first, ["web-1", "web-2"]);
    let (second, token) = list(&format!("limit=2&continuation_token={}", token.unwrap())).await;
    assert_eq!((second, token), (vec!["db-1".to_owned()], None));
    // A page that ends with the list is the last one.
    assert_eq!(list("limit=3").await.1, None);

    let packed = world.ok("GET", &format!("sensors/{}?is_compressed=true", world.oid), &[]).await;
    let bytes = STANDARD.decode(packed["sensors"].as_str().unwrap()).unwrap();
    let mut text = String::new();
    flate2::read::GzDecoder::new(bytes.as_slice()).read_to_string(&mut text).unwrap();
    assert_eq!(serde_json::from_str::<Vec<Value>>(&text).unwrap().len(), 3);

    let exported = world.ok("POST", &format!("export/{}/sensors", world.oid), &[]).await;
    assert_eq!(exported["sensors"].as_array().unwrap().len(), 3);
    let online = world.ok("POST", &format!("online/{}", world.oid), &[("sids", &sids[0]), ("sids", &sids[2])]).await;
    assert_eq!(online, json!({&sids[0]: false, &sids[2]: false}));
    assert_eq!(world.ok("GET", &format!("online/{}", world.oid), &[]).await, json!({"count": 0}));
    let hosts = world.ok("GET", &format!("hostnames/{}?hostname=Db", world.oid), &[]).await;
    assert_eq!(hosts, json!({&sids[2]: [sids[2], "db-1"]}));

    let (status, error) = world.refused("GET", &format!("sensors/{}?selector=plat+%3D%3D", world.oid), &[]).await;
    assert!(status == 400 && error.starts_with("invalid selector: "), "{error}");
    assert_eq!(world.refused("GET", &format!("sensors/{}?continuation_token=x", world.oid), &[]).await.0, 400);
}

#[tokio::test]
async fn tags_come_and_go_with_an_audit_record() {
    let world = World::new().await;
    let sid = world.sensor("one", &[]).await.to_string();
    let path = format!("{sid}/tags");
    world.ok("POST", &path, &[("tags", "a, b"), ("tags", "c d"), ("ttl", "3600")]).await;
    let tags = world.ok("GET", &path, &[]).await;
    let of_sensor = tags["tags"][&sid].as_object().unwrap();
    assert_eq!(of_sensor.keys().collect::<Vec<_>>(), ["a", "b", "c d"]);
    assert_eq!(of_sensor["a"].as_array().unwrap()[..3], [json!(sid), json!("a"), json!("tester")]);
    assert_eq!(world.ok("GET", &format!("tags/{}", world.oid), &[]).await, json!({"tags": ["a", "b", "c d"]}));
    let carriers = world.ok("GET", &format!("tags/{}/c%20d", world.oid), &[]).await;
    assert_eq!(carriers, json!({&sid: ["a", "b", "c d"]}));
    world.ok("DELETE", &path, &[("tag", "a")]).await;
    world.ok("DELETE", &path, &[("tags", "b,c d")]).await;
    assert_eq!(world.ok("GET", &path, &[]).await, json!({"tags": {&sid: {}}}));
    assert_eq!(world.ok("GET", &format!("tags/{}", world.oid), &[]).await, json!({"tags": []}));
    let actions: Vec<String> = world.audited().await.into_iter().map(|(action, _)| action).collect();
    assert_eq!(actions, ["add_tag", "remove_tag", "remove_tag"]);
    assert_eq!(world.refused("POST", &path, &[("tags", "a"), ("ttl", "-1")]).await.0, 400);
    assert_eq!(world.refused("POST", &path, &[]).await.0, 400);
    assert_eq!(world.refused("POST", &path, &[("tags", &"x".repeat(257))]).await.0, 400);
}

#[tokio::test]
async fn flags_tell_what_is_wanted_and_what_is() {
    let world = World::new().await;
    let sid = world.sensor("one", &[]).await.to_string();
    for (flag, is, should) in [("isolation", "is_isolated", "should_isolate"), ("seal", "is_sealed", "should_seal")] {
        let path = format!("{sid}/{flag}");
        world.ok("POST", &path, &[]).await;
        assert_eq!(world.ok("GET", &path, &[]).await, json!({is: false, should: true}));
        assert_eq!(world.ok("GET", &sid, &[]).await["info"][should], true);
        world.ok("DELETE", &path, &[]).await;
        assert_eq!(world.ok("GET", &path, &[]).await, json!({is: false, should: false}));
    }
    let actions: Vec<String> = world.audited().await.into_iter().map(|(action, _)| action).collect();
    assert_eq!(actions, ["isolate", "rejoin", "seal", "unseal"]);
}

#[tokio::test]
async fn a_deleted_sensor_is_gone_until_it_is_undeleted() {
    let world = World::new().await;
    let sid = world.sensor("one", &["kept"]).await.to_string();
    world.ok("DELETE", &sid, &[]).await;
    for (method, path) in [("GET", ""), ("DELETE", ""), ("POST", ""), ("GET", "/tags"), ("POST", "/isolation")] {
        assert_eq!(world.refused(method, &format!("{sid}{path}"), &[]).await, (404, "sensor not found".into()));
    }
    assert_eq!(world.ok("GET", &format!("sensors/{}", world.oid), &[]).await, json!({"sensors": []}));
    assert_eq!(world.ok("GET", &format!("tags/{}", world.oid), &[]).await, json!({"tags": []}));
    world.ok("POST", &format!("{sid}/undelete"), &[]).await;
    assert_eq!(world.ok("GET", &sid, &[]).await["info"]["tags"], json!(["kept"]));
}

#[tokio::test]
async fn an_offline_sensor_is_not_tasked() {
    let world = World::new().await;
    let sid = world.sensor("one", &[]).await.to_string();
    let offline = (400, "sensor not online".to_owned());
    assert_eq!(world.refused("POST", &sid, &[("tasks", "os_version")]).await, offline);
    // What failed is not remembered as done.
    for _ in 0..2 {
        let request = world.request("POST", &sid).bearer_auth(&world.token).header("x-idempotent-key", "k");
        assert_eq!(request.form(&[("tasks", "os_version")]).send().await.unwrap().status(), 400);
    }
    assert_eq!(world.refused("POST", &sid, &[]).await.0, 400);
    assert_eq!(world.refused("POST", &sid, &[("tasks", "no_such_command")]).await.0, 400);
}

/// A client whose connection broke repeats the call while the first is still being stored.
#[tokio::test(flavor = "multi_thread")]
async fn calls_under_one_key_at_the_same_time_task_once_and_all_succeed() {
    let world = World::durable().await;
    let id = world.sensor("one", &[]).await;
    let link = world.link(id).await;
    let send = async || {
        let request = world.request("POST", &id.to_string()).bearer_auth(&world.token);
        let request = request.header("x-idempotent-key", "k").form(&[("tasks", "os_version")]);
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!(tokio::join!(send(), send(), send()), (200, 200, 200));
    let delivered = |message: &FromServer| matches!(message.message, Some(from_server::Message::Deliver(_)));
    assert_eq!(link.take().iter().filter(|message| delivered(message)).count(), 1);
}

/// The answer was lost because the server died; it may have died before the sensor got anything.
#[tokio::test]
async fn a_call_that_is_repeated_after_a_restart_is_the_same_tasks() {
    let world = World::new().await;
    let sid = world.sensor("one", &[]).await;
    let send = async |world: &World, key: &str| {
        let link = world.link(sid).await;
        let request = world.request("POST", &sid.to_string()).bearer_auth(&world.token);
        let request = request.header("x-idempotent-key", key).form(&[("tasks", "os_version"), ("tasks", "os_users")]);
        assert_eq!(request.send().await.unwrap().status(), 200);
        let id = |message: FromServer| match message.message {
            Some(from_server::Message::Deliver(deliver)) => Some((deliver.task_id, deliver.command)),
            _ => None,
        };
        link.take().into_iter().filter_map(id).collect::<Vec<_>>()
    };
    let first = send(&world, "k").await;
    assert!(first.len() == 2 && first[0].0 != first[1].0);
    let world = world.restart().await;
    assert_eq!(send(&world, "k").await, first, "a sensor does not run again what it has");
    assert_ne!(send(&world, "another").await, first);
    let tasked = world.audited().await.into_iter().filter(|(action, _)| action == "task").count();
    assert_eq!(tasked, 4);
}

#[tokio::test]
async fn a_repeated_call_tasks_once() {
    let world = World::new().await;
    let id = world.sensor("one", &[]).await;
    let (sid, link) = (id.to_string(), world.link(id).await);
    let shown = world.ok("GET", &sid, &[]).await;
    assert!(shown["is_online"] == true && !shown["online"].as_object().unwrap().is_empty());
    assert_eq!(world.ok("POST", &format!("online/{}", world.oid), &[]).await, json!({&sid: true}));
    let send = async |key: Option<&str>, command: &str| {
        let mut request = world.request("POST", &sid).bearer_auth(&world.token);
        if let Some(key) = key {
            request = request.header("x-idempotent-key", key);
        }
        let answer = request.form(&[("tasks", command), ("investigation_id", "case-1")]).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        let delivered = |message: &FromServer| matches!(message.message, Some(from_server::Message::Deliver(_)));
        link.take().iter().filter(|message| delivered(message)).count()
    };
    link.take();
    assert_eq!(send(Some("k1"), "os_version").await, 1);
    assert_eq!(send(Some("k1"), "os_version").await, 0);
    assert_eq!(send(Some("k2"), "os_version").await, 1);
    // Another command under the same key is another call, and without a key each call counts.
    assert_eq!(send(Some("k1"), "os_processes").await, 1);
    assert_eq!(send(None, "os_version").await + send(None, "os_version").await, 2);
    let tasked = world.audited().await.into_iter().filter(|(action, _)| action == "task").count();
    assert_eq!(tasked, 5);
}
