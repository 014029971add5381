//! Every error code that a client can see has a page that says what to do, and no page is left over.

use std::collections::BTreeSet;
use std::path::Path;

fn codes_in(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            codes_in(&path, found);
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        for marker in ["with_code(\"", "Self::new(4", "Self::new(5"] {
            for rest in text.split(marker).skip(1) {
                let quoted = if marker.starts_with("with") { rest } else { rest.split_once('"').unwrap_or(("", "")).1 };
                let code = quoted.split('"').next().unwrap_or_default();
                found.insert(code.to_owned());
            }
        }
    }
}

#[test]
fn every_code_has_a_page_and_every_page_a_code() {
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut codes = BTreeSet::new();
    codes_in(&crate_folder.join("src"), &mut codes);
    assert!(codes.contains("bad_request") && codes.contains("store_full"), "the codes were not found: {codes:?}");
    let pages = std::fs::read_dir(crate_folder.join("../../docs/errors")).unwrap();
    let pages: BTreeSet<String> =
        pages.map(|page| page.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned()).collect();
    assert_eq!(codes, pages);
}
