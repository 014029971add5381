//! What a change answers when the store fails before, during and after it.
//!
//! Clients repeat a call that was answered 504, so that is never answered; and 503 says that
//! nothing was changed, so a change must be one commit, with nothing after it that can fail.

use crate::actions::eventually;
use crate::detections::stored;
use crate::told::Listeners;
use crate::world::World;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use muster_model::TaskId;
use muster_server::access::owner_permissions;
use muster_server::random;
use muster_store::{Store, StoreError, Stream};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::net::TcpListener;
use std::sync::LazyLock;

/// Routes with other methods than GET that store nothing. Whatever else is in the table of routes is in `changes`.
const STORES_NOTHING: &[&str] = &[
    // Of a job that a service made, so tests/rest/services.rs is about it.
    "DELETE /job/{oid}/{id}",
    "POST //",
    "POST //jwt",
    "POST //{oid}",
    // Events are no change that a caller makes; tests/rest/hooks.rs is about these.
    "POST //{oid}/{hook}/{secret}",
    // Of a message that was given up, so tests/rest/services.rs is about it.
    "POST /deliveries/{oid}/{mid}",
    "POST /export/{oid}/sensors",
    // What an extension says of itself is not a change that the caller makes.
    "POST /extensions/{oid}/{name}/schema",
    "POST /hive-public/{hive}/{oid}",
    "POST /hive/{hive}/{oid}/{key}/validate",
    "POST /insight/{oid}/objects",
    // It can be asked for only of a fleet that cannot do it, so far.
    "POST /modules/{oid}",
    "POST /online/{oid}",
    "POST /payload/{oid}/{name}",
    // A rule is tried, and what it would do is not done.
    "POST /replay/{oid}",
    // What a service says of itself is not a change that the caller makes.
    "POST /services/{oid}/{name}/health",
];

/// What users of the console do about their own access, with a cookie; tests/rest/console.rs is about these.
const OF_ONES_OWN_ACCESS: &[&str] = &[
    "DELETE //console/api/sessions/{id}",
    "POST //console/api/link",
    "POST //console/api/link/use",
    "POST //console/api/password",
    "POST //console/api/sign-in",
    "POST //console/api/sign-out",
];

/// What is done in live sessions, with a sensor that answers; tests/rest/live.rs is about these.
const OF_LIVE_SESSIONS: &[&str] = &["//appservices/v6/orgs/{oid}/", "//integrationServices/v3/", "//live-file/"];

struct Change {
    method: &'static str,
    path: String,
    form: Vec<(&'static str, String)>,
    /// Records that tell of it.
    told: Vec<(Stream, usize)>,
}

impl Change {
    fn told(self, told: &[(Stream, usize)]) -> Self {
        Self { told: told.to_vec(), ..self }
    }

    fn label(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    /// Whether this is a call of a route: its method, its literal parts, and how many of them there are.
    fn literals_of(&self, method: &str, route: &str) -> Option<usize> {
        let path = format!("/{}", self.path);
        let (parts, of_route): (Vec<&str>, Vec<&str>) = (path.split('/').collect(), route.split('/').collect());
        let is_same = |(part, of_route): (&&str, &&str)| part == of_route || of_route.starts_with('{');
        let is_it = self.method == method && parts.len() == of_route.len() && parts.iter().zip(&of_route).all(is_same);
        is_it.then(|| of_route.iter().filter(|part| !part.starts_with('{')).count())
    }
}

/// A change with one audit record.
fn change(method: &'static str, path: impl Into<String>, form: &[(&'static str, &str)]) -> Change {
    let form = form.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    Change { method, path: path.into(), form, told: vec![(Stream::Audit, 1)] }
}

/// Changes of every kind, in an order in which each can be made once.
fn changes(oid: &str, sid: &str) -> Vec<Change> {
    let extension = format!("orgs/{oid}/subscription/extension/ext-reliable-tasking");
    let (task_id, other_id) = (TaskId(random::uuid()).to_string(), TaskId(random::uuid()).to_string());
    let ask_of = |action: &str, task_id: &str| {
        let data = match action {
            "task" => json!({"task": "os_version", "selector": "*", "task_id": task_id}),
            _ => json!({"task_id": task_id}),
        };
        let data = data.to_string();
        change("POST", "extension/request/ext-reliable-tasking", &[("oid", oid), ("action", action), ("data", &data)])
    };
    let ask = |action: &str| ask_of(action, &task_id);
    let request = json!({"action": "untask", "task_id": task_id}).to_string();
    let request = BASE64_STANDARD.encode(request);
    let mut all = vec![
        change("POST", format!("{sid}/tags"), &[("tags", "a")]),
        change("DELETE", format!("{sid}/tags"), &[("tag", "a")]),
        change("POST", format!("{sid}/isolation"), &[]),
        change("DELETE", format!("{sid}/isolation"), &[]),
        change("POST", format!("{sid}/seal"), &[]),
        change("DELETE", format!("{sid}/seal"), &[]),
        change("POST", sid, &[("tasks", "os_version")]),
        change("POST", extension.clone(), &[]),
        ask("task").told(&[(Stream::Event, 3), (Stream::Audit, 1)]),
        ask("pause"),
        ask("resume"),
        change("POST", format!("service/{oid}/reliable-tasking"), &[("request_data", &request)]),
        // Not sent: the sensor has not confirmed the one before.
        ask_of("task", &other_id).told(&[(Stream::Event, 1), (Stream::Audit, 1)]),
        ask_of("cancel", &other_id),
        change("DELETE", extension, &[]),
    ];
    all.extend(of_services(oid));
    all.extend(of_organization(oid));
    all.extend(of_hives(oid));
    all.extend(of_files(oid));
    all.push(change("DELETE", sid, &[]));
    all.push(change("POST", format!("{sid}/undelete"), &[]));
    all
}

/// The programs are at an address that takes connections and never answers: nothing comes of its messages.
fn of_services(oid: &str) -> Vec<Change> {
    static SILENT: LazyLock<TcpListener> = LazyLock::new(|| TcpListener::bind("127.0.0.1:0").unwrap());
    let url = format!("http://{}/", SILENT.local_addr().unwrap());
    let (one, subscription) = (format!("services/{oid}/silent"), format!("services/{oid}/silent/subscription"));
    let (extension, of_extension) =
        (format!("extensions/{oid}/silent"), format!("orgs/{oid}/subscription/extension/silent"));
    let request = BASE64_STANDARD.encode("{}");
    let request = [("request_data", request.as_str()), ("is_async", "true")];
    vec![
        change("POST", one.clone(), &[("url", &url)]),
        change("POST", subscription.clone(), &[]),
        change("PATCH", subscription.clone(), &[]),
        change("POST", format!("service/{oid}/silent"), &request).told(&[]),
        change("DELETE", subscription, &[]),
        change("DELETE", one, &[]),
        change("POST", extension.clone(), &[("url", &url)]),
        change("POST", of_extension.clone(), &[]),
        change("PATCH", of_extension.clone(), &[]),
        change("DELETE", of_extension, &[]),
        change("DELETE", extension, &[]),
    ]
}

fn of_organization(oid: &str) -> Vec<Change> {
    let users = format!("orgs/{oid}/users");
    let ana = ("email", "ana@example.com");
    let output = [("name", "o"), ("module", "syslog"), ("type", "event"), ("dest_host", "127.0.0.1:9")];
    let resource = [("res_cat", "replicant"), ("res_name", "yara")];
    let iid = random::uuid().to_string();
    vec![
        change("POST", "orgs/new", &[("name", "another")]).told(&[]),
        change("POST", format!("installationkeys/{oid}"), &[("desc", "d"), ("iid", &iid)]),
        change("DELETE", format!("installationkeys/{oid}"), &[("iid", &iid)]),
        change("POST", format!("orgs/{oid}/keys"), &[("key_name", "k"), ("perms", "sensor.list")]),
        change("DELETE", format!("orgs/{oid}/keys"), &[]),
        change("POST", users.clone(), &[ana, ("role", "Basic")]),
        change("POST", format!("{users}/permissions"), &[ana, ("perm", "dr.list")]),
        change("DELETE", format!("{users}/permissions"), &[ana, ("perm", "dr.list")]),
        change("PUT", format!("{users}/role"), &[ana, ("role", "Viewer")]),
        change("POST", format!("{users}/link"), &[]),
        change("POST", format!("{users}/keys"), &[ana, ("key_name", "u")]),
        change("DELETE", format!("{users}/keys"), &[]),
        change("DELETE", users, &[ana]),
        change("POST", format!("orgs/{oid}/name"), &[("name", "new")]),
        change("POST", format!("orgs/{oid}/quota"), &[("quota", "9")]),
        change("POST", format!("configs/{oid}/vt"), &[("value", "x")]),
        change("POST", format!("orgs/{oid}/resources"), &resource),
        change("DELETE", format!("orgs/{oid}/resources"), &resource),
        change("DELETE", format!("errors/{oid}/broken"), &[]),
        change("POST", format!("insight/{oid}/ingestion_keys"), &[("name", "i")]),
        change("DELETE", format!("insight/{oid}/ingestion_keys"), &[("name", "i")]),
        change("POST", format!("outputs/{oid}"), &output),
        change("POST", format!("outputs/{oid}/test"), &[("name", "o")]),
        change("DELETE", format!("outputs/{oid}"), &[("name", "o")]),
    ]
}

fn of_hives(oid: &str) -> Vec<Change> {
    let hive = |name: &str, rest: &str| format!("hive/{name}/{oid}/{rest}");
    let detect = r#"{"event": "A", "op": "exists", "path": "event"}"#;
    let id = json!({"hive": {"name": "secret", "partition": oid}, "name": "b"});
    let batch = json!({"set_record": {"record_id": id, "record": {"data": {"secret": "x"}}}}).to_string();
    vec![
        change("POST", hive("secret", "s/data"), &[("data", r#"{"secret": "x"}"#)]),
        change("POST", hive("secret", "s/mtd"), &[("usr_mtd", r#"{"enabled": false}"#)]),
        change("POST", hive("secret", "s/rename"), &[("new_name", "t")]),
        change("DELETE", hive("secret", "t"), &[]),
        change("POST", "hive", &[("oid", oid), ("request", &batch)]),
        change("POST", format!("rules/{oid}"), &[("name", "r"), ("detection", detect), ("response", "[]")]),
        change("DELETE", format!("rules/{oid}"), &[("name", "r")]),
        change("POST", format!("fp/{oid}"), &[("name", "f"), ("rule", r#"{"op": "is", "path": "cat", "value": "x"}"#)]),
        change("DELETE", format!("fp/{oid}"), &[("name", "f")]),
    ]
}

fn of_files(oid: &str) -> Vec<Change> {
    let artifacts = format!("insight/{oid}/artifacts");
    vec![
        change("POST", format!("{artifacts}/rules"), &[("name", "a"), ("patterns", "/tmp/*")]),
        change("DELETE", format!("{artifacts}/rules"), &[("name", "a")]),
        change("POST", "/ingest", &[("lc-payload-id", "log")]).told(&[(Stream::Artifact, 1), (Stream::Audit, 1)]),
        change("POST", format!("{artifacts}/originals/log"), &[]).told(&[(Stream::Audit, 1), (Stream::Artifact, 1)]),
        change("PUT", "/transfer/TOKEN", &[("name", "p")]),
        change("DELETE", format!("payload/{oid}/p"), &[]),
    ]
}

/// Makes changes.
struct Operator {
    /// Token of someone who may make organizations.
    maker: String,
    ingestion_key: String,
}

impl Operator {
    /// Prepares a world in which all changes can be made.
    async fn of(world: &World) -> Self {
        let oid = world.oid;
        muster_server::errors::report(&world.server.app.records, oid, "broken", "it is").await;
        let maker = world.user("bob@example.com", BTreeMap::from([(oid, owner_permissions())])).await;
        let key = world.ok("POST", &format!("insight/{oid}/ingestion_keys"), &[("name", "kept")]).await;
        Self { maker, ingestion_key: key["key"].as_str().unwrap().to_owned() }
    }

    /// Makes a change; gives status and error code, or the error of an operation in a batch.
    async fn make(&self, world: &World, change: &Change) -> (u16, Value) {
        let Change { method, path, form, .. } = change;
        let mut form: Vec<(&str, &str)> = form.iter().map(|(name, value)| (*name, value.as_str())).collect();
        match path.as_str() {
            "/ingest" => {
                let mut request = world.request(method, path).basic_auth(world.oid, Some(&self.ingestion_key));
                for (name, value) in form {
                    request = request.header(name, value);
                }
                return self.upload(request).await;
            }
            "/transfer/TOKEN" => {
                let granted = world.ok("POST", &format!("payload/{}/{}", world.oid, form[0].1), &[]).await;
                let token = granted["put_url"].as_str().unwrap().rsplit('/').next().unwrap();
                return self.upload(world.request(method, &format!("/transfer/{token}"))).await;
            }
            _ => {}
        }
        let keys = world.ok("GET", &format!("orgs/{}/keys", world.oid), &[]).await;
        let users = world.ok("GET", &format!("orgs/{}/users/keys", world.oid), &[]).await;
        let (kept, name) = match path.ends_with("/users/keys") {
            true => (&users["user_keys"], "u"),
            false => (&keys["api_keys"], "k"),
        };
        if change.label().starts_with("DELETE") && path.ends_with("/keys") {
            let (hash, _) = kept.as_object().unwrap().iter().find(|(_, key)| key["name"] == name).unwrap();
            form.push(("key_hash", hash));
        }
        let token = if path == "orgs/new" { &self.maker } else { &world.token };
        let (status, answer) = world.call_as(Some(token), method, path, &form).await;
        match answer["responses"][0]["error"].as_str() {
            Some("") => (200, Value::Null),
            Some(error) => (503, json!({"error_code": "store_full", "error": error})),
            None => (status, answer),
        }
    }

    async fn upload(&self, request: reqwest::RequestBuilder) -> (u16, Value) {
        let answer = request.body("content").send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap_or(Value::Null))
    }
}

#[tokio::test]
async fn a_change_is_one_commit_and_nothing_fails_after_it() {
    let (store, faults) = Store::memory_with_faults();
    let world = World::on(tempfile::tempdir().unwrap(), store).await;
    let id = world.sensor("one", &[]).await;
    let link = world.link(id).await;
    let operator = Operator::of(&world).await;
    for change in changes(&world.oid.to_string(), &id.to_string()) {
        let audited = world.audited().await.len();
        let label = change.label();
        faults.fail_all(Some(StoreError::Full));
        let (status, answer) = operator.make(&world, &change).await;
        assert_eq!((status, &answer["error_code"]), (503, &json!("store_full")), "{label}: {answer}");
        assert_eq!(world.audited().await.len(), audited, "{label}");

        faults.pass_next();
        let (status, answer) = operator.make(&world, &change).await;
        faults.fail_all(None);
        assert_eq!(status, 200, "{label}, after its first commit: {answer}");
        let audits = change.told.iter().filter(|(stream, _)| *stream == Stream::Audit).count();
        assert_eq!(world.audited().await.len(), audited + audits, "{label}");
    }
    drop(link);
}

#[tokio::test]
async fn every_route_that_stores_something_is_among_the_changes() {
    let world = World::new().await;
    let all = changes(&world.oid.to_string(), &random::uuid().to_string());
    let routes: Vec<_> = muster_server::api::routes().iter().map(|route| (route.method.name(), route.path)).collect();
    let mut left: BTreeSet<String> = routes.iter().filter(|(method, _)| *method != "GET").map(label).collect();
    for change in &all {
        let of_route = |(method, path): &&(&str, &str)| change.literals_of(method, path);
        let route = routes.iter().filter(|route| of_route(route).is_some()).max_by_key(of_route);
        left.remove(&label(route.unwrap_or_else(|| panic!("no route: {}", change.label()))));
    }
    left.retain(|label| !OF_ONES_OWN_ACCESS.contains(&label.as_str()));
    left.retain(|label| !OF_LIVE_SESSIONS.iter().any(|beginning| label.contains(beginning)));
    assert_eq!(left.iter().map(String::as_str).collect::<Vec<_>>(), STORES_NOTHING);
}

fn label((method, path): &(&str, &str)) -> String {
    format!("{method} {path}")
}

/// Nothing is told before it is stored: a store that refuses a change keeps it from live readers, from the files
/// of outputs, and from rules on audit records. In the end each of them has heard just what is stored.
#[tokio::test]
async fn nobody_hears_of_a_change_that_is_refused() {
    let (store, faults) = Store::memory_with_faults();
    let world = World::on(tempfile::tempdir().unwrap(), store).await;
    let id = world.sensor("one", &[]).await;
    let link = world.link(id).await;
    let operator = Operator::of(&world).await;
    let mut listeners = Listeners::begin(&world).await;
    for change in changes(&world.oid.to_string(), &id.to_string()) {
        let label = change.label();
        // What comes of the last change is stored: the next commit is that of this one.
        listeners.settle(&world).await;
        listeners.news();
        faults.fail_next(StoreError::Full);
        let (status, answer) = operator.make(&world, &change).await;
        assert_eq!((status, &answer["error_code"]), (503, &json!("store_full")), "{label}: {answer}");
        assert!(listeners.news().is_empty(), "{label} was refused, and told");

        let (status, answer) = operator.make(&world, &change).await;
        assert_eq!(status, 200, "{label}: {answer}");
        let mut told = Vec::new();
        eventually(&format!("{label} is told"), async || {
            told.extend(listeners.news());
            let count = |stream: &Stream| told.iter().filter(|told| *told == stream).count();
            change.told.iter().all(|(stream, records)| count(stream) == *records).then_some(())
        })
        .await;
    }
    listeners.settle(&world).await;
    listeners.assert_heard_what_is_stored(&world).await;
    let detections = stored(&world, Stream::Detect).await.len();
    assert!(detections > 40, "the rule heard of every change: {detections}");
    drop(link);
}
