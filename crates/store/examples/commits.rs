//! Measures durable commits: `commits [--waiting 256] [--seconds 2]`, one JSON line.
//!
//! Each waiting caller commits one target at a time and waits for the answer. The raw limit of the disk is taken in
//! the same run: appending as many bytes as a batch has, and one `fdatasync`.

#![allow(clippy::disallowed_methods, reason = "it measures real time")]

use muster_model::{Oid, TaskId, Timestamp};
use muster_store::{Options, Store, StoreError, TaskRow, Write};
use muster_tasking::{Target, TargetState};
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};
use uuid::Uuid;

const OID: Oid = Oid(Uuid::from_u128(1));

/// Bytes that one target takes in a raw log.
const TARGET_BYTES: usize = 64;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().collect();
    let number = |name: &str, default: u64| {
        let at = args.iter().position(|arg| arg == name);
        at.and_then(|at| args.get(at + 1)?.parse().ok()).unwrap_or(default)
    };
    let (waiting, seconds) = (number("--waiting", 256), number("--seconds", 2));
    let folder = tempfile::tempdir_in(".")?;
    let time = Duration::from_secs(seconds);
    let (syncs, raw) = raw_appends(&folder.path().join("raw"), waiting, time)?;
    let value = commits(&folder.path().join("store.db"), waiting, time)?;
    println!(
        "{}",
        serde_json::json!({
            "name": "durable_target_commits", "value": value.round(), "unit": "commits/s",
            "waiting": waiting, "seconds": seconds,
            "raw_syncs_per_s": syncs.round(), "raw_rows_per_s": raw.round(),
        })
    );
    Ok(())
}

/// Syncs, and rows, per second that a plain file takes.
fn raw_appends(path: &Path, rows: u64, time: Duration) -> std::io::Result<(f64, f64)> {
    let mut file = std::fs::File::create(path)?;
    let batch = vec![b'x'; usize::try_from(rows).unwrap_or(usize::MAX).saturating_mul(TARGET_BYTES)];
    let (began, mut syncs) = (Instant::now(), 0_u32);
    while began.elapsed() < time {
        file.write_all(&batch)?;
        file.sync_data()?;
        syncs += 1;
    }
    let per_second = f64::from(syncs) / began.elapsed().as_secs_f64();
    Ok((per_second, per_second * rows as f64))
}

/// Commits per second of `waiting` callers.
fn commits(path: &Path, waiting: u64, time: Duration) -> Result<f64, StoreError> {
    let failed = |error: std::io::Error| StoreError::Failed(error.to_string());
    let store = Store::open(Options { path: path.to_owned(), bytes_max: None, seal: None })?;
    let targets = (0..1_000_000).collect();
    let (spec, control) = ("{}".to_owned(), "{}".to_owned());
    let row = TaskRow { oid: OID, number: 1, task_id: TaskId(Uuid::nil()), spec, control, targets };
    store.commit_blocking(vec![Write::CreateTask(Box::new(row))])?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().map_err(failed)?;
    runtime.block_on(async {
        let began = Instant::now();
        let callers: Vec<_> =
            (0..waiting).map(|caller| tokio::spawn(one_caller(store.clone(), caller, waiting, began + time))).collect();
        let mut count = 0;
        for caller in callers {
            count += caller.await.map_err(|error| StoreError::Failed(error.to_string()))??;
        }
        Ok(f64::from(count) / began.elapsed().as_secs_f64())
    })
}

async fn one_caller(store: Store, caller: u64, callers: u64, until: Instant) -> Result<u32, StoreError> {
    let mut count = 0;
    while Instant::now() < until {
        let ordinal = (u64::from(count) * callers + caller) % 1_000_000;
        let now = Timestamp::from_secs(1_700_000_000 + i64::from(count));
        let target = Target { state: TargetState::Confirmed, sent_at: now, confirmed_at: now, ..Target::default() };
        let targets = vec![(1, u32::try_from(ordinal).unwrap_or(0), target)];
        store.commit(vec![Write::PutTargets { oid: OID, targets }]).await?;
        count += 1;
    }
    Ok(count)
}
