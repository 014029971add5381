//! From text to syntax tree.
//!
//! A recursive descent over byte offsets with ordered choice: at each position
//! the alternatives are tried in the order of the grammar and the first that
//! fits is kept. The furthest offset at which something was expected makes the
//! error message.
//!
//! # Invariants
//!
//! 1. A rule that does not fit leaves the position where it found it.
//! 2. Recursion happens only through [`Parser::nested`], which counts it; chains
//!    of `and` and `or` are loops, so a long list of sensors is not deep.
//!
//! Source: reference/selectors.md section 2.

mod lexical;

use self::lexical::Number;
use crate::ast::{Collection, Expr, Match, Name, Operation, Quantifier, Value};
use crate::error::{ErrorKind, SelectorError};
use crate::field::Field;

/// Longest text of a selector, in bytes: several hundred sensor ids.
pub(crate) const TEXT_BYTES_MAX: usize = 16 * 1024;

/// Deepest nesting of parentheses, braces and `not`: keeps every recursion within a small stack.
pub(crate) const DEPTH_MAX: u32 = 128;

/// Most rules that are tried for one text; the limit of the upstream library.
pub(crate) const PARSE_STEPS_MAX: u32 = 2_000_000;

const NOT_LETTERS: [&str; 2] = ["not", "NOT"];
const AND_LETTERS: [&str; 2] = ["and", "AND"];
const OR_LETTERS: [&str; 2] = ["or", "OR"];

/// Parses a text.
///
/// # Errors
///
/// Of kind [`ErrorKind::Parse`] only.
pub(crate) fn parse(text: &str) -> Result<Expr<'_>, SelectorError> {
    parse_within(text, PARSE_STEPS_MAX)
}

fn parse_within(text: &str, steps_max: u32) -> Result<Expr<'_>, SelectorError> {
    if text.len() > TEXT_BYTES_MAX {
        let message = format!("selector is {} bytes long, at most {TEXT_BYTES_MAX} are allowed", text.len());
        return Err(SelectorError::new(ErrorKind::Parse, text, 0, message));
    }
    let mut parser = Parser {
        text,
        at: 0,
        depth: 0,
        steps_left: steps_max,
        furthest: 0,
        expected: Vec::new(),
        known_mistake: None,
        exceeded: None,
    };
    parser.selector().ok_or_else(|| parser.error())
}

struct Parser<'t> {
    text: &'t str,
    /// Offset of what comes next; always on a character boundary.
    at: usize,
    depth: u32,
    steps_left: u32,
    /// The largest offset at which something was expected in vain, and what that was.
    furthest: usize,
    expected: Vec<&'static str>,
    /// The furthest mistake that has a name of its own.
    known_mistake: Option<(usize, &'static str)>,
    /// The limit that was exceeded; nothing fits from then on.
    exceeded: Option<(usize, &'static str)>,
}

impl<'t> Parser<'t> {
    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    /// Tries a rule; if it does not fit, the position is as before.
    fn attempt<T>(&mut self, rule: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        let start = self.at;
        if self.steps_left == 0 {
            self.exceeded.get_or_insert((start, "selector takes too many steps to parse, simplify it"));
        }
        if self.exceeded.is_some() {
            return None;
        }
        self.steps_left -= 1;
        let found = rule(self);
        if found.is_none() {
            self.at = start;
        }
        found
    }

    /// Runs a rule one level deeper.
    fn nested<T>(&mut self, rule: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        if self.depth == DEPTH_MAX {
            self.exceeded.get_or_insert((self.at, "selector is nested more than 128 levels deep"));
            return None;
        }
        self.depth += 1;
        let found = rule(self);
        self.depth -= 1;
        found
    }

    fn expect<T>(&mut self, what: &'static str) -> Option<T> {
        if self.at > self.furthest {
            self.furthest = self.at;
            self.expected.clear();
        }
        if self.at == self.furthest && !self.expected.contains(&what) {
            self.expected.push(what);
        }
        None
    }

    fn mistake<T>(&mut self, offset: usize, name: &'static str) -> Option<T> {
        if self.known_mistake.is_none_or(|(known, _)| offset >= known) {
            self.known_mistake = Some((offset, name));
        }
        None
    }

    fn take(&mut self, length: usize) -> &'t str {
        let start = self.at;
        self.at += length;
        &self.text[start..self.at]
    }

    fn literal(&mut self, letters: &'static str) -> Option<()> {
        if !self.rest().starts_with(letters) {
            return self.expect(letters);
        }
        self.at += letters.len();
        Some(())
    }

    fn keyword(&mut self, spellings: [&'static str; 2]) -> Option<()> {
        match spellings.into_iter().find(|letters| self.rest().starts_with(letters)) {
            Some(letters) => self.literal(letters),
            None => self.expect(spellings[0]),
        }
    }

    fn blank(&mut self) {
        self.at += lexical::space(self.rest());
    }

    fn space(&mut self) -> Option<()> {
        match lexical::space(self.rest()) {
            0 => self.expect("whitespace"),
            length => {
                self.at += length;
                Some(())
            }
        }
    }

    fn end(&mut self) -> Option<()> {
        if self.rest().is_empty() {
            return Some(());
        }
        if self.rest().starts_with(')') {
            return self.mistake(self.at, "unmatched parentheses");
        }
        self.expect("end of text")
    }

    fn selector(&mut self) -> Option<Expr<'t>> {
        self.blank();
        let star = |p: &mut Self| {
            p.literal("*")?;
            p.blank();
            p.end()
        };
        if self.attempt(star).is_some() {
            return Some(Expr::All);
        }
        let expr = self.or()?;
        self.blank();
        self.end().map(|()| expr)
    }

    fn or(&mut self) -> Option<Expr<'t>> {
        // A collection ends the chain: only parentheses let something follow it.
        let term = |p: &mut Self| match p.attempt(Self::and) {
            Some(term) => Some((term, true)),
            None => p.attempt(Self::collection).map(|term| (term, false)),
        };
        let (first, mut may_follow) = term(self)?;
        let mut terms = vec![first];
        while may_follow {
            let next = self.attempt(|p| {
                p.space()?;
                p.keyword(OR_LETTERS)?;
                p.space()?;
                term(p)
            });
            let Some((next, may)) = next else { break };
            terms.push(next);
            may_follow = may;
        }
        Some(if terms.len() == 1 { terms.remove(0) } else { Expr::Or(terms) })
    }

    fn and(&mut self) -> Option<Expr<'t>> {
        let mut terms = vec![self.not()?];
        while let Some(term) = self.attempt(|p| {
            p.space()?;
            p.keyword(AND_LETTERS)?;
            p.space()?;
            p.not()
        }) {
            terms.push(term);
        }
        Some(if terms.len() == 1 { terms.remove(0) } else { Expr::And(terms) })
    }

    fn not(&mut self) -> Option<Expr<'t>> {
        let negation = |p: &mut Self| {
            p.keyword(NOT_LETTERS)?;
            p.space()?;
            p.nested(Self::not)
        };
        match self.attempt(negation) {
            Some(inner) => Some(Expr::Not(Box::new(inner))),
            None => self.attempt(Self::group).or_else(|| self.condition()),
        }
    }

    fn group(&mut self) -> Option<Expr<'t>> {
        self.literal("(")?;
        self.blank();
        let inner = self.nested(Self::or)?;
        self.blank();
        if self.rest().is_empty() {
            return self.mistake(self.at, "unmatched parentheses");
        }
        self.literal(")").map(|()| inner)
    }

    fn condition(&mut self) -> Option<Expr<'t>> {
        let alternatives = [Self::equality, Self::word_operator, Self::emptiness, Self::membership, Self::flag];
        alternatives.into_iter().find_map(|rule| self.attempt(rule)).map(Expr::Match)
    }

    fn equality(&mut self) -> Option<Match<'t>> {
        let field = self.field()?;
        self.blank();
        let negated = match self.literal("==") {
            Some(()) => false,
            None => self.literal("!=").map(|()| true)?,
        };
        self.blank();
        Some(Match { field, operation: Operation::Equal(self.value()?), negated })
    }

    /// `not` and the space after it, if they are there.
    fn negation(&mut self) -> bool {
        self.attempt(|p| {
            p.literal("not")?;
            p.space()
        })
        .is_some()
    }

    fn word_operator(&mut self) -> Option<Match<'t>> {
        let field = self.field()?;
        self.space()?;
        let negated = self.negation();
        let make: fn(Value) -> Operation = match self.literal("contains") {
            Some(()) => Operation::Contains,
            None => self.literal("matches").map(|()| Operation::Matches)?,
        };
        self.space()?;
        Some(Match { field, operation: make(self.value()?), negated })
    }

    fn emptiness(&mut self) -> Option<Match<'t>> {
        let field = self.field()?;
        self.space()?;
        self.literal("is")?;
        self.space()?;
        let negated = self.negation();
        let operation = match self.literal("empty") {
            Some(()) => Operation::Empty,
            None => self.literal("nil").map(|()| Operation::Nil)?,
        };
        Some(Match { field, operation, negated })
    }

    fn membership(&mut self) -> Option<Match<'t>> {
        let value = self.value()?;
        self.space()?;
        let negated = self.negation();
        self.literal("in")?;
        self.space()?;
        let Some(field) = self.field() else { return self.mistake(self.at, "invalid selector") };
        Some(Match { field, operation: Operation::In(value), negated })
    }

    fn flag(&mut self) -> Option<Match<'t>> {
        let field = self.field().filter(|name| Field::is_flag(name.text))?;
        Some(Match { field, operation: Operation::Flag, negated: false })
    }

    fn collection(&mut self) -> Option<Expr<'t>> {
        let quantifier = match self.literal("any") {
            Some(()) => Quantifier::Any,
            None => self.literal("all").map(|()| Quantifier::All)?,
        };
        self.space()?;
        let field = self.field()?;
        self.space()?;
        self.literal("as")?;
        self.space()?;
        let element = match lexical::name(self.rest()) {
            0 => return self.expect("a name"),
            length => self.take(length),
        };
        self.blank();
        self.literal("{")?;
        self.blank();
        let body = Box::new(self.nested(Self::or)?);
        self.blank();
        self.literal("}")?;
        Some(Expr::Collection(Collection { quantifier, field, element, body }))
    }

    fn field(&mut self) -> Option<Name<'t>> {
        let offset = self.at;
        let bare = lexical::word(self.rest());
        if bare > 0 {
            return Some(Name { text: self.take(bare), offset });
        }
        let pointer = self.rest().strip_prefix("\"/").unwrap_or_default();
        match lexical::name(pointer) {
            length if length > 0 && pointer[length..].starts_with('"') => {
                self.at += length + "\"/\"".len();
                Some(Name { text: &pointer[..length], offset })
            }
            _ => self.expect("a field"),
        }
    }

    fn value(&mut self) -> Option<Value> {
        let offset = self.at;
        let rest = self.rest();
        let bytes = match rest.chars().next() {
            Some('`' | '"' | '\'') => self.quoted_value()?,
            _ => match (lexical::word(rest), lexical::number(rest)) {
                (0, Number::Valid(length)) => self.take(length).into(),
                (0, Number::Invalid) => return self.mistake(offset, "invalid number literal"),
                (0, Number::Absent) => return self.expect("a value"),
                (length, _) => self.take(length).into(),
            },
        };
        Some(Value { bytes, offset })
    }

    fn quoted_value(&mut self) -> Option<Vec<u8>> {
        let offset = self.at;
        let quote = self.rest().chars().next()?;
        let inside = &self.rest()[1..];
        let found = match (quote, inside.find(quote)) {
            ('\'', _) => lexical::single(inside),
            ('`', Some(length)) => Some((inside[..length].into(), length)),
            (_, Some(length)) => match lexical::unescape_double(&inside[..length]) {
                Ok(bytes) => Some((bytes, length)),
                Err(at) => return self.mistake(offset + 1 + at, "invalid escape"),
            },
            (_, None) => None,
        };
        let Some((bytes, length)) = found else { return self.mistake(offset, "unterminated string literal") };
        self.at += length + 2;
        Some(bytes)
    }

    fn error(&self) -> SelectorError {
        if let Some((offset, message)) = self.exceeded {
            return SelectorError::new(ErrorKind::Parse, self.text, offset, message);
        }
        let (offset, message) = match self.known_mistake {
            Some((offset, name)) if offset >= self.furthest => (offset, name.to_owned()),
            _ => (self.furthest, format!("no match found, expected: {}", self.expectations())),
        };
        SelectorError::new(ErrorKind::Parse, self.text, offset, message).with_hint(hint(self.text, offset))
    }

    fn expectations(&self) -> String {
        let is_phrase = |what: &str| what.contains(' ') || what == "whitespace";
        let mut expected: Vec<_> = self
            .expected
            .iter()
            .map(|what| if is_phrase(what) { (*what).to_owned() } else { format!("{what:?}") })
            .collect();
        expected.sort_unstable();
        expected.join(", ")
    }
}

/// Longest token that is repeated in a hint, in bytes.
const HINT_TOKEN_BYTES_MAX: usize = 64;

/// What to write instead of that which stands at `offset`.
fn hint(text: &str, offset: usize) -> Option<String> {
    let after = &text[offset..];
    let habits = [("&&", "write `and`"), ("||", "write `or`"), ("=", "write `==`"), ("!", "write `not` or `!=`")];
    if let Some((_, hint)) = habits.iter().find(|row| after.starts_with(row.0)) {
        return Some((*hint).to_owned());
    }
    if after.starts_with(['<', '>']) {
        return Some("there are no ordering operators".to_owned());
    }
    let is_edge = |c: char| c.is_whitespace() || "()[]{}=!<>,;\"'`".contains(c);
    let start = text[..offset].rfind(is_edge).map_or(0, |at| at + text[at..].chars().next().map_or(1, char::len_utf8));
    let end = text[start..].find(is_edge).map_or(text.len(), |at| start + at);
    let token = text.get(start..end).filter(|token| (1..=HINT_TOKEN_BYTES_MAX).contains(&token.len()))?;
    let dot_digit = token.as_bytes().windows(2).any(|pair| matches!(pair, [b'.', digit] if digit.is_ascii_digit()));
    let needs_quotes = dot_digit || token.contains(['-', ':', '@']) || token.starts_with(|c: char| c.is_ascii_digit());
    needs_quotes.then(|| format!("quote the value, e.g. `{token}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_limit_is_an_error_and_its_neighbour_is_not() {
        let nested = |depth: usize| format!("{}kernel{}", "(".repeat(depth), ")".repeat(depth));
        assert!(parse(&nested(128)).is_ok());
        assert!(parse(&nested(129)).unwrap_err().message.contains("128 levels"));
        assert!(parse(&format!("{}kernel", "not ".repeat(129))).is_err());

        let long = |bytes: usize| format!("`{}` in tags", "x".repeat(bytes - "`` in tags".len()));
        assert!(parse(&long(TEXT_BYTES_MAX)).is_ok());
        assert!(parse(&long(TEXT_BYTES_MAX + 1)).unwrap_err().message.contains("bytes long"));

        let chain = vec!["kernel"; 1_500].join(" or ");
        assert!(parse(&chain).is_ok(), "a chain is not nesting");
        assert!(parse_within(&chain, 100).unwrap_err().message.contains("too many steps"));
    }

    #[test]
    fn word_operators_are_words_on_the_value_side() {
        for text in ["not in tags", "in in tags", "not not in tags", "kernel in tags", "plat == and", "plat == is"] {
            assert!(parse(text).is_ok(), "{text}");
        }
    }
}
