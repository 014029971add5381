//! What was given is taken back everywhere, and keys hold only where they may.

use crate::actions::eventually;
use crate::world::World;
use muster_model::Oid;
use muster_server::access::{API_KEY, ApiKey, Exchange};
use muster_server::{clock, random};
use muster_store::Expect;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::timeout;

/// Makes a key that may be used from some addresses; gives the key and its hash.
async fn key_of(world: &World, oid: Oid, permissions: &[&str], allowed_ip_range: &str) -> (String, String) {
    let app = &world.server.app;
    let secret = random::uuid().to_string();
    let key = ApiKey {
        name: "limited".into(),
        permissions: permissions.iter().map(|name| (*name).to_owned()).collect(),
        by: "test".into(),
        created_at: clock::now(),
        allowed_ip_range: allowed_ip_range.into(),
    };
    let digest = app.secrets.digest(secret.as_bytes());
    app.records.put(oid, API_KEY, &digest, &key, Expect::Absent, Vec::new()).await.unwrap();
    (secret, digest)
}

fn token(world: &World, secret: &str, source: Option<&str>) -> String {
    let (oid, source) = (world.oid.to_string(), source.map(|source| source.parse().unwrap()));
    world.exchanged(&Exchange { secret, oid: &oid, source, ..Exchange::default() })
}

#[tokio::test]
async fn two_4_tokens_hold_only_where_their_key_does() {
    let world = World::new().await;
    let (secret, _) = key_of(&world, world.oid, &["org.get"], "192.0.2.0/24").await;
    let jwt = token(&world, &secret, Some("192.0.2.7"));
    let (status, answer) = world.call_as(Some(&jwt), "GET", "who", &[]).await;
    assert_eq!((status, &answer["error_code"]), (401, &json!("unauthorized")), "{answer}");
    assert!(answer["error"].as_str().unwrap().contains("address"), "{answer}");
    let (secret, _) = key_of(&world, world.oid, &["org.get"], "127.0.0.0/8").await;
    let jwt = token(&world, &secret, Some("127.0.0.1"));
    assert_eq!(world.call_as(Some(&jwt), "GET", "who", &[]).await.0, 200);
}

/// Reads a stream until it ends; gives its last line.
async fn last_line(mut stream: reqwest::Response) -> String {
    let mut text = String::new();
    let read = async {
        while let Ok(Some(chunk)) = stream.chunk().await {
            text.push_str(&String::from_utf8_lossy(&chunk));
        }
    };
    timeout(Duration::from_secs(60), read).await.expect("a stream still goes on a minute after it should have ended");
    text.lines().last().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn two_3_a_stream_ends_with_the_key_or_the_permission_that_opened_it() {
    let world = World::new().await;
    let (oid, path) = (world.oid.to_string(), format!("/{}", world.oid));
    let open = async |form: &[(&str, &str)]| {
        let stream = world.request("POST", &path).form(form).send().await.unwrap();
        assert_eq!(stream.status(), 200);
        stream
    };
    let (secret, hash) = key_of(&world, world.oid, &["audit.get"], "").await;
    let jwt = token(&world, &secret, None);
    let by_token = open(&[("type", "audit"), ("jwt", &jwt)]).await;
    let by_key = open(&[("type", "audit"), ("api_key", &secret)]).await;
    world.ok("DELETE", &format!("orgs/{oid}/keys"), &[("key_hash", &hash)]).await;
    for stream in [by_token, by_key] {
        let line = last_line(stream).await;
        assert!(line.starts_with("error: "), "{line}");
    }
    // Of a user, the permission is taken and the key stays.
    let email = "eve@example.com";
    let jwt = world.user(email, [(world.oid, vec!["audit.get".to_owned()])].into()).await;
    let stream = open(&[("type", "audit"), ("jwt", &jwt)]).await;
    let form = [("email", email), ("perm", "audit.get")];
    world.ok("DELETE", &format!("orgs/{oid}/users/permissions"), &form).await;
    assert_eq!(last_line(stream).await, "error: missing permission: audit.get");
}

#[tokio::test]
async fn two_3_a_one_time_address_is_gone_with_the_key_that_asked_for_it() {
    let world = World::new().await;
    let (secret, hash) = key_of(&world, world.oid, &["payload.ctrl"], "").await;
    let jwt = token(&world, &secret, None);
    let path = format!("payload/{}/tool.sh", world.oid);
    let address = async || {
        let (_, answer) = world.call_as(Some(&jwt), "POST", &path, &[]).await;
        let url: Value = answer["put_url"].clone();
        let url = url.as_str().unwrap().to_owned();
        url[url.find("/transfer/").unwrap()..].to_owned()
    };
    let put = async |address: &str| world.request("PUT", address).body("echo").send().await.unwrap().status();
    assert_eq!(put(&address().await).await, 200);
    let late = address().await;
    world.ok("DELETE", &format!("orgs/{}/keys", world.oid), &[("key_hash", &hash)]).await;
    assert_eq!(put(&late).await, 404);
}

#[tokio::test]
async fn one_7_the_organization_counts_its_rules_and_who_is_connected_is_alive_now() {
    let world = World::new().await;
    let sid = world.sensor("one", &[]).await;
    let rule = r#"{"detect":{"event":"X","op":"exists","path":"event"},"respond":[]}"#;
    for hive in ["dr-general", "dr-managed"] {
        world.ok("POST", &format!("hive/{hive}/{}/r/data", world.oid), &[("data", rule)]).await;
    }
    assert_eq!(world.ok("GET", &format!("orgs/{}", world.oid), &[]).await["n_rules"], json!(2));
    let _link = world.link(sid).await;
    let alive = async || world.ok("GET", &sid.to_string(), &[]).await["info"]["alive"].clone();
    let first = alive().await;
    // Nothing comes from the sensor meanwhile; only that it is connected moves the time.
    eventually("the time of a connected sensor goes on", async || (alive().await != first).then_some(())).await;
}

#[tokio::test]
async fn two_6_user_keys_and_organizations_can_be_made_and_reach_no_further() {
    let world = World::new().await;
    let (oid, email) = (world.oid.to_string(), "eve@example.com");
    let keys = format!("orgs/{oid}/users/keys");
    let (status, _) = world.refused("POST", &keys, &[("email", email), ("key_name", "k")]).await;
    assert_eq!(status, 404, "she is no user yet");
    world.ok("POST", &format!("orgs/{oid}/users"), &[("email", email), ("role", "Operator")]).await;
    // Whoever may manage users and not task cannot make a key that can.
    let poor = world.token_of(world.oid, &["user.ctrl".to_owned()]).await;
    let (status, answer) = world.call_as(Some(&poor), "POST", &keys, &[("email", email), ("key_name", "k")]).await;
    assert_eq!(status, 403, "{answer}");

    let made = world.ok("POST", &keys, &[("email", email), ("key_name", "laptop")]).await;
    let text = |name: &str| made[name].as_str().unwrap().to_owned();
    let (secret, hash, uid) = (text("api_key"), text("key_hash"), text("uid"));
    let exchanged = || world.exchanged(&Exchange { secret: &secret, uid: &uid, ..Exchange::default() });
    let listed = world.ok("GET", &keys, &[]).await;
    assert_eq!((&listed["user_keys"][&hash]["email"], listed.to_string().contains(&secret)), (&json!(email), false));

    // Another organization takes her in: the key that this one made does not reach there.
    let other = Oid(random::uuid());
    world.organization(other).await;
    let of_other = world.token_of(other, &muster_server::access::owner_permissions()).await;
    let form = [("email", email), ("role", "Owner")];
    assert_eq!(world.call_as(Some(&of_other), "POST", &format!("orgs/{other}/users"), &form).await.0, 200);
    let jwt = exchanged();
    let (_, who) = world.call_as(Some(&jwt), "GET", "who", &[]).await;
    let reached: Vec<&String> = who["user_perms"].as_object().unwrap().keys().collect();
    assert_eq!(reached, [&oid]);
    assert_eq!(world.call_as(Some(&jwt), "GET", &format!("orgs/{other}"), &[]).await.0, 404);

    // What is made with it, it reaches.
    let (status, third) = world.call_as(Some(&jwt), "POST", "orgs/new", &[("name", "third")]).await;
    assert_eq!(status, 200, "{third}");
    let third = third["data"]["oid"].as_str().unwrap();
    let jwt = exchanged();
    assert_eq!(world.call_as(Some(&jwt), "GET", &format!("orgs/{third}"), &[]).await.0, 200);

    // Ended here, it holds on there.
    world.ok("DELETE", &keys, &[("key_hash", &hash)]).await;
    assert_eq!(world.call_as(Some(&jwt), "GET", &format!("orgs/{oid}/subscriptions"), &[]).await.0, 404);
    assert_eq!(world.call_as(Some(&jwt), "GET", &format!("orgs/{third}"), &[]).await.0, 200);
}

#[tokio::test]
async fn two_9_reads_of_secrets_and_the_real_caller_are_in_the_audit() {
    let world = World::new().await;
    let secret = format!("hive/secret/{}", world.oid);
    world.ok("POST", &format!("{secret}/s/data"), &[("data", r#"{"secret":"TOP"}"#)]).await;
    world.ok("GET", &format!("{secret}/s/data"), &[]).await;
    world.ok("GET", &format!("{secret}?mtd_only=true"), &[]).await;
    world.ok("GET", &secret, &[]).await;
    let read = |record: &(String, Value)| (record.0 == "read_secret").then(|| record.1["entity"]["name"].clone());
    let read: Vec<Value> = world.audited().await.iter().filter_map(read).collect();
    assert_eq!(read, [json!("s"), json!("*")], "metadata alone is no secret");

    let email = "eve@example.com";
    let permissions = ["ext.request", "output.list", "output.set", "org.conf.set"].map(str::to_owned).to_vec();
    let eve = world.user(email, [(world.oid, permissions)].into()).await;
    let config = "version: 3\noutputs: {o: {module: syslog, for: audit, dest_host: '127.0.0.1:1'}}\n";
    let data = json!({"config": config, "options": {"sync_outputs": true}}).to_string();
    let oid = world.oid.to_string();
    let form = [("oid", oid.as_str()), ("action", "push"), ("data", &data), ("impersonator_jwt", &eve)];
    world.ok("POST", "extension/request/ext-infrastructure", &form).await;
    let audited = world.audited().await;
    let (_, record) = audited.last().unwrap();
    assert_eq!((&record["ident"], &record["mtd"]["called_by"]), (&json!(email), &json!("tester")), "{record}");
}

#[tokio::test]
async fn two_1_where_the_organization_asks_for_it_who_saves_a_rule_may_do_what_it_does() {
    let world = World::new().await;
    let oid = world.oid.to_string();
    let names = ["dr.set", "dr.list", "ext.request", "org.get"].map(str::to_owned);
    let writer = world.token_of(world.oid, &names).await;
    let tasks = json!({
        "detect": {"event": "NEW_PROCESS", "op": "exists", "path": "event"},
        "respond": [{"action": "task", "command": "os_version"}],
    });
    let reports = json!({"detect": tasks["detect"], "respond": [{"action": "report", "name": "r"}]});
    let save = async |name: &str, rule: &Value, enabled: bool| {
        let (rule, usr_mtd) = (rule.to_string(), json!({"enabled": enabled}).to_string());
        let form = [("data", rule.as_str()), ("usr_mtd", usr_mtd.as_str())];
        world.call_as(Some(&writer), "POST", &format!("hive/dr-general/{oid}/{name}/data"), &form).await
    };
    assert_eq!(save("before", &tasks, false).await.0, 200, "off as published");
    world.ok("POST", &format!("configs/{oid}/rules_need_rights"), &[("value", "true")]).await;
    let (status, answer) = save("after", &tasks, true).await;
    assert_eq!((status, &answer["error_code"]), (401, &json!("missing_permission")), "{answer}");
    assert!(answer["error"].as_str().unwrap().contains("sensor.task"), "{answer}");
    assert_eq!(save("after", &reports, true).await.0, 200);
    // Nor by the other ways: to enable one, the older route, a push.
    let usr_mtd = json!({"enabled": true}).to_string();
    let path = format!("hive/dr-general/{oid}/before/mtd");
    assert_eq!(world.call_as(Some(&writer), "POST", &path, &[("usr_mtd", &usr_mtd)]).await.0, 401);
    let (detection, response) = (tasks["detect"].to_string(), tasks["respond"].to_string());
    let form = [("name", "old"), ("detection", detection.as_str()), ("response", response.as_str())];
    assert_eq!(world.call_as(Some(&writer), "POST", &format!("rules/{oid}"), &form).await.0, 401);
    world.ok("POST", &format!("orgs/{oid}/subscription/extension/ext-infrastructure"), &[]).await;
    let config = json!({"version": 3, "hives": {"dr-general": {"pushed": {"data": tasks}}}}).to_string();
    let data = json!({"config": config, "options": {"sync_hives": {"dr-general": true}}}).to_string();
    let form = [("oid", oid.as_str()), ("action", "push"), ("data", data.as_str())];
    let (_, answer) = world.call_as(Some(&writer), "POST", "extension/request/ext-infrastructure", &form).await;
    assert!(answer.to_string().contains("sensor.task"), "{answer}");
    let rules = world.ok("GET", &format!("hive/dr-general/{oid}"), &[]).await;
    let mut names: Vec<&String> = rules.as_object().unwrap().keys().collect();
    names.sort();
    assert_eq!(names, ["after", "before"]);
    // Whoever may task, may.
    world.ok("POST", &path, &[("usr_mtd", &usr_mtd)]).await;
}

#[tokio::test]
async fn two_9_tokens_and_wrong_keys_are_told_and_who_shows_many_wrong_ones_waits() {
    let world = World::new().await;
    let oid = world.oid.to_string();
    let key = world.key(world.oid, &["org.get".to_owned()]).await;
    let exchange = async |secret: &str| world.call_as(None, "POST", "/jwt", &[("oid", &oid), ("secret", secret)]).await;
    assert_eq!(exchange(&key).await.0, 200);
    let mut statuses = Vec::new();
    for _ in 0..40 {
        statuses.push(exchange(&random::uuid().to_string()).await.0);
    }
    assert_eq!((statuses[0], statuses[29], statuses[30], statuses[39]), (401, 401, 429, 429), "{statuses:?}");
    assert_eq!(exchange(&key).await.0, 200, "who shows a right one never waits");
    let audited = world.audited().await;
    let of = |action: &str| {
        let told = audited.iter().filter(|(have, _)| have == action);
        told.map(|(_, record)| (record["ident"].clone(), record["mtd"]["count_this_minute"].clone()))
            .collect::<Vec<_>>()
    };
    assert_eq!(of("make_token"), vec![(json!("tester"), Value::Null); 2]);
    assert_eq!(of("refuse_credential"), [(json!("unknown"), json!(1)), (json!("unknown"), json!(31))]);
}

#[tokio::test]
async fn two_5_tokens_and_keys_of_before_hold_after_new_keys_were_made() {
    let world = World::new().await;
    let app = &world.server.app;
    let key = world.key(world.oid, &["org.get".to_owned()]).await;
    let before = token(&world, &key, None);
    let who = async |jwt: &str| world.call_as(Some(jwt), "GET", "who", &[]).await.0;
    app.secrets.rotate(&app.records, false, clock::now()).await.unwrap();
    let after = token(&world, &key, None);
    let made_after = world.token_of(world.oid, &["org.get".to_owned()]).await;
    for jwt in [&before, &after, &made_after] {
        assert_eq!(who(jwt).await, 200);
    }
    let stranger = [("oid", world.oid.to_string()), ("secret", random::uuid().to_string())];
    let stranger = stranger.each_ref().map(|(name, value)| (*name, value.as_str()));
    assert_eq!(world.call_as(None, "POST", "/jwt", &stranger).await.0, 401);
    app.secrets.rotate(&app.records, true, clock::now()).await.unwrap();
    assert_eq!((who(&before).await, who(&after).await), (401, 401), "ended");
    assert_eq!(who(&token(&world, &key, None)).await, 200, "by a key of two generations before");
    // And so it is after a restart.
    let jwt = token(&world, &key, None);
    let world = world.restart().await;
    assert_eq!(world.call_as(Some(&jwt), "GET", "who", &[]).await.0, 200);
    assert_eq!(world.call_as(Some(&before), "GET", "who", &[]).await.0, 401);
}

#[tokio::test]
async fn what_a_role_may_is_told_before_it_is_given() {
    let world = World::new().await;
    let users = format!("orgs/{}/users", world.oid);
    let roles = world.ok("GET", &format!("{users}/permissions"), &[]).await["roles"].clone();
    assert_eq!(roles.as_object().unwrap().len(), 5);
    let form = [("email", "bo@example.com"), ("role", "Operator")];
    world.ok("POST", &users, &form).await;
    let given =
        world.ok("GET", &format!("{users}/permissions"), &[]).await["user_permissions"]["bo@example.com"].clone();
    assert_eq!(given, roles["Operator"]);
}
