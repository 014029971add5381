//! The one spelling of JSON whose signature every service accepts.
//!
//! Services of an older line do not check the bytes that they received: they parse them, write them anew, and
//! check those. To be accepted everywhere the server writes as they do: keys in order of code points, a blank
//! after comma and colon, everything but printable ASCII escaped, floating point numbers with the fewest digits.
//!
//! Source: reference/service-protocol.md section 3.1.

mod text;

pub use text::Text;

use serde::Serialize;
use serde_json::ser::{CharEscape, Formatter, Serializer};
use std::io::{self, Write};

/// Most messages have fewer bytes.
const BYTES_USUAL: usize = 2_048;

/// Writes a value. Keys are in the order of `value`: the maps of [`serde_json::Value`] are sorted, fields of a type have to be.
#[must_use]
pub fn to_vec(value: &impl Serialize) -> Vec<u8> {
    let written = try_to_vec(value, BYTES_USUAL);
    // Memory takes every byte, and the keys of what is written are texts.
    debug_assert!(written.is_some(), "a JSON value can be written");
    written.unwrap_or_default()
}

/// The same of what is perhaps none, with room for so many bytes.
pub(crate) fn try_to_vec(value: &impl Serialize, bytes: usize) -> Option<Vec<u8>> {
    let mut text = Vec::with_capacity(bytes.max(BYTES_USUAL));
    let written = value.serialize(&mut Serializer::with_formatter(&mut text, Canonical));
    written.is_ok().then_some(text)
}

struct Canonical;

impl Canonical {
    fn separator<W: ?Sized + Write>(writer: &mut W, is_first: bool) -> io::Result<()> {
        if is_first { Ok(()) } else { writer.write_all(b", ") }
    }
}

impl Formatter for Canonical {
    fn begin_array_value<W: ?Sized + Write>(&mut self, writer: &mut W, is_first: bool) -> io::Result<()> {
        Self::separator(writer, is_first)
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, writer: &mut W, is_first: bool) -> io::Result<()> {
        Self::separator(writer, is_first)
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }

    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        // Most texts are plain, which is seen of many bytes at once.
        if fragment.bytes().fold(true, |is_plain, byte| is_plain & matches!(byte, b' '..=b'~')) {
            return writer.write_all(fragment.as_bytes());
        }
        let mut plain_from = 0;
        for (at, character) in fragment.char_indices().filter(|(_, character)| !matches!(character, ' '..='~')) {
            writer.write_all(fragment.get(plain_from..at).unwrap_or_default().as_bytes())?;
            for unit in character.encode_utf16(&mut [0; 2]) {
                write!(writer, "\\u{unit:04x}")?;
            }
            plain_from = at + character.len_utf8();
        }
        writer.write_all(fragment.get(plain_from..).unwrap_or_default().as_bytes())
    }

    fn write_char_escape<W: ?Sized + Write>(&mut self, writer: &mut W, escape: CharEscape) -> io::Result<()> {
        let short: &[u8] = match escape {
            CharEscape::Quote => br#"\""#,
            CharEscape::ReverseSolidus => br"\\",
            CharEscape::Solidus => b"/",
            CharEscape::Backspace => br"\b",
            CharEscape::FormFeed => br"\f",
            CharEscape::LineFeed => br"\n",
            CharEscape::CarriageReturn => br"\r",
            CharEscape::Tab => br"\t",
            CharEscape::AsciiControl(byte) => return write!(writer, "\\u{byte:04x}"),
        };
        writer.write_all(short)
    }

    fn write_f64<W: ?Sized + Write>(&mut self, writer: &mut W, value: f64) -> io::Result<()> {
        writer.write_all(float(value).as_bytes())
    }
}

/// The fewest digits that give the same number; with an exponent of at least two digits where the number is
/// below 1e-4 or not below 1e16, else with a decimal point.
fn float(value: f64) -> String {
    let scientific = format!("{value:e}");
    let Some((mantissa, exponent)) = scientific.split_once('e') else { return scientific };
    match exponent.parse::<i32>() {
        Ok(exponent) if !(-4..16).contains(&exponent) => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{mantissa}e{sign}{:02}", exponent.unsigned_abs())
        }
        _ => format!("{value:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn written(value: &Value) -> String {
        String::from_utf8(to_vec(value)).expect("only ASCII is written")
    }

    #[test]
    fn keys_are_sorted_at_every_level_and_separators_have_blanks() {
        let value = json!({"b": [1, {"z": null, "a": true}], "a": {}, "B": []});
        assert_eq!(written(&value), r#"{"B": [], "a": {}, "b": [1, {"a": true, "z": null}]}"#);
    }

    /// What Python's `json.dumps` gives for the same texts.
    #[test]
    fn only_printable_ascii_is_left_as_it_is() {
        assert_eq!(written(&json!("héllo ☃ 𝄞 /")), r#""h\u00e9llo \u2603 \ud834\udd1e /""#);
        assert_eq!(written(&json!("\"\\\u{8}\u{c}\n\r\t\u{1}\u{7f}\u{80}")), r#""\"\\\b\f\n\r\t\u0001\u007f\u0080""#);
    }

    /// What Python's `repr` gives for the same numbers.
    #[test]
    fn numbers_are_spelled_as_older_services_spell_them() {
        let cases = [
            (0.1, "0.1"),
            (-0.0, "-0.0"),
            (1.0, "1.0"),
            (1e15, "1000000000000000.0"),
            (1e16, "1e+16"),
            (1.5e300, "1.5e+300"),
            (0.0001, "0.0001"),
            (0.000_01, "1e-05"),
            (1.25e-7, "1.25e-07"),
            (5e-324, "5e-324"),
            (123_456.789, "123456.789"),
        ];
        for (number, expected) in cases {
            assert_eq!(written(&json!(number)), expected);
        }
        assert_eq!(written(&json!([u64::MAX, i64::MIN])), "[18446744073709551615, -9223372036854775808]");
    }

    #[test]
    fn what_is_written_is_read_back() {
        let value = json!({"é\n": [0.1, -3, "𝄞\u{7f}", {"": null}]});
        assert_eq!(serde_json::from_slice::<Value>(&to_vec(&value)).ok(), Some(value));
    }
}
