//! Every error code that a client can see has a page that says what to do, and no page is left over.

use muster_api_types::ErrorCode;
use std::path::Path;

#[test]
fn every_code_has_a_page_with_its_status_and_every_page_a_code() {
    let pages = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/errors");
    let firsts = std::fs::read_dir(pages).unwrap().map(|page| {
        let text = std::fs::read_to_string(page.unwrap().path()).unwrap();
        text.lines().next().unwrap_or_default().to_owned()
    });
    let mut firsts: Vec<String> = firsts.collect();
    let mut codes: Vec<String> =
        ErrorCode::ALL.iter().map(|code| format!("# `{code}` (HTTP {})", code.status())).collect();
    firsts.sort();
    codes.sort();
    assert_eq!(codes, firsts);
}

#[test]
fn a_code_is_read_from_its_word() {
    for code in ErrorCode::ALL {
        assert_eq!(code.word().parse(), Ok(*code));
    }
    "bad_requests".parse::<ErrorCode>().unwrap_err();
}
