//! Configuration records: each organization changes its own.

use crate::world::World;
use muster_model::{Oid, Timestamp};
use muster_server::hive::{self, HiveRecord};
use muster_server::profile::Profile;
use muster_server::records::{Batch, Records};
use muster_server::settings::SETTING;
use muster_server::{clock, random};
use muster_store::{Expect, Gate, Store, StoreError};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::task::{JoinHandle, yield_now};
use tokio::time::timeout;

async fn put(records: Arc<Records>, oid: Oid) -> Result<u64, StoreError> {
    records.put(oid, SETTING, "name", &"value".to_owned(), Expect::Any, Vec::new()).await
}

/// Waits until so many commits wait to be stored.
async fn waiting(gate: &Gate, commits: usize) {
    let reached = async {
        while gate.waiting().0 < commits {
            yield_now().await;
        }
    };
    timeout(Duration::from_secs(30), reached).await.expect("a change waits for that of another organization");
}

/// Goal: a slow commit of one organization holds up no change of another; only a change that reaches into all of them
/// waits, and is waited for. Method: a store that answers nothing until it is told to.
#[tokio::test]
async fn an_organization_does_not_wait_for_the_changes_of_another() {
    let (store, faults) = Store::memory_with_faults();
    let world = World::on(tempfile::tempdir().unwrap(), store).await;
    let app = &world.server.app;
    let profile = Profile { name: "other".into(), created_at: clock::now(), sensor_quota: 0 };
    let other = app.create_organization(Oid(random::uuid()), &profile).await.unwrap().oid;
    let gate = faults.gate();
    let begin = |oid| tokio::spawn(put(Arc::clone(&app.records), oid));
    let first: JoinHandle<Result<u64, StoreError>> = begin(world.oid);
    waiting(&gate, 1).await;
    let second = begin(other);
    waiting(&gate, 2).await;
    let (records, is_decided) = (Arc::clone(&app.records), Arc::new(AtomicBool::new(false)));
    let decided = Arc::clone(&is_decided);
    let all = tokio::spawn(async move {
        let decide = || {
            decided.store(true, Ordering::Relaxed);
            Ok(Batch::default())
        };
        records.change_all::<StoreError>(decide).await
    });
    gate.store(2);
    gate.answer(1);
    assert_eq!(first.await.unwrap().unwrap(), 1);
    assert!(!is_decided.load(Ordering::Relaxed), "the other change is not answered yet");
    gate.answer(1);
    assert_eq!(second.await.unwrap().unwrap(), 1);
    faults.open();
    gate.store(1 << 20);
    gate.answer(1 << 20);
    all.await.unwrap().unwrap();
    assert!(is_decided.load(Ordering::Relaxed));
}

/// Goal: whoever takes out what has had its time looks at nothing else, and at nothing that has gone or was given more
/// time. Method: a record with a time, found as it was set and as it is loaded; then it is set anew, and deleted.
#[tokio::test]
async fn what_expires_is_found_by_its_time_alone() {
    let world = World::new().await;
    let (app, oid) = (&world.server.app, world.oid);
    let kind = hive::find("secret").unwrap().kind;
    let expiring = |expiry_ms: i64| {
        let usr_mtd = hive::UserMetadata { expiry: expiry_ms, ..hive::UserMetadata::default() };
        HiveRecord { data: json!({}), usr_mtd, sys_mtd: hive::SystemMetadata::default() }
    };
    let set = async |expiry_ms| {
        app.records.put(oid, kind, "s", &expiring(expiry_ms), Expect::Any, Vec::new()).await.unwrap();
    };
    let found = |records: &Records, ms| records.expired(kind, Timestamp::from_millis(ms)).len();
    set(1_000).await;
    let loaded = Records::new(Arc::clone(&app.intake));
    loaded.load(&app.store, oid).unwrap();
    loaded.index(oid, kind);
    for records in [&*app.records, &loaded] {
        assert_eq!((found(records, 999), found(records, 1_000)), (0, 1));
    }
    set(2_000).await;
    assert_eq!((found(&app.records, 1_999), found(&app.records, 2_000)), (0, 1));
    app.records.delete(oid, kind, "s", Vec::new()).await.unwrap();
    assert_eq!(found(&app.records, 9_000), 0);
}
