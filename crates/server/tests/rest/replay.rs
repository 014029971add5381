//! Rules tried on kept events: what is read, what bounds it, and that nothing is done.

use crate::world::World;
use muster_model::{Sid, Timestamp};
use muster_server::turns::ReplayTurns;
use muster_server::{clock, random};
use muster_store::{Entry, Stream, Write};
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::task::JoinSet;

/// Keeps events with these numbers, one per second; gives the Unix second of the first, which is
/// recent enough to be kept.
async fn keep(world: &World, sid: Sid, numbers: std::ops::Range<i64>) -> i64 {
    let first_s = clock::now().as_secs() - 3_600;
    let entry = |number: i64| {
        let at_ms = (first_s + number) * 1_000;
        let routing = json!({"oid": world.oid, "sid": sid, "event_type": "TEST", "event_time": at_ms});
        Entry {
            oid: world.oid,
            stream: Stream::Event,
            sid: Some(sid),
            id: random::uuid(),
            time: Timestamp::from_millis(at_ms),
            kind: "TEST".into(),
            this_atom: None,
            parent_atom: None,
            investigation_id: None,
            body: json!({"routing": routing, "event": {"N": number}}).to_string().into(),
        }
    };
    world.server.app.store.commit(vec![Write::Append(numbers.map(entry).collect())]).await.unwrap();
    first_s
}

async fn ask(world: &World, token: &str, body: &Value) -> (u16, Value) {
    let answer = world.request("POST", "/").bearer_auth(token).json(body).send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

fn request(world: &World, rule: Value, sensor_events: Value) -> Value {
    json!({
        "oid": world.oid, "rule_source": rule,
        "event_source": {"stream": "event", "sensor_events": sensor_events, "events": null},
        "trace": false, "is_dry_run": false, "limit_event": 0, "limit_eval": 0,
    })
}

#[tokio::test]
async fn four_4_a_supplied_event_that_nests_too_deep_is_refused() {
    let world = World::new().await;
    let event = format!("{}1{}", "{\"a\":".repeat(130), "}".repeat(130));
    let request = json!({
        "oid": world.oid, "rule_source": {"rule": tagging(0)},
        "event_source": {"stream": "event", "events": ["EVENT"]},
    });
    let body = request.to_string().replace("\"EVENT\"", &event);
    let asked = world.request("POST", "/").bearer_auth(&world.token).header("content-type", "application/json");
    let answer = asked.body(body).send().await.unwrap();
    assert_eq!(answer.status(), 400);
    assert_eq!(answer.json::<Value>().await.unwrap()["error_code"], "bad_request");
}

/// Goal: a long body is read beside those who serve connections, one at a time of each sender, and nobody else waits for it.
/// Method: while the turn of one sender is held, its long bodies wait, its short ones and those of another sender do not.
#[tokio::test]
async fn a_long_body_is_read_when_its_sender_has_a_turn() {
    let world = World::new().await;
    let app = &world.server.app;
    let other = world.token_of(world.oid, &["dr.list".to_owned()]).await;
    let long = |count: usize| {
        let events =
            vec![json!({"routing": {"event_type": "TEST"}, "event": {"N": 1, "TEXT": "x".repeat(2_000)}}); count];
        json!({"oid": world.oid, "rule_source": {"rule": tagging(0)}, "event_source": {"events": events}})
    };
    let sender = app.secrets.caller(&app.records, &world.token, None, clock::now()).unwrap().credential;
    let turn = app.reading_turns.wait(&sender).await;
    let two_hundred = long(200);
    let mut waiting = Box::pin(ask(&world, &world.token, &two_hundred));
    let (short, of_other) = tokio::select! {
        biased;
        answer = &mut waiting => panic!("it did not wait: {answer:?}"),
        answers = async { (ask(&world, &world.token, &long(1)).await, ask(&world, &other, &two_hundred).await) } => answers,
    };
    assert_eq!((short.0, &short.1["stats"]["n_matched"]), (200, &json!(1)));
    assert_eq!((of_other.0, &of_other.1["stats"]["n_matched"]), (200, &json!(200)), "{}", of_other.1["error"]);
    drop(turn);
    let (status, answer) = waiting.await;
    assert_eq!((status, &answer["stats"]["n_matched"]), (200, &json!(200)));
    let mut broken = two_hundred.to_string();
    broken.pop();
    let asked = world.request("POST", "/").bearer_auth(&world.token).header("content-type", "application/json");
    let answer = asked.body(broken).send().await.unwrap();
    assert_eq!(answer.status(), 400);
    assert!(answer.json::<Value>().await.unwrap()["error"].as_str().unwrap().contains("not JSON"));
}

fn tagging(above: i64) -> Value {
    json!({
        "detect": {"event": "TEST", "op": "is greater than", "path": "event/N", "value": above},
        "respond": [{"action": "add tag", "tag": "caught"}, {"action": "report", "name": "caught"}],
    })
}

#[tokio::test]
async fn kept_events_are_replayed_and_nothing_is_done() {
    let world = World::new().await;
    let (one, two) = (world.sensor("one", &["lab"]).await, world.sensor("two", &[]).await);
    let first_s = keep(&world, one, 0..2_500).await;
    keep(&world, two, 0..10).await;
    let literal = json!({"rule": tagging(2_489)});
    let (status, answer) = ask(&world, &world.token, &request(&world, literal.clone(), json!({}))).await;
    assert_eq!(status, 200, "{answer}");
    let stats = &answer["stats"];
    assert_eq!((&stats["n_scan"], &stats["n_proc"], &stats["n_matched"]), (&json!(2_510), &json!(2_510), &json!(10)));
    let results = answer["results"].as_array().unwrap();
    assert_eq!(
        (results.len(), &results[0]["action"], &results[1]["action"]),
        (20, &json!("add tag"), &json!("report"))
    );
    assert_eq!(results[1]["data"]["source_rule"], "replay-rule");
    assert_eq!(results[1]["data"]["detect"]["event"]["N"], 2_490);
    assert_eq!(answer["matches"][0]["routing"]["event_time"], (first_s + 2_490) * 1_000);
    assert_eq!(world.ok("GET", &one.to_string(), &[]).await["info"]["tags"], json!(["lab"]), "a replay never acts");
    let detections = world.ok("GET", &format!("insight/{}/detections", world.oid), &[]).await;
    assert_eq!(detections["detects"], json!([]));

    let scanned = async |sensor_events: Value| {
        let (status, answer) = ask(&world, &world.token, &request(&world, literal.clone(), sensor_events)).await;
        assert_eq!(status, 200, "{answer}");
        (answer["stats"]["n_scan"].as_u64().unwrap(), answer["stats"]["n_matched"].as_u64().unwrap())
    };
    assert_eq!(scanned(json!({"sid": two})).await, (10, 0));
    assert_eq!(scanned(json!({"selector": "\"lab\" in tags"})).await, (2_500, 10));
    assert_eq!(scanned(json!({"sids": [one, two], "selector": "hostname == \"two\""})).await, (10, 0));
    assert_eq!(scanned(json!({"sid": one, "start_time": first_s + 2_495, "end_time": first_s + 2_496})).await, (2, 2));
}

#[tokio::test]
async fn limits_cut_and_a_dry_run_only_counts() {
    let world = World::new().await;
    let sid = world.sensor("one", &[]).await;
    let first_s = keep(&world, sid, 0..1_500).await;
    let ask = async |changes: Value| {
        let mut body = request(&world, json!({"rule": tagging(-1)}), json!({"sid": sid}));
        body.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        let (status, answer) = ask(&world, &world.token, &body).await;
        assert_eq!(status, 200, "{answer}");
        answer
    };
    let cut = ask(json!({"limit_event": 1_200, "trace": true})).await;
    assert_eq!((&cut["limit_event_reached"], &cut["stats"]["n_scan"]), (&json!(true), &json!(1_200)));
    assert_eq!(cut["stats"]["last_event_time"], (first_s + 1_199) * 1_000);
    let listed = (cut["results"].as_array().unwrap().len(), cut["traces"].as_array().unwrap().len());
    assert_eq!(listed, (1_000, 1_000), "an answer has a bound");
    assert_eq!(cut["stats"]["n_results_left_out"], 1_400);
    assert_eq!(cut["traces"][0], json!(["yes detect (is greater than)"]));
    let cut = ask(json!({"limit_eval": 7})).await;
    assert_eq!((&cut["limit_eval_reached"], &cut["stats"]["n_eval"]), (&json!(true), &json!(7)));
    let dry = ask(json!({"is_dry_run": true})).await;
    assert_eq!((&dry["is_dry_run"], &dry["did_match"]), (&json!(true), &json!(false)));
    assert_eq!(
        (&dry["stats"]["n_scan"], &dry["stats"]["n_proc"], &dry["results"]),
        (&json!(1_500), &json!(0), &json!([]))
    );
}

/// The clock of a replay is the events' own: suppression and state work as they would have then.
#[tokio::test]
async fn state_and_suppression_follow_the_time_of_the_events() {
    let world = World::new().await;
    let sid = world.sensor("one", &[]).await;
    keep(&world, sid, 0..100).await;
    let at_most_once = json!({"max_count": 1, "period": "10s"});
    let suppressed = json!({
        "detect": {"event": "TEST", "op": "exists", "path": "event/N"},
        "respond": [{"action": "report", "name": "r", "suppression": at_most_once}],
    });
    let (_, answer) = ask(&world, &world.token, &request(&world, json!({"rule": suppressed}), json!({}))).await;
    assert_eq!((&answer["stats"]["n_matched"], answer["results"].as_array().unwrap().len()), (&json!(100), 10));
    let is = |number: i64| json!({"op": "is", "event": "TEST", "path": "event/N", "value": number});
    let mut stateful = is(3);
    stateful["with events"] = is(50);
    let rule = json!({"detect": stateful, "respond": [{"action": "report", "name": "r"}]});
    let (_, answer) = ask(&world, &world.token, &request(&world, json!({"rule": rule}), json!({}))).await;
    assert_eq!(
        (&answer["stats"]["n_matched"], &answer["results"][0]["data"]["detect"]["event"]["N"]),
        (&json!(1), &json!(3))
    );
}

#[tokio::test]
async fn stored_rules_lookups_and_permissions() {
    let world = World::new().await;
    let sid = world.sensor("one", &[]).await;
    keep(&world, sid, 0..5).await;
    let path = format!("hive/dr-managed/{}/m/data", world.oid);
    world.ok("POST", &path, &[("data", &tagging(3).to_string())]).await;
    // Published clients forget the namespace that their user named.
    for rule in [json!({"rule_name": "m"}), json!({"rule_name": "m", "namespace": "dr-managed"})] {
        let (status, answer) = ask(&world, &world.token, &request(&world, rule, json!({}))).await;
        assert_eq!((status, &answer["stats"]["n_matched"]), (200, &json!(1)), "{answer}");
        assert_eq!(answer["results"][1]["data"]["source_rule"], "managed.m");
    }
    let absent = json!({"rule_name": "m", "namespace": "general"});
    assert_eq!(ask(&world, &world.token, &request(&world, absent, json!({}))).await.0, 400);

    let lookup = json!({"op": "lookup", "event": "TEST", "path": "event/N", "resource": "hive://lookup/mine"});
    let rule = json!({"detect": lookup, "respond": []});
    let mut body = request(&world, json!({"rule": rule}), json!({}));
    let (status, answer) = ask(&world, &world.token, &body).await;
    let supply = "lookup \"mine\" is not available in replay: supply it in the request's \"lookups\" field";
    assert!(status == 400 && answer["error"].as_str().unwrap().contains(supply), "{answer}");
    let path = format!("hive/dr-general/{}/l/data", world.oid);
    world.ok("POST", &path, &[("data", &rule.to_string())]).await;
    body["lookups"] = json!({"mine": {"2": {"why": "known"}}});
    assert_eq!(ask(&world, &world.token, &body).await.1["stats"]["n_matched"], 1);
    body["lookups"] = (0..33).map(|number| (number.to_string(), json!({}))).collect::<serde_json::Map<_, _>>().into();
    let (status, answer) = ask(&world, &world.token, &body).await;
    assert_eq!((status, &answer["error"]), (400, &json!("invalid lookups: too many lookups: 33 (max 32)")));

    let detect = json!({"target": "artifact", "artifact type": "auth", "op": "contains", "path": "text", "value": "b"});
    let mut body = request(&world, json!({"rule": {"detect": detect, "respond": []}}), json!({}));
    body["event_source"] = json!({"stream": "artifact", "events": [{"text": "bob"}, {"text": "ana"}]});
    assert_eq!(ask(&world, &world.token, &body).await.1["stats"]["n_matched"], 1, "of whatever artifact");

    let request = request(&world, json!({"rule": tagging(0)}), json!({}));
    let blind = world.token_of(world.oid, &["dr.list".to_owned()]).await;
    let (status, answer) = ask(&world, &blind, &request).await;
    assert_eq!((status, &answer["error"]), (401, &json!("missing permission: insight.evt.get")));
    for (field, value) in [("sid", json!("no")), ("selector", json!("plat ==")), ("cursor", json!("x"))] {
        let mut wrong = request.clone();
        wrong["event_source"]["sensor_events"] = json!({field: value});
        assert_eq!(ask(&world, &world.token, &wrong).await.0, 400, "{field}");
    }
    let mut wrong = request.clone();
    wrong["event_source"]["stream"] = json!("schedule");
    assert_eq!(ask(&world, &world.token, &wrong).await.0, 400);
}

/// A key that may only list rules once kept forty threads busy for half an hour, and SIGTERM waiting.
#[tokio::test]
async fn replays_take_turns_end_with_their_callers_and_with_the_server() {
    let world = World::new().await;
    let token = world.token_of(world.oid, &["dr.list".to_owned()]).await;
    let rule = json!({
        "detect": {"op": "matches", "path": "event/TEXT", "re": "[ab]*a[ab]{999}c"}, "respond": [],
    });
    let text: String = (0..200_000_u64).map(|at| if (at * at) >> 7 & 1 == 0 { 'a' } else { 'b' }).collect();
    let event = json!({"routing": {"event_type": "TEST"}, "event": {"TEXT": text}});
    let body = json!({
        "oid": world.oid, "rule_source": {"rule": rule}, "event_source": {"events": vec![event; 10]},
    });
    let ask = |world: &World| world.request("POST", "/").bearer_auth(&token).json(&body).send();
    let turns = Arc::clone(&world.server.app.replay_turns);
    let mut asked = JoinSet::new();
    (0..40).for_each(|_| drop(asked.spawn(ask(&world))));
    // The line has an end, and who comes after it is told at once.
    let first = asked.join_next().await.unwrap().unwrap().unwrap();
    assert_eq!(first.status(), 503);
    assert!((1..=8).contains(&turns.in_line()), "{}", turns.in_line());
    // All hang up.
    asked.shutdown().await;
    nobody_in_line(&turns).await;

    let waits = tokio::spawn(ask(&world));
    while turns.in_line() == 0 {
        tokio::task::yield_now().await;
    }
    let world = world.restart().await;
    nobody_in_line(&turns).await;
    drop((waits, world));
}

async fn nobody_in_line(turns: &ReplayTurns) {
    while turns.in_line() > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_rule_is_tried_below_its_organization_which_the_path_names() {
    let world = World::new().await;
    let one = world.sensor("one", &[]).await;
    keep(&world, one, 0..10).await;
    let path = format!("/v1/replay/{}", world.oid);
    let ask = async |body: &Value, token: &str| {
        let answer = world.request("POST", &path).bearer_auth(token).json(body).send().await.unwrap();
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap())
    };
    let mut body = request(&world, json!({"rule": tagging(6)}), json!({"sid": one}));
    body.as_object_mut().unwrap().remove("oid");
    let (status, answer) = ask(&body, &world.token).await;
    assert_eq!((status, &answer["stats"]["n_matched"]), (200, &json!(3)), "{answer}");
    assert_eq!(ask(&body, "nobody").await.0, 401);
    body["oid"] = json!(random::uuid());
    assert_eq!(ask(&body, &world.token).await.0, 400, "no other organization than that of the path");
}
