//! Words, numbers and quoted text.
//!
//! Each function looks at the beginning of a text only and tells how far a token
//! reaches: which token is wanted depends on the place in the grammar, since
//! `not`, `in` and `is` are ordinary words on the value side.
//!
//! Source: reference/selectors.md sections 2 and 3.

/// Number of leading bytes of `text` that satisfy `wanted`.
fn run(text: &str, wanted: impl Fn(u8) -> bool) -> usize {
    text.bytes().take_while(|byte| wanted(*byte)).count()
}

/// Length of the leading white space; no other character counts as such.
pub(super) fn space(text: &str) -> usize {
    run(text, |byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n'))
}

/// Length of the name that `text` begins with; 0 if there is none.
pub(super) fn name(text: &str) -> usize {
    if !text.starts_with(|first: char| first.is_ascii_alphabetic()) {
        return 0;
    }
    run(text, |byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'/'))
}

/// Length of the word that `text` begins with: names and digits joined by dots; 0 if there is none.
pub(super) fn word(text: &str) -> usize {
    let mut end = name(text);
    while end > 0 && text[end..].starts_with('.') {
        let part = &text[end + 1..];
        match name(part).max(run(part, |byte| byte.is_ascii_digit())) {
            0 => break,
            length => end += 1 + length,
        }
    }
    end
}

/// What stands where a number may stand.
pub(super) enum Number {
    /// A number of this many bytes.
    Valid(usize),
    /// It begins as a number but is none, such as `007` or `10.3.4.5`.
    Invalid,
    /// Something else.
    Absent,
}

/// Reads a number, which must be followed by white space, `)` or the end.
pub(super) fn number(text: &str) -> Number {
    let digits = |from: usize| run(&text[from..], |byte| byte.is_ascii_digit());
    let sign = usize::from(text.starts_with(['-', '+']));
    let whole = digits(sign);
    if whole == 0 {
        return Number::Absent;
    }
    let mut end = sign + whole;
    if text.starts_with('+') || (whole > 1 && text[sign..].starts_with('0')) {
        return Number::Invalid;
    }
    if text[end..].starts_with('.') {
        match digits(end + 1) {
            0 => return Number::Invalid,
            fraction => end += 1 + fraction,
        }
    }
    let rest = &text[end..];
    if rest.is_empty() || rest.starts_with(')') || space(rest) > 0 { Number::Valid(end) } else { Number::Invalid }
}

/// Undoes the escapes of a double-quoted text; the error is the offset of what is not one.
///
/// The escapes are those of Go string literals. They may spell bytes that are not UTF-8.
pub(super) fn unescape_double(content: &str) -> Result<Vec<u8>, usize> {
    let mut bytes = Vec::with_capacity(content.len());
    let mut at = 0;
    while let Some(next) = content[at..].chars().next() {
        match next {
            '\n' => return Err(at),
            '\\' => at += escape(&content[at + 1..], &mut bytes).ok_or(at)? + 1,
            plain => {
                bytes.extend_from_slice(plain.encode_utf8(&mut [0; 4]).as_bytes());
                at += plain.len_utf8();
            }
        }
    }
    Ok(bytes)
}

/// Undoes the escape after a backslash and tells its length.
fn escape(text: &str, bytes: &mut Vec<u8>) -> Option<usize> {
    let code = |from: usize, length: usize, radix: u32| {
        let digits = text.get(from..from + length)?;
        let all_digits = digits.chars().all(|digit| digit.is_digit(radix));
        if all_digits { u32::from_str_radix(digits, radix).ok() } else { None }
    };
    let simple = match text.bytes().next()? {
        b'a' => 0x07,
        b'b' => 0x08,
        b'f' => 0x0c,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'v' => 0x0b,
        b'\\' => b'\\',
        b'x' => {
            bytes.push(u8::try_from(code(1, 2, 16)?).ok()?);
            return Some(3);
        }
        b'0'..=b'7' => {
            bytes.push(u8::try_from(code(0, 3, 8)?).ok()?);
            return Some(3);
        }
        wide @ (b'u' | b'U') => {
            let length = if wide == b'u' { 4 } else { 8 };
            let character = char::from_u32(code(1, length, 16)?)?;
            bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            return Some(1 + length);
        }
        _ => return None,
    };
    bytes.push(simple);
    Some(1)
}

/// Reads a single-quoted text after its first quote: its value and the length up to the last one.
///
/// `\'` is an apostrophe, `\\` a backslash; any other backslash stays, so that
/// both spellings of a pattern work: `'^10\.3'` and the doubled `'^10\\.3'`.
pub(super) fn single(text: &str) -> Option<(Vec<u8>, usize)> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes().enumerate();
    while let Some((at, byte)) = rest.next() {
        match byte {
            b'\'' => return Some((bytes, at)),
            b'\\' => match rest.next()?.1 {
                kept @ (b'\'' | b'\\') => bytes.push(kept),
                other => bytes.extend_from_slice(&[b'\\', other]),
            },
            plain => bytes.push(plain),
        }
    }
    None
}
