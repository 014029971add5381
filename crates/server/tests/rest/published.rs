//! What services publish for rules: looked into, taken over when it changes, and in force without the service.

use crate::actions::eventually;
use crate::detections::{receive, receive_as, set, stored};
use crate::world::World;
use muster_model::Sid;
use muster_service::{Handle, Program, Service, Settings, serve};
use muster_store::Stream;
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// Publishes what a test puts there.
struct Intel(Arc<Mutex<Option<Handle>>>);

impl Service for Intel {
    fn on_startup(&self, program: &Handle) {
        *self.0.lock() = Some(program.clone());
    }
}

struct Publishing {
    handle: Handle,
    serving: JoinHandle<()>,
}

impl Publishing {
    fn publish(&self, name: &str, category: &str, content: &str) {
        self.handle.publish_resource(name, category, content);
    }
}

/// Registers a service that runs, and waits until it is well.
async fn publishing(world: &World) -> Publishing {
    let place = Arc::<Mutex<Option<Handle>>>::default();
    let program = Program::new(Intel(Arc::clone(&place)), Settings::new("intel", None));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let serving = tokio::spawn(serve(listener, program, std::future::pending()));
    let one = format!("services/{}/intel", world.oid);
    world.ok("POST", &one, &[("url", &url)]).await;
    asked(world).await;
    let handle = place.lock().clone().unwrap();
    Publishing { handle, serving }
}

/// Has the service asked how it is: then it is asked for what it publishes, too.
async fn asked(world: &World) {
    world.ok("POST", &format!("services/{}/intel/health", world.oid), &[]).await;
}

/// A rule that looks a number of an event up.
fn looks(resource: &str) -> Value {
    let detect = json!({"event": "TEST", "op": "lookup", "path": "event/N", "resource": resource});
    json!({"detect": detect, "respond": [{"action": "report", "name": "found"}]})
}

/// An event comes with a number.
async fn comes(world: &World, sid: Sid, seq: u64, number: u64) {
    receive_as(world, sid, seq..=seq, &|_| format!(r#"{{"N":{number}}}"#)).await;
}

/// The numbers of events that were found so far.
async fn found(world: &World) -> Vec<u64> {
    let detections = stored(world, Stream::Detect).await.into_iter();
    detections.map(|detection| detection["detect"]["event"]["N"].as_u64().unwrap()).collect()
}

async fn error_of(world: &World) -> String {
    let errors = world.ok("GET", &format!("errors/{}", world.oid), &[]).await["errors"].clone();
    let mut errors = errors.as_array().unwrap().iter();
    let of = errors.find(|error| error["component"] == "service/intel");
    of.map(|error| error["error"].as_str().unwrap().to_owned()).unwrap_or_default()
}

async fn kept(world: &World) -> Value {
    world.ok("GET", &format!("services/{}/intel", world.oid), &[]).await["resources"].clone()
}

#[tokio::test]
async fn checklist_21_1_19_a_rule_looks_into_what_a_service_publishes_now_and_goes_on_without_it() {
    let world = World::new().await;
    let sid = world.sensor("one", &[]).await;
    let service = publishing(&world).await;
    service.publish("ones", "lookup", "1\n2\n");
    service.publish("scored", "lookup", r#"{"3": {"score": 9}}"#);
    set(&world, "dr-general", "looks", looks("lcr://service/intel/ones,scored")).await;
    receive(&world, sid, 1..=4).await;
    assert_eq!(found(&world).await, [1, 2, 3], "it is in force when the rule is");
    let shown = kept(&world).await;
    assert_eq!((&shown["ones"]["bytes"], &shown["scored"]["category"]), (&json!(4), &json!("lookup")));

    service.publish("ones", "lookup", "5\n");
    asked(&world).await;
    eventually("the new content is had", async || (kept(&world).await["ones"]["bytes"] == 2).then_some(())).await;
    let mut next = 5;
    eventually("and in force", async || {
        comes(&world, sid, next, 5).await;
        next += 1;
        found(&world).await.contains(&5).then_some(())
    })
    .await;

    service.serving.abort();
    let world = world.restart().await;
    let sid = world.sensor("two", &[]).await;
    receive(&world, sid, 5..=5).await;
    assert_eq!(found(&world).await.last(), Some(&5), "it outlives a restart");
    let told = eventually("it is told", async || Some(error_of(&world).await).filter(|error| !error.is_empty())).await;
    assert!(told.contains("what it published last is in force"), "{told}");
    world.ok("DELETE", &format!("services/{}/intel", world.oid), &[]).await;
    let mut next = 6;
    eventually("it ends with the registration", async || {
        let before = found(&world).await.len();
        comes(&world, sid, next, 5).await;
        next += 1;
        (found(&world).await.len() == before).then_some(())
    })
    .await;
}

#[tokio::test]
async fn checklist_21_1_18_what_cannot_be_had_is_told_and_takes_nothing_with_it() {
    let world = World::new().await;
    let sid = world.sensor("one", &[]).await;
    let service = publishing(&world).await;
    service.publish("ones", "lookup", "1\n");
    service.publish("large", "lookup", &"x".repeat((4 << 20) + 1));
    set(&world, "dr-general", "looks", looks("lcr://service/intel/none,ones,large")).await;
    receive(&world, sid, 1..=1).await;
    assert_eq!(found(&world).await, [1]);
    let told = eventually("it is told", async || Some(error_of(&world).await).filter(|error| !error.is_empty())).await;
    assert!(told.contains("4194304 are taken") || told.contains("resource not available"), "{told}");
    assert_eq!(kept(&world).await.as_object().unwrap().keys().collect::<Vec<_>>(), ["ones"]);
    // A rule that carries tests is refused while they cannot be run, and taken once they can.
    let mut rule = looks("lcr://service/intel/late");
    rule["tests"] = json!({"match": [[{"routing": {"event_type": "TEST"}, "event": {"N": 7}}]]});
    let path = format!("hive/dr-general/{}/late/data", world.oid);
    let (status, error) = world.refused("POST", &path, &[("data", &rule.to_string())]).await;
    assert_eq!((status, error.contains("is not available")), (400, true), "{error}");
    service.publish("late", "lookup", "7\n");
    world.ok("POST", &path, &[("data", &rule.to_string())]).await;
    service.serving.abort();
}

#[tokio::test]
async fn checklist_21_1_18_a_shared_detection_makes_rules_and_a_new_one_makes_them_anew() {
    let world = World::new().await;
    let sid = world.sensor("one", &[]).await;
    let service = publishing(&world).await;
    let is = |number: u64| format!("event: TEST\nop: is\npath: event/N\nvalue: {number}\n");
    service.publish("shared", "detect", &is(1));
    let detect = json!({"op": "external", "resource": "lcr://service/intel/shared"});
    set(&world, "dr-general", "shared", json!({"detect": detect, "respond": [{"action": "report", "name": "found"}]}))
        .await;
    receive(&world, sid, 1..=2).await;
    assert_eq!(found(&world).await, [1]);
    service.publish("shared", "detect", &is(100));
    asked(&world).await;
    let mut next = 3;
    eventually("the rule is made anew", async || {
        comes(&world, sid, next, 100).await;
        next += 1;
        found(&world).await.contains(&100).then_some(())
    })
    .await;
    // Another organization sees nothing of a service that is not public.
    let stranger = muster_model::Oid(muster_server::random::uuid());
    world.organization(stranger).await;
    assert!(!world.server.app.services.published(stranger).has("lcr://service/intel/shared"));
    assert!(world.server.app.services.published(world.oid).has("lcr://service/intel/shared"));
    service.serving.abort();
}
