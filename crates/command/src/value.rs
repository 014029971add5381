//! Checking the text of one value against what its argument holds.

use crate::{Element, Kind};

/// The value of an argument, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    Flag(bool),
    Text(String),
    Number(i64),
    Address(u64),
    List(Vec<String>),
}

/// Hexadecimal digits of an MD5, a SHA-1 and a SHA-256 digest.
const DIGEST_DIGITS: [usize; 3] = [32, 40, 64];
const ATOM_DIGITS: usize = 32;

/// Long and short names of the registry hives.
const HIVES: [(&str, &str); 5] = [
    ("hkey_classes_root", "hkcr"),
    ("hkey_current_config", "hkcc"),
    ("hkey_current_user", "hkcu"),
    ("hkey_local_machine", "hklm"),
    ("hkey_users", "hku"),
];

impl Value {
    /// Reads one value; of a list, one element. The error is the reason for people.
    pub(crate) fn parse(kind: Kind, text: &str, is_positional: bool) -> Result<Self, String> {
        match kind {
            Kind::Flag => match text {
                "true" => Ok(Self::Flag(true)),
                "false" => Ok(Self::Flag(false)),
                _ => Err("expected true or false".to_owned()),
            },
            Kind::FreeText => Ok(Self::Text(text.to_owned())),
            Kind::Text | Kind::PatternOr(_) => filled(text).map(Self::Text),
            Kind::Number(min, max) => decimal(text, min, max).map(Self::Number),
            Kind::Address => hexadecimal(text, u64::MAX).map(Self::Address),
            Kind::Size if is_positional => {
                hexadecimal(text, u64::from(u32::MAX)).map(|size| Self::Number(size.cast_signed()))
            }
            Kind::Size => decimal(text, 0, i64::from(u32::MAX)).map(Self::Number),
            Kind::Atom => atom(text).map(Self::Text),
            Kind::Digest => digest(text).map(Self::Text),
            Kind::Event => event(text).map(Self::Text),
            Kind::Choice(words) if words.contains(&text) => Ok(Self::Text(text.to_owned())),
            Kind::Choice(words) => Err(format!("expected one of {}", words.join(", "))),
            Kind::Registry => registry(text).map(Self::Text),
            Kind::Version => version(text).map(Self::Text),
            Kind::List(element) => parse_element(element, text).map(|text| Self::List(vec![text])),
        }
    }
}

/// Reads one element of a list.
pub(crate) fn parse_element(element: Element, text: &str) -> Result<String, String> {
    match element {
        Element::Text => filled(text),
        Element::Atom => atom(text),
        Element::Digest => digest(text),
    }
}

/// Whether the token is `-` and decimal digits.
pub(crate) fn is_negative_number(token: &str) -> bool {
    token.strip_prefix('-').is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Whether the text has the form of a digest.
pub(crate) fn is_digest(text: &str) -> bool {
    DIGEST_DIGITS.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn filled(text: &str) -> Result<String, String> {
    if text.is_empty() { Err("must not be empty".to_owned()) } else { Ok(text.to_owned()) }
}

fn decimal(text: &str, min: i64, max: i64) -> Result<i64, String> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("expected a decimal number".to_owned());
    }
    // All digits, so the only failure left is a number beyond 64 bits.
    match text.parse() {
        Ok(number) if (min..=max).contains(&number) => Ok(number),
        _ => Err(format!("must be from {min} to {max}")),
    }
}

fn hexadecimal(text: &str, max: u64) -> Result<u64, String> {
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err("expected a hexadecimal number".to_owned());
    }
    match u64::from_str_radix(digits, 16) {
        Ok(number) if number <= max => Ok(number),
        _ => Err(format!("must be at most {max:#x}")),
    }
}

fn atom(text: &str) -> Result<String, String> {
    if text.len() == ATOM_DIGITS && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        Ok(text.to_ascii_lowercase())
    } else {
        Err("expected an atom of 32 hexadecimal digits".to_owned())
    }
}

fn digest(text: &str) -> Result<String, String> {
    if is_digest(text) {
        Ok(text.to_ascii_lowercase())
    } else {
        Err("expected 32, 40 or 64 hexadecimal digits (MD5, SHA-1, SHA-256)".to_owned())
    }
}

fn event(text: &str) -> Result<String, String> {
    let is_name = text.starts_with(|char: char| char.is_ascii_uppercase())
        && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_');
    if is_name { Ok(text.to_owned()) } else { Err("expected an event type such as NEW_PROCESS".to_owned()) }
}

fn registry(text: &str) -> Result<String, String> {
    let (hive, rest) = text.split_at(text.find('\\').unwrap_or(text.len()));
    let hive = hive.to_ascii_lowercase();
    let known = HIVES.iter().find(|(long, short)| hive == *long || hive == *short);
    known.map_or_else(
        || Err("must start with hkcr, hkcc, hkcu, hklm or hku".to_owned()),
        |(_, short)| Ok(format!("{short}{rest}")),
    )
}

fn version(text: &str) -> Result<String, String> {
    let parts: Vec<&str> = text.split('.').collect();
    if parts.len() == 3 && parts.iter().all(|part| part.parse::<u32>().is_ok_and(|_| !part.starts_with('+'))) {
        Ok(text.to_owned())
    } else {
        Err("expected a version X.Y.Z".to_owned())
    }
}
