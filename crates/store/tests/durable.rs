//! What only the durable adapter has: full disks, damaged files, crashes, backups, shared syncs.

use muster_model::{Oid, TaskId, Timestamp};
use muster_store::{
    Delivery, Entry, Expect, LivePart, LiveRow, Options, Record, Run, Store, StoreError, Stream, TaskRow, Tries, Trim,
    Write,
};
use muster_tasking::Target;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use uuid::Uuid;

const OID: Oid = Oid(Uuid::from_u128(1));

/// Set for the child process of the crash test: the file that it writes to.
const CRASH_PATH: &str = "MUSTER_STORE_CRASH_PATH";

fn open(path: &Path) -> Result<Store, StoreError> {
    Store::open(Options { path: path.to_owned(), bytes_max: None, seal: None })
}

fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("store.db");
    (folder, path)
}

fn put(key: &str, expect: Expect) -> Write {
    let record = Record { oid: OID, kind: "k".into(), key: key.into(), body: "{}".into(), revision: 0 };
    Write::PutRecord { record, expect }
}

fn keys(store: &Store) -> Vec<String> {
    let records = store.read_blocking(|view| view.records(Some(OID), None)).expect("records");
    records.into_iter().map(|record| record.key).collect()
}

fn large(id: u128) -> Write {
    entry(id, 50_000)
}

fn entry(id: u128, bytes: usize) -> Write {
    Write::Append(vec![Entry {
        oid: OID,
        stream: Stream::Event,
        sid: None,
        id: Uuid::from_u128(id),
        time: Timestamp::from_secs(1),
        kind: "X".into(),
        this_atom: None,
        parent_atom: None,
        investigation_id: None,
        body: vec![b'x'; bytes].into(),
    }])
}

/// Commits large entries until there is no room; answers how many fit.
fn fill(store: &Store) -> u128 {
    for id in 0..10_000 {
        match store.commit_blocking(vec![large(id)]) {
            Ok(()) => {}
            Err(StoreError::Full) => return id,
            Err(error) => panic!("full, and not {error}"),
        }
    }
    panic!("the store never fills up");
}

fn entry_count(store: &Store) -> u64 {
    store.read_blocking(|view| view.stream_size(OID, Stream::Event)).expect("a size").0
}

#[test]
fn a_full_store_answers_reads_and_takes_commits_again_once_there_is_room() {
    let (_folder, path) = folder();
    let store = Store::open(Options { path, bytes_max: Some(2 << 20), seal: None }).expect("a store");
    store.commit_blocking(vec![put("before", Expect::Any)]).expect("room");
    let fitted = fill(&store);
    assert!(fitted > 10, "{fitted} fitted");
    assert_eq!(u128::from(entry_count(&store)), fitted);
    assert_eq!(keys(&store), ["before"]);

    let trim = Write::Trim { oid: OID, stream: Stream::Event, what: Trim::Before(Timestamp::MAX) };
    store.commit_blocking(vec![trim]).expect("forgetting needs no room");
    store.commit_blocking(vec![put("after", Expect::Any), large(1)]).expect("room again");
    assert_eq!(keys(&store), ["after", "before"]);
    assert_eq!(entry_count(&store), 1);
}

#[tokio::test]
async fn lists_of_one_batch_do_not_harm_each_other() {
    let (_folder, path) = folder();
    let store = Store::open(Options { path, bytes_max: Some(4 << 20), seal: None }).expect("a store");
    store.commit(vec![put("taken", Expect::Any)]).await.expect("room");
    let mut waiting = Vec::new();
    for n in 0..300 {
        let store = store.clone();
        waiting.push(tokio::spawn(async move {
            let good = vec![put(&format!("{n:03}"), Expect::Absent), entry(1_000 + n, 10)];
            let more = match n % 30 {
                7 => vec![put("taken", Expect::Absent)],
                // Does not fit at all: it tears down the whole transaction.
                19 => (0..100).map(large).collect(),
                _ => Vec::new(),
            };
            let list = good.into_iter().chain(more).collect();
            (n, store.commit(list).await)
        }));
    }
    let mut expected = vec!["taken".to_owned()];
    for waiter in waiting {
        let (n, result) = waiter.await.expect("the task ends");
        match (n % 30, result) {
            (7, Err(StoreError::Conflict(_))) | (19, Err(StoreError::Full)) => {}
            (7 | 19, result) => panic!("list {n} gave {result:?}"),
            (_, result) => {
                result.expect("good lists are committed");
                expected.push(format!("{n:03}"));
            }
        }
    }
    expected.sort();
    assert_eq!(keys(&store), expected);
    let size = store.read_blocking(|view| view.stream_size(OID, Stream::Event)).expect("a size");
    assert_eq!(size, (280, 2_800), "of each good list one record is counted");
}

/// Goal: a file from before a commit wrote fewer pages keeps what happened. Method: one of today is made one of then, of
/// which everything was counted.
#[test]
fn a_file_of_before_keeps_records_and_sessions() {
    let (_folder, path) = folder();
    let store = open(&path).expect("a store");
    let row = LiveRow { oid: OID, session: 1, part: LivePart::Command, item: 2, body: b"{}".to_vec() };
    store.commit_blocking(vec![entry(1, 10), entry(2, 20), Write::PutLive(vec![row.clone()])]).expect("room");
    store.close();
    let before = "DROP TABLE counted; DROP INDEX entry_id; CREATE INDEX entry_id ON entry (id);
                  DELETE FROM sensor_size; DELETE FROM stream_size;
                  INSERT INTO sensor_size SELECT org, stream, x'', count(*), sum(length(body)) FROM entry;
                  INSERT INTO stream_size SELECT org, stream, count(*), sum(length(body)) FROM entry;
                  ALTER TABLE live RENAME TO later;
                  CREATE TABLE live (org, session, part, item, body BLOB, PRIMARY KEY (org, session, part, item)) WITHOUT ROWID;
                  INSERT INTO live SELECT * FROM later; DROP TABLE later;
                  DELETE FROM schema_version WHERE version >= 10";
    rusqlite::Connection::open(&path).expect("a file").execute_batch(before).expect("a file of then");
    let store = open(&path).expect("a store");
    store.commit_blocking(vec![entry(3, 30)]).expect("room");
    let size = store.read_blocking(|view| view.stream_size(OID, Stream::Event)).expect("a size");
    assert_eq!(size, (3, 60));
    let found = |id| store.read_blocking(|view| view.entry(OID, Stream::Event, Uuid::from_u128(id))).expect("a read");
    assert!(found(1).is_some() && found(3).is_some());
    let kept = store.read_blocking(|view| view.live_one(OID, 1, LivePart::Command, 2)).expect("a read");
    assert_eq!(kept, Some(row));
}

/// Set for the child of the full disk test: a folder on a small file system of its own.
const SMALL_DISK: &str = "MUSTER_STORE_SMALL_DISK";

/// The child of the full disk test. In an ordinary run it does nothing.
#[test]
fn full_disk_child() {
    let Some(folder) = std::env::var_os(SMALL_DISK).map(PathBuf::from) else { return };
    let ballast = folder.join("ballast");
    std::fs::write(&ballast, vec![0; 8 << 20]).expect("room for the ballast");
    let store = open(&folder.join("store.db")).expect("room for a store");
    store.commit_blocking(vec![put("before", Expect::Any)]).expect("room");
    let fitted = fill(&store);
    assert!(fitted > 10, "{fitted} fitted");
    assert!(matches!(store.commit_blocking(vec![large(0)]), Err(StoreError::Full)));
    assert_eq!((keys(&store), u128::from(entry_count(&store))), (vec!["before".to_owned()], fitted));

    std::fs::remove_file(&ballast).expect("the ballast goes");
    store.commit_blocking(vec![put("after", Expect::Any), large(1)]).expect("room again");
    store.close();
    let store = open(&folder.join("store.db")).expect("a sound store");
    assert_eq!((keys(&store).len(), u128::from(entry_count(&store))), (2, fitted + 1));
    println!("the full disk was survived");
}

#[test]
fn a_full_disk_is_survived_without_a_restart() {
    let (folder, _) = folder();
    let mount = "mount -t tmpfs -o size=16m tmpfs \"$1\" || exit 77; exec \"$0\" --exact full_disk_child --nocapture";
    let child = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", mount])
        .args([std::env::current_exe().expect("this program").as_path(), folder.path()])
        .env(SMALL_DISK, folder.path())
        .output();
    match child {
        Ok(child) if child.status.success() => {
            let output = String::from_utf8_lossy(&child.stdout);
            assert!(output.contains("the full disk was survived"), "{output}");
        }
        Ok(child) if String::from_utf8_lossy(&child.stdout).contains("running 1 test") => {
            panic!("{}{}", String::from_utf8_lossy(&child.stdout), String::from_utf8_lossy(&child.stderr));
        }
        other => println!("skipped: no file system of our own can be mounted here: {other:?}"),
    }
}

/// What becomes of so many lists at the same time, behind a writer that waits for a lock until `unlocked`: how many are
/// stored, and how many refused.
async fn all_at_once(lists: usize, unlocked: impl Future<Output = ()>) -> (usize, usize) {
    let (_folder, path) = folder();
    let store = open(&path).expect("a store");
    let blocker = rusqlite::Connection::open(&path).expect("the file");
    blocker.execute_batch("BEGIN IMMEDIATE").expect("the lock");
    let commit = |n: usize| {
        let store = store.clone();
        tokio::spawn(async move { store.commit(vec![put(&n.to_string(), Expect::Absent)]).await })
    };
    let lists: Vec<_> = (0..lists).map(commit).collect();
    unlocked.await;
    blocker.execute_batch("ROLLBACK").expect("unlocked");
    let (mut committed, mut refused) = (0, 0);
    for list in lists {
        match list.await.expect("the task ends") {
            Ok(()) => committed += 1,
            Err(StoreError::Busy) => refused += 1,
            Err(error) => panic!("busy, and not {error}"),
        }
    }
    assert_eq!(keys(&store).len(), committed);
    (committed, refused)
}

/// Goal: ten thousand sensors that carry out one order have their steps stored, and no link is cut for want of room.
#[tokio::test]
async fn who_has_something_to_store_waits_for_room() {
    // Each turn runs some of them; after this many, all that find room have sent their list.
    let turns = async {
        for _ in 0..20_000 {
            tokio::task::yield_now().await;
        }
    };
    assert_eq!(all_at_once(20_000, turns).await, (20_000, 0));
}

/// Method: the clock goes on by itself while nothing else can.
#[tokio::test(start_paused = true)]
async fn who_waits_for_room_for_long_is_refused_and_nothing_else_is_lost() {
    let (committed, refused) = all_at_once(9_000, tokio::time::sleep(Duration::from_secs(60))).await;
    assert!(refused > 0 && committed >= 8_000, "{committed} committed, {refused} refused");
}

#[test]
fn files_that_are_not_a_sound_store_are_refused_untouched() {
    let refused = |path: &Path, why: &str| {
        let before = std::fs::read(path).expect("the file");
        match open(path) {
            Err(StoreError::Corrupt(text)) => assert!(text.contains(why), "{text}"),
            Err(error) => panic!("corrupt, and not {error}"),
            Ok(_) => panic!("a file was taken that has {why:?}"),
        }
        assert!(std::fs::read(path).expect("the file") == before, "the file was changed");
    };

    let (_folder, path) = folder();
    std::fs::write(&path, "hello, I am a diary. ".repeat(500)).expect("written");
    refused(&path, "muster backup");

    let (_folder, path) = folder();
    rusqlite::Connection::open(&path).and_then(|c| c.execute_batch("CREATE TABLE t (a)")).expect("a database");
    refused(&path, "another program");

    let (_folder, path) = folder();
    open(&path).expect("a store").close();
    let newer = "INSERT INTO schema_version VALUES (999)";
    rusqlite::Connection::open(&path).and_then(|c| c.execute_batch(newer)).expect("a newer store");
    refused(&path, "newer muster");

    let (_folder, path) = folder();
    let store = open(&path).expect("a store");
    store.commit_blocking((0..2_000).map(|n| put(&format!("{n}"), Expect::Any)).collect()).expect("room");
    store.close();
    let mut bytes = std::fs::read(&path).expect("the file");
    let middle = bytes.len() / 2 / 4096 * 4096;
    bytes[middle..middle + 4096].fill(0xa5);
    std::fs::write(&path, bytes).expect("written");
    refused(&path, "muster backup");
}

fn delivery(position: u64) -> Delivery {
    let (at, id) = (Timestamp::from_secs(1), Uuid::from_u128(position.into()));
    let tries = Tries { due: at, ..Tries::default() };
    Delivery { position, target: "service/a".into(), id, kind: "sensor_per_1h".into(), at, bytes: 2, tries }
}

fn deliveries(store: &Store) -> Vec<Delivery> {
    let mut all = Vec::new();
    store.read_blocking(|view| view.deliveries(None, &mut |_, delivery| all.push(delivery))).expect("deliveries");
    all
}

/// Goal: a file from before messages shared rows keeps those that wait. Method: one of today is made one of then.
#[test]
fn a_file_of_before_keeps_its_messages_and_takes_runs() {
    let (_folder, path) = folder();
    let store = open(&path).expect("a store");
    let alone = Write::PutDeliveries { oid: OID, deliveries: vec![(delivery(1), b"{}".to_vec())] };
    store.commit_blocking(vec![alone]).expect("room");
    store.close();
    let before = "DROP TABLE delivery_run; DROP TABLE counted; DELETE FROM schema_version WHERE version >= 9";
    rusqlite::Connection::open(&path).and_then(|c| c.execute_batch(before)).expect("a store of then");
    let store = open(&path).expect("a store");
    assert_eq!(deliveries(&store), [delivery(1)]);
    let run = Run { first: delivery(2), bodies: vec![b"{}".to_vec(), b"[]".to_vec()] };
    let expected: Vec<Delivery> = [delivery(1)].into_iter().chain(run.messages()).collect();
    store.commit_blocking(vec![Write::PutRuns { oid: OID, runs: vec![run] }]).expect("room");
    store.close();
    assert_eq!(deliveries(&open(&path).expect("a store")), expected);
}

#[test]
fn a_backup_is_a_store_and_replaces_no_file() {
    let (folder, path) = folder();
    let store = open(&path).expect("a store");
    store.commit_blocking(vec![put("a", Expect::Any)]).expect("room");
    let copy = folder.path().join("copy.db");
    store.backup(&copy).expect("a copy");
    store.commit_blocking(vec![put("b", Expect::Any)]).expect("room");
    assert!(store.backup(&copy).is_err());
    assert_eq!(keys(&open(&copy).expect("the copy opens")), ["a"]);
}

#[test]
fn a_closed_store_is_one_file_and_takes_nothing_more() {
    let (folder, path) = folder();
    let store = open(&path).expect("a store");
    let clone = store.clone();
    store.commit_blocking(vec![put("a", Expect::Any)]).expect("room");
    store.close();
    assert!(clone.commit_blocking(vec![put("b", Expect::Any)]).is_err());
    let files: Vec<_> = std::fs::read_dir(folder.path()).expect("files").flatten().map(|f| f.file_name()).collect();
    assert_eq!(files, ["store.db"]);
    assert_eq!(keys(&open(&path).expect("it opens again")), ["a"]);
}

#[test]
fn a_million_targets_are_a_few_bytes() {
    let (_folder, path) = folder();
    let store = open(&path).expect("a store");
    let targets = (0..1_000_000).collect();
    let (spec, control) = ("{}".to_owned(), "{}".to_owned());
    let row = TaskRow { oid: OID, number: 1, task_id: TaskId(Uuid::nil()), spec, control, targets };
    store.commit_blocking(vec![Write::CreateTask(Box::new(row))]).expect("room");
    store.close();
    let conn = rusqlite::Connection::open(&path).expect("the file");
    let bytes: i64 = conn.query_row("SELECT length(targets) FROM task", [], |row| row.get(0)).expect("a row");
    assert!(bytes < 300, "{bytes} bytes");
}

/// The child of the crash test: commits and says so, until it is killed. In an ordinary run it does nothing.
#[test]
fn crash_child() {
    let Some(path) = std::env::var_os(CRASH_PATH) else { return };
    let store = open(Path::new(&path)).expect("the store opens after a crash");
    let next = keys(&store).len();
    let threads: Vec<_> = (0..4)
        .map(|thread| {
            let store = store.clone();
            std::thread::spawn(move || {
                for n in 0..100_000 {
                    let key = format!("{next}-{thread}-{n}");
                    let targets = Write::PutTargets { oid: OID, targets: vec![(1, n, Target::default())] };
                    store.commit_blocking(vec![put(&key, Expect::Absent), targets]).expect("a commit");
                    println!("ack {key}");
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().expect("it is killed before it ends"));
}

#[test]
fn what_was_acknowledged_survives_kill_9() {
    let (_folder, path) = folder();
    let mut acknowledged = Vec::new();
    // Kills after this many acknowledgements: from the middle of opening up to some checkpoints.
    for kill_after in [0, 1, 2, 17, 90, 255, 256, 700, 1_300, 5_000] {
        let mut child = Command::new(std::env::current_exe().expect("this program"))
            .args(["--exact", "crash_child", "--nocapture"])
            .env(CRASH_PATH, &path)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("a child");
        let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        let mut count = 0;
        let mut note = |line: std::io::Result<String>| -> u32 {
            let line = line.unwrap_or_default();
            // The harness may print in front of it on the same line.
            let key = line.split_once("ack ").map(|(_, key)| key.to_owned());
            count += u32::from(key.is_some());
            acknowledged.extend(key);
            count
        };
        if kill_after > 0 {
            for line in lines.by_ref() {
                if note(line) >= kill_after {
                    break;
                }
            }
        }
        child.kill().expect("killed");
        child.wait().expect("ended");
        // What it said between the last line read and its end counts too; a torn last line does not.
        let rest: Vec<_> = lines.collect();
        let whole = rest.len().saturating_sub(1);
        for line in rest.into_iter().take(whole) {
            note(line);
        }
        assert!(count >= kill_after);

        let store = open(&path).expect("quick_check finds nothing");
        let kept: std::collections::HashSet<String> = keys(&store).into_iter().collect();
        let lost: Vec<_> = acknowledged.iter().filter(|key| !kept.contains(*key)).collect();
        assert!(lost.is_empty(), "lost after {kill_after}: {lost:?}");
    }
}
