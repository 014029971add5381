//! What a change answers when the store fails before, during and after it.
//!
//! Clients repeat a call that was answered 504, so that is never answered; and 503 says that
//! nothing was changed, so a change must be one commit, with nothing after it that can fail.

use crate::world::World;
use muster_model::TaskId;
use muster_server::random;
use muster_store::{Store, StoreError};
use serde_json::json;

struct Change {
    method: &'static str,
    path: String,
    form: Vec<(&'static str, String)>,
}

fn change(method: &'static str, path: impl Into<String>, form: &[(&'static str, &str)]) -> Change {
    let form = form.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    Change { method, path: path.into(), form }
}

/// Changes of every kind, in an order in which each can be made once.
fn changes(oid: &str, sid: &str) -> Vec<Change> {
    let hive = |name: &str, rest: &str| format!("hive/{name}/{oid}/{rest}");
    let rule = r#"{"event": "A", "op": "exists", "path": "event"}"#;
    let extension = format!("orgs/{oid}/subscription/extension/ext-reliable-tasking");
    let task_id = TaskId(random::uuid()).to_string();
    let ask = |action: &str| {
        let data = match action {
            "task" => json!({"task": "os_version", "selector": "*", "task_id": task_id}),
            _ => json!({"task_id": task_id}),
        };
        let data = data.to_string();
        change("POST", "extension/request/ext-reliable-tasking", &[("oid", oid), ("action", action), ("data", &data)])
    };
    let users = format!("orgs/{oid}/users");
    let ana = ("email", "ana@example.com");
    let output = [("name", "o"), ("module", "syslog"), ("type", "event"), ("dest_host", "127.0.0.1:9")];
    vec![
        change("POST", format!("{sid}/tags"), &[("tags", "a")]),
        change("DELETE", format!("{sid}/tags"), &[("tag", "a")]),
        change("POST", format!("{sid}/isolation"), &[]),
        change("DELETE", format!("{sid}/isolation"), &[]),
        change("POST", format!("{sid}/seal"), &[]),
        change("POST", sid, &[("tasks", "os_version")]),
        change("POST", extension.clone(), &[]),
        ask("task"),
        ask("pause"),
        ask("resume"),
        ask("untask"),
        change("DELETE", extension, &[]),
        change("POST", format!("installationkeys/{oid}"), &[("desc", "d")]),
        change("POST", format!("orgs/{oid}/keys"), &[("key_name", "k"), ("perms", "sensor.list")]),
        change("POST", users.clone(), &[ana, ("role", "Basic")]),
        change("POST", format!("{users}/permissions"), &[ana, ("perm", "dr.list")]),
        change("DELETE", format!("{users}/permissions"), &[ana, ("perm", "dr.list")]),
        change("PUT", format!("{users}/role"), &[ana, ("role", "Viewer")]),
        change("DELETE", users, &[ana]),
        change("POST", format!("orgs/{oid}/name"), &[("name", "new")]),
        change("POST", format!("orgs/{oid}/quota"), &[("quota", "9")]),
        change("POST", format!("configs/{oid}/vt"), &[("value", "x")]),
        change("POST", format!("orgs/{oid}/resources"), &[("res_cat", "replicant"), ("res_name", "yara")]),
        change("DELETE", format!("orgs/{oid}/resources"), &[("res_cat", "replicant"), ("res_name", "yara")]),
        change("POST", format!("insight/{oid}/ingestion_keys"), &[("name", "i")]),
        change("DELETE", format!("insight/{oid}/ingestion_keys"), &[("name", "i")]),
        change("POST", hive("secret", "s/data"), &[("data", r#"{"secret": "x"}"#)]),
        change("POST", hive("secret", "s/mtd"), &[("usr_mtd", r#"{"enabled": false}"#)]),
        change("POST", hive("secret", "s/rename"), &[("new_name", "t")]),
        change("DELETE", hive("secret", "t"), &[]),
        change("POST", format!("rules/{oid}"), &[("name", "r"), ("detection", rule), ("response", "[]")]),
        change("DELETE", format!("rules/{oid}"), &[("name", "r")]),
        change("POST", format!("outputs/{oid}"), &output),
        change("DELETE", format!("outputs/{oid}"), &[("name", "o")]),
        change("DELETE", sid, &[]),
        change("POST", format!("{sid}/undelete"), &[]),
    ]
}

#[tokio::test]
async fn a_change_is_one_commit_and_nothing_fails_after_it() {
    let (store, faults) = Store::memory_with_faults();
    let world = World::on(tempfile::tempdir().unwrap(), store).await;
    let id = world.sensor("one", &[]).await;
    let link = world.link(id).await;
    for Change { method, path, form } in changes(&world.oid.to_string(), &id.to_string()) {
        let form: Vec<(&str, &str)> = form.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let audited = world.audited().await.len();
        faults.fail_all(Some(StoreError::Full));
        let (status, answer) = world.call(method, &path, &form).await;
        assert_eq!((status, &answer["error_code"]), (503, &json!("store_full")), "{method} {path}: {answer}");
        assert_eq!(world.audited().await.len(), audited, "{method} {path}");

        faults.pass_next();
        let (status, answer) = world.call(method, &path, &form).await;
        faults.fail_all(None);
        assert_eq!(status, 200, "{method} {path}, after its first commit: {answer}");
        assert_eq!(world.audited().await.len(), audited + 1, "{method} {path}");
    }
    drop(link);
}
