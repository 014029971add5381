//! Hives, the older rule endpoints, and replay.

use crate::world::World;
use serde_json::{Value, json};

const RULE: &str =
    r#"{"detect":{"event":"RECEIPT","op":"exists","path":"event"},"respond":[{"action":"report","name":"r"}]}"#;

#[tokio::test]
async fn a_record_lives_through_all_verbs() {
    let world = World::new().await;
    let hive = format!("hive/dr-general/{}", world.oid);
    let one = format!("{hive}/my%2Frule");
    let (status, text) = world.refused("GET", &format!("{one}/mtd"), &[]).await;
    assert!(status == 400 && text.starts_with("lc_error_code:RECORD_NOT_FOUND "), "{status} {text}");
    let (status, _) = world.refused("POST", &format!("{one}/mtd"), &[("usr_mtd", r#"{"enabled":true}"#)]).await;
    assert_eq!(status, 400);

    let set = world.ok("POST", &format!("{one}/data"), &[("data", RULE)]).await;
    assert_eq!(
        (&set["name"], &set["hive"]),
        (&json!("my/rule"), &json!({"name": "dr-general", "partition": world.oid}))
    );
    let first = world.ok("GET", &format!("{one}/data"), &[]).await;
    assert_eq!(first["usr_mtd"], json!({"enabled": false, "expiry": 0, "tags": [], "comment": ""}));
    assert_eq!((&first["sys_mtd"]["guid"], &first["data"]["detect"]["op"]), (&set["guid"], &json!("exists")));

    let etag = first["sys_mtd"]["etag"].as_str().unwrap();
    let metadata = r#"{"enabled":true,"tags":["a","b"],"comment":"why"}"#;
    let form = [("usr_mtd", metadata), ("etag", etag), ("data", "null")];
    world.ok("POST", &format!("{one}/mtd"), &form).await;
    let (status, text) = world.refused("POST", &format!("{one}/mtd"), &form).await;
    assert!(status == 400 && text.starts_with("lc_error_code:ETAG_MISMATCH "), "{status} {text}");
    // Content alone keeps the metadata; a block replaces all of it.
    world.ok("POST", &format!("{one}/data"), &[("data", RULE)]).await;
    let kept = world.ok("GET", &format!("{one}/mtd"), &[]).await;
    assert_eq!((&kept["data"], &kept["usr_mtd"]["tags"]), (&json!({}), &json!(["a", "b"])));
    assert_eq!(kept["usr_mtd"]["enabled"], true);
    world.ok("POST", &format!("{one}/data"), &[("data", RULE), ("usr_mtd", "{}")]).await;
    let replaced = world.ok("GET", &format!("{one}/mtd"), &[]).await;
    assert_eq!(replaced["usr_mtd"], first["usr_mtd"]);

    let renamed = world.ok("POST", &format!("{one}/rename?new_name=other"), &[]).await;
    assert_eq!((&renamed["name"], &renamed["guid"]), (&json!("other"), &set["guid"]));
    assert_eq!(world.ok("GET", &hive, &[]).await.as_object().unwrap().keys().collect::<Vec<_>>(), ["other"]);
    let guid = set["guid"].as_str().unwrap();
    let found = world.ok("POST", &format!("hive-public/dr-general/{}", world.oid), &[("guid", guid)]).await;
    assert_eq!(found["sys_mtd"]["guid"], guid);
    world.ok("DELETE", &format!("{hive}/other"), &[]).await;
    let (status, _) = world.refused("POST", &format!("hive-public/dr-general/{}", world.oid), &[("guid", guid)]).await;
    assert_eq!(status, 400);
    assert_eq!(world.refused("DELETE", &format!("{hive}/other"), &[]).await.0, 400);
    let actions: Vec<String> = world.audited().await.into_iter().map(|(action, _)| action).collect();
    let set = "set_hive_record";
    assert_eq!(actions, [set, set, set, set, "rename_hive_record", "delete_hive_record"]);
}

#[tokio::test]
async fn what_is_no_rule_secret_or_expiry_is_refused() {
    let world = World::new().await;
    let oid = world.oid;
    let bad = [
        ("dr-general", "data", r#"{"detect":{"op":"no such"},"respond":[]}"#),
        ("dr-general", "validate", r#"{"detect":{"op":"exists","path":"event"},"respond":7}"#),
        ("fp", "data", r#"{"op":"is"}"#),
        ("secret", "data", r#"{"secret":7}"#),
        ("lookup", "data", r#"{"keys":[]}"#),
        ("yara", "data", "[]"),
    ];
    for (hive, verb, data) in bad {
        let (status, text) = world.refused("POST", &format!("hive/{hive}/{oid}/x/{verb}"), &[("data", data)]).await;
        assert!(status == 400 && !text.is_empty(), "{hive} {data}: {status} {text}");
    }
    for expiry in ["1", "-1", "99999999999999999"] {
        let usr_mtd = format!(r#"{{"enabled":true,"expiry":{expiry}}}"#);
        let form = [("data", r#"{"secret":"s"}"#), ("usr_mtd", usr_mtd.as_str())];
        let (status, text) = world.refused("POST", &format!("hive/secret/{oid}/x/data"), &form).await;
        assert!(status == 400 && text.starts_with("lc_error_code:INVALID_EXPIRY_TIME "), "{expiry}: {status} {text}");
    }
    assert_eq!(world.ok("GET", &format!("hive/secret/{oid}"), &[]).await, json!({}));
    assert_eq!(world.ok("POST", &format!("hive/dr-general/{oid}/x/validate"), &[("data", RULE)]).await, json!({}));
}

#[tokio::test]
async fn each_hive_has_its_own_permissions() {
    let world = World::new().await;
    let oid = world.oid;
    let poor = world.token_of(oid, &["dr.list".to_owned(), "secret.get.mtd".to_owned()]).await;
    world.ok("POST", &format!("hive/secret/{oid}/s/data"), &[("data", r#"{"secret":"hush"}"#)]).await;
    let calls = [
        ("GET", "hive/dr-general/OID", 200),
        ("GET", "hive/dr-managed/OID", 401),
        ("GET", "rules/OID?namespace=managed", 401),
        ("POST", "hive/dr-general/OID/r/data", 401),
        ("DELETE", "hive/dr-general/OID/r", 401),
        ("GET", "hive/secret/OID", 401),
        ("GET", "hive/secret/OID?mtd_only=true", 200),
        ("GET", "hive/secret/OID/s/data", 401),
        ("GET", "hive/secret/OID/s/mtd", 200),
        ("POST", "hive/secret/OID/s/mtd", 401),
        ("GET", "hive/fp/OID", 401),
        ("GET", "hive/no-such/OID", 404),
    ];
    for (method, path, wanted) in calls {
        let path = path.replace("OID", &oid.to_string());
        let (status, answer) = world.call_as(Some(&poor), method, &path, &[]).await;
        assert_eq!(status, wanted, "{method} {path}: {answer}");
        assert!(!answer.to_string().contains("hush"), "{method} {path} tells the secret");
    }
}

#[tokio::test]
async fn a_hive_is_listed_in_pages_and_changed_in_batches() {
    let world = World::new().await;
    let oid = world.oid;
    let id = |name: &str| json!({"hive": {"name": "org_notes", "partition": oid}, "name": name});
    let make = |name: &str| json!({"set_record": {"record_id": id(name), "record": {"data": {"n": name}, "usr_mtd": {"tags": [name]}}}});
    let requests: Vec<String> = ["a", "b", "c"].map(|name| make(name).to_string()).into();
    let gone = json!({"get_record": {"record_id": id("gone")}}).to_string();
    let foreign = json!({"delete_record": {"record_id": {"hive": {"name": "fp", "partition": "x"}, "name": "a"}}});
    let foreign = foreign.to_string();
    let mut form: Vec<(&str, &str)> = requests.iter().map(|request| ("request", request.as_str())).collect();
    form.extend([("request", gone.as_str()), ("request", foreign.as_str())]);
    let answer = world.ok("POST", "hive", &form).await;
    let responses = answer["responses"].as_array().unwrap();
    assert_eq!((&responses[2]["data"]["name"], &responses[2]["error"]), (&json!("c"), &json!("")));
    assert!(responses[3]["error"].as_str().unwrap().contains("RECORD_NOT_FOUND"));
    assert_eq!(responses[4]["error"], "organization not found");

    let path = format!("hive/org_notes/{oid}");
    let first = world.ok("GET", &format!("{path}?limit=2&mtd_only=true"), &[]).await;
    assert_eq!(first["records"].as_object().unwrap().keys().collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(first["records"]["a"]["data"], json!({}));
    let next = first["next_cursor"].as_str().unwrap();
    let last = world.ok("GET", &format!("{path}?limit=2&cursor={next}"), &[]).await;
    assert_eq!((&last["records"]["c"]["data"]["n"], &last["next_cursor"]), (&json!("c"), &json!("")));
    let tagged = world.ok("GET", &format!("{path}?limit=9&tag_prefix=b"), &[]).await;
    assert_eq!(tagged["records"].as_object().unwrap().len(), 1);
    assert!(world.refused("GET", &format!("{path}?limit=2&cursor=%21"), &[]).await.1.contains("INVALID_CURSOR"));
}

#[tokio::test]
async fn the_older_endpoints_share_the_records() {
    let world = World::new().await;
    let rules = format!("rules/{}", world.oid);
    let form = [
        ("name", "old"),
        ("detection", r#"{"event":"RECEIPT","op":"exists","path":"event"}"#),
        ("response", r#"[{"action":"report","name":"r"}]"#),
    ];
    world.ok("POST", &rules, &form).await;
    assert_eq!(world.refused("POST", &rules, &form).await.0, 409);
    world.ok("POST", &rules, &[&form[..], &[("is_replace", "True"), ("is_enabled", "False")]].concat()).await;
    let listed = world.ok("GET", &rules, &[]).await;
    assert_eq!((&listed["old"]["is_enabled"], &listed["old"]["namespace"]), (&json!(false), &json!("general")));
    let record = world.ok("GET", &format!("hive/dr-general/{}/old/data", world.oid), &[]).await;
    assert_eq!(record["data"]["respond"], listed["old"]["respond"]);
    world.ok("DELETE", &rules, &[("name", "old")]).await;
    assert_eq!(world.ok("GET", &rules, &[]).await, json!({}));
    let rule = r#"{"op":"is","path":"cat","value":"noise"}"#;
    world.ok("POST", &format!("fp/{}", world.oid), &[("name", "quiet"), ("rule", rule)]).await;
    let listed = world.ok("GET", &format!("fp/{}", world.oid), &[]).await;
    assert_eq!(listed["quiet"]["data"]["value"], "noise");
}

#[tokio::test]
async fn a_rule_is_tried_on_supplied_events() {
    let world = World::new().await;
    let rule: Value = serde_json::from_str(RULE).unwrap();
    let ask = async |token: Option<&str>, rule: &Value| {
        let event = json!({"routing": {"event_type": "RECEIPT"}, "event": {"A": 1}});
        let other = json!({"routing": {"event_type": "OTHER"}, "event": {}});
        let body = json!({
            "oid": world.oid, "rule_source": {"rule_name": "", "namespace": "", "rule": rule},
            "event_source": {"stream": "", "events": [event, other]}, "trace": true, "is_dry_run": false,
            "limit_event": 0, "limit_eval": 0,
        });
        let mut request = world.request("POST", "/").json(&body);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap())
    };
    let (status, answer) = ask(Some(&world.token), &rule).await;
    assert_eq!((status, &answer["did_match"], &answer["stats"]["n_proc"]), (200, &json!(true), &json!(2)), "{answer}");
    let results = answer["results"].as_array().unwrap();
    assert_eq!((results.len(), &results[0]["action"]), (1, &json!("report")));
    assert_eq!(results[0]["data"]["detect"]["event"]["A"], 1);
    assert_eq!(answer["traces"].as_array().unwrap().len(), 2);

    let (status, answer) = ask(Some(&world.token), &json!({"detect": {"op": "no such"}, "respond": []})).await;
    assert!(status == 400 && answer["error"].as_str().unwrap().starts_with("invalid rule: "), "{answer}");
    assert_eq!(ask(None, &rule).await.0, 401);
    let poor = world.token_of(world.oid, &["sensor.list".to_owned()]).await;
    assert_eq!(ask(Some(&poor), &rule).await.0, 401);
    let other = muster_model::Oid(muster_server::random::uuid());
    world.organization(other).await;
    let stranger = world.token_of(other, &muster_server::access::owner_permissions()).await;
    assert_eq!(ask(Some(&stranger), &rule).await.0, 404);
}

#[tokio::test]
async fn an_expired_record_goes_away() {
    let world = World::new().await;
    let path = format!("hive/dr-general/{}", world.oid);
    let at = muster_server::clock::now().as_millis() + 60_000;
    for (name, expiry) in [("fades", at), ("stays", 0)] {
        let usr_mtd = json!({"enabled": true, "expiry": expiry}).to_string();
        world.ok("POST", &format!("{path}/{name}/data"), &[("data", RULE), ("usr_mtd", &usr_mtd)]).await;
    }
    let app = &world.server.app;
    let before = muster_model::Timestamp::from_millis(at - 1);
    assert_eq!(muster_server::hive::sweep(&app.hives, before).await.unwrap(), 0);
    let then = muster_model::Timestamp::from_millis(at);
    assert_eq!(muster_server::hive::sweep(&app.hives, then).await.unwrap(), 1);
    let listed = world.ok("GET", &path, &[]).await;
    assert_eq!(listed.as_object().unwrap().keys().collect::<Vec<_>>(), ["stays"]);
    assert_eq!(world.audited().await.last().unwrap().0, "expire_hive_record");
}
