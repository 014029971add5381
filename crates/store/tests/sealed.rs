//! A database whose records are sealed.

use muster_model::Oid;
use muster_store::{Expect, Options, Record, Seal, Store, StoreError, Write};
use std::fs;
use std::path::{Path, PathBuf};
use uuid::Uuid;

const SECRET: &str = "a-secret-of-somebody";

fn seal(byte: u8) -> Option<Seal> {
    Seal::of_bytes(&[byte; 32])
}

fn open(path: &Path, seal: Option<Seal>) -> Result<Store, StoreError> {
    Store::open(Options { path: path.to_owned(), bytes_max: None, seal })
}

fn put(key: &str, body: &str) -> Write {
    let (oid, key, body) = (Oid(Uuid::from_u128(1)), key.to_owned(), body.to_owned());
    Write::PutRecord { record: Record { oid, kind: "hive/secret".into(), key, body, revision: 0 }, expect: Expect::Any }
}

fn body(store: &Store, key: &str) -> String {
    let oid = Oid(Uuid::from_u128(1));
    store.read_blocking(|read| read.record(oid, "hive/secret", key)).unwrap().unwrap().body
}

/// Every file of a folder that holds these bytes.
fn holding(folder: &Path, text: &str) -> Vec<PathBuf> {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| fs::read(path).unwrap().windows(text.len()).any(|part| part == text.as_bytes())).collect()
}

#[test]
fn two_5_a_record_is_nowhere_in_the_clear_in_database_log_or_backup() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("muster.db");
    let store = open(&path, seal(1)).unwrap();
    store.commit_blocking(vec![put("token", SECRET)]).unwrap();
    assert_eq!(holding(folder.path(), SECRET), Vec::<PathBuf>::new(), "while it is in use");
    store.backup(&folder.path().join("copy.db")).unwrap();
    assert_eq!(body(&store, "token"), SECRET);
    store.close();
    assert_eq!(holding(folder.path(), SECRET), Vec::<PathBuf>::new());
    assert_eq!(body(&open(&path, seal(1)).unwrap(), "token"), SECRET);
}

#[test]
fn two_5_a_database_that_was_not_sealed_is_taken_over_without_a_trace_of_what_was_in_the_clear() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("muster.db");
    let store = open(&path, None).unwrap();
    // Some that were replaced or deleted meanwhile: free pages hold them still.
    let long = |number: usize| format!("{SECRET} {number} {}", "x".repeat(5_000));
    store.commit_blocking((0..64).map(|number| put(&number.to_string(), &long(number))).collect()).unwrap();
    let gone = |number: usize| Write::DeleteRecord {
        oid: Oid(Uuid::from_u128(1)),
        kind: "hive/secret",
        key: number.to_string(),
    };
    store.commit_blocking((1..64).map(gone).collect()).unwrap();
    store.close();
    assert_ne!(holding(folder.path(), SECRET), Vec::<PathBuf>::new());

    let store = open(&path, seal(1)).unwrap();
    assert_eq!(body(&store, "0"), long(0));
    assert_eq!(holding(folder.path(), SECRET), Vec::<PathBuf>::new());
    assert_eq!(Store::sealed_by(&path).unwrap(), seal(1).map(|seal| seal.name()));
}

#[test]
fn two_5_another_key_or_none_is_refused_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("muster.db");
    let store = open(&path, seal(1)).unwrap();
    store.commit_blocking(vec![put("token", SECRET)]).unwrap();
    store.close();
    for given in [seal(2), None] {
        let refused = open(&path, given.clone()).err().unwrap();
        assert!(matches!(&refused, StoreError::Sealed { .. }), "{refused}");
        let refused = Store::read_file(&path, given.as_ref(), |_| Ok(())).unwrap_err();
        assert!(refused.to_string().contains("sealed by the key"), "{refused}");
    }
    assert_eq!(body(&open(&path, seal(1)).unwrap(), "token"), SECRET);
}

/// Who can write the file but has no key must not be able to put a signing key there.
#[test]
fn two_5_a_record_that_was_not_sealed_by_this_key_for_this_place_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("muster.db");
    let store = open(&path, seal(1)).unwrap();
    store.commit_blocking(vec![put("one", "{\"one\":1}"), put("two", "{\"two\":2}")]).unwrap();
    store.close();
    let conn = rusqlite::Connection::open(&path).unwrap();
    conn.execute("UPDATE record SET body = (SELECT body FROM record WHERE key = 'two') WHERE key = 'one'", []).unwrap();
    conn.execute("UPDATE record SET body = '{\"two\":3}' WHERE key = 'two'", []).unwrap();
    drop(conn);
    let store = open(&path, seal(1)).unwrap();
    for key in ["one", "two"] {
        assert!(!body(&store, key).starts_with('{'), "{}", body(&store, key));
    }
}
