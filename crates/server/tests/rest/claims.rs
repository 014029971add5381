//! A server that was taken over from.

use crate::world::World;
use muster_model::Oid;
use muster_server::profile::Profile;
use muster_server::settings::SETTING;
use muster_server::{clock, random};
use muster_store::{EntryQuery, Expect, Store, Stream};
use serde_json::json;
use std::time::Duration;
use tokio::time::timeout;

/// Goal: who was deposed amid its work stores, tells and answers nothing more. Method: another owner claims the
/// organization; then changes of several kinds, of which one goes through the machine of the orders and is made twice, as
/// the second one meets a machine that knows.
#[tokio::test]
async fn a_server_that_was_deposed_stores_tells_and_answers_nothing() {
    let store = Store::memory();
    let world = World::on(tempfile::tempdir().unwrap(), store.clone()).await;
    let sid = world.sensor("one", &[]).await;
    let link = world.link(sid).await;
    let tags = format!("{sid}/tags");
    world.ok("POST", &tags, &[("tags", "before")]).await;
    let oid = world.oid;
    let audited = async || {
        let query = EntryQuery::all(oid, Stream::Audit);
        store.read(move |read| read.entries(&query)).await.unwrap().entries.len()
    };
    let before = audited().await;
    store.claim(&[oid]).unwrap();
    for tag in ["after", "again"] {
        let (status, answer) = world.call("POST", &tags, &[("tags", tag)]).await;
        assert!(status >= 500, "{tag}: {status} {answer}");
    }
    let record = format!("hive/secret/{oid}/s/data");
    let data = json!({"secret": "x"}).to_string();
    let (status, answer) = world.call("POST", &record, &[("data", &data)]).await;
    assert_eq!((status, &answer["error_code"]), (503, &json!("unavailable")), "{answer}");
    assert_eq!(audited().await, before);
    assert!(link.is_closed(), "its links end");
    lost(&world).await;
    // On another machine, and with an authority of its own.
    let next = World::with(tempfile::tempdir().unwrap(), store, |config| config.new_authority = true).await;
    let stored = next.server.app.organization(oid).unwrap();
    let row = stored.state.lock().fleet.find(sid).unwrap().clone();
    assert_eq!(row.sensor.tags.iter().map(|tag| &*tag.name).collect::<Vec<_>>(), ["before"]);
}

/// Waits until the server knows that its organization is someone else's.
async fn lost(world: &World) {
    let known = async {
        while !world.server.app.organizations.is_lost(world.oid) {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(30), known).await.expect("the server knows");
}

/// Goal: who loses one organization loses nothing else. Method: an organization is taken over; then it is asked for, and
/// another organization works on.
#[tokio::test]
async fn losing_one_organization_ends_that_one_and_no_other() {
    let store = Store::memory();
    let world = World::on(tempfile::tempdir().unwrap(), store.clone()).await;
    let sid = world.sensor("one", &[]).await;
    let (app, oid) = (&world.server.app, world.oid);
    let profile = Profile { name: "other".into(), created_at: clock::now(), sensor_quota: 0 };
    let other = app.create_organization(Oid(random::uuid()), &profile).await.unwrap();
    store.claim(&[oid]).unwrap();
    // It is found out by a commit.
    let (status, _) = world.call("POST", &format!("{sid}/tags"), &[("tags", "x")]).await;
    assert!(status >= 500, "{status}");
    lost(&world).await;
    for path in [format!("{sid}"), format!("sensors/{oid}"), format!("hive/secret/{oid}")] {
        let (status, answer) = world.call("GET", &path, &[]).await;
        assert_eq!((status, &answer["error_code"]), (503, &json!("unavailable")), "{path}: {answer}");
    }
    assert!(app.organization(oid).is_none() && app.organization(other.oid).is_some());
    let set = app.records.put(other.oid, SETTING, "name", &"value".to_owned(), Expect::Absent, Vec::new()).await;
    assert_eq!(set.unwrap(), 1);
    let ended = timeout(Duration::ZERO, app.store.lost()).await;
    assert!(ended.is_err(), "the server goes on");
}
