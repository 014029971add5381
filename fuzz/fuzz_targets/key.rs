//! Any text is an installation key or is refused; a key survives its text form.
//!
//! The input is taken as the text, and as the bytes that a text would encode.

#![no_main]

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use libfuzzer_sys::fuzz_target;
use muster_wire::InstallationKey;

fuzz_target!(|data: &[u8]| {
    let texts = [String::from_utf8_lossy(data).into_owned(), URL_SAFE_NO_PAD.encode(data)];
    for text in texts {
        match InstallationKey::from_text(&text) {
            Ok(key) => {
                assert_eq!(InstallationKey::from_text(&format!("\t{}\n", key.to_text())), Ok(key.clone()));
                assert!(!format!("{key:?}").contains("secret"), "a secret is never shown");
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
});
