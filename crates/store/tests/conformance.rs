//! Both adapters pass the one suite.

use muster_store::conformance::CASES;
use muster_store::{Options, Store};

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
        let options = Options { path: folder.path().join("store.db"), bytes_max: None };
        run(name, *case, &Store::open(options).expect("a new store"));
    }
}
