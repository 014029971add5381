//! Rules at work on events of a sensor without a process.

use crate::world::{SPOOL_ID, World};
use muster_model::Sid;
use muster_server::gateway::receive_events;
use muster_server::organization::Place;
use muster_server::{clock, detect, random};
use muster_store::{EntryQuery, Expect, Store, StoreError, Stream, Write};
use muster_wire::{Event, Events};
use serde_json::{Value, json};
use std::sync::Arc;

/// Takes in events with these numbers, as the sensor's link does.
pub async fn receive(world: &World, sid: Sid, numbers: std::ops::RangeInclusive<u64>) {
    let body = |seq: u64| format!(r#"{{"N":{seq},"FILE_PATH":"/tmp/{seq}","ONE":"1","X":"x"}}"#);
    receive_as(world, sid, numbers, &body).await;
}

/// As [`receive`], with other bodies.
pub async fn receive_as(
    world: &World,
    sid: Sid,
    numbers: std::ops::RangeInclusive<u64>,
    body: &(dyn Fn(u64) -> String + Sync),
) {
    let app = &world.server.app;
    let organization = app.organization(world.oid).unwrap();
    let ordinal = organization.state.lock().fleet.ordinal(sid).unwrap();
    let (spool_id, seq) = (SPOOL_ID, numbers.start() - 1);
    app.store.commit(vec![Write::PutSpool { oid: world.oid, ordinal, spool_id, seq, after: None }]).await.unwrap();
    let link = world.link(sid).await;
    let event = |seq| Event {
        seq,
        event_type: "TEST".into(),
        time_ms: clock::now().as_millis(),
        body: body(seq).into_bytes(),
        ..Event::default()
    };
    let events = Events { events: numbers.map(event).collect() };
    let place = Place { organization: Arc::clone(&organization), ordinal };
    receive_events(&world.server.owner, &place, &link, events).await;
}

pub async fn stored(world: &World, stream: Stream) -> Vec<Value> {
    let query = EntryQuery::all(world.oid, stream);
    let page = world.server.app.store.read(move |read| read.entries(&query)).await.unwrap();
    page.entries.iter().map(|entry| serde_json::from_slice(&entry.body).unwrap()).collect()
}

pub async fn set(world: &World, hive: &str, name: &str, data: Value) {
    let data = data.to_string();
    let form = [("data", data.as_str()), ("usr_mtd", r#"{"enabled":true,"tags":["label"]}"#)];
    world.ok("POST", &format!("hive/{hive}/{}/{name}/data", world.oid), &form).await;
}

pub fn rule(respond: Value) -> Value {
    json!({"detect": {"event": "TEST", "op": "exists", "path": "event/N"}, "respond": respond})
}

fn categories(detections: &[Value]) -> Vec<&str> {
    detections.iter().map(|detection| detection["cat"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_rule_is_in_force_from_its_write_to_its_deletion() {
    let world = World::new().await;
    let sid = world.sensor("one", &[]).await;
    receive(&world, sid, 1..=1).await;
    set(&world, "dr-general", "r", rule(json!([{"action": "report", "name": "seen"}]))).await;
    receive(&world, sid, 2..=3).await;
    let path = format!("hive/dr-general/{}/r", world.oid);
    world.ok("POST", &format!("{path}/mtd"), &[("usr_mtd", r#"{"enabled":false}"#)]).await;
    receive(&world, sid, 4..=4).await;
    world.ok("POST", &format!("{path}/mtd"), &[("usr_mtd", r#"{"enabled":true}"#)]).await;
    receive(&world, sid, 5..=5).await;
    world.ok("DELETE", &path, &[]).await;
    receive(&world, sid, 6..=6).await;
    let detections = stored(&world, Stream::Detect).await;
    let numbers: Vec<_> =
        detections.iter().map(|detection| detection["detect"]["event"]["N"].as_u64().unwrap()).collect();
    assert_eq!(numbers, [2, 3, 5]);
    let first = &detections[0];
    assert_eq!((&first["rule_tags"], &first["author"]), (&json!(["label"]), &json!("tester")));
    assert_eq!((&first["namespace"], &first["source_rule"]), (&json!("general"), &json!("general.r")));
    let events = stored(&world, Stream::Event).await;
    let numbers: Vec<_> = events.iter().map(|event| event["event"]["N"].as_u64().unwrap()).collect();
    assert_eq!(numbers, [1, 2, 3, 4, 5, 6]);
}

/// Goal: a rule that is stored and not in force is not answered as if it were. Method: the store cannot be read when the
/// first rule of an organization is to be put in force, which needs the stored counters.
#[tokio::test]
async fn a_rule_that_cannot_be_put_in_force_is_not_answered_as_done_and_comes_with_the_next() {
    let (store, faults) = Store::memory_with_faults();
    let world = World::on(tempfile::tempdir().unwrap(), store).await;
    let sid = world.sensor("one", &[]).await;
    let one = |name: &str| rule(json!([{"action": "report", "name": name}])).to_string();
    faults.fail_reads(Some(StoreError::Failed("the disk does not answer".into())));
    let path = |name: &str| format!("hive/dr-general/{}/{name}/data", world.oid);
    let enabled = ("usr_mtd", r#"{"enabled":true}"#);
    let (status, answer) = world.call("POST", &path("a"), &[("data", &one("a")), enabled]).await;
    assert_eq!((status, &answer["error_code"]), (500, &json!("not_in_force")));
    faults.fail_reads(None);
    let record = format!("hive/dr-general/{}/a/data", world.oid);
    assert_eq!(world.ok("GET", &record, &[]).await["usr_mtd"]["enabled"], true, "it is stored");
    receive(&world, sid, 1..=1).await;
    world.ok("POST", &path("b"), &[("data", &one("b")), enabled]).await;
    receive(&world, sid, 2..=2).await;
    assert_eq!(categories(&stored(&world, Stream::Detect).await), ["a", "b"]);
}

/// Goal: variables of a deleted sensor do not come back. Method: one that is left in the store, as when the disk was full
/// when its sensor was deleted; the next start takes it out, and keeps the other.
#[tokio::test]
async fn variables_of_a_deleted_sensor_end_with_the_next_start() {
    let world = World::new().await;
    let (oid, sid) = (world.oid, world.sensor("one", &[]).await);
    set(&world, "dr-general", "v", rule(json!([{"action": "add var", "name": "n", "value": "{{ .event.N }}"}]))).await;
    receive(&world, sid, 1..=1).await;
    let of_kind = async |world: &World| {
        world.server.app.store.read(move |read| read.records(Some(oid), Some("variables"))).await.unwrap()
    };
    let kept = of_kind(&world).await;
    let left = muster_store::Record { key: random::uuid().to_string(), ..kept[0].clone() };
    let write = Write::PutRecord { record: left, expect: Expect::Absent };
    world.server.app.store.commit(vec![write]).await.unwrap();
    let world = world.restart().await;
    let records = of_kind(&world).await;
    assert_eq!(records.iter().map(|record| &record.key).collect::<Vec<_>>(), [&sid.to_string()]);
}

/// Goal: lookups are in force with the rules that name them, however they come. Method: rule, then lookup, then another
/// content, then none; a batch sets both; each time an event.
#[tokio::test]
async fn a_lookup_is_in_force_from_its_write_to_its_deletion() {
    let world = World::new().await;
    let sid = world.sensor("one", &[]).await;
    let detect = json!({"event": "TEST", "op": "lookup", "path": "event/FILE_PATH", "resource": "hive://lookup/bad"});
    let listed = json!({"detect": detect, "respond": [{"action": "report", "name": "{{ .event.N }}"}]});
    set(&world, "dr-general", "l", listed.clone()).await;
    receive(&world, sid, 1..=1).await;
    set(&world, "lookup", "bad", json!({"lookup_data": {"/tmp/2": {}}})).await;
    receive(&world, sid, 2..=2).await;
    set(&world, "lookup", "bad", json!({"lookup_data": {"/tmp/3": {}, "/tmp/4": {}}})).await;
    receive(&world, sid, 3..=3).await;
    world.ok("DELETE", &format!("hive/lookup/{}/bad", world.oid), &[]).await;
    receive(&world, sid, 4..=4).await;
    let set_record = |hive: &str, name: &str, data: Value| {
        let id = json!({"hive": {"name": hive, "partition": world.oid}, "name": name});
        json!({"set_record": {"record_id": id, "record": {"data": data, "usr_mtd": {"enabled": true}}}}).to_string()
    };
    let tested = json!({"match": [[{"event": {"FILE_PATH": "/tmp/5"}, "routing": {"event_type": "TEST"}}]]});
    let mut with_tests = listed;
    with_tests["tests"] = tested;
    let (lookup, rule) = (
        set_record("lookup", "bad", json!({"lookup_data": {"/tmp/5": {}}})),
        set_record("dr-general", "l", with_tests),
    );
    let answer = world.ok("POST", "hive", &[("request", lookup.as_str()), ("request", rule.as_str())]).await;
    assert_eq!(answer["responses"][1]["error"], "", "its test names a lookup of the same call");
    receive(&world, sid, 5..=5).await;
    assert_eq!(categories(&stored(&world, Stream::Detect).await), ["2", "3", "5"]);
}

/// Goal: of the rules in force, only those that name a deleted lookup are loaded again, and operators are told which they
/// are. Method: a rule of each kind.
#[tokio::test]
async fn of_a_deleted_lookup_operators_are_told_which_rules_name_it() {
    let world = World::new().await;
    set(&world, "lookup", "bad", json!({"lookup_data": {}})).await;
    let looks = json!({"event": "TEST", "op": "lookup", "path": "event/X", "resource": "hive://lookup/bad"});
    let within = json!({"op": "or", "rules": [{"op": "is", "event": "TEST", "path": "event/X", "value": "1"}, looks]});
    let report = json!([{"action": "report", "name": "r"}]);
    for (hive, name, detect) in [("dr-general", "outside", &looks), ("dr-managed", "inside", &within)] {
        set(&world, hive, name, json!({"detect": detect, "respond": report})).await;
    }
    set(&world, "dr-general", "stranger", rule(report)).await;
    world.ok("DELETE", &format!("hive/lookup/{}/bad", world.oid), &[]).await;
    until("both are told of", async || {
        let errors = world.ok("GET", &format!("errors/{}", world.oid), &[]).await.to_string();
        assert!(!errors.contains("stranger"), "{errors}");
        errors.contains("outside") && errors.contains("inside")
    })
    .await;
}

#[tokio::test]
async fn detections_chain_and_false_positives_vanish() {
    let world = World::new().await;
    let sid = world.sensor("one", &[]).await;
    set(&world, "dr-general", "a", rule(json!([{"action": "report", "name": "first"}]))).await;
    set(&world, "dr-general", "noisy", rule(json!([{"action": "report", "name": "noise"}]))).await;
    set(&world, "dr-managed", "hidden", rule(json!([{"action": "report", "name": "__hidden"}]))).await;
    for (name, cat) in [("on-first", "first"), ("on-noise", "noise"), ("on-hidden", "__hidden")] {
        let detect = json!({"target": "detection", "event": cat, "op": "is", "path": "cat", "value": cat});
        let respond = json!([{"action": "report", "name": format!("after {cat}")}]);
        set(&world, "dr-service", name, json!({"detect": detect, "respond": respond})).await;
    }
    set(&world, "fp", "quiet", json!({"op": "is", "path": "cat", "value": "noise"})).await;
    receive(&world, sid, 1..=1).await;
    let detections = stored(&world, Stream::Detect).await;
    assert_eq!(categories(&detections), ["first", "after first", "after __hidden"]);
}

#[tokio::test]
async fn lookups_suppression_and_variables_work_and_are_kept() {
    let world = World::new().await;
    let sid = world.sensor("one", &[]).await;
    set(&world, "lookup", "bad", json!({"lookup_data": {"/tmp/2": {"why": "known"}}})).await;
    let detect = json!({"event": "TEST", "op": "lookup", "path": "event/FILE_PATH", "resource": "hive://lookup/bad"});
    set(&world, "dr-general", "l", json!({"detect": detect, "respond": [{"action": "report", "name": "listed"}]}))
        .await;
    let once = json!({"max_count": 1, "period": "1h"});
    set(&world, "dr-general", "s", rule(json!([{"action": "report", "name": "once", "suppression": once}]))).await;
    set(&world, "dr-general", "v", rule(json!([{"action": "add var", "name": "n", "value": "{{ .event.N }}"}]))).await;
    receive(&world, sid, 1..=3).await;
    let detections = stored(&world, Stream::Detect).await;
    assert_eq!(categories(&detections), ["once", "listed"]);
    assert_eq!(detections[1]["mtd"]["bad"]["why"], "known");
    // In the commit of the events.
    let oid = world.oid;
    let (variables, counters) = world
        .server
        .app
        .store
        .read(move |read| {
            let mut counters = 0;
            read.counters(oid, &mut |counter| counters += counter.count)?;
            Ok((read.records(Some(oid), Some("variables"))?, counters))
        })
        .await
        .unwrap();
    assert_eq!(counters, 3);
    assert!(["1", "2", "3"].iter().all(|value| variables[0].body.contains(&format!("\"{value}\""))));
}

#[tokio::test]
async fn a_wait_holds_the_sensor_until_what_follows_is_done() {
    let world = World::new().await;
    let sid = world.sensor("one", &[]).await;
    let respond = json!([{"action": "wait", "duration": "10ms"}, {"action": "add tag", "tag": "waited"}]);
    set(&world, "dr-general", "w", rule(respond)).await;
    let tagged = json!({"event": "TEST", "op": "is tagged", "tag": "waited"});
    set(&world, "dr-general", "x", json!({"detect": tagged, "respond": [{"action": "report", "name": "x"}]})).await;
    receive(&world, sid, 1..=3).await;
    assert_eq!(world.ok("GET", &sid.to_string(), &[]).await["info"]["tags"], json!(["waited"]));
    let detections = stored(&world, Stream::Detect).await;
    let numbers: Vec<_> =
        detections.iter().map(|detection| detection["detect"]["event"]["N"].as_u64().unwrap()).collect();
    assert_eq!(numbers, [2, 3], "what follows the wait is done before the next event");
    let events = stored(&world, Stream::Event).await;
    let numbers: Vec<_> = events.iter().map(|event| event["event"]["N"].as_u64().unwrap()).collect();
    assert_eq!(numbers, [1, 2, 3]);
}

#[tokio::test]
async fn rules_see_audit_records_but_not_their_own() {
    let world = World::new().await;
    set(&world, "lookup", "l", json!({"lookup_data": {}})).await;
    let on = |path: &str, value: &str, respond: Value| json!({"detect": {"target": "audit", "event": "user_action", "op": "is", "path": path, "value": value}, "respond": respond});
    let tag = json!({"action": "add hive tag", "hive name": "lookup", "record name": "l", "tag": "touched"});
    let respond = json!([{"action": "report", "name": "changed by {{ .detect.ident }}"}, tag]);
    set(&world, "dr-general", "config", on("mtd/action", "set_config", respond)).await;
    set(&world, "dr-general", "lookup", on("entity/name", "l", json!([{"action": "report", "name": "lookup"}]))).await;
    world.ok("POST", &format!("configs/{}/otx", world.oid), &[("value", "v")]).await;
    let path = format!("hive/lookup/{}/l/mtd", world.oid);
    until("the action was done", async || {
        world.ok("GET", &path, &[]).await["usr_mtd"]["tags"].as_array().unwrap().contains(&json!("touched"))
    })
    .await;
    world.ok("POST", &path, &[("usr_mtd", r#"{"enabled":true}"#)]).await;
    let seen = async || stored(&world, Stream::Detect).await;
    until("the second rule reports", async || categories(&seen().await).contains(&"lookup")).await;
    let detections = seen().await;
    assert_eq!(categories(&detections), ["changed by tester", "lookup"]);
    assert_eq!(detections[0]["detect"]["mtd"]["action"], "set_config");
}

async fn until(what: &str, holds: impl AsyncFn() -> bool) {
    for _ in 0..600 {
        if holds().await {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("not within twelve seconds: {what}");
}

#[tokio::test]
async fn periodic_events_come_per_sensor_and_per_organization() {
    let world = World::new().await;
    let detect = json!({"target": "schedule", "op": "exists", "path": "event/frequency"});
    let respond =
        json!([{"action": "report", "name": "{{ .routing.event_type }}", "detect_data": {"s": "event.frequency"}}]);
    set(&world, "dr-general", "all", json!({"detect": detect, "respond": respond})).await;
    let detect = json!({"target": "schedule", "event": "1h_per_sensor", "op": "is linux"});
    set(&world, "dr-general", "one", json!({"detect": detect, "respond": [{"action": "add tag", "tag": "hourly"}]}))
        .await;
    let app = &world.server.app;
    let organization = app.organization(world.oid).unwrap();
    let (now, week) = (clock::now(), 7 * 24 * 3_600);
    let tick = async |from: i64| detect::tick(&app.detect, &organization, from, now).await.unwrap();
    tick(now.as_secs() - week).await;
    assert!(stored(&world, Stream::Detect).await.is_empty(), "nobody was online");
    let sid = world.sensor("one", &["t"]).await;
    tick(now.as_secs()).await;
    assert!(stored(&world, Stream::Detect).await.is_empty(), "nothing is due");
    tick(now.as_secs() - week).await;
    let detections = stored(&world, Stream::Detect).await;
    let mut names = categories(&detections);
    names.sort_unstable();
    let periods = ["12h", "168h", "1h", "24h", "30m", "3h", "6h"];
    let expected: Vec<String> =
        periods.iter().flat_map(|period| [format!("{period}_per_org"), format!("{period}_per_sensor")]).collect();
    assert_eq!(names, expected);
    let of_sensor = detections.iter().find(|detection| detection["cat"] == "24h_per_sensor").unwrap();
    assert_eq!(
        (&of_sensor["detect"]["event"]["frequency"], &of_sensor["detect"]["routing"]["sid"]),
        (&json!(86_400), &json!(sid))
    );
    let of_organization = detections.iter().find(|detection| detection["cat"] == "30m_per_org").unwrap();
    assert_eq!(of_organization["detect"]["routing"]["sid"], "00000000-0000-0000-0000-000000000000");
    assert!(stored(&world, Stream::Event).await.is_empty(), "they are not kept");
    until("the sensor is tagged", async || {
        world.ok("GET", &sid.to_string(), &[]).await["info"]["tags"].as_array().unwrap().contains(&json!("hourly"))
    })
    .await;
}

/// Letters a and b in an order that never repeats within a pattern's reach.
fn letters(bytes: usize) -> String {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let letter = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        if state & 1 == 0 { 'a' } else { 'b' }
    };
    (0..bytes).map(letter).collect()
}

/// One organization's rule and one event once held all others for as many seconds as the event had hundreds of kilobytes.
#[tokio::test]
async fn a_rule_that_costs_too_much_holds_nobody_and_is_disabled() {
    let world = World::new().await;
    let sensor = world.sensor("hostile", &[]).await;
    let pattern = json!({"event": "TEST", "op": "matches", "path": "event/TEXT", "re": "[ab]*a[ab]{999}c"});
    set(&world, "dr-general", "bomb", json!({"detect": pattern, "respond": [{"action": "report", "name": "bomb"}]}))
        .await;
    set(&world, "dr-general", "other", rule(json!([{"action": "report", "name": "other"}]))).await;
    let record = format!("hive/dr-general/{}/bomb", world.oid);
    let letters = letters(500_000);
    let body = move |seq: u64| format!(r#"{{"N":{seq},"TEXT":"{letters}"}}"#);
    let victim = muster_model::Oid(muster_server::random::uuid());
    world.organization(victim).await;
    let victim_token = world.token_of(victim, &muster_server::access::owner_permissions()).await;

    let attack = receive_as(&world, sensor, 1..=8, &body);
    tokio::pin!(attack);
    let work = async {
        let path = format!("hive/lookup/{victim}/l/data");
        for _ in 0..3 {
            let form = [("data", r#"{"lookup_data":{"a":{}}}"#), ("usr_mtd", r#"{"enabled":true}"#)];
            assert_eq!(world.call_as(Some(&victim_token), "POST", &path, &form).await.0, 200);
            assert_eq!(world.call_as(Some(&victim_token), "GET", &format!("orgs/{victim}"), &[]).await.0, 200);
        }
    };
    tokio::select! {
        () = &mut attack => panic!("the other organization waited for the events of the hostile one"),
        () = work => {}
    }
    attack.await;

    // Disabling goes on beside the events.
    let disabled = loop {
        let answer = world.ok("GET", &format!("{record}/data"), &[]).await;
        if answer["usr_mtd"]["enabled"] == json!(false) {
            break answer;
        }
        tokio::task::yield_now().await;
    };
    let error = disabled["sys_mtd"]["last_error"].as_str().unwrap();
    assert!(error.starts_with("disabled") && error.contains("steps"), "{error}");
    assert!(world.audited().await.iter().any(|(action, _)| action == "disable_hive_record"));
    let detections = stored(&world, Stream::Detect).await;
    assert_eq!(categories(&detections), ["other"; 8]);
    let errors = world.ok("GET", &format!("errors/{}", world.oid), &[]).await.to_string();
    assert!(errors.contains("dr-general/bomb") && errors.contains("500"), "{errors}");

    world.ok("POST", &format!("{record}/mtd"), &[("usr_mtd", r#"{"enabled":true}"#)]).await;
    receive_as(&world, sensor, 9..=9, &|_| format!(r#"{{"TEXT":"{}c"}}"#, "a".repeat(1_000))).await;
    assert_eq!(stored(&world, Stream::Detect).await.len(), 9, "it is in force again");
}

/// Rules as people write them: the cases g1 to g4 that public material brought to light.
#[tokio::test]
async fn rules_are_taken_as_people_write_them() {
    let world = World::new().await;
    let sid = world.sensor("one", &[]).await;
    let exists = json!({"event": "TEST", "op": "exists", "path": "event/N"});
    // Without respond.
    for (name, data) in [("absent", json!({"detect": exists})), ("null", json!({"detect": exists, "respond": null}))] {
        set(&world, "dr-general", name, data).await;
    }
    // A whole number is an integer however it is written.
    let suppressed = |max_count: Value| {
        let suppression = json!({"max_count": max_count, "min_count": 2.0, "period": "1h"});
        json!({"detect": exists, "respond": [{"action": "report", "name": "second", "suppression": suppression}]})
    };
    set(&world, "dr-general", "float", suppressed(json!(2.0))).await;
    let path = format!("hive/dr-general/{}/half/data", world.oid);
    let half = suppressed(json!(1.5)).to_string();
    assert_eq!(world.refused("POST", &path, &[("data", half.as_str())]).await.0, 400);
    // Before its lookup: it finds nothing, and operators are told.
    let detect = json!({"event": "TEST", "op": "lookup", "path": "event/X", "resource": "hive://lookup/tonight"});
    let respond = json!([{"action": "report", "name": "listed"}]);
    set(&world, "dr-general", "early", json!({"detect": detect, "respond": respond})).await;
    receive(&world, sid, 1..=1).await;
    set(&world, "lookup", "tonight", json!({"yaml_content": "x: {}\n410e0620000000: {}"})).await;
    receive(&world, sid, 2..=2).await;
    assert_eq!(categories(&stored(&world, Stream::Detect).await), ["listed", "second"]);
    while !world.ok("GET", &format!("errors/{}", world.oid), &[]).await.to_string().contains("tonight") {
        tokio::task::yield_now().await;
    }
    // A test of a rule says nothing without the lookup.
    let detect = json!({"event": "TEST", "op": "lookup", "path": "event/X", "resource": "hive://lookup/never"});
    let tested = json!({"detect": detect, "tests": {"match": [[{"event": {"X": "x"}}]]}}).to_string();
    let (status, error) = world.refused("POST", &path, &[("data", tested.as_str())]).await;
    assert!(status == 400 && error.contains("never"), "{status} {error}");
}
