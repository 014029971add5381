//! What the fuzz targets check. Each target is one file in `fuzz_targets/`; what
//! several of them share is here.
//!
//! Every check panics when a promise is broken, which is how libFuzzer learns of it.

pub mod engines;
pub mod expression;

/// The two parts of an input that holds a line and something else below it.
#[must_use]
pub fn line_and_rest(data: &[u8]) -> (&[u8], &[u8]) {
    match data.iter().position(|byte| *byte == b'\n') {
        Some(at) => (&data[..at], &data[at + 1..]),
        None => (data, &[]),
    }
}
