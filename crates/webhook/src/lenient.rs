//! Reading what other programs write: they send `null` where a field has nothing.

use serde::{Deserialize, Deserializer};

/// Longest piece of a foreign text that goes into an error of the organization, in characters.
pub(crate) const QUOTED_CHARS_MAX: usize = 400;

/// `null` is as good as absent.
pub(crate) fn null_is_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// The first characters of a text that others wrote; where it was cut, it says so.
pub(crate) fn beginning(text: &str, chars_max: usize) -> String {
    match text.char_indices().nth(chars_max) {
        Some((at, _)) => format!("{}… (cut)", &text[..at]),
        None => text.to_owned(),
    }
}
