//! Any body is read, pair for pair: as many as there are between the `&` signs,
//! and the same again when it is written with every odd byte escaped.

#![no_main]

// The file itself, since the server as a dependency would bring its database and cryptography into this build.
#[allow(dead_code, reason = "the server uses more of it")]
#[path = "../../crates/server/src/api/form.rs"]
mod form;

use form::Form;
use libfuzzer_sys::fuzz_target;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

fuzz_target!(|body: &[u8]| {
    let Ok(form) = Form::parse(body) else { panic!("this is shorter than any bound") };
    let pieces = body.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()).count();
    assert_eq!(form.pairs().count(), pieces);

    let escape = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let written: Vec<String> =
        form.pairs().map(|(name, value)| format!("{}={}", escape(name), escape(value))).collect();
    let again = Form::parse(written.join("&").as_bytes()).expect("as many pairs as before");
    assert!(form.pairs().eq(again.pairs()));

    for (name, _) in form.pairs() {
        let last = form.pairs().filter(|pair| pair.0 == name).last().map(|pair| pair.1);
        assert_eq!(form.get(name), last);
        assert_eq!(form.require(name).ok(), last.filter(|value| !value.is_empty()));
        assert_eq!(form.all(name).last(), last);
        assert!(form.list(name).all(|item| !item.is_empty() && !item.contains(',') && item.trim() == item));
        let is_number = last.is_some_and(|value| value.parse::<i64>().is_ok());
        assert_eq!(form.number(name).is_ok_and(|number| number.is_some()), is_number);
        assert!(form.flag(name) != Ok(true) || last.is_some_and(|value| !value.is_empty()));
    }
});
