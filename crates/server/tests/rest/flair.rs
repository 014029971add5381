//! Flair of keys: how they stand to what others made, and others to what they made.

use crate::world::World;
use muster_server::access::Exchange;
use serde_json::{Value, json};

/// What services and operators work with.
const PERMISSIONS: &str = "apikey.ctrl,ext.request,dr.list,dr.set,dr.del,secret.get,secret.set,secret.del,secret.get.mtd,secret.set.mtd,\
                           output.list,output.set,output.del,ikey.list,ikey.set,ikey.del,insight.list,insight.ctrl,\
                           ingestkey.ctrl,payload.ctrl,org.get";

/// A token of a key of this name.
async fn token(world: &World, name: &str) -> String {
    let form = [("key_name", name), ("perms", PERMISSIONS)];
    let made = world.ok("POST", &format!("orgs/{}/keys", world.oid), &form).await;
    let oid = world.oid.to_string();
    world.exchanged(&Exchange { secret: made["api_key"].as_str().unwrap(), oid: &oid, ..Exchange::default() })
}

/// One thing that a key can make: where it is listed, how it is made, and how deleted.
struct Thing {
    list: String,
    make: (String, Vec<(&'static str, &'static str)>),
    delete: (String, Vec<(&'static str, &'static str)>),
    /// How its listing shows that it is there.
    name: &'static str,
    /// What nobody may read who must not read its content.
    content: &'static str,
}

fn things(world: &World) -> Vec<Thing> {
    let oid = world.oid;
    let hive = |hive: &str, data, name, content| Thing {
        list: format!("hive/{hive}/{oid}"),
        make: (format!("hive/{hive}/{oid}/{name}/data"), vec![("data", data)]),
        delete: (format!("hive/{hive}/{oid}/{name}"), vec![]),
        name,
        content,
    };
    let rule = r#"{"detect": {"op": "exists", "path": "event/HIDDEN", "event": "X"}, "respond": []}"#;
    vec![
        hive("secret", r#"{"secret": "hidden-word"}"#, "my-secret", "hidden-word"),
        hive("dr-general", rule, "my-rule", "HIDDEN"),
        Thing {
            list: format!("outputs/{oid}"),
            make: (
                format!("outputs/{oid}"),
                vec![
                    ("name", "my-output"),
                    ("module", "syslog"),
                    ("type", "event"),
                    ("dest_host", "hidden.example.com:514"),
                ],
            ),
            delete: (format!("outputs/{oid}"), vec![("name", "my-output")]),
            name: "my-output",
            content: "hidden.example.com",
        },
        Thing {
            list: format!("insight/{oid}/artifacts/rules"),
            make: (
                format!("insight/{oid}/artifacts/rules"),
                vec![("name", "my-collection"), ("patterns", "/hidden/path"), ("days_retention", "1")],
            ),
            delete: (format!("insight/{oid}/artifacts/rules"), vec![("name", "my-collection")]),
            name: "my-collection",
            content: "/hidden/path",
        },
    ]
}

async fn listed(world: &World, token: &str, thing: &Thing) -> String {
    let (status, answer) = world.call_as(Some(token), "GET", &thing.list, &[]).await;
    assert_eq!(status, 200, "{}: {answer}", thing.list);
    answer.to_string()
}

async fn act(world: &World, token: &str, method: &str, (path, form): &(String, Vec<(&str, &str)>)) -> (u16, Value) {
    world.call_as(Some(token), method, path, form).await
}

#[tokio::test]
async fn nine_1_what_a_key_with_lock_made_or_changed_is_changed_by_that_key_alone() {
    let world = World::new().await;
    let (locking, other) = (token(&world, "service [lock]").await, token(&world, "operator").await);
    for thing in things(&world) {
        assert_eq!(act(&world, &locking, "POST", &thing.make).await.0, 200, "{}", thing.name);
        assert!(listed(&world, &other, &thing).await.contains(thing.content), "a lock gives no privacy");
        for (method, what) in [("POST", &thing.make), ("DELETE", &thing.delete)] {
            let (status, answer) = act(&world, &other, method, what).await;
            assert_eq!((status, &answer["error_code"]), (403, &json!("forbidden")), "{} {answer}", thing.name);
            assert!(answer["error"].as_str().unwrap().contains("locked by the key service"), "{answer}");
        }
        assert_eq!(act(&world, &locking, "POST", &thing.make).await.0, 200, "{}", thing.name);
    }
    // A key that is made anew under this name holds it; and one with root is held by nothing.
    let (again, root) = (token(&world, "service[lock]").await, token(&world, "keeper[root]").await);
    for (number, thing) in things(&world).into_iter().enumerate() {
        let who = if number % 2 == 0 { &again } else { &root };
        assert_eq!(act(&world, who, "DELETE", &thing.delete).await.0, 200, "{}", thing.name);
        assert_eq!(act(&world, &other, "POST", &thing.make).await.0, 200, "the lock went with what it held");
        // What it changes, it holds, too.
        assert_eq!(act(&world, &again, "POST", &thing.make).await.0, 200, "{}", thing.name);
        assert_eq!(act(&world, &other, "DELETE", &thing.delete).await.0, 403, "{}", thing.name);
    }
}

#[tokio::test]
async fn nine_1_others_see_of_what_a_key_with_secret_made_only_that_it_is_there() {
    let world = World::new().await;
    let (hiding, other) = (token(&world, "service[secret]").await, token(&world, "operator").await);
    for thing in things(&world) {
        assert_eq!(act(&world, &hiding, "POST", &thing.make).await.0, 200, "{}", thing.name);
        let (own, of_other) = (listed(&world, &hiding, &thing).await, listed(&world, &other, &thing).await);
        assert!(own.contains(thing.content), "{own}");
        assert!(of_other.contains(thing.name) && !of_other.contains(thing.content), "{of_other}");
    }
    let oid = world.oid;
    let one = world.call_as(Some(&other), "GET", &format!("hive/secret/{oid}/my-secret/data"), &[]).await.1;
    assert_eq!(one["data"], json!({}), "{one}");
    let rules = world.call_as(Some(&other), "GET", &format!("rules/{oid}"), &[]).await.1;
    assert!(rules["my-rule"].is_object() && !rules.to_string().contains("HIDDEN"), "{rules}");
    let batch =
        json!({"get_record": {"record_id": {"hive": {"name": "secret", "partition": oid}, "name": "my-secret"}}});
    let path = format!("hive?oid={oid}");
    let batch = world.call_as(Some(&other), "POST", &path, &[("request", &batch.to_string())]).await.1;
    assert!(!batch.to_string().contains("hidden-word"), "{batch}");
    // A document of the configuration has nothing of it, and whoever pushes it back takes nothing away.
    let options =
        json!({"sync_outputs": true, "sync_artifacts": true, "sync_hives": {"secret": true, "dr-general": true}});
    let ask = |action: &'static str, data: Value| {
        let (world, other) = (&world, &other);
        async move {
            let form = [("oid", oid.to_string()), ("action", action.into()), ("data", data.to_string())];
            let form: Vec<(&str, &str)> = form.iter().map(|(name, value)| (*name, value.as_str())).collect();
            let (status, answer) =
                world.call_as(Some(other), "POST", "extension/request/ext-infrastructure", &form).await;
            assert_eq!(status, 200, "{answer}");
            answer["data"].clone()
        }
    };
    let document = ask("fetch", json!({"options": options})).await["org"].clone();
    assert!(!document.to_string().contains("my-"), "{document}");
    let mut forced = options.clone();
    forced["is_force"] = json!(true);
    let pushed = ask("push", json!({"config": document.to_string(), "options": forced})).await;
    assert_eq!(pushed["errors"], json!([]), "{pushed}");
    for thing in things(&world) {
        assert!(listed(&world, &hiding, &thing).await.contains(thing.content), "{}", thing.name);
    }
}

#[tokio::test]
async fn nine_1_a_key_with_segment_sees_and_changes_only_what_it_made() {
    let world = World::new().await;
    let (within, other) = (token(&world, "service[segment]").await, token(&world, "operator").await);
    for thing in things(&world) {
        assert_eq!(act(&world, &other, "POST", &thing.make).await.0, 200, "{}", thing.name);
        assert!(!listed(&world, &within, &thing).await.contains(thing.name), "{}", thing.name);
        assert_eq!(act(&world, &within, "POST", &thing.make).await.0, 403, "{}", thing.name);
        let gone = act(&world, &within, "DELETE", &thing.delete).await.0;
        // What is not there is a 400 in hives, as published.
        assert!(matches!(gone, 400 | 403 | 404), "{}: {gone}", thing.name);
        assert!(listed(&world, &other, &thing).await.contains(thing.content), "{}", thing.name);
        assert_eq!(act(&world, &other, "DELETE", &thing.delete).await.0, 200, "{}", thing.name);
        assert_eq!(act(&world, &within, "POST", &thing.make).await.0, 200, "{}", thing.name);
        assert!(listed(&world, &within, &thing).await.contains(thing.content), "{}", thing.name);
        assert_eq!(act(&world, &within, "DELETE", &thing.delete).await.0, 200, "{}", thing.name);
    }
    // It makes no key that reaches further.
    let keys = format!("orgs/{}/keys", world.oid);
    for (name, expected) in [("free", 403), ("free[segment][root]", 403), ("bound[segment]", 200)] {
        let (status, answer) =
            world.call_as(Some(&within), "POST", &keys, &[("key_name", name), ("perms", "org.get")]).await;
        assert_eq!(status, expected, "{answer}");
    }
}

/// Where keys and payloads stand: their listing is not how they are made.
const IID: &str = "6ba7b810-9dad-11d1-80b4-00c04fd430c8";

/// Makes an installation key, an ingestion key and a payload; gives what came of each.
async fn make_kept(world: &World, token: &str) -> [u16; 3] {
    let (oid, call) =
        (world.oid, async |path: &str, form: &[(&str, &str)]| world.call_as(Some(token), "POST", path, form).await);
    let key = call(&format!("installationkeys/{oid}"), &[("iid", IID), ("desc", "mine")]).await.0;
    let ingestion = call(&format!("insight/{oid}/ingestion_keys"), &[("name", "mine")]).await.0;
    let granted = call(&format!("payload/{oid}/mine"), &[]).await.1;
    let url = granted["put_url"].as_str().unwrap();
    let put = world.request("PUT", &url[url.find("/transfer/").unwrap()..]).body("echo").send().await.unwrap();
    [key, ingestion, put.status().as_u16()]
}

async fn delete_kept(world: &World, token: &str) -> [u16; 3] {
    let (oid, call) =
        (world.oid, async |path: &str, form: &[(&str, &str)]| world.call_as(Some(token), "DELETE", path, form).await.0);
    [
        call(&format!("installationkeys/{oid}"), &[("iid", IID)]).await,
        call(&format!("insight/{oid}/ingestion_keys"), &[("name", "mine")]).await,
        call(&format!("payload/{oid}/mine"), &[]).await,
    ]
}

/// What is seen of each: nothing, that it is there, or all of it.
async fn seen_kept(world: &World, token: &str) -> [&'static str; 3] {
    let (oid, get) = (world.oid, async |path: &str| world.call_as(Some(token), "GET", path, &[]).await);
    let of_secret = |secret: &Value| match secret.as_str() {
        None => "nothing",
        Some("") => "that it is there",
        Some(_) => "all",
    };
    let key = get(&format!("installationkeys/{oid}")).await.1[oid.to_string()][IID]["key"].clone();
    let ingestion = get(&format!("insight/{oid}/ingestion_keys")).await.1["keys"]["mine"].clone();
    let is_listed = get(&format!("payload/{oid}")).await.1["payloads"]["mine"].is_object();
    let payload = match (is_listed, get(&format!("payload/{oid}/mine")).await.0) {
        (true, 200) => "all",
        (true, 404) => "that it is there",
        (false, 404) => "nothing",
        other => panic!("{other:?}"),
    };
    [of_secret(&key), of_secret(&ingestion), payload]
}

#[tokio::test]
async fn nine_1_flair_holds_for_installation_keys_ingestion_keys_and_payloads() {
    let world = World::new().await;
    let other = token(&world, "operator").await;
    let locking = token(&world, "locking[lock]").await;
    assert_eq!(make_kept(&world, &locking).await, [200; 3]);
    assert_eq!(seen_kept(&world, &other).await, ["all"; 3], "a lock gives no privacy");
    assert_eq!((make_kept(&world, &other).await, delete_kept(&world, &other).await), ([403; 3], [403; 3]));
    assert_eq!((make_kept(&world, &locking).await, delete_kept(&world, &locking).await), ([200; 3], [200; 3]));

    let hiding = token(&world, "hiding[secret]").await;
    assert_eq!(make_kept(&world, &hiding).await, [200; 3]);
    assert_eq!(seen_kept(&world, &hiding).await, ["all"; 3]);
    assert_eq!(seen_kept(&world, &other).await, ["that it is there"; 3]);
    assert_eq!(delete_kept(&world, &hiding).await, [200; 3]);

    let within = token(&world, "within[segment]").await;
    assert_eq!(make_kept(&world, &other).await, [200; 3]);
    assert_eq!(seen_kept(&world, &within).await, ["nothing"; 3]);
    assert_eq!(make_kept(&world, &within).await, [403; 3]);
    let refused = delete_kept(&world, &within).await;
    assert!(refused.iter().all(|status| [403, 404].contains(status)), "{refused:?}");
    assert_eq!((seen_kept(&world, &other).await, delete_kept(&world, &other).await), (["all"; 3], [200; 3]));
    assert_eq!(make_kept(&world, &within).await, [200; 3]);
    assert_eq!(seen_kept(&world, &within).await, ["all"; 3]);
}

#[tokio::test]
async fn nine_1_the_flair_of_a_registration_is_that_of_its_identity() {
    let world = World::new().await;
    let one = format!("services/{}/watcher", world.oid);
    let form = |flair| [("url", "https://watcher.example/"), ("flair", flair), ("perms", "org.get")];
    for flair in ["root", "locked"] {
        let (status, error) = world.refused("POST", &one, &form(flair)).await;
        assert_eq!((status, error.contains("lock, secret, segment and bulk")), (400, true), "{error}");
    }
    world.ok("POST", &one, &form("secret,lock")).await;
    assert_eq!(world.ok("GET", &one, &[]).await["flair"], json!(["lock", "secret"]));
    world.ok("POST", &format!("{one}/subscription"), &[]).await;
    let keys = world.ok("GET", &format!("orgs/{}/keys", world.oid), &[]).await.to_string();
    assert!(keys.contains(r#""name":"service/watcher[lock][secret]""#), "{keys}");
    let extension = format!("extensions/{}/ext-watcher", world.oid);
    world.ok("POST", &extension, &[("url", "https://watcher.example/")]).await;
    assert_eq!(world.ok("GET", &extension, &[]).await["flair"], json!(["bulk"]), "extensions always have it");
}

#[tokio::test]
async fn nine_1_a_key_with_bulk_may_call_ten_times_as_often() {
    let folder = tempfile::tempdir().unwrap();
    let few = |config: &mut muster_server::config::Config| config.limits.calls_per_minute = 4;
    let world = World::with(folder, muster_store::Store::memory(), few).await;
    let (bulk, other) = (token(&world, "service[bulk]").await, token(&world, "operator").await);
    let path = format!("hive/secret/{}", world.oid);
    for (token, most) in [(bulk, 40), (other, 4)] {
        for call in 1..=most {
            assert_eq!(world.call_as(Some(&token), "GET", &path, &[]).await.0, 200, "call {call} of {most}");
        }
        assert_eq!(world.call_as(Some(&token), "GET", &path, &[]).await.0, 429, "after {most}");
    }
}
