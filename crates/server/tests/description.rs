//! The committed API description is the one that the code makes.
//!
//! `MUSTER_BLESS=1 cargo test -p muster-server --test description` writes it anew.

use std::path::Path;

#[test]
fn the_committed_description_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/openapi.json");
    let document = muster_server::api::document(&muster_server::api::routes());
    let made = serde_json::to_string_pretty(&document).unwrap() + "\n";
    if std::env::var_os("MUSTER_BLESS").is_some() {
        std::fs::write(&path, &made).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == made, "docs/openapi.json is not current; write it anew with MUSTER_BLESS=1");
}
