//! An order means what was written: what is misspelled, names nothing, or came another way than it must is refused.

use crate::world::World;
use muster_server::{clock, extension, tasking};
use muster_store::Expect;
use reqwest::Response;
use serde_json::{Value, json};

async fn subscribed() -> World {
    let world = World::new().await;
    let subscription = extension::Subscription { created_at: clock::now(), by: "test".into() };
    let (records, name) = (&world.server.app.records, tasking::EXTENSION);
    records.put(world.oid, extension::SUBSCRIPTION, name, &subscription, Expect::Any, Vec::new()).await.unwrap();
    world
}

/// Asks reliable tasking for something; gives the status and what it said.
async fn ask(world: &World, action: &str, data: &Value) -> (u16, Value) {
    let (oid, data) = (world.oid.to_string(), data.to_string());
    let form = [("oid", oid.as_str()), ("action", action), ("data", &data)];
    let (status, answer) = world.call("POST", "extension/request/ext-reliable-tasking", &form).await;
    (status, if status == 200 { answer["data"].clone() } else { answer["error"].clone() })
}

async fn refused(world: &World, action: &str, data: &Value) -> (u16, String) {
    let (status, error) = ask(world, action, data).await;
    assert_ne!(status, 200, "{action} {data}: {error}");
    (status, error.as_str().unwrap_or_default().to_owned())
}

fn tasks(world: &World) -> usize {
    world.server.app.organization(world.oid).unwrap().state.lock().queue.tasks().count()
}

async fn status_and_text(response: Response) -> (u16, String) {
    let status = response.status().as_u16();
    let body: Value = response.json().await.unwrap_or_default();
    (status, body["error"].as_str().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn one_1_an_unknown_field_of_an_action_is_refused_and_nobody_is_tasked() {
    let world = subscribed().await;
    world.sensor("one", &[]).await;
    let cases = [
        ("task", json!({"task": "os_version", "selecter": "plat==windows"}), "selecter; did you mean selector?"),
        ("task", json!({"task": "os_version", "sellector": null}), "sellector"),
        ("task", json!({"task": "os_version", "pace": {"max_per_secnd": 1}}), "max_per_secnd"),
        ("task", json!({"task": "os_version", "selector": "*", "sensor_selector": "plat==windows"}), "one field"),
        ("list", json!({"tagg": "vip"}), "tagg; did you mean tag?"),
        ("untask", json!({"selector": "*", "taskid": "x"}), "taskid; did you mean task_id?"),
        ("preview", json!({"platform": "linux"}), "platform"),
    ];
    for (action, data, expected) in cases {
        let (status, error) = refused(&world, action, &data).await;
        assert!(status == 400 && error.contains(expected), "{action} {data}: {status} {error}");
    }
    assert_eq!(tasks(&world), 0);
}

#[tokio::test]
async fn commands_are_listed_and_a_line_is_checked_before_anybody_is_tasked() {
    let world = subscribed().await;
    let (status, all) = ask(&world, "commands", &json!({})).await;
    assert!(status == 200 && all["commands"].as_array().is_some_and(|all| all.len() > 40), "{all}");
    let (_, one) = ask(&world, "commands", &json!({"task": "os_kill_process --pid 4"})).await;
    let [one] = one["commands"].as_array().unwrap().as_slice() else { panic!("{one}") };
    assert_eq!(one["name"], "os_kill_process");
    assert!(one["usage"].as_str().unwrap().contains("--pid") && one["platforms"][0].is_string(), "{one}");
    for (line, expected) in [("os_versoin", "os_version"), ("os_kill_process", "--pid"), ("run \"x", "quotation")] {
        let (status, error) = refused(&world, "commands", &json!({"task": line})).await;
        assert!(status == 400 && error.contains(expected), "{line}: {status} {error}");
    }
}

#[tokio::test]
async fn one_1_the_name_that_lists_print_targets_and_no_target_is_everyone_and_says_so() {
    let world = subscribed().await;
    world.sensor("one", &[]).await;
    let data = json!({"task": "os_version", "sensor_selector": "hostname == two", "inv_id": "old", "command": null});
    let (status, answer) = ask(&world, "task", &data).await;
    assert_eq!((status, &answer["total_sensors"], &answer["all_sensors"]), (200, &json!(0), &Value::Null), "{answer}");
    let (status, answer) = ask(&world, "task", &json!({"task": "os_version"})).await;
    assert_eq!((status, &answer["total_sensors"], &answer["all_sensors"]), (200, &json!(1), &json!(true)), "{answer}");
}

#[tokio::test]
async fn one_1_unknown_fields_of_routes_are_refused_with_the_nearest_name() {
    let world = World::new().await;
    let sid = world.sensor("one", &["vip"]).await.to_string();
    let oid = world.oid;
    let cases = [
        ("POST", sid.clone(), vec![("task", "os_version")], "did you mean tasks?"),
        ("POST", format!("{sid}/tags"), vec![("tags", "a"), ("tll", "60")], "did you mean ttl?"),
        ("GET", format!("sensors/{oid}?selecter=plat==windows"), vec![], "did you mean selector?"),
        ("POST", format!("orgs/{oid}/keys"), vec![("key_name", "k"), ("permissions", "org.get")], "unknown field"),
        ("POST", format!("orgs/{oid}/keys"), vec![("key_name", "k"), ("allowed_ip_rnge", "::/0")], "allowed_ip_range?"),
        ("POST", format!("installationkeys/{oid}"), vec![("description", "d")], "unknown field: description"),
        ("DELETE", format!("{sid}/isolation"), vec![("sid", "x")], "unknown field: sid"),
        (
            "POST",
            format!("outputs/{oid}"),
            vec![("name", "o"), ("module", "file"), ("type", "event"), ("dir", "d"), ("tags", "vip")],
            "did you mean tag?",
        ),
        (
            "POST",
            format!("insight/{oid}/artifacts/rules"),
            vec![("name", "r"), ("paterns", "/x")],
            "did you mean patterns?",
        ),
        ("GET", format!("sensors/{oid}?is_online_only=yes"), vec![], "is_online_only must be true or false"),
    ];
    for (method, path, form, expected) in cases {
        let (status, error) = world.refused(method, &path, &form).await;
        assert!(status == 400 && error.contains(expected), "{method} {path} {form:?}: {status} {error}");
    }
    let other = [("oid", "00000000-0000-4000-8000-000000000000")];
    let (status, error) = world.refused("POST", &format!("orgs/{oid}/quota"), &other).await;
    assert!(status == 400 && error.contains("another organization"), "{error}");
    let replay = json!({"oid": oid, "event_source": {"events": [], "sensor_events": {"sidd": "x"}}});
    let request = world.request("POST", "/").bearer_auth(&world.token).json(&replay);
    let (status, error) = status_and_text(request.send().await.unwrap()).await;
    assert!(status == 400 && error.contains("did you mean sid?"), "{error}");
}

#[tokio::test]
async fn one_2_what_names_nothing_is_refused() {
    let world = subscribed().await;
    world.sensor("one", &["vip"]).await;
    let unknown = "00000000-0000-4000-8000-000000000000";
    let cases = [
        ("task", json!({"task": "os_version", "sid": "web01"}), 400, "sid is not a sensor id"),
        ("task", json!({"task": "os_version", "plat": "windwos"}), 400, "did you mean windows?"),
        ("task", json!({"task": "os_version", "tag": "vpi"}), 404, "tags of this organization: vip"),
        ("list", json!({"sid": "web01"}), 400, "sid is not a sensor id"),
        ("untask", json!({"task_id": unknown}), 404, "no such task"),
        ("untask", json!({"task_id": "abc-123", "selector": "*"}), 404, "no such task"),
        ("explain", json!({"task_id": unknown, "sid": "web01"}), 400, "sid is not a sensor id"),
    ];
    for (action, data, expected_status, expected) in cases {
        let (status, error) = refused(&world, action, &data).await;
        assert!(status == expected_status && error.contains(expected), "{action} {data}: {status} {error}");
    }
    let oid = world.oid;
    for (method, path, expected) in [
        ("DELETE", format!("job/{oid}/{unknown}"), 404),
        ("POST", format!("modules/{oid}"), 400),
        ("POST", format!("modules/{oid}?specific_version=1.2.3"), 400),
    ] {
        let (status, error) = world.refused(method, &path, &[]).await;
        assert_eq!(status, expected, "{method} {path}: {error}");
    }
    assert_eq!(tasks(&world), 0);
}

#[tokio::test]
async fn one_2_a_request_that_matches_nobody_says_so_and_stays_listed() {
    let world = subscribed().await;
    world.sensor("one", &[]).await;
    let data = json!({"task": "os_version", "selector": "plat == windwos", "ttl": 600});
    let (status, answer) = ask(&world, "task", &data).await;
    assert_eq!((status, &answer["total_sensors"]), (200, &json!(0)), "{answer}");
    let warning = answer["warning"].as_str().unwrap_or_default();
    assert!(
        warning.contains("nobody gets the task") && warning.contains(r#"true that plat == "windwos""#),
        "{warning}"
    );
    let (_, listed) = ask(&world, "list", &json!({})).await;
    let request = &listed["requests"][0];
    assert_eq!((&request["task_id"], &request["total"]), (&answer["task_id"], &json!(0)), "{listed}");
    assert_eq!(request["pending"], json!([]));
    // The same request with its id is the same task, and not a second one.
    let mut again = data;
    again["task_id"] = answer["task_id"].clone();
    let (_, repeated) = ask(&world, "task", &again).await;
    assert_eq!((&repeated["task_id"], tasks(&world)), (&answer["task_id"], 1));
    let world = world.restart().await;
    let (_, listed) = ask(&world, "list", &json!({})).await;
    assert_eq!(listed["requests"][0]["task_id"], answer["task_id"], "also after a restart: {listed}");
}

#[tokio::test]
async fn one_3_query_form_and_json_are_one() {
    let world = World::new().await;
    let sid = world.sensor("one", &[]).await.to_string();
    world.ok("POST", &format!("{sid}/tags?tags=query&ttl=600"), &[]).await;
    world.ok("POST", &format!("{sid}/tags?tags=hidden"), &[("tags", "form")]).await;
    let send = async |body: reqwest::RequestBuilder| {
        status_and_text(body.bearer_auth(&world.token).send().await.unwrap()).await
    };
    let json = json!({"tags": ["a", "b"], "ttl": 600, "oid": null});
    assert_eq!(send(world.request("POST", &format!("{sid}/tags")).json(&json)).await.0, 200);
    // As `curl -d '{…}'` sends it.
    let unsaid =
        world.request("POST", &format!("{sid}/tags")).header("content-type", "application/x-www-form-urlencoded");
    assert_eq!(send(unsaid.body(r#" {"tags": "c"}"#)).await.0, 200);
    let tags = world.ok("GET", &sid, &[]).await["info"]["tags"].clone();
    assert_eq!(tags, json!(["a", "b", "c", "form", "query"]));

    let rule = json!({"name": "r", "detection": {"event": "X", "op": "exists", "path": "event"}, "response": []});
    assert_eq!(send(world.request("POST", &format!("rules/{}", world.oid)).json(&rule)).await, (200, String::new()));
    let nested = json!({"tags": [{"name": "a"}]});
    let (status, error) = send(world.request("POST", &format!("{sid}/tags")).json(&nested)).await;
    assert!(status == 400 && error.contains("tags must be text"), "{error}");
    let multipart =
        world.request("POST", &format!("{sid}/tags")).header("content-type", "multipart/form-data; boundary=x");
    let (status, error) = send(multipart.body("--x--")).await;
    assert!(status == 415 && error.contains("application/x-www-form-urlencoded"), "{status} {error}");

    let secret = world.key(world.oid, &["org.get".to_owned()]).await;
    let exchanged = world.request("POST", "/jwt").json(&json!({"secret": secret, "oid": world.oid}));
    assert_eq!(exchanged.send().await.unwrap().status(), 200);
    let in_query = world.request("POST", &format!("/jwt?oid={}&secret={secret}", world.oid));
    assert_eq!(in_query.send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn one_3_wrong_methods_and_paths_say_what_there_is() {
    let world = World::new().await;
    let sid = world.sensor("one", &[]).await;
    let send = async |method: &str, path: &str| {
        let answer = world.request(method, path).bearer_auth(&world.token).send().await.unwrap();
        let allow = answer.headers().get("allow").map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default();
        let (status, error) = status_and_text(answer).await;
        (status, allow, error)
    };
    let (status, allow, error) = send("PUT", &format!("{sid}/tags")).await;
    assert_eq!((status, allow.as_str()), (405, "GET, POST, DELETE"));
    assert!(error.contains("possible: GET, POST, DELETE"), "{error}");
    assert_eq!(send("GET", "/jwt").await.1, "POST");
    for path in ["whoami", "sensors", "web01/tags", "/whoami"] {
        let (status, _, error) = send("POST", path).await;
        assert!(status == 404 && error.starts_with("no such route: POST /"), "{path}: {status} {error}");
    }
    let (status, _, error) = send("GET", "00000000-0000-4000-8000-000000000000").await;
    assert_eq!((status, error.as_str()), (404, "sensor not found"));
}

#[tokio::test]
async fn every_answer_has_an_id_by_which_the_log_is_searched() {
    let world = World::new().await;
    let mut ids = std::collections::BTreeSet::new();
    for path in ["/v1/who", "/v1/nothing", "/console/api/session"] {
        let answer = world.request("GET", path).bearer_auth(&world.token).send().await.unwrap();
        let id = answer.headers()["x-request-id"].to_str().unwrap();
        assert!(id.len() == 16 && ids.insert(id.to_owned()), "{path}: {id}");
    }
}

#[tokio::test]
async fn one_3_a_key_in_place_of_a_token_is_told_where_to_exchange_it() {
    let world = World::new().await;
    let key = world.key(world.oid, &["org.get".to_owned()]).await;
    let answer = world.request("GET", "who").bearer_auth(&key).send().await.unwrap();
    let (status, error) = status_and_text(answer).await;
    assert!(status == 401 && error.contains("POST /jwt"), "{status} {error}");
}

#[tokio::test]
async fn one_4_with_tags_is_a_boolean() {
    let world = World::new().await;
    world.sensor("one", &["vip"]).await;
    let path = |value: &str| format!("sensors/{}?with_tags={value}", world.oid);
    for value in ["true", "1", "True", "false", "0"] {
        let answer = world.ok("GET", &path(value), &[]).await;
        let wanted = if value.to_lowercase() == "true" || value == "1" { json!(["vip"]) } else { Value::Null };
        let [sensor] = answer["sensors"].as_array().unwrap().as_slice() else { panic!("{answer}") };
        assert_eq!(sensor["tags"], wanted, "{value}");
    }
    let (status, error) = world.refused("GET", &path("vip"), &[]).await;
    assert!(status == 400 && error.contains("with_tags must be true or false"), "{error}");
}

#[tokio::test]
async fn one_4_nulls_of_a_replay_are_absent() {
    let world = World::new().await;
    let rule = json!({"detect": {"event": "X", "op": "exists", "path": "event/A"}, "respond": [{"action": "report", "name": "n"}]});
    let body = json!({
        "oid": world.oid, "trace": null, "is_dry_run": null, "limit_event": null, "query": null, "lookups": null,
        "rule_source": {"rule": rule, "rule_name": null, "namespace": null},
        "event_source": {
            "stream": null, "sensor_events": {"sid": null, "start_time": null},
            "events": [{"routing": {"event_type": "X"}, "event": {"A": null}}],
        },
    });
    let answer = world.request("POST", "/").bearer_auth(&world.token).json(&body).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    // What is null in an event is part of the event.
    assert_eq!(answer.json::<Value>().await.unwrap()["did_match"], json!(true));
}

#[tokio::test]
async fn two_1_an_extension_acts_with_what_the_caller_may() {
    let world = subscribed().await;
    let sid = world.sensor("one", &[]).await;
    let _link = world.link(sid).await;
    let with = async |permissions: &[&str]| {
        let permissions: Vec<String> = permissions.iter().map(|name| (*name).to_owned()).collect();
        world.token_of(world.oid, &permissions).await
    };
    let oid = world.oid.to_string();
    let ask = async |token: &str, path: &str, form: &[(&str, &str)]| {
        let (status, answer) = world.call_as(Some(token), "POST", path, form).await;
        (status, answer["error"].as_str().unwrap_or_default().to_owned())
    };
    let missing = |permission: &str| (401, format!("missing permission: {permission}"));
    let door = "extension/request/ext-reliable-tasking";
    let alone = with(&["ext.request"]).await;
    for (action, data, permission) in [
        ("task", r#"{"task":"os_version","selector":"*"}"#, "sensor.task"),
        ("untask", r#"{"selector":"*"}"#, "sensor.task"),
        ("list", "{}", "sensor.list"),
        ("preview", "{}", "sensor.list"),
    ] {
        let answer = ask(&alone, door, &[("oid", &oid), ("action", action), ("data", data)]).await;
        assert_eq!(answer, missing(permission), "{action}");
    }
    // The older door, with the JSON itself in place of its base64.
    let older = [("request_data", r#"{"action":"task","task":"os_version","sid":"*"}"#)];
    assert_eq!(ask(&alone, &format!("service/{oid}/reliable-tasking"), &older).await, missing("sensor.task"));
    assert_eq!(tasks(&world), 0);

    let tasker = with(&["ext.request", "sensor.task"]).await;
    let line = "run --payload-name tool.sh";
    let data = json!({"task": line, "selector": "*"}).to_string();
    let through = ask(&tasker, door, &[("oid", &oid), ("action", "task"), ("data", &data)]).await;
    assert_eq!(through, missing("payload.use"));
    assert_eq!(ask(&tasker, &sid.to_string(), &[("tasks", line)]).await, missing("payload.use"));
    let plain = ask(&tasker, door, &[("oid", &oid), ("action", "task"), ("data", r#"{"task":"os_version"}"#)]).await;
    assert_eq!(plain, (200, String::new()));
    let both = with(&["ext.request", "sensor.task", "payload.use"]).await;
    let (status, error) = ask(&both, door, &[("oid", &oid), ("action", "task"), ("data", &data)]).await;
    assert!(status == 400 && error.contains("tool.sh"), "only now it is told that there is no such payload: {error}");
}
