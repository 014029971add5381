//! What is forgotten by itself, and what stays.

#[path = "support/host.rs"]
mod host;

use host::{Host, OID};
use muster_model::{Sid, TaskId, Timestamp};
use muster_server::clock;
use muster_server::intake::event::{self, Actor};
use muster_server::retention;
use muster_store::{Entry, EntryQuery, Options, Store, Stream, TaskRow, Write};
use serde_json::json;
use std::sync::Arc;
use uuid::Uuid;

const DAY_S: i64 = 24 * 3_600;

fn entry(sensor: u128, number: usize, at: Timestamp, bytes: usize) -> Entry {
    Entry {
        oid: OID,
        stream: Stream::Event,
        sid: Some(Sid(Uuid::from_u128(sensor))),
        id: Uuid::from_u128(number as u128),
        time: at,
        kind: "TEST".into(),
        this_atom: None,
        parent_atom: None,
        investigation_id: None,
        body: vec![b'x'; bytes].into(),
    }
}

async fn host(store: Option<Store>, retention_bytes: u64) -> Host {
    let dir = Arc::new(tempfile::tempdir().unwrap());
    let open = || Store::open(Options { path: dir.path().join("muster.db"), bytes_max: None, seal: None }).unwrap();
    let store = store.unwrap_or_else(open);
    Host::start_with(dir, store, |config| config.limits.retention_bytes = retention_bytes).await
}

async fn kept(host: &Host, sensor: u128) -> usize {
    let query =
        EntryQuery { sid: Some(Sid(Uuid::from_u128(sensor))), limit: 1_000, ..EntryQuery::all(OID, Stream::Event) };
    host.app().store.read(move |read| read.entries(&query)).await.unwrap().entries.len()
}

#[tokio::test]
async fn a_backlog_is_gone_after_one_run() {
    let host = host(Some(Store::memory()), u64::MAX).await;
    let (now, count) = (clock::now(), 60_000);
    let old = Timestamp::from_secs(now.as_secs() - 90 * DAY_S);
    let mut entries: Vec<Entry> = (0..count).map(|number| entry(1, number, old, 10)).collect();
    entries.push(entry(1, count, now, 10));
    host.app().store.commit(vec![Write::Append(entries)]).await.unwrap();
    assert_eq!(retention::forget(&host.app().retention).await, count);
    assert_eq!((kept(&host, 1).await, retention::forget(&host.app().retention).await), (1, 0));
}

#[tokio::test]
async fn a_noisy_sensor_does_not_push_out_what_another_told() {
    let bytes_max = 2_000_000;
    let host = host(None, bytes_max).await;
    let now = clock::now();
    // What the victim told is older than all the noise.
    let victim = (0..50).map(|number| entry(1, number, Timestamp::from_secs(now.as_secs() - 60), 500)).collect();
    host.app().store.commit(vec![Write::Append(victim)]).await.unwrap();
    let noise = (100..4_900).map(|number| entry(2, number, now, 1_000)).collect();
    host.app().store.commit(vec![Write::Append(noise)]).await.unwrap();
    retention::forget(&host.app().retention).await;
    assert_eq!(kept(&host, 1).await, 50);
    let (_, bytes) = host.app().store.read(|read| read.stream_size(OID, Stream::Event)).await.unwrap();
    assert!((bytes_max - 1_000..=bytes_max).contains(&bytes), "{bytes} bytes are kept");
}

/// Goal: an organization that does nothing costs nothing, and what comes is looked at however old it says it is.
#[tokio::test]
async fn an_organization_that_rests_is_looked_at_when_something_came() {
    let host = host(Some(Store::memory()), u64::MAX).await;
    let look = async || {
        let before = host.app().store.counts().commits;
        let forgotten = retention::forget(&host.app().retention).await;
        (forgotten, host.app().store.counts().commits - before)
    };
    // One commit for each of five streams; that of something else may come between.
    assert!(look().await.1 >= 5, "nothing is known of it yet");
    let rested = look().await;
    assert!(rested.0 == 0 && rested.1 < 5, "{rested:?}");
    let old = Timestamp::from_secs(clock::now().as_secs() - 90 * DAY_S);
    let record = event::audit(OID, &Actor::system(), "came late", &json!({}), "come", &json!({}), old);
    host.app().intake.commit(record).await.unwrap();
    let came = look().await;
    assert!(came.0 == 1 && came.1 >= 5, "{came:?}");
}

/// Goal: a number is what a task is called in the store, and none is given twice. Method: the newest task is forgotten, and
/// the server begins anew.
#[tokio::test]
async fn the_number_of_a_task_that_is_forgotten_is_not_given_again() {
    let (dir, store) = (Arc::new(tempfile::tempdir().unwrap()), Store::memory());
    let start = async || Host::start_with(Arc::clone(&dir), store.clone(), |_| ()).await;
    start().await.server.stop().await;
    let task_id = TaskId(Uuid::from_u128(7));
    let spec = json!({
        "task_id": task_id, "command": "os_version", "selector": "*", "ttl_s": 60, "created_at": Timestamp::from_secs(1),
        "created_by": "tester", "total": 0, "tasked": 0,
    });
    let (spec, control, targets) = (spec.to_string(), "{}".to_owned(), std::iter::empty::<u32>().collect());
    let row = TaskRow { oid: OID, number: 9, task_id, spec, control, targets };
    store.commit(vec![Write::CreateTask(Box::new(row))]).await.unwrap();
    let known = |host: &Host| {
        let organization = host.app().organization(OID).unwrap();
        let state = organization.state.lock();
        (state.queue.tasks().count(), state.queue.next_number())
    };
    let host = start().await;
    assert_eq!(known(&host), (1, 10));
    retention::forget(&host.app().retention).await;
    assert_eq!(known(&host), (0, 10));
    host.server.stop().await;
    assert_eq!(known(&start().await), (0, 10));
}
