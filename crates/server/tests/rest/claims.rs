//! A server that was taken over from.

use crate::detections::{receive, rule, set, stored};
use crate::world::World;
use muster_model::Oid;
use muster_server::profile::Profile;
use muster_server::settings::SETTING;
use muster_server::{clock, random};
use muster_store::{EntryQuery, Expect, Record, Store, Stream, Write};
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

/// Goal: an organization that was lost is served again, by itself, once whoever took it over gives it up: with what became
/// of it there, and with its rules. Method: another owner takes it over, changes a setting, and gives it up; before and
/// after, events meet a rule.
#[tokio::test]
async fn what_was_lost_and_given_up_is_taken_up_again_with_its_rules() {
    let store = Store::memory();
    let world = World::on(tempfile::tempdir().unwrap(), store.clone()).await;
    let sid = world.sensor("one", &[]).await;
    let (app, oid, tags) = (&world.server.app, world.oid, format!("{sid}/tags"));
    set(&world, "dr-general", "r", rule(json!([{"action": "report", "name": "seen"}]))).await;
    receive(&world, sid, 1..=1).await;
    for (round, number) in [(1, 2), (2, 3)] {
        let other = store.owning();
        other.claim(&[oid]).unwrap();
        let (status, _) = world.call("POST", &tags, &[("tags", "lost")]).await;
        assert!(status >= 500, "{status}");
        lost(&world).await;
        let (status, answer) = world.call("GET", &format!("sensors/{oid}"), &[]).await;
        assert_eq!((status, &answer["error_code"]), (503, &json!("unavailable")), "{answer}");
        let body = json!(format!("set in round {round}")).to_string();
        let record = Record { oid, kind: SETTING.word().to_owned(), key: "name".into(), body, revision: 0 };
        other.commit(vec![Write::PutRecord { record, expect: Expect::Any }]).await.unwrap();
        other.give_up(&[oid]).await.unwrap();
        found(&world).await;
        assert_eq!(app.records.get(oid, SETTING, "name"), Some(format!("set in round {round}")));
        world.ok("POST", &tags, &[("tags", &format!("round-{round}"))]).await;
        receive(&world, sid, number..=number).await;
    }
    let detections = stored(&world, Stream::Detect).await;
    let numbers: Vec<_> = detections.iter().map(|one| one["detect"]["event"]["N"].as_u64().unwrap()).collect();
    assert_eq!(numbers, [1, 2, 3], "each event once");
    let row = app.organization(oid).unwrap().state.lock().fleet.find(sid).unwrap().clone();
    assert_eq!(row.sensor.tags.iter().map(|tag| &*tag.name).collect::<Vec<_>>(), ["round-1", "round-2"]);
}

/// Waits until the server serves its organization again.
async fn found(world: &World) {
    let known = async {
        while world.server.app.organizations.is_lost(world.oid) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(Duration::from_secs(30), known).await.expect("the server serves it");
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
