//! Damage in the log of writes. Fault 5.6: a flipped bit took back acknowledged commits without a word.

use muster_model::Oid;
use muster_store::{Expect, Options, Record, Store, StoreError, Write};
use std::fs;
use std::path::{Path, PathBuf};
use uuid::Uuid;

const OID: Oid = Oid(Uuid::from_u128(1));

/// Commits in the log that is looked at.
const COMMITS: usize = 20;

fn open(path: &Path) -> Result<Store, StoreError> {
    Store::open(Options { path: path.to_owned(), bytes_max: None, seal: None })
}

fn log_of(path: &Path) -> PathBuf {
    path.with_extension("db-wal")
}

/// A copy of a store whose server was killed: the file, and a log with all its commits.
fn killed(folder: &Path) -> PathBuf {
    let living = folder.join("living.db");
    let store = open(&living).unwrap();
    let copy = folder.join("store.db");
    loop {
        for number in 0..COMMITS {
            let record =
                Record { oid: OID, kind: "k".into(), key: format!("{number:02}"), body: "{}".into(), revision: 0 };
            store.commit_blocking(vec![Write::PutRecord { record, expect: Expect::Any }]).unwrap();
        }
        fs::copy(&living, &copy).unwrap();
        fs::copy(log_of(&living), log_of(&copy)).unwrap();
        // In a quiet moment the log is copied back and cut: then once more.
        if fs::metadata(log_of(&copy)).unwrap().len() > 4_096 * COMMITS as u64 {
            return copy;
        }
    }
}

fn count(path: &Path) -> usize {
    open(path).unwrap().read_blocking(|view| view.records(Some(OID), None)).unwrap().len()
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 1;
    fs::write(path, bytes).unwrap();
}

#[test]
fn five_6_a_flipped_bit_in_the_log_of_writes_is_found_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let path = killed(folder.path());
    let whole = fs::read(log_of(&path)).unwrap();
    // In the header, in the header of a frame, in a page.
    for at in [20, 26, 32 + 18, 32 + 24 + 100, whole.len() / 2] {
        flip(&log_of(&path), at);
        let error = open(&path).err().unwrap_or_else(|| panic!("byte {at} was not missed"));
        let text = error.to_string();
        assert!(matches!(error, StoreError::Corrupt(_)) && text.contains("move this file away"), "{at}: {text}");
        fs::write(log_of(&path), &whole).unwrap();
    }
    assert_eq!(count(&path), COMMITS);
}

/// What a crash leaves must not be taken for damage: a commit that was cut short, or written in part.
#[test]
fn five_6_a_write_that_was_cut_short_is_not_damage() {
    for torn in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let path = killed(folder.path());
        let bytes = fs::read(log_of(&path)).unwrap();
        match torn {
            false => fs::write(log_of(&path), &bytes[..bytes.len() - 1_000]).unwrap(),
            true => flip(&log_of(&path), bytes.len() - 10),
        }
        assert!(count(&path) >= COMMITS - 1);
    }
}

/// Goal: however long commits come without a pause, the log begins anew, and all of them are kept. Method: seven times as
/// much is committed as the log may hold, while somebody reads now and then.
#[test]
fn the_log_begins_anew_while_commits_come_without_a_pause() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let store = open(&path).unwrap();
    let (records, bytes) = (600, 100_000);
    for number in 0..records {
        let body = "x".repeat(bytes);
        let record = Record { oid: OID, kind: "k".into(), key: format!("{number:03}"), body, revision: 0 };
        store.commit_blocking(vec![Write::PutRecord { record, expect: Expect::Any }]).unwrap();
        if number % 50 == 0 {
            let have = store.read_blocking(|view| view.records(Some(OID), None)).unwrap().len();
            assert_eq!(have, number + 1);
        }
    }
    let log = fs::metadata(log_of(&path)).unwrap().len();
    assert!(log < 12 << 20, "{log} bytes of {}", records * bytes);
    drop(store);
    assert_eq!(count(&path), records);
}
