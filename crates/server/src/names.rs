//! Names that clients write: which are known, and which known one is nearest to one that is not.
//!
//! A field that is passed over is an order that means something else than what was written: a misspelled
//! target would be no target, and that is everybody. So whatever reads names refuses the others here.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// Similarity, from 0 to 1, from which on a known name is offered for an unknown one.
const SIMILAR: f64 = 0.6;

/// Most characters of an unknown name that are repeated to the client.
const SHOWN_CHARS_MAX: usize = 64;

/// Longest tag, in bytes.
const TAG_BYTES_MAX: usize = 256;

/// Tags in one call, and on one installation key.
const TAGS_MAX: usize = 100;

/// Tags that cannot be put on anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WrongTags {
    /// So many at once are refused.
    #[error("at most {TAGS_MAX} tags in one call")]
    TooMany,
    /// One is too long.
    #[error("a tag must be at most {TAG_BYTES_MAX} bytes")]
    TooLong,
}

/// Checks tags that a client names.
///
/// # Errors
///
/// [`WrongTags`].
pub fn check_tags(tags: &[&str]) -> Result<(), WrongTags> {
    if tags.len() > TAGS_MAX {
        return Err(WrongTags::TooMany);
    }
    if tags.iter().any(|tag| tag.len() > TAG_BYTES_MAX) {
        return Err(WrongTags::TooLong);
    }
    Ok(())
}

/// Names of which one is not known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unknown(String);

/// Refuses the first name that is not known; the text says which ones are.
///
/// # Errors
///
/// [`Unknown`].
pub fn require_known<'a>(names: impl IntoIterator<Item = &'a str>, known: &[&str]) -> Result<(), Unknown> {
    match names.into_iter().find(|name| !known.contains(name)) {
        Some(name) => Err(Unknown(unknown(name, known))),
        None => Ok(()),
    }
}

/// An answer with these fields alone. What stands in it but is no object is left out.
pub fn only(answer: &impl Serialize, fields: &[&str]) -> Map<String, Value> {
    let Ok(Value::Object(mut all)) = serde_json::to_value(answer) else { return Map::new() };
    all.retain(|name, _| fields.contains(&name.as_str()));
    all
}

/// What to say of a field whose name is not among the known ones.
#[must_use]
pub fn unknown(name: &str, known: &[&str]) -> String {
    let shown: String = name.chars().take(SHOWN_CHARS_MAX).filter(|c| !c.is_control()).collect();
    let hint = nearest(name, known).map(|near| format!("; did you mean {near}?")).unwrap_or_default();
    match known {
        [] => format!("unknown field: {shown}; nothing is taken here"),
        known => format!("unknown field: {shown}{hint} (known: {})", known.join(", ")),
    }
}

/// The known name that an unknown one most likely means, if it is like any.
#[must_use]
pub fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let name = name.to_lowercase();
    let likeness = |known: &str| strsim::normalized_damerau_levenshtein(&name, &known.to_lowercase());
    // Of equally near ones the first.
    let best = known.iter().rev().map(|known| (likeness(known), *known)).max_by(|a, b| a.0.total_cmp(&b.0));
    best.filter(|(likeness, _)| *likeness >= SIMILAR).map(|(_, known)| known)
}

/// Reads a value of a type that refuses unknown fields; the text of a refusal names the nearest known field.
///
/// # Errors
///
/// What is wrong with the value, for the client.
pub fn read<T: DeserializeOwned>(value: Value) -> Result<T, String> {
    serde_json::from_value(value).map_err(|error| clear(&error.to_string()))
}

/// The text of an error of reading, with the nearest name where a field was unknown: the text has the unknown
/// one and then all known ones between backticks.
fn clear(text: &str) -> String {
    let mut quoted = text.split('`').skip(1).step_by(2);
    match quoted.next().filter(|_| text.starts_with("unknown field") || text.starts_with("unknown variant")) {
        None => text.to_owned(),
        Some(name) => match nearest(name, &quoted.collect::<Vec<_>>()) {
            Some(near) => format!("{text}; did you mean {near}?"),
            None => text.to_owned(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;
    use serde_json::json;

    #[test]
    fn an_unknown_name_is_refused_with_the_nearest_one() {
        let known = ["selector", "sid", "tag", "plat"];
        assert_eq!(require_known(["tag", "sid"], &known), Ok(()));
        let refused = |name: &str| require_known([name], &known).unwrap_err().to_string();
        assert_eq!(
            refused("selecter"),
            "unknown field: selecter; did you mean selector? (known: selector, sid, tag, plat)"
        );
        assert_eq!(refused("tags"), "unknown field: tags; did you mean tag? (known: selector, sid, tag, plat)");
        assert_eq!(refused("colour"), "unknown field: colour (known: selector, sid, tag, plat)");
    }

    #[test]
    fn so_is_one_of_a_type() {
        #[derive(Debug, Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Source {
            #[allow(dead_code, reason = "only whether it is read matters")]
            selector: Option<String>,
            #[allow(dead_code, reason = "only whether it is read matters")]
            start_time: Option<i64>,
        }
        let text = read::<Source>(json!({"selecter": "plat == linux"})).unwrap_err();
        assert!(text.contains("`selecter`") && text.ends_with("did you mean selector?"), "{text}");
    }
}
