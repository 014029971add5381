//! How an output stands, whether a record reaches its destination, and how the server stands that sends it.

use crate::actions::eventually;
use crate::world::World;
use serde_json::{Value, json};
use std::net::TcpListener;

/// A port of the loopback where nobody listens.
fn closed_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

async fn standing(world: &World) -> Value {
    world.ok("GET", &format!("outputs/{}/standing", world.oid), &[]).await["outputs"]["siem"].clone()
}

#[tokio::test]
async fn an_output_tells_what_waits_and_why_and_a_test_that_arrives_sends_it() {
    let world = World::new().await;
    let port = closed_port();
    let (outputs, to) = (format!("outputs/{}", world.oid), format!("127.0.0.1:{port}"));
    let settings = [("name", "siem"), ("module", "syslog"), ("type", "audit"), ("dest_host", to.as_str())];
    world.ok("POST", &outputs, &settings).await;
    world.ok("POST", &format!("installationkeys/{}", world.oid), &[("desc", "waits")]).await;
    let stuck = eventually("a failure", async || Some(standing(&world).await).filter(|one| !one["error"].is_null()));
    let stuck = stuck.await;
    assert!(stuck["waiting"].as_u64().unwrap() >= 1, "{stuck}");
    assert!(stuck["waiting_bytes"].as_u64().unwrap() > 0 && stuck["next_try"].as_i64().unwrap() > 0, "{stuck}");
    assert_eq!(stuck["delivered"], Value::Null);

    let test = format!("{outputs}/test");
    let refused = world.ok("POST", &test, &[("name", "siem")]).await;
    assert_eq!((&refused["is_delivered"], refused["error"].is_string()), (&json!(false), true), "{refused}");

    let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    let arrived = world.ok("POST", &test, &[("name", "siem")]).await;
    assert_eq!(arrived, json!({"is_delivered": true, "error": null}));
    let well = eventually("an empty queue", async || Some(standing(&world).await).filter(|one| one["waiting"] == 0));
    let well = well.await;
    assert_eq!((&well["error"], well["delivered"].is_i64()), (&Value::Null, true), "{well}");
    drop(listener);
    assert_eq!(world.refused("POST", &test, &[("name", "other")]).await.0, 404);
}

#[tokio::test]
async fn the_standing_of_a_server_tells_until_when_its_certificates_are_valid_and_the_versions_of_its_sensors() {
    let world = World::new().await;
    world.sensor("one", &[]).await;
    let standing = world.ok("GET", &format!("orgs/{}/standing", world.oid), &[]).await;
    let certificates = standing["certificates"].as_array().unwrap();
    let names: Vec<_> = certificates.iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["private CA", "server certificate"]);
    let year = 365 * 24 * 3_600;
    let now = muster_server::clock::now().as_secs();
    assert!(certificates.iter().all(|one| one["until"].as_i64().unwrap() > now + year && one["advice"].is_null()));
    assert_eq!(standing["unready"], Value::Null);
    let sensors: u64 = standing["sensor_versions"].as_object().unwrap().values().filter_map(Value::as_u64).sum();
    assert_eq!(sensors, 1);
}
