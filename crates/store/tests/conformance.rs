//! Both adapters pass the one suite.

use muster_store::conformance::CASES;
use muster_store::{Options, Store, StoreError, Write};

fn run(name: &str, case: fn(&Store), store: &Store) {
    // Shown when the case fails.
    println!("case {name}");
    case(store);
}

#[test]
fn memory_conforms() {
    for (name, case) in CASES {
        run(name, *case, &Store::memory());
    }
}

#[test]
fn sqlite_conforms() {
    for (name, case) in CASES {
        let folder = tempfile::tempdir().expect("a folder");
        let options = Options { path: folder.path().join("store.db"), bytes_max: None, seal: None };
        run(name, *case, &Store::open(options).expect("a new store"));
    }
}

/// Simulations rest on this: a commit that is made to fail leaves no trace.
#[test]
fn faults_fail_commits_of_a_memory_store() {
    let (store, faults) = Store::memory_with_faults();
    let oid = muster_model::Oid(uuid::Uuid::from_u128(1));
    let commit = || {
        let bodies = vec![b"x".to_vec()];
        store.commit_blocking(vec![Write::Enqueue { oid, output: "o".into(), bodies }])
    };
    let waiting = || store.read_blocking(|view| view.queue_size(oid, "o")).expect("a size").0;
    faults.fail_next(StoreError::Busy);
    assert!(matches!(commit(), Err(StoreError::Busy)));
    faults.fail_all(Some(StoreError::Full));
    assert!(matches!(commit(), Err(StoreError::Full)));
    assert!(matches!(commit(), Err(StoreError::Full)));
    assert_eq!(waiting(), 0);
    faults.fail_all(None);
    commit().expect("room again");
    assert_eq!(waiting(), 1);
}
