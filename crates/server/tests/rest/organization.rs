//! The organization itself, its keys and its users.

use crate::world::World;
use muster_server::access::USER;
use muster_server::records::SERVER;
use muster_store::{Store, StoreError};
use muster_wire::InstallationKey;
use serde_json::json;

#[tokio::test]
async fn an_installation_key_can_be_read_by_a_sensor() {
    let world = World::new().await;
    let path = format!("installationkeys/{}", world.oid);
    let form = [("desc", "laptops"), ("tags", "a,b"), ("tags", "c"), ("use_public_root_ca", "False")];
    let made = world.ok("POST", &path, &form).await;
    let iid = made["iid"].as_str().unwrap();
    let key = world.ok("GET", &format!("{path}/{iid}"), &[]).await;
    assert_eq!((&key["desc"], &key["tags"]), (&json!("laptops"), &json!("a,b,c")));
    assert_eq!(world.ok("GET", &path, &[]).await, json!({world.oid.to_string(): {iid: key}}));
    let parsed = InstallationKey::from_text(key["key"].as_str().unwrap()).unwrap();
    assert_eq!((parsed.oid, parsed.iid.to_string()), (world.oid, iid.to_owned()));
    assert_eq!(parsed.address, world.server.bound.tls.to_string());
    assert_eq!((parsed.secret.len(), parsed.ca_der), (32, world.server.app.pki.authority.to_vec()));
    // Changing a key keeps its secret: endpoints that have it can still enrol.
    world.ok("POST", &path, &[("iid", iid), ("desc", "servers")]).await;
    let changed = world.ok("GET", &format!("{path}/{iid}"), &[]).await;
    assert_eq!((&changed["key"], &changed["desc"]), (&key["key"], &json!("servers")));
    world.ok("DELETE", &path, &[("iid", iid)]).await;
    assert_eq!(world.refused("GET", &format!("{path}/{iid}"), &[]).await.0, 404);
    let audited = world.audited().await;
    assert_eq!(audited.len(), 3);
    let secret = muster_server::access::to_hex(&parsed.secret);
    assert!(!format!("{audited:?}").contains(&secret));
}

#[tokio::test]
async fn the_organization_tells_what_it_is_and_where() {
    let world = World::new().await;
    let info = world.ok("GET", &format!("orgs/{}", world.oid), &[]).await;
    assert_eq!((&info["oid"], &info["n_installation_keys"]), (&json!(world.oid), &json!(0)));
    let (status, urls) = world.call_as(None, "GET", &format!("orgs/{}/url", world.oid), &[]).await;
    let tls = world.server.bound.tls.to_string();
    assert_eq!((status, &urls["url"]["replay"], &urls["url"]["logs"]), (200, &json!(tls), &json!(tls)));
    assert_eq!(urls["url"]["search"], format!("https://{tls}"));
}

#[tokio::test]
async fn a_key_gives_only_what_its_maker_has_and_ends_with_its_deletion() {
    let world = World::new().await;
    let path = format!("orgs/{}/keys", world.oid);
    let form = [("key_name", "small"), ("perms", "sensor.list,apikey.ctrl"), ("allowed_ip_range", "127.0.0.0/8")];
    let made = world.ok("POST", &path, &form).await;
    let (secret, hash) = (made["api_key"].as_str().unwrap(), made["key_hash"].as_str().unwrap());
    let listed = world.ok("GET", &path, &[]).await;
    assert_eq!(listed["api_keys"][hash]["priv"], json!(["apikey.ctrl", "sensor.list"]));
    assert!(!listed.to_string().contains(secret) && !format!("{:?}", world.audited().await).contains(secret));

    let oid = world.oid.to_string();
    let (status, answer) = world.call_as(None, "POST", "/jwt", &[("secret", secret), ("oid", &oid)]).await;
    assert_eq!(status, 200, "{answer}");
    let token = answer["jwt"].as_str().unwrap();
    let more = [("key_name", "more"), ("perms", "sensor.list,sensor.task")];
    let (status, answer) = world.call_as(Some(token), "POST", &path, &more).await;
    assert!(status == 403 && answer["error"].as_str().unwrap().contains("sensor.task"), "{answer}");
    let same = [("key_name", "same"), ("perms", "sensor.list")];
    assert_eq!(world.call_as(Some(token), "POST", &path, &same).await.0, 200);
    for wrong in [("perms", "no.such"), ("allowed_ip_range", "here")] {
        assert_eq!(world.refused("POST", &path, &[("key_name", "x"), wrong]).await.0, 400);
    }

    world.ok("DELETE", &path, &[("key_hash", hash)]).await;
    assert_eq!(world.call_as(Some(token), "GET", &format!("sensors/{oid}"), &[]).await.0, 401);
}

#[tokio::test]
async fn the_last_key_that_can_manage_stays() {
    let world = World::new().await;
    let path = format!("orgs/{}/keys", world.oid);
    let listed = world.ok("GET", &path, &[]).await;
    let own = listed["api_keys"].as_object().unwrap().keys().next().unwrap().clone();
    world.ok("POST", &path, &[("key_name", "weak"), ("perms", "sensor.list")]).await;
    assert_eq!(world.refused("DELETE", &path, &[("key_hash", &own)]).await.0, 409);
    world.ok("POST", &path, &[("key_name", "strong"), ("perms", "apikey.ctrl")]).await;
    world.ok("DELETE", &path, &[("key_hash", &own)]).await;
}

/// Goal: what is decided about keys and users is decided one after the other. Method: the
/// last two who can manage the organization are taken away at once.
#[tokio::test(flavor = "multi_thread")]
async fn of_the_last_two_that_can_manage_one_stays() {
    let world = World::durable().await;
    let oid = world.oid;
    let (keys, users) = (format!("orgs/{oid}/keys"), format!("orgs/{oid}/users"));
    let first = world.ok("GET", &keys, &[]).await;
    let first = first["api_keys"].as_object().unwrap().keys().next().unwrap().clone();
    let second = world.ok("POST", &keys, &[("key_name", "second"), ("perms", "apikey.ctrl")]).await;
    let second = second["key_hash"].as_str().unwrap();
    world.user("bob@example.com", [(oid, vec!["user.ctrl".into()])].into()).await;

    let (second_form, bob) = ([("key_hash", second)], [("email", "bob@example.com")]);
    let (a, b) = tokio::join!(world.call("DELETE", &keys, &second_form), world.call("DELETE", &users, &bob));
    assert_eq!((a.0, b.0), (200, 200), "the first key is still there");
    world.user("eve@example.com", [(oid, vec!["user.ctrl".into()])].into()).await;
    let (first, eve) = ([("key_hash", first.as_str())], [("email", "eve@example.com")]);
    let (a, b) = tokio::join!(world.call("DELETE", &keys, &first), world.call("DELETE", &users, &eve));
    assert_ne!(a.0 == 200, b.0 == 200, "{a:?} {b:?}");
}

#[tokio::test]
async fn users_get_roles_and_permissions_and_lose_them_at_once() {
    let world = World::new().await;
    let (oid, users) = (world.oid, format!("orgs/{}/users", world.oid));
    let permissions = format!("{users}/permissions");
    world.ok("POST", &users, &[("email", "Ana@Example.com")]).await;
    assert_eq!(world.ok("GET", &users, &[]).await, json!({"users": ["ana@example.com"]}));
    let ana = ("email", "ana@example.com");
    world.ok("POST", &permissions, &[ana, ("perm", "sensor.list")]).await;
    assert_eq!(
        world.ok("GET", &permissions, &[]).await["user_permissions"],
        json!({"ana@example.com": ["sensor.list"]})
    );
    let request = world.request("PUT", &format!("{users}/role")).bearer_auth(&world.token);
    let answer = request.json(&json!({"email": "ana@example.com", "role": "Basic"})).send().await.unwrap();
    let answer: serde_json::Value = answer.json().await.unwrap();
    assert_eq!(answer["permissions"], json!(["org.get", "sensor.list", "sensor.get"]));

    // A user with a token of before loses what is taken from her now.
    let token = world.user("bob@example.com", [(oid, vec!["sensor.list".into(), "user.ctrl".into()])].into()).await;
    let bob = ("email", "bob@example.com");
    let list = format!("sensors/{oid}");
    assert_eq!(world.call_as(Some(&token), "GET", &list, &[]).await.0, 200);
    let escalation = world.call_as(Some(&token), "POST", &permissions, &[bob, ("perm", "org.del")]).await;
    assert_eq!(escalation.0, 403);
    let role = world.call_as(Some(&token), "PUT", &format!("{users}/role"), &[bob, ("role", "Owner")]).await;
    assert_eq!(role.0, 403);
    world.ok("DELETE", &permissions, &[bob, ("perm", "sensor.list")]).await;
    assert_eq!(world.call_as(Some(&token), "GET", &list, &[]).await.1["error_code"], "missing_permission");
    world.ok("DELETE", &users, &[bob]).await;
    assert_eq!(world.call_as(Some(&token), "GET", &list, &[]).await.0, 404);
    assert_eq!(world.refused("DELETE", &users, &[bob]).await.0, 404);
}

#[tokio::test]
async fn a_user_makes_an_organization_and_may_do_everything_in_it() {
    let world = World::new().await;
    assert_eq!(world.refused("POST", "orgs/new", &[("name", "mine")]).await.0, 403);
    let secret_token = world.user("eve@example.com", [(world.oid, vec!["org.get".into()])].into()).await;
    let (status, made) = world.call_as(Some(&secret_token), "POST", "orgs/new", &[("name", "mine")]).await;
    assert_eq!(status, 200, "{made}");
    let made = made["data"]["oid"].as_str().unwrap();
    // The token was made before; a new one has the new organization in it.
    let before = world.call_as(Some(&secret_token), "GET", "user/orgs", &[]).await.1;
    assert_eq!(before["total"], 1);
    let records = &world.server.app.records;
    let user = records.get(muster_server::records::SERVER, muster_server::access::USER, "eve@example.com").unwrap();
    let oid = made.parse().unwrap();
    assert_eq!(user.organizations[&oid], muster_server::access::owner_permissions());
}

#[tokio::test]
async fn an_organization_and_the_permissions_of_its_maker_are_one_commit() {
    let (store, faults) = Store::memory_with_faults();
    let world = World::on(tempfile::tempdir().unwrap(), store).await;
    let token = world.user("eve@example.com", [(world.oid, vec!["org.get".into()])].into()).await;
    faults.fail_next(StoreError::Full);
    assert_eq!(world.call_as(Some(&token), "POST", "orgs/new", &[("name", "mine")]).await.0, 503);
    assert_eq!(world.server.app.organizations().len(), 1);

    faults.pass_next();
    faults.fail_all(Some(StoreError::Full));
    let (status, made) = world.call_as(Some(&token), "POST", "orgs/new", &[("name", "mine")]).await;
    assert_eq!(status, 200, "{made}");
    let oid = made["data"]["oid"].as_str().unwrap().parse().unwrap();
    let user = world.server.app.records.get(SERVER, USER, "eve@example.com").unwrap();
    assert!(world.server.app.organization(oid).is_some() && user.organizations.contains_key(&oid));
}

#[tokio::test]
async fn settings_quota_and_errors_are_kept() {
    let world = World::new().await;
    let oid = world.oid;
    assert_eq!(world.refused("GET", &format!("configs/{oid}/vt"), &[]).await.0, 404);
    world.ok("POST", &format!("configs/{oid}/vt"), &[("value", "key=1")]).await;
    let setting = world.ok("GET", &format!("configs/{oid}/vt"), &[]).await;
    assert_eq!(setting, json!({"config": "vt", "value": "key=1"}));
    assert!(!format!("{:?}", world.audited().await).contains("key=1"));
    world.ok("POST", &format!("orgs/{oid}/quota"), &[("quota", "25")]).await;
    let usage = world.ok("GET", &format!("quota_usage/{oid}"), &[]).await;
    assert_eq!((&usage["quota"], &usage["usage"]), (&json!(25), &json!(0)));
    assert_eq!(world.refused("POST", &format!("orgs/{oid}/quota"), &[("quota", "-1")]).await.0, 400);

    let app = &world.server.app;
    muster_server::errors::report(&app.records, oid, "outputs/one", "connection refused").await;
    muster_server::errors::report(&app.records, oid, "outputs/one", "no route to host").await;
    let errors = world.ok("GET", &format!("errors/{oid}"), &[]).await;
    assert_eq!(errors["errors"].as_array().unwrap().len(), 1);
    assert_eq!(errors["errors"][0]["error"], "no route to host");
    world.ok("DELETE", &format!("errors/{oid}/outputs%2Fone"), &[]).await;
    assert_eq!(world.ok("GET", &format!("errors/{oid}"), &[]).await, json!({"errors": []}));

    world.ok("POST", &format!("orgs/{oid}/resources"), &[("res_cat", "replicant"), ("res_name", "yara")]).await;
    let resources = world.ok("GET", &format!("orgs/{oid}/resources"), &[]).await;
    assert_eq!(resources, json!({"resources": {"replicant": ["yara"]}}));
    world.ok("DELETE", &format!("orgs/{oid}/resources"), &[("res_cat", "replicant"), ("res_name", "yara")]).await;
    let schema = world.ok("GET", &format!("orgs/{oid}/schema/NEW_PROCESS"), &[]).await;
    assert!(schema["schema"]["elements"].as_array().unwrap().contains(&json!("s:event/FILE_PATH")));
    let linux = world.ok("GET", &format!("orgs/{oid}/schema?platform=linux"), &[]).await;
    let names = linux["event_types"].as_array().unwrap();
    assert!(names.contains(&json!("evt:NEW_PROCESS")) && !names.contains(&json!("evt:WEL")));
    let made = world.ok("POST", &format!("insight/{oid}/ingestion_keys"), &[("name", "i1")]).await;
    let keys = world.ok("GET", &format!("insight/{oid}/ingestion_keys"), &[]).await;
    assert_eq!(keys, json!({"keys": {"i1": made["key"]}}));
    world.ok("DELETE", &format!("insight/{oid}/ingestion_keys?name=i1"), &[]).await;

    // Each change, and nothing else, was told: who, what, from where.
    let audited = world.audited().await;
    let actions: Vec<&str> = audited.iter().map(|(action, _)| action.as_str()).collect();
    let settings = ["set_config", "set_quota", "dismiss_error", "add_resource", "remove_resource"];
    let others = ["create_ingestion_key", "delete_ingestion_key"];
    assert_eq!(actions, [settings.as_slice(), &others].concat());
    for (action, record) in &audited {
        let told = (&record["ident"], &record["origin"], &record["mtd"]["source_ip"]);
        assert_eq!(told, (&json!("tester"), &json!("api"), &json!("127.0.0.1")), "{action}");
    }
}
