//! Pages by their place in an order, as lists on a screen ask for them.

use crate::world::World;
use serde_json::{Value, json};

/// Three sensors; the one that enrolled first is online.
async fn world() -> World {
    let world = World::new().await;
    let first = world.sensor("web-2", &["a"]).await;
    world.sensor("DB-1", &["b"]).await;
    world.sensor("web-1", &["a"]).await;
    world.link(first).await;
    world
}

fn hostnames(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|entry| entry["hostname"].as_str().unwrap()).collect()
}

async fn list(world: &World, query: &str) -> Value {
    world.ok("GET", &format!("sensors/{}?{query}", world.oid), &[]).await
}

#[tokio::test]
async fn seven_5_sensors_are_paged_by_place_in_an_order_with_a_total() {
    let world = world().await;
    for (query, page, total) in [
        ("offset=0", vec!["host", "DB-1", "web-1"], 3),
        ("offset=1&limit=1", vec!["DB-1"], 3),
        ("offset=1&sort=-enrolled", vec!["DB-1", "host"], 3),
        ("sort=hostname", vec!["DB-1", "host", "web-1"], 3),
        ("sort=-hostname&limit=2", vec!["web-1", "host"], 3),
        ("sort=alive", vec!["DB-1", "web-1", "host"], 3),
        ("sort=-alive&limit=1", vec!["host"], 3),
        ("offset=3&sort=alive", vec![], 3),
        ("offset=1&filter_tag=a", vec!["web-1"], 2),
        ("offset=0&sort=hostname&selector=tags+contains+%22b%22", vec!["DB-1"], 1),
        ("offset=0&is_online_only=true", vec!["host"], 1),
        ("sort=hostname&is_offline_only=true", vec!["DB-1", "web-1"], 2),
    ] {
        let answer = list(&world, query).await;
        assert_eq!((hostnames(&answer["sensors"]), &answer["total"]), (page, &json!(total)), "{query}");
        assert_eq!(answer.get("continuation_token"), None, "{query}");
    }
    // The published form stays as it is.
    let published = list(&world, "limit=2").await;
    assert_eq!((published.get("total"), published["continuation_token"].as_str()), (None, Some("2")));
}

#[tokio::test]
async fn seven_5_only_the_fields_that_were_asked_for_are_in_a_list() {
    let world = world().await;
    let answer = list(&world, "sort=hostname&limit=1&fields=hostname,is_online").await;
    assert_eq!(answer, json!({"sensors": [{"hostname": "DB-1", "is_online": false}], "total": 3}));
    let answer = list(&world, "fields=hostname&fields=tags&limit=1").await;
    assert_eq!(answer["sensors"], json!([{"hostname": "host", "tags": ["a"]}]));
    // Every field can be asked for by its name, and no other.
    let whole = list(&world, "limit=1").await["sensors"][0].clone();
    let names: Vec<&str> = whole.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(
        list(&world, &format!("limit=1&fields={}", names.join(","))).await["sensors"][0].as_object().unwrap().len(),
        names.len()
    );
    let path = format!("sensors/{}?fields=hostnam", world.oid);
    let (status, error) = world.refused("GET", &path, &[]).await;
    assert!(status == 400 && error.contains("did you mean hostname?"), "{error}");
}

#[tokio::test]
async fn seven_5_a_page_that_cannot_be_meant_is_refused() {
    let world = world().await;
    for (query, text) in [
        ("offset=-1", "offset must be at least 0"),
        ("offset=x", "offset must be a whole number"),
        ("sort=name", "unknown sort: \"name\"; one of enrolled, -enrolled, hostname, -hostname, alive, -alive"),
        ("offset=1&continuation_token=2", "send one of them"),
    ] {
        let (status, error) = world.refused("GET", &format!("sensors/{}?{query}", world.oid), &[]).await;
        assert!(status == 400 && error.contains(text), "{query}: {error}");
    }
}

async fn ask(world: &World, action: &str, data: &Value) -> (u16, Value) {
    let form = [("oid", &*world.oid.to_string()), ("action", action), ("data", &data.to_string())];
    world.call("POST", "extension/request/ext-reliable-tasking", &form).await
}

#[tokio::test]
async fn seven_5_targets_of_a_task_are_paged_the_same_way() {
    let world = world().await;
    world.ok("POST", &format!("orgs/{}/subscription/extension/ext-reliable-tasking", world.oid), &[]).await;
    let (_, created) = ask(&world, "task", &json!({"task": "os_version", "selector": "*"})).await;
    let id = &created["data"]["task_id"];
    let page = async |asked: &Value| {
        let mut data = asked.clone();
        data["task_id"] = id.clone();
        let (status, answer) = ask(&world, "get", &data).await;
        assert_eq!(status, 200, "{asked}: {answer}");
        answer["data"].clone()
    };
    for (asked, hosts, matching) in [
        (json!({"sort": "hostname"}), vec!["DB-1", "host", "web-1"], 3),
        (json!({"sort": "-hostname", "offset": 1, "limit": 1}), vec!["host"], 3),
        (json!({"offset": 2}), vec!["web-1"], 3),
        (json!({"sort": "alive", "state": "queued"}), vec!["DB-1", "web-1"], 2),
        (json!({"offset": 7}), vec![], 3),
    ] {
        let answer = page(&asked).await;
        assert_eq!((hostnames(&answer["targets"]), &answer["matching"]), (hosts, &json!(matching)), "{asked}");
        assert_eq!(answer["total"], 3);
    }
    // The cursor of the published way leads on from where a page ended.
    let first = page(&json!({"limit": 2})).await;
    let rest = page(&json!({"limit": 2, "cursor": first["cursor"]})).await;
    assert_eq!((hostnames(&rest["targets"]), rest.get("cursor")), (vec!["web-1"], None));
    let shown = page(&json!({"limit": 1, "fields": "hostname,state"})).await;
    assert!(shown["targets"] == json!([{"hostname": "host", "state": "sent"}]), "{shown}");
    for (wrong, text) in [
        (json!({"sort": "state"}), "unknown sort"),
        (json!({"fields": ["statte"]}), "did you mean state?"),
        (json!({"offset": -1}), "offset must be"),
        (json!({"cursor": "1", "offset": 1}), "send one of them"),
    ] {
        let mut data = wrong.clone();
        data["task_id"] = id.clone();
        let (status, answer) = ask(&world, "get", &data).await;
        assert!(status == 400 && answer["error"].as_str().unwrap().contains(text), "{wrong}: {answer}");
    }
}

async fn sid_of(world: &World, hostname: &str) -> Value {
    let found = list(world, &format!("offset=0&selector=hostname+==+%22{hostname}%22")).await;
    found["sensors"][0]["sid"].clone()
}

#[tokio::test]
async fn the_tasks_of_a_sensor_are_those_that_have_it_as_a_target_with_where_it_stands() {
    let world = world().await;
    world.ok("POST", &format!("orgs/{}/subscription/extension/ext-reliable-tasking", world.oid), &[]).await;
    ask(&world, "task", &json!({"task": "os_version", "selector": "*"})).await;
    ask(&world, "task", &json!({"task": "os_packages", "selector": "hostname == \"DB-1\""})).await;
    let (web, db) = (sid_of(&world, "web-1").await, sid_of(&world, "DB-1").await);
    for (sid, commands) in [(web, vec!["os_version"]), (db, vec!["os_packages", "os_version"])] {
        let (status, answer) = ask(&world, "overview", &json!({"sid": sid})).await;
        assert_eq!(status, 200);
        let tasks = answer["data"]["requests"].as_array().unwrap();
        assert_eq!(tasks.iter().map(|task| task["task"].as_str().unwrap()).collect::<Vec<_>>(), commands);
        assert!(tasks.iter().all(|task| task["state"] == "queued"), "{tasks:?}");
    }
    let (status, _) = ask(&world, "overview", &json!({"sid": "nobody"})).await;
    assert_eq!(status, 400);
    let (_, all) = ask(&world, "overview", &json!({})).await;
    assert_eq!(all["data"]["requests"][0].get("state"), None, "it is told of one sensor alone");
}
