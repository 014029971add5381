//! Compiling the patterns of selectors, which have the meaning of RE2.
//!
//! Source: reference/selectors.md sections 4 and 11.

use regex::bytes::{Regex, RegexBuilder};

/// Largest compiled program of one pattern, in bytes; the lazy automaton gets as much again.
const PROGRAM_BYTES_MAX: usize = 1 << 20;

/// Compiles a pattern for an unanchored, case-sensitive search.
///
/// # Errors
///
/// One line that says what RE2 or the size limit does not allow.
pub(crate) fn compile(pattern: &[u8]) -> Result<Regex, String> {
    let pattern = std::str::from_utf8(pattern).map_err(|_| "invalid UTF-8".to_owned())?;
    let translated = muster_re2::translate(pattern).map_err(|refused| refused.to_string())?;
    let mut builder = RegexBuilder::new(&translated);
    let built = builder.size_limit(PROGRAM_BYTES_MAX).dfa_size_limit(PROGRAM_BYTES_MAX).build();
    built.map_err(|error| muster_re2::reason(&error))
}

#[cfg(test)]
mod tests {
    use super::compile;

    #[test]
    fn what_is_no_text_or_too_large_is_refused() {
        for pattern in [&b"a\xff"[..], br"(\pL{1000}){1000}", br"\1"] {
            assert!(compile(pattern).is_err(), "{}", String::from_utf8_lossy(pattern));
        }
    }
}
