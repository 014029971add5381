//! Reads JSON straight into a document, in half of the time that a general parser takes.
//!
//! It knows ordinary JSON only. Whatever else it meets, be it wrong or just rare, it gives up,
//! and the general parser decides: so it can be quick and small, and says nothing of errors.

use super::keys::Keys;
use super::{Document, Kind, Span, number_kind};
use memchr::memchr2;

/// Deeper nesting is left to the general parser.
const DEPTH_MAX: u32 = 64;
/// As many digits fit 64 bits without a look at their value.
const DIGITS_MAX: usize = 18;

/// Reads one JSON value into an empty document; none if the general parser must decide.
pub(super) fn read(document: &mut Document, json: &[u8]) -> Option<()> {
    // Without a way out of the loop, so that many bytes are looked at in one step.
    let has_control = json.iter().fold(false, |has, byte| has | (*byte < b' '));
    let mut reader = Reader { text: std::str::from_utf8(json).ok()?, at: 0, has_control, document };
    reader.value(Span::default(), DEPTH_MAX)?;
    reader.next_byte().is_none().then_some(())
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    /// Control characters are somewhere: between values they are white space, in a text they are wrong.
    has_control: bool,
    document: &'a mut Document,
}

impl Reader<'_> {
    /// The next byte that is no white space, which stays the next.
    fn next_byte(&mut self) -> Option<u8> {
        loop {
            match self.text.as_bytes().get(self.at)? {
                b' ' | b'\t' | b'\n' | b'\r' => self.at += 1,
                byte => return Some(*byte),
            }
        }
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        let is_it = self.next_byte()? == byte;
        self.at += usize::from(is_it);
        is_it.then_some(())
    }

    fn value(&mut self, key: Span, depth_left: u32) -> Option<()> {
        let kind = match self.next_byte()? {
            b'"' => Kind::Text(self.string()?),
            b'{' => return self.object(key, depth_left.checked_sub(1)?),
            b'[' => return self.list(key, depth_left.checked_sub(1)?),
            b't' => self.word("true", Kind::Bool(true))?,
            b'f' => self.word("false", Kind::Bool(false))?,
            b'n' => self.word("null", Kind::Null)?,
            b'-' | b'0'..=b'9' => self.number()?,
            _ => return None,
        };
        self.document.push(key, kind);
        Some(())
    }

    fn word(&mut self, word: &str, kind: Kind) -> Option<Kind> {
        let is_it = self.text.as_bytes()[self.at..].starts_with(word.as_bytes());
        self.at += word.len();
        is_it.then_some(kind)
    }

    fn object(&mut self, key: Span, depth_left: u32) -> Option<()> {
        let node = self.document.push(key, Kind::Object);
        self.at += 1;
        if self.next_byte()? == b'}' {
            self.at += 1;
            return Some(());
        }
        let mut keys = Keys::default();
        loop {
            self.next_byte().filter(|byte| *byte == b'"')?;
            let key = self.string()?;
            if keys.is_repeated(self.document, node, key) {
                return None;
            }
            self.take(b':')?;
            self.value(key, depth_left)?;
            if self.is_last(b'}')? {
                self.document.close(node);
                return Some(());
            }
        }
    }

    fn list(&mut self, key: Span, depth_left: u32) -> Option<()> {
        let node = self.document.push(key, Kind::List);
        self.at += 1;
        if self.next_byte()? == b']' {
            self.at += 1;
            return Some(());
        }
        loop {
            self.value(Span::default(), depth_left)?;
            if self.is_last(b']')? {
                self.document.close(node);
                return Some(());
            }
        }
    }

    /// Takes a comma, or what ends the list or object.
    fn is_last(&mut self, end: u8) -> Option<bool> {
        let byte = self.next_byte().filter(|byte| *byte == b',' || *byte == end)?;
        self.at += 1;
        Some(byte == end)
    }

    /// A text, from its first quote on.
    fn string(&mut self) -> Option<Span> {
        let start = self.document.text.len();
        self.at += 1;
        loop {
            let rest = self.text.get(self.at..)?;
            let length = memchr2(b'"', b'\\', rest.as_bytes())?;
            let plain = rest.get(..length)?;
            if self.has_control && plain.bytes().any(|byte| byte < b' ') {
                return None;
            }
            self.document.text.push_str(plain);
            self.at += length + 1;
            if rest.as_bytes()[length] == b'"' {
                return Some(Span { start: start as u32, len: (self.document.text.len() - start) as u32 });
            }
            let letter = self.escape()?;
            self.document.text.push(letter);
        }
    }

    /// What a backslash stands for; pairs of surrogates are left to the general parser.
    fn escape(&mut self) -> Option<char> {
        let letter = *self.text.as_bytes().get(self.at)?;
        self.at += 1;
        Some(match letter {
            b'"' | b'\\' | b'/' => char::from(letter),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let digits = self.text.get(self.at..self.at + 4)?;
                self.at += 4;
                let is_hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
                char::from_u32(is_hex.then(|| u32::from_str_radix(digits, 16).ok())??)?
            }
            _ => return None,
        })
    }

    fn number(&mut self) -> Option<Kind> {
        let rest = &self.text.as_bytes()[self.at..];
        let is_negative = rest[0] == b'-';
        let digits = &rest[usize::from(is_negative)..];
        let count = digits.iter().take_while(|digit| digit.is_ascii_digit()).count();
        let is_plain = !matches!(digits.get(count), Some(b'.' | b'e' | b'E'));
        if is_plain && (1..=DIGITS_MAX).contains(&count) && digits[0] != b'0' {
            let number = digits[..count].iter().fold(0, |number, digit| number * 10 + i64::from(digit - b'0'));
            self.at += count + usize::from(is_negative);
            return Some(Kind::Int(if is_negative { -number } else { number }));
        }
        let is_part = |byte: &&u8| byte.is_ascii_digit() || b"+-.eE".contains(byte);
        let length = rest.iter().take_while(is_part).count();
        let number: serde_json::Number = serde_json::from_slice(&rest[..length]).ok()?;
        self.at += length;
        Some(number_kind(&number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLES: &[&str] = &[
        r#"{"routing":{"event_type":"NEW_PROCESS","sid":"s","plat":268435456,"tags":["a","b"],"event_time":1700000000000},"event":{"FILE_PATH":"C:\\Windows\\x.exe","N":null,"T":true,"F":false}}"#,
        r#" [ 0 , -0 , 1.5e-3 , -12.25 , 18446744073709551615 , 99999999999999999999 , -9223372036854775808 , 1E400 ] "#,
        r#"{"é\u00e9\"\/\b\f\n\r\t":"\ud83d\ude00 \u0000","":{},"a":[[],[{}]],"a":2}"#,
        "[01, 1., .5, -, +1, tru, nul, \"a\tb\", 'x', {1:2}, [1,], ]",
        "{\"a\":1,}",
    ];

    /// Goal: what is read here is what the general parser reads. Method: samples, with every
    /// byte taken out, doubled, or replaced; whatever this reader accepts, both must agree on.
    #[test]
    fn agrees_with_the_general_parser_on_whatever_it_accepts() {
        let mut accepted = 0;
        for sample in SAMPLES {
            for at in 0..=sample.len() {
                for change in b"\"\\{}[],:0-.e x\n\x1f\xff\xc3".iter().map(Some).chain([None]) {
                    let mut json = sample.as_bytes().to_vec();
                    match change {
                        Some(byte) if at < json.len() && at % 2 == 0 => json[at] = *byte,
                        Some(byte) => json.insert(at, *byte),
                        None if at < json.len() => _ = json.remove(at),
                        None => {}
                    }
                    let mut quick = Document::default();
                    if read(&mut quick, &json).is_some() {
                        accepted += 1;
                        let mut general = Document::default();
                        let parsed = general.parse_generally(&json);
                        assert!(parsed.is_ok(), "only accepted here: {}", String::from_utf8_lossy(&json));
                        let shown = |document: &Document| format!("{:?} {:?}", document.nodes, document.text);
                        assert_eq!(shown(&quick), shown(&general), "{}", String::from_utf8_lossy(&json));
                    }
                }
            }
        }
        assert!(accepted > 1_000, "{accepted} show little");
    }
}
