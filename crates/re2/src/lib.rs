//! Regular expressions with the meaning of RE2, and of Go, which is the same.
//!
//! The `regex` crate has the same engine model (linear time, no look-around) but another dialect: its `\d \w \s \b`
//! are Unicode, classes nest and have set operators, a lone brace is an error, and it knows flags that RE2 does
//! not. A pattern is therefore translated, so that a rule or selector means the same here as in the upstream
//! product; what RE2 refuses is refused.
//!
//! ```
//! let translated = muster_re2::translate(r"^\d+[[]a{,2}$").unwrap();
//! assert!(regex::bytes::Regex::new(&translated).unwrap().is_match(b"12[a{,2}"));
//! ```
//!
//! Pure. Source: reference/selectors.md sections 4 and 11; reference/detection-response.md sections 8.3 and 28;
//! RE2 syntax as in Go's `regexp/syntax`.

#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

use std::fmt::{self, Write};

/// Largest count in `{n,m}`, as in RE2.
const REPEAT_COUNT_MAX: u32 = 1000;

/// Characters that the `regex` crate gives a meaning, inside or outside of a class.
const META: &str = r"\.+*?()|[]{}^$#&-~";

/// Before the names of groups: in RE2 they may begin with a digit.
const GROUP_PREFIX: char = 'g';

/// Names that may stand in `[:name:]`.
const POSIX_CLASSES: [&str; 14] = [
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space", "upper", "word",
    "xdigit",
];

/// What RE2 does not allow in a pattern, in its words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused(&'static str);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Refused {}

/// The same pattern for the `regex` crate, which still has to compile it: names of Unicode classes and what is not
/// closed are for it to judge. Groups are named otherwise: [`group_name`] gives their names back.
///
/// # Errors
///
/// [`Refused`].
pub fn translate(pattern: &str) -> Result<String, Refused> {
    let mut translation = Translation { rest: pattern, out: String::with_capacity(pattern.len() + 16) };
    translation.run()?;
    Ok(translation.out)
}

/// The name that a group of a translated pattern has in the pattern itself.
#[must_use]
pub fn group_name(translated: &str) -> &str {
    translated.strip_prefix(GROUP_PREFIX).unwrap_or(translated)
}

/// Why the `regex` crate does not compile a translated pattern, in one line.
#[must_use]
pub fn reason(error: &regex::Error) -> String {
    match error {
        regex::Error::CompiledTooBig(bytes) => format!("the pattern needs more than {bytes} bytes when compiled"),
        // The report shows the translated pattern over several lines; its last line has the reason.
        other => other.to_string().lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned(),
    }
}

type Outcome<T = ()> = Result<T, Refused>;

/// What is still to be read, and what was written so far.
struct Translation<'p> {
    rest: &'p str,
    out: String,
}

impl Translation<'_> {
    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.rest = &self.rest[next.len_utf8()..];
        Some(next)
    }

    fn skip(&mut self, prefix: &str) -> bool {
        self.rest.strip_prefix(prefix).map(|rest| self.rest = rest).is_some()
    }

    /// Writes a character that stands for itself.
    fn literal(&mut self, c: char) {
        if META.contains(c) {
            self.out.push('\\');
        }
        self.out.push(c);
    }

    fn run(&mut self) -> Outcome {
        let mut after_repetition = false;
        while let Some(next) = self.next() {
            let repetition = match next {
                '*' | '+' | '?' => Some(next.to_string()),
                '{' => self.counts()?,
                _ => None,
            };
            if let Some(repetition) = repetition {
                if after_repetition {
                    return Err(Refused("invalid nested repetition operator: one follows another"));
                }
                self.out.push_str(&repetition);
                if self.skip("?") {
                    self.out.push('?');
                }
                after_repetition = true;
                continue;
            }
            after_repetition = false;
            match next {
                '\\' => self.escape()?,
                '[' => self.class()?,
                '(' => self.group()?,
                ')' | '|' | '^' | '$' | '.' => self.out.push(next),
                plain => self.literal(plain),
            }
        }
        Ok(())
    }

    /// The counts after `{`, if there are any: otherwise the brace is a literal.
    fn counts(&mut self) -> Outcome<Option<String>> {
        let Some((inside, after)) = self.rest.split_once('}') else { return Ok(None) };
        let (least, most) = inside.split_once(',').unwrap_or((inside, inside));
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number(least) || !(most.is_empty() || is_number(most)) {
            return Ok(None);
        }
        let count = |text: &str| text.parse::<u32>().ok().filter(|count| *count <= REPEAT_COUNT_MAX);
        let least_count = count(least).ok_or(Refused("invalid repeat count; at most 1000"))?;
        if !most.is_empty() && count(most).is_none_or(|most| most < least_count) {
            return Err(Refused("invalid repeat count; at most 1000"));
        }
        self.rest = after;
        Ok(Some(format!("{{{inside}}}")))
    }

    /// What follows `(`: a plain, named or flagged group.
    fn group(&mut self) -> Outcome {
        if !self.rest.starts_with('?') {
            self.out.push('(');
            return Ok(());
        }
        self.rest = &self.rest[1..];
        if self.skip("P<") || (!self.rest.starts_with("<=") && !self.rest.starts_with("<!") && self.skip("<")) {
            let (name, after) = self.rest.split_once('>').ok_or(Refused("invalid named capture"))?;
            if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
                return Err(Refused("invalid named capture"));
            }
            // A name may begin with a digit in RE2 only.
            let _ = write!(self.out, "(?P<{GROUP_PREFIX}{name}>");
            self.rest = after;
            return Ok(());
        }
        let end = self.rest.find([':', ')']).ok_or(Refused("missing closing )"))?;
        let flags = &self.rest[..end];
        if !flags.chars().all(|flag| "imsU-".contains(flag)) {
            return Err(Refused(
                "invalid or unsupported Perl syntax: there is no look-around, and the flags are i, m, s and U",
            ));
        }
        let _ = write!(self.out, "(?{flags}{}", &self.rest[end..=end]);
        self.rest = &self.rest[end + 1..];
        Ok(())
    }

    /// What follows a backslash outside a class.
    fn escape(&mut self) -> Outcome {
        match self.peek().ok_or(Refused("trailing backslash at end of expression"))? {
            'b' => self.out.push_str(r"(?-u:\b)"),
            'B' => self.out.push_str(r"(?-u:\B)"),
            'A' => self.out.push_str(r"\A"),
            'z' => self.out.push_str(r"\z"),
            'Q' => {
                let (quoted, after) = self.rest[1..].split_once(r"\E").unwrap_or((&self.rest[1..], ""));
                self.rest = after;
                quoted.chars().for_each(|c| self.literal(c));
                return Ok(());
            }
            _ if self.shorthand()? => return Ok(()),
            _ => {
                let c = self.escaped_character()?;
                self.literal(c);
                return Ok(());
            }
        }
        self.next();
        Ok(())
    }

    /// `\d`, `\pN` and their like, which mean the same inside and outside of a class.
    fn shorthand(&mut self) -> Outcome<bool> {
        let class = match self.peek() {
            Some('d') => "[0-9]",
            Some('D') => "[^0-9]",
            Some('w') => "[0-9A-Za-z_]",
            Some('W') => "[^0-9A-Za-z_]",
            Some('s') => r"[\t\n\f\r\x20]",
            Some('S') => r"[^\t\n\f\r\x20]",
            Some(letter @ ('p' | 'P')) => {
                self.next();
                return self.unicode_class(letter == 'P').map(|()| true);
            }
            _ => return Ok(false),
        };
        self.out.push_str(class);
        self.next();
        Ok(true)
    }

    fn unicode_class(&mut self, negated: bool) -> Outcome {
        const INVALID: Refused = Refused("invalid character class range");
        let name = if self.skip("{") {
            let (name, after) = self.rest.split_once('}').ok_or(INVALID)?;
            self.rest = after;
            name.to_owned()
        } else {
            self.next().ok_or(INVALID)?.to_string()
        };
        let (plain, flipped) = name.strip_prefix('^').map_or((&*name, false), |plain| (plain, true));
        if plain.is_empty() || !plain.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            return Err(INVALID);
        }
        let letter = if negated == flipped { 'p' } else { 'P' };
        let _ = write!(self.out, "\\{letter}{{{plain}}}");
        Ok(())
    }

    /// The character that the escape after a backslash stands for.
    fn escaped_character(&mut self) -> Outcome<char> {
        const INVALID: Refused = Refused("invalid escape sequence; there are no back-references");
        let first = self.next().ok_or(Refused("trailing backslash at end of expression"))?;
        let is_octal = |c: Option<char>| c.is_some_and(|c| c.is_digit(8));
        match first {
            'a' => Ok('\x07'),
            'f' => Ok('\x0c'),
            'n' => Ok('\n'),
            'r' => Ok('\r'),
            't' => Ok('\t'),
            'v' => Ok('\x0b'),
            // One digit alone would be a back-reference.
            '0'..='7' if first == '0' || is_octal(self.peek()) => {
                let mut code = first.to_digit(8).unwrap_or_default();
                for _ in 0..2 {
                    let Some(digit) = self.peek().and_then(|c| c.to_digit(8)) else { break };
                    code = code * 8 + digit;
                    self.next();
                }
                char::from_u32(code).ok_or(INVALID)
            }
            'x' => {
                let digits = if self.skip("{") {
                    let (digits, after) = self.rest.split_once('}').ok_or(INVALID)?;
                    self.rest = after;
                    digits.to_owned()
                } else {
                    let digits = self.rest.get(..2).ok_or(INVALID)?.to_owned();
                    self.rest = &self.rest[2..];
                    digits
                };
                let is_hex = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
                let code = u32::from_str_radix(&digits, 16).ok().filter(|_| is_hex);
                code.and_then(char::from_u32).ok_or(INVALID)
            }
            mark if mark.is_ascii_punctuation() || mark == ' ' => Ok(mark),
            _ => Err(INVALID),
        }
    }

    /// What follows `[`, up to and with the closing bracket.
    fn class(&mut self) -> Outcome {
        const UNCLOSED: Refused = Refused("missing closing ]");
        self.out.push('[');
        if self.skip("^") {
            self.out.push('^');
        }
        let mut is_first = true;
        loop {
            match self.peek().ok_or(UNCLOSED)? {
                ']' if !is_first => break,
                '[' if self.posix_class()? => {}
                '\\' if self.class_shorthand()? => {}
                _ => {
                    let low = self.class_character()?;
                    let is_range = self.rest.starts_with('-') && !self.rest.starts_with("-]") && self.rest.len() > 1;
                    self.literal(low);
                    if is_range {
                        self.next();
                        let high = self.class_character()?;
                        if high < low {
                            return Err(Refused("invalid character class range"));
                        }
                        self.out.push('-');
                        self.literal(high);
                    }
                }
            }
            is_first = false;
        }
        self.next();
        self.out.push(']');
        Ok(())
    }

    fn class_shorthand(&mut self) -> Outcome<bool> {
        let before = self.rest;
        self.next();
        let found = self.shorthand()?;
        if !found {
            self.rest = before;
        }
        Ok(found)
    }

    fn class_character(&mut self) -> Outcome<char> {
        match self.next().ok_or(Refused("missing closing ]"))? {
            '\\' => self.escaped_character(),
            plain => Ok(plain),
        }
    }

    /// `[:alpha:]` or `[:^alpha:]`; a bracket without a later `:]` is a literal.
    fn posix_class(&mut self) -> Outcome<bool> {
        let Some((name, after)) = self.rest.strip_prefix("[:").and_then(|rest| rest.split_once(":]")) else {
            return Ok(false);
        };
        if !POSIX_CLASSES.contains(&name.trim_start_matches('^')) || name.starts_with("^^") {
            return Err(Refused("invalid character class range"));
        }
        let _ = write!(self.out, "[:{name}:]");
        self.rest = after;
        Ok(true)
    }
}

#[cfg(test)]
mod tests;
