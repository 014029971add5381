//! The older targeting parameters, and blank selectors.
//!
//! Source: reference/selectors.md sections 9 and 10.

use crate::{Selector, SelectorError};
use muster_model::Platform;

/// How a request says which sensors it means.
///
/// Absent is `None`: an empty `sid`, `tag` or `plat` is a value, which hardly any
/// sensor has, so that a parameter left blank by mistake does not reach them all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Targeting<'a> {
    /// A selector; blank means every sensor.
    pub selector: Option<&'a str>,
    /// A sensor id, or `*`.
    pub sid: Option<&'a str>,
    /// A tag, any text.
    pub tag: Option<&'a str>,
    /// The name of a platform, or its code in decimal.
    pub plat: Option<&'a str>,
}

impl Targeting<'_> {
    /// Whether nothing is said, which means every sensor unless the server requires a target.
    #[must_use]
    pub fn is_blank(&self) -> bool {
        self.selector.is_none_or(is_blank) && self.sid.is_none() && self.tag.is_none() && self.plat.is_none()
    }
}

impl Selector {
    /// Makes one selector of what a request says; several parameters must all hold.
    ///
    /// [`Selector::text`] is the selector as given if it is all there is, else an
    /// expression that parses to the same.
    ///
    /// # Errors
    ///
    /// As [`Selector::parse`]; positions are those in `targeting.selector` if the
    /// mistake is there.
    pub fn from_targeting(targeting: Targeting<'_>) -> Result<Self, SelectorError> {
        let given = match targeting.selector.filter(|text| !is_blank(text)) {
            Some(text) => Self::parse(text)?,
            None => Self::all(),
        };
        let sid = targeting.sid.filter(|sid| *sid != "*").map(|sid| format!("sid == {}", literal(sid)));
        let tag = targeting.tag.map(|tag| format!("{} in tags", literal(tag)));
        let plat = targeting.plat.map(|plat| format!("plat == {}", literal(&platform_name(plat))));
        let mut terms: Vec<String> = [sid, tag, plat].into_iter().flatten().collect();
        if terms.is_empty() {
            return Ok(given);
        }
        if !given.is_all() {
            // It parsed on its own, so that the parentheses enclose all of it.
            terms.insert(0, format!("({})", given.text()));
        }
        Self::parse(&terms.join(" and "))
    }
}

/// Only what the language takes for white space: a stray character must not come to mean every sensor.
fn is_blank(text: &str) -> bool {
    text.trim_matches([' ', '\t', '\r', '\n']).is_empty()
}

/// A value as a literal: in backticks, or in single quotes, which can hold backticks too.
fn literal(value: &str) -> String {
    if value.contains('`') {
        format!("'{}'", value.replace('\\', r"\\").replace('\'', r"\'"))
    } else {
        format!("`{value}`")
    }
}

fn platform_name(value: &str) -> String {
    match value.parse() {
        Ok(code) => Platform(code).name().into_owned(),
        Err(_) => value.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text_of(targeting: Targeting<'_>) -> String {
        Selector::from_targeting(targeting).unwrap().text().to_owned()
    }

    #[test]
    fn older_parameters_become_a_selector() {
        let none = Targeting::default();
        let cases = [
            (none, "*"),
            (Targeting { selector: Some(" \n"), ..none }, "*"),
            (Targeting { selector: Some(" kernel "), ..none }, " kernel "),
            (Targeting { sid: Some("*"), ..none }, "*"),
            (Targeting { sid: Some("x"), ..none }, "sid == `x`"),
            (Targeting { tag: Some("web-tier"), ..none }, "`web-tier` in tags"),
            (Targeting { tag: Some(r"a`'\"), ..none }, r"'a`\'\\' in tags"),
            (Targeting { plat: Some("268435456"), ..none }, "plat == `windows`"),
            (Targeting { plat: Some("linux"), ..none }, "plat == `linux`"),
            (
                Targeting { selector: Some("kernel or sealed"), tag: Some("a"), ..none },
                "(kernel or sealed) and `a` in tags",
            ),
            (Targeting { selector: Some("*"), tag: Some("a"), ..none }, "`a` in tags"),
        ];
        for (targeting, text) in cases {
            assert_eq!(text_of(targeting), text, "{targeting:?}");
        }
    }

    /// A selector cannot close the parentheses around it and so widen what the others narrow.
    #[test]
    fn a_selector_cannot_escape_its_parentheses() {
        let targeting = Targeting { selector: Some("kernel) or (sealed"), tag: Some("a"), ..Targeting::default() };
        assert_eq!(Selector::from_targeting(targeting).unwrap_err().offset, 6);
    }
}
