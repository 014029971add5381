//! Forms and queries: pairs split at `&`, and each at its first `=`.
//!
//! Written by hand, because the published examples put raw JSON with `=` signs
//! into a form field, and because percent signs that encode nothing must
//! survive. Source: reference/rest-api.md section 3.
//!
//! This file uses nothing else of the server, so that it can be fuzzed alone.

use percent_encoding::percent_decode;
use std::collections::HashSet;

/// Pairs in the order they came; names may repeat.
#[derive(Clone, Debug, Default)]
pub struct Form(Vec<(String, String)>);

/// What is wrong with a form; the text says how to mend it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormError {
    /// More than 100,000 pairs.
    #[error("more than {PAIRS_MAX} form fields")]
    TooMany,
    /// This field is absent or empty.
    #[error("{0} is required")]
    Missing(String),
    /// This field holds something else.
    #[error("{0} must be a whole number")]
    NotNumber(String),
    /// This field holds something else.
    #[error("{0} must be true or false")]
    NotBoolean(String),
}

/// Most pairs in one form: mass tagging and online queries send one per sensor.
const PAIRS_MAX: usize = 100_000;

impl Form {
    /// Reads a form body or a query string.
    ///
    /// # Errors
    ///
    /// [`FormError::TooMany`].
    pub fn parse(text: &[u8]) -> Result<Self, FormError> {
        let mut form = Self::default();
        for pair in text.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
            let mut parts = pair.splitn(2, |byte| *byte == b'=');
            let (name, value) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
            form.push(&decode(name), decode(value))?;
        }
        Ok(form)
    }

    /// Adds a pair behind the others.
    ///
    /// # Errors
    ///
    /// [`FormError::TooMany`].
    pub fn push(&mut self, name: &str, value: String) -> Result<(), FormError> {
        if self.0.len() == PAIRS_MAX {
            return Err(FormError::TooMany);
        }
        self.0.push((name.to_owned(), value));
        Ok(())
    }

    /// These pairs, and those of `below` whose names are not among them.
    #[must_use]
    pub fn over(mut self, below: Self) -> Self {
        let names: HashSet<String> = self.0.iter().map(|(name, _)| name.clone()).collect();
        self.0.extend(below.0.into_iter().filter(|(name, _)| !names.contains(name)));
        self
    }

    /// The last value of a name; later ones win, as in the published service.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().rev().find(|(have, _)| have == name).map(|(_, value)| value.as_str())
    }

    /// A value that must be there and not empty.
    ///
    /// # Errors
    ///
    /// [`FormError::Missing`].
    pub fn require(&self, name: &str) -> Result<&str, FormError> {
        match self.get(name) {
            Some(value) if !value.is_empty() => Ok(value),
            _ => Err(FormError::Missing(name.to_owned())),
        }
    }

    /// All values of a name, in order.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(have, _)| have == name).map(|(_, value)| value.as_str())
    }

    /// Values of a name that may be repeated or joined by commas; blanks trimmed, empty ones dropped.
    pub fn list<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.all(name).flat_map(|value| value.split(',')).map(str::trim).filter(|value| !value.is_empty())
    }

    /// A boolean: `true` or `1`, `false` or `0`, as clients write them. Absent and empty are false.
    ///
    /// # Errors
    ///
    /// [`FormError::NotBoolean`]: what is neither must not pass for `false`.
    pub fn flag(&self, name: &str) -> Result<bool, FormError> {
        match self.get(name) {
            None | Some("" | "0" | "false" | "False" | "FALSE") => Ok(false),
            Some("1" | "true" | "True" | "TRUE") => Ok(true),
            Some(_) => Err(FormError::NotBoolean(name.to_owned())),
        }
    }

    /// A whole number, if the field is there and not empty.
    ///
    /// # Errors
    ///
    /// [`FormError::NotNumber`].
    pub fn number(&self, name: &str) -> Result<Option<i64>, FormError> {
        match self.get(name) {
            None | Some("") => Ok(None),
            Some(text) => text.parse().map(Some).map_err(|_| FormError::NotNumber(name.to_owned())),
        }
    }

    /// All pairs.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

fn decode(text: &[u8]) -> String {
    let spaced: Vec<u8> = text.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
    let bytes: Vec<u8> = percent_decode(&spaced).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raw_json_in_a_field_survives() {
        let body =
            br#"oid=1&action=task&data={"selector":"plat==windows","task":"run --shell-command whoami","ttl":3600}"#;
        let form = Form::parse(body).unwrap();
        let json = r#"{"selector":"plat==windows","task":"run --shell-command whoami","ttl":3600}"#;
        assert_eq!(form.get("data"), Some(json));
    }

    #[test]
    fn names_repeat_and_percent_signs_that_encode_nothing_stay() {
        let form = Form::parse(b"tags=a%2Cb&tags=c+d&x=100%&flag=True&empty=").unwrap();
        assert_eq!(form.all("tags").collect::<Vec<_>>(), ["a,b", "c d"]);
        assert_eq!(form.list("tags").collect::<Vec<_>>(), ["a", "b", "c d"]);
        assert_eq!(form.get("x"), Some("100%"));
        assert!(form.flag("flag") == Ok(true) && form.require("empty").is_err());
        assert_eq!(form.flag("x"), Err(FormError::NotBoolean("x".into())));
    }

    #[test]
    fn what_stands_above_hides_all_values_of_its_name_below() {
        let above = Form::parse(b"tags=a&name=").unwrap();
        let form = above.over(Form::parse(b"tags=b&tags=c&ttl=60&name=x").unwrap());
        assert_eq!(form.all("tags").collect::<Vec<_>>(), ["a"]);
        assert_eq!((form.get("ttl"), form.get("name")), (Some("60"), Some("")));
    }
}
