//! The organization itself, its keys and its users.

use crate::world::World;
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
