//! Conversion of literals to the type of the field they are compared with.
//!
//! Source: reference/selectors.md section 4.

use muster_model::{Architecture, Platform, Sid};

/// The truth value that a literal spells.
pub(crate) fn boolean(bytes: &[u8]) -> Option<bool> {
    match bytes {
        b"1" | b"t" | b"T" | b"TRUE" | b"true" | b"True" => Some(true),
        b"0" | b"f" | b"F" | b"FALSE" | b"false" | b"False" => Some(false),
        _ => None,
    }
}

/// The signed 64-bit number that a literal spells: an optional sign, then decimal digits or a
/// base prefix (`0x`, `0o`, `0b`, or `0` for octal), with `_` between digits.
pub(crate) fn integer(bytes: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(bytes).ok()?;
    let (is_negative, unsigned) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let prefixed = |prefixes: [&str; 2]| prefixes.into_iter().find_map(|prefix| unsigned.strip_prefix(prefix));
    let (radix, digits) = if let Some(digits) = prefixed(["0x", "0X"]) {
        (16, digits)
    } else if let Some(digits) = prefixed(["0o", "0O"]) {
        (8, digits)
    } else if let Some(digits) = prefixed(["0b", "0B"]) {
        (2, digits)
    } else if unsigned.len() > 1 && unsigned.starts_with('0') {
        (8, &unsigned[1..])
    } else {
        (10, unsigned)
    };
    // A prefix counts as a digit, so that an underscore may follow it.
    let digits = if radix == 10 { digits } else { digits.strip_prefix('_').unwrap_or(digits) };
    if digits.split('_').any(str::is_empty) {
        return None;
    }
    digits.chars().filter(|digit| *digit != '_').try_fold(0_i64, |sum, digit| {
        let digit = i64::from(digit.to_digit(radix)?);
        sum.checked_mul(i64::from(radix))?.checked_add(if is_negative { -digit } else { digit })
    })
}

/// The platform whose name a literal is; codes without a name are called by their number.
pub(crate) fn platform(bytes: &[u8]) -> Option<Platform> {
    let name = std::str::from_utf8(bytes).ok()?;
    let unnamed = || name.parse().ok().map(Platform).filter(|platform| platform.name() == name);
    Platform::from_name(name).or_else(unnamed)
}

/// The reported platform whose name a literal is; the empty name is that of ordinary sensors.
pub(crate) fn ext_platform(bytes: &[u8]) -> Option<Platform> {
    if bytes.is_empty() { Some(Platform::NONE) } else { platform(bytes).filter(|platform| *platform != Platform::NONE) }
}

/// The architecture whose name a literal is; codes without a name are called by their number.
pub(crate) fn architecture(bytes: &[u8]) -> Option<Architecture> {
    let name = std::str::from_utf8(bytes).ok()?;
    let unnamed = || name.parse().ok().map(Architecture).filter(|architecture| architecture.name() == name);
    Architecture::from_name(name).or_else(unnamed)
}

/// The sensor id that a literal is; ids are lower case, and values compare byte for byte.
pub(crate) fn sid(bytes: &[u8]) -> Option<Sid> {
    let text = std::str::from_utf8(bytes).ok()?;
    text.parse::<Sid>().ok().filter(|sid| sid.to_string() == text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_read_as_go_reads_them() {
        let valid: &[(&str, i64)] = &[
            ("0", 0),
            ("-0", 0),
            ("+5", 5),
            ("0x1F", 31),
            ("-0X_ff", -255),
            ("0o17", 15),
            ("017", 15),
            ("0_7", 7),
            ("0b101", 5),
            ("1_000", 1000),
            ("9223372036854775807", i64::MAX),
            ("-9223372036854775808", i64::MIN),
        ];
        for (text, number) in valid {
            assert_eq!(integer(text.as_bytes()), Some(*number), "{text}");
        }
        for text in ["", "-", "08", "1.5", "abc", "1_", "_1", "1__0", "0x", "0_", "0x__1", "+-1", "9223372036854775808"]
        {
            assert_eq!(integer(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn an_unnamed_code_is_called_by_its_number_and_a_named_one_is_not() {
        assert_eq!(platform(b"7"), Some(Platform(7)));
        assert_eq!(platform(b"07"), None);
        assert_eq!(platform(b"268435456"), None);
        assert_eq!(architecture(b"0"), Some(Architecture(0)));
        assert_eq!(architecture(b"2"), None);
        assert_eq!(ext_platform(b"0"), None);
    }
}
