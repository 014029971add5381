//! Answers of a server that is newer than the client: they have fields which the client does not know.

use muster_client::{RegisteredService, Sensor, TaskPage, Whoami};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

/// The same with one more field in every object, but in those whose fields are names that somebody gave.
fn newer(value: Value) -> Value {
    const NAMES: &[&str] = &["counts", "resources", "user_perms"];
    match value {
        Value::Object(fields) => {
            let mut fields: Map<String, Value> = fields
                .into_iter()
                .map(|(name, value)| {
                    let value = if NAMES.contains(&name.as_str()) { value } else { newer(value) };
                    (name, value)
                })
                .collect();
            fields.insert("of_a_newer_server".to_owned(), json!({"any": [1, null]}));
            Value::Object(fields)
        }
        Value::Array(items) => items.into_iter().map(newer).collect(),
        other => other,
    }
}

fn read<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(newer(value)).unwrap()
}

#[test]
fn fields_of_a_newer_server_are_passed_over() {
    let id = "00000000-0000-4000-8000-000000000001";
    let sensor: Sensor = read(json!({
        "sid": id, "oid": id, "iid": id, "did": "", "plat": 536_870_912, "ext_plat": 0, "arch": 2, "hostname": "web-1",
        "enroll": "", "alive": "", "ext_ip": "", "int_ip": "", "mac_addr": "", "is_isolated": false, "isolated": false,
        "should_isolate": false, "is_sealed": false, "sealed": false, "should_seal": false, "is_kernel_available": false,
        "kernel": false, "version": "", "tags": ["vip"], "is_online": true,
    }));
    assert_eq!((&*sensor.hostname, sensor.is_online), ("web-1", true));
    let target = json!({
        "sid": id, "hostname": "web-1", "state": "finished", "attempts": 1, "online": true, "sent": 1, "confirmed": 2,
        "started": 3, "ended": 4, "code": 0, "error": null,
    });
    let page: TaskPage = read(json!({
        "task_id": id, "task": "os_version", "total": 1, "counts": {"finished": 1}, "created": 0, "created_by": "ada",
        "expiry": 1, "ttl": 1, "dynamic": false, "urgent": false, "failures": 0, "pace": {"random_order": true},
        "paused": false, "sensor_selector": "*", "matching": 1, "targets": [target],
    }));
    assert_eq!((page.summary.task.as_str(), page.targets.len()), ("os_version", 1));
    let service: RegisteredService = read(json!({
        "name": "greeter", "callbacks": [], "detect_subscriptions": [], "detects": [], "request_params": {}, "resources": {},
        "error": "", "flair": [], "is_own": false, "is_public": true, "is_subscribed": true, "is_well": true,
        "permissions": [], "well_at": null,
    }));
    assert_eq!(service.registered.name, "greeter");
    let who: Whoami = read(json!({"ident": "ada", "uid": "u", "user_perms": {id: ["sensor.list"]}}));
    assert!(matches!(who, Whoami::User { .. }));
}
