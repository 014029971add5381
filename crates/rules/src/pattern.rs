//! Regular expressions as Go writes them, for the engine this crate uses.
//!
//! Source: reference/detection-response.md sections 8.3 and 28. Both are linear
//! time, but they differ in details: classes such as `\d` are ASCII in Go, `\Q…\E`
//! quotes, `\<` is a plain character, `&&` in a class is text. A translation
//! pass settles these; what Go refuses is refused.

mod search;

use crate::work::Work;
use regex::bytes::{Regex, RegexBuilder};
use search::Searcher;
use std::fmt;
use std::iter::Peekable;
use std::str::Chars;
use std::sync::{Arc, OnceLock};

/// Longest pattern, in bytes.
pub(crate) const PATTERN_BYTES_MAX: usize = 16 << 10;
/// Largest compiled program, in bytes: a bound on what one rule can cost.
const PATTERN_PROGRAM_BYTES_MAX: usize = 1 << 20;
/// Largest cache of one running pattern, in bytes.
const PATTERN_CACHE_BYTES_MAX: usize = 256 << 10;
/// States times bytes up to which named groups are looked for, which cannot be cut off: some tenths of a second at worst.
const GROUPS_COST_MAX: u64 = 1 << 25;
/// Deepest nesting of groups.
const PATTERN_DEPTH_MAX: u32 = 128;
/// Largest repetition count, as in Go.
const REPEAT_MAX: u32 = 1000;

/// A compiled pattern with the text that it was made from.
#[derive(Clone)]
pub(crate) struct Pattern {
    /// In this engine's dialect, flags included.
    pub(crate) translated: String,
    pub(crate) is_case_sensitive: bool,
    /// Made when it is first used: most patterns of a large set never run, thanks to the plan.
    searcher: Arc<OnceLock<Option<Searcher>>>,
}

/// What tells patterns apart, without the compiled part.
impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {}", self.translated, self.is_case_sensitive)
    }
}

impl Pattern {
    /// Compiles a Go pattern; the error says what is wrong with it.
    pub(crate) fn new(go: &str, is_case_sensitive: bool) -> Result<Self, String> {
        if go.len() > PATTERN_BYTES_MAX {
            return Err(format!("the pattern has {} bytes; at most {PATTERN_BYTES_MAX} are allowed", go.len()));
        }
        let translated = translate(go)?;
        build(&translated, is_case_sensitive).map_err(|cause| match cause {
            regex::Error::CompiledTooBig(_) => {
                format!("the pattern needs more than {PATTERN_PROGRAM_BYTES_MAX} bytes when compiled")
            }
            // The last line says what is wrong; the ones before repeat the pattern.
            other => other.to_string().lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned(),
        })?;
        Ok(Self { translated, is_case_sensitive, searcher: Arc::default() })
    }

    fn searcher(&self) -> Option<&Searcher> {
        self.searcher.get_or_init(|| Searcher::new(&self.translated, self.is_case_sensitive)).as_ref()
    }

    /// Whether the pattern is found anywhere in the text; false also when `work` does not cover the search.
    pub(crate) fn is_match(&self, text: &str, work: &Work) -> bool {
        self.searcher().is_some_and(|searcher| searcher.is_match(text.as_bytes(), work))
    }

    /// Named groups of the first match; none in a text that is too long for the pattern.
    pub(crate) fn named_groups(&self, text: &str) -> Option<Vec<(String, String)>> {
        let searcher = self.searcher().filter(|searcher| searcher.worst_cost(text.len()) <= GROUPS_COST_MAX)?;
        let captures = searcher.regex.captures(text.as_bytes())?;
        let groups = searcher.regex.capture_names().flatten().filter_map(|name| {
            let found = captures.name(name)?;
            Some((name.to_owned(), String::from_utf8_lossy(found.as_bytes()).into_owned()))
        });
        Some(groups.collect())
    }
}

fn build(translated: &str, is_case_sensitive: bool) -> Result<Regex, regex::Error> {
    RegexBuilder::new(translated)
        .case_insensitive(!is_case_sensitive)
        .size_limit(PATTERN_PROGRAM_BYTES_MAX)
        .dfa_size_limit(PATTERN_CACHE_BYTES_MAX)
        .nest_limit(PATTERN_DEPTH_MAX)
        .build()
}

fn translate(go: &str) -> Result<String, String> {
    let mut translation = Translation { left: go.chars().peekable(), out: String::with_capacity(go.len() + 16) };
    translation.run()?;
    Ok(translation.out)
}

/// How far a range in brackets has come.
#[derive(Clone, Copy, PartialEq)]
enum Range {
    Closed,
    Low,
    Dash,
}

struct Translation<'p> {
    left: Peekable<Chars<'p>>,
    out: String,
}

impl Translation<'_> {
    fn run(&mut self) -> Result<(), String> {
        let mut is_after_repeat = false;
        while let Some(letter) = self.left.next() {
            let mut is_repeat = false;
            match letter {
                '\\' => self.escape()?,
                '[' => self.class()?,
                '(' => self.group()?,
                '{' => is_repeat = self.repeat()?,
                '*' | '+' | '?' => {
                    self.out.push(letter);
                    is_repeat = true;
                }
                '#' | '&' | '~' | '-' => self.out.extend(['\\', letter]),
                _ => self.out.push(letter),
            }
            if is_repeat {
                if is_after_repeat {
                    return Err("one repetition operator follows another".to_owned());
                }
                if self.left.next_if_eq(&'?').is_some() {
                    self.out.push('?');
                }
            }
            is_after_repeat = is_repeat;
        }
        Ok(())
    }

    fn escape(&mut self) -> Result<(), String> {
        let Some(letter) = self.left.next() else { return Err("the pattern ends in a backslash".to_owned()) };
        match letter {
            'Q' => self.quoted(),
            'E' => {}
            'd' => self.out.push_str("[0-9]"),
            'D' => self.out.push_str("[^0-9]"),
            'w' => self.out.push_str("[0-9A-Za-z_]"),
            'W' => self.out.push_str("[^0-9A-Za-z_]"),
            's' => self.out.push_str(r"[\t\n\f\r ]"),
            'S' => self.out.push_str(r"[^\t\n\f\r ]"),
            'b' => self.out.push_str(r"(?-u:\b)"),
            'B' => self.out.push_str(r"(?-u:\B)"),
            'A' | 'z' => self.out.extend(['\\', letter]),
            _ => self.escaped_letter(letter)?,
        }
        Ok(())
    }

    /// Escapes that mean one character or a named class, inside and outside of brackets.
    fn escaped_letter(&mut self, letter: char) -> Result<(), String> {
        match letter {
            '0'..='7' => self.octal(letter)?,
            'x' | 'p' | 'P' => {
                self.out.extend(['\\', letter]);
                self.braced()?;
            }
            'a' | 'f' | 't' | 'n' | 'r' | 'v' => self.out.extend(['\\', letter]),
            _ if letter.is_ascii() && !letter.is_ascii_alphanumeric() => {
                self.out.push_str(&regex_syntax::escape(letter.encode_utf8(&mut [0; 4])))
            }
            _ => return Err(format!("\\{letter} is not an escape of this dialect")),
        }
        Ok(())
    }

    /// The name or number in braces after `\x`, `\p` and `\P`, if there is one.
    fn braced(&mut self) -> Result<(), String> {
        if self.left.peek() != Some(&'{') {
            return Ok(());
        }
        for letter in self.left.by_ref() {
            self.out.push(letter);
            if letter == '}' {
                return Ok(());
            }
        }
        Err("a brace is not closed".to_owned())
    }

    /// `\1` to `\7` alone would be a back-reference, which does not exist.
    fn octal(&mut self, first: char) -> Result<(), String> {
        let mut value = first.to_digit(8).unwrap_or(0);
        if first != '0' && !self.left.peek().is_some_and(|next| next.is_digit(8)) {
            return Err(format!("\\{first}: back-references do not exist in this dialect"));
        }
        for _ in 0..2 {
            let Some(digit) = self.left.next_if(|next| next.is_digit(8)) else { break };
            value = value * 8 + digit.to_digit(8).unwrap_or(0);
        }
        self.out.push_str(&format!("\\x{{{value:X}}}"));
        Ok(())
    }

    fn quoted(&mut self) {
        while let Some(letter) = self.left.next() {
            if letter == '\\' && self.left.next_if_eq(&'E').is_some() {
                return;
            }
            self.out.push_str(&regex_syntax::escape(letter.encode_utf8(&mut [0; 4])));
        }
    }

    fn class(&mut self) -> Result<(), String> {
        self.out.push('[');
        if self.left.next_if_eq(&'^').is_some() {
            self.out.push('^');
        }
        let (mut is_first, mut range) = (true, Range::Closed);
        loop {
            let Some(letter) = self.left.next() else { return Err("a bracket is not closed".to_owned()) };
            let next = self.left.peek().copied();
            let mut is_set = false;
            match letter {
                ']' if !is_first => {
                    self.out.push(']');
                    return Ok(());
                }
                '-' if range == Range::Low && next != Some(']') => {
                    self.out.push('-');
                    range = Range::Dash;
                    continue;
                }
                '[' if next == Some(':') => {
                    self.named_class()?;
                    is_set = true;
                }
                '\\' => is_set = self.class_escape()?,
                ']' | '[' | '&' | '~' | '^' | '-' => self.out.extend(['\\', letter]),
                _ => self.out.push(letter),
            }
            range = match (range, is_set) {
                (Range::Dash, true) => return Err("a range in brackets ends in a class".to_owned()),
                (Range::Dash, false) | (_, true) => Range::Closed,
                (_, false) => Range::Low,
            };
            is_first = false;
        }
    }

    fn named_class(&mut self) -> Result<(), String> {
        let mut name = String::from("[");
        for letter in self.left.by_ref() {
            name.push(letter);
            if name.ends_with(":]") && name.len() > 3 {
                self.out.push_str(&name);
                return Ok(());
            }
            if name.len() > 16 {
                break;
            }
        }
        Err("a named class such as [:alpha:] is not closed".to_owned())
    }

    /// Returns whether the escape is a set of characters.
    fn class_escape(&mut self) -> Result<bool, String> {
        let Some(letter) = self.left.next() else { return Err("the pattern ends in a backslash".to_owned()) };
        match letter {
            'd' => self.out.push_str("0-9"),
            'D' => self.out.push_str("[^0-9]"),
            'w' => self.out.push_str("0-9A-Za-z_"),
            'W' => self.out.push_str("[^0-9A-Za-z_]"),
            's' => self.out.push_str(r"\t\n\f\r "),
            'S' => self.out.push_str(r"[^\t\n\f\r ]"),
            _ => self.escaped_letter(letter)?,
        }
        Ok(matches!(letter, 'd' | 'D' | 'w' | 'W' | 's' | 'S' | 'p' | 'P'))
    }

    fn group(&mut self) -> Result<(), String> {
        self.out.push('(');
        if self.left.next_if_eq(&'?').is_none() {
            return Ok(());
        }
        self.out.push('?');
        let mut ahead = self.left.clone();
        match ahead.next() {
            Some('P') if ahead.next() == Some('<') => Ok(()),
            Some('<') if !matches!(ahead.next(), Some('=' | '!')) => Ok(()),
            Some('i' | 'm' | 's' | 'U' | '-' | ':') => self.flags(),
            _ => Err("look-around, comments and this kind of group do not exist in this dialect".to_owned()),
        }
    }

    fn flags(&mut self) -> Result<(), String> {
        for letter in self.left.by_ref() {
            self.out.push(letter);
            match letter {
                'i' | 'm' | 's' | 'U' | '-' => {}
                ':' | ')' => return Ok(()),
                _ => return Err(format!("the flag {letter} does not exist; flags are i, m, s and U")),
            }
        }
        Err("a group is not closed".to_owned())
    }

    /// A brace that does not hold counts is text. Returns whether it was a repetition.
    fn repeat(&mut self) -> Result<bool, String> {
        let mut ahead = self.left.clone();
        let body: String = ahead.by_ref().take(12).take_while(|letter| *letter != '}').collect();
        let is_closed = self.left.clone().nth(body.chars().count()) == Some('}');
        let (least, most) = body.split_once(',').map_or((body.as_str(), None), |(least, most)| (least, Some(most)));
        let is_count = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !is_closed || !is_count(least) || most.is_some_and(|most| !most.is_empty() && !is_count(most)) {
            self.out.push_str(r"\{");
            return Ok(false);
        }
        let counts = [Some(least), most.filter(|most| !most.is_empty())];
        if counts.into_iter().flatten().any(|count| count.parse::<u32>().map_or(true, |count| count > REPEAT_MAX)) {
            return Err(format!("a repetition count is above {REPEAT_MAX}"));
        }
        for _ in 0..=body.chars().count() {
            self.left.next();
        }
        self.out.push_str(&format!("{{{body}}}"));
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::work::Budget;

    #[test]
    fn patterns_mean_what_they_mean_in_go() {
        let cases = [
            (r"^[\w-]+$", "a-b_9", "é"),
            (r"\bfoo\B", "a foox", "foo"),
            (r"a{,3}b", "a{,3}b", "aab"),
            (r"a{x", "a{x", "a"),
            (r"[]a]+[^]]", "]]b", "]]"),
            (r"^[\d-x]+$", "1-x", "5w"),
            (r"^[a-c-e]+$", "b-e", "d"),
            (r"^[+--]+$", "+,-", "."),
            (r"^[[:alpha:]&&~~-]+$", "a&~-", "1"),
            (r"\x41\101\x{1F600}", "AA😀", "AA"),
            (r"(?-i)abc", "abc", "ABC"),
            (r"(?s)a.b", "a\nb", "ab"),
            (r"a # b", "a # b", "ab"),
            (r"\.\/\_\#\ ", "./_# ", "x"),
        ];
        for (go, hit, miss) in cases {
            let pattern = Pattern::new(go, false).unwrap_or_else(|cause| panic!("{go}: {cause}"));
            let work = Work::of_one_rule(Budget::default());
            assert!(pattern.is_match(hit, &work), "{go} on {hit}");
            assert!(!pattern.is_match(miss, &work), "{go} on {miss}");
        }
    }

    #[test]
    fn what_go_refuses_and_what_costs_too_much_is_refused() {
        let deep = format!("{}a{}", "(".repeat(500), ")".repeat(500));
        for go in [
            r"(?=a)",
            r"(?!a)",
            r"(?<=a)b",
            r"(a)\1",
            r"[a-\d]",
            "a**",
            "a{2}{3}",
            "a{1001}",
            r"\Z",
            r"\e",
            "(?x)a",
            "(",
            "[a",
            "a\\",
            "((a{1000}){1000}){1000}",
            r"(\w{1000}){100}",
            &deep,
            &"a".repeat(PATTERN_BYTES_MAX + 1),
        ] {
            assert!(Pattern::new(go, false).is_err(), "{}", &go[..go.len().min(40)]);
        }
    }
}
