//! A server that was taken over from.

use crate::world::World;
use muster_store::{EntryQuery, Store, Stream};
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
    timeout(Duration::from_secs(30), world.server.app.store.lost()).await.expect("the server knows");
    // On another machine, and with an authority of its own.
    let next = World::with(tempfile::tempdir().unwrap(), store, |config| config.new_authority = true).await;
    let stored = next.server.app.organization(oid).unwrap();
    let row = stored.state.lock().fleet.find(sid).unwrap().clone();
    assert_eq!(row.sensor.tags.iter().map(|tag| &*tag.name).collect::<Vec<_>>(), ["before"]);
}
