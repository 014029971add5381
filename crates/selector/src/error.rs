//! What is wrong with a selector, where, and what to do about it.
//!
//! Source: reference/selectors.md section 6.

use std::fmt;

/// Most characters of a line shown around the column: fits a terminal.
const SHOWN_CHARS_MAX: usize = 100;

/// Most characters of an offending token repeated in a message.
const QUOTED_CHARS_MAX: usize = 64;

/// The class of a mistake; all of them are found before a selector is evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The text is not in the grammar, or exceeds one of its limits.
    Parse,
    /// A name in field position is not a selector field.
    UnknownField,
    /// The operator is not defined for the type of the field.
    Type,
    /// The literal cannot be converted to the type of the field.
    Value,
    /// The pattern does not compile.
    Regex,
}

impl ErrorKind {
    /// The stable name: `parse`, `unknown_field`, `type`, `value` or `regex`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Parse => "parse",
            Self::UnknownField => "unknown_field",
            Self::Type => "type",
            Self::Value => "value",
            Self::Regex => "regex",
        }
    }
}

/// Why a text is not a selector.
///
/// `Display` gives the message and the hint on one line; [`SelectorError::render`]
/// shows the place too. REST calls answer it with status 400 as
/// `{"error": "invalid selector: <Display>"}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SelectorError {
    /// The class of the mistake.
    pub kind: ErrorKind,
    /// One line; for [`ErrorKind::Parse`] it begins with `line:column (offset): `.
    pub message: String,
    /// Line of the mistake, from 1.
    pub line: usize,
    /// Column of the mistake in characters, from 1.
    pub column: usize,
    /// Offset of the mistake in bytes, from 0.
    pub offset: usize,
    /// What to try instead, as a clause without a capital or full stop.
    pub hint: Option<String>,
}

impl SelectorError {
    pub(crate) fn new(kind: ErrorKind, text: &str, offset: usize, message: impl fmt::Display) -> Self {
        let before = text.get(..offset).unwrap_or(text);
        let line = 1 + before.matches('\n').count();
        let column = 1 + before.rsplit('\n').next().map_or(0, |last| last.chars().count());
        let message = match kind {
            ErrorKind::Parse => format!("{line}:{column} ({offset}): {message}"),
            _ => message.to_string(),
        };
        Self { kind, message, line, column, offset, hint: None }
    }

    pub(crate) fn with_hint(mut self, hint: Option<String>) -> Self {
        self.hint = hint;
        self
    }

    /// The message, then the line of `text` in question with a caret under the column.
    ///
    /// `text` is what was parsed. Control characters are shown as spaces, so that
    /// the caret stays in place and a terminal cannot be steered; long lines are cut.
    #[must_use]
    pub fn render(&self, text: &str) -> String {
        let line = text.split('\n').nth(self.line - 1).unwrap_or_default();
        let first = self.column.saturating_sub(SHOWN_CHARS_MAX * 3 / 4);
        let printable = |c: char| if c.is_control() { ' ' } else { c };
        let shown: String = line.chars().skip(first).take(SHOWN_CHARS_MAX).map(printable).collect();
        let indent = self.column.saturating_sub(first + 1);
        format!("{self}\n  {shown}\n  {:indent$}^", "")
    }
}

impl fmt::Display for SelectorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "; {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for SelectorError {}

/// Text in double quotes for a message: escaped, and cut when it is long.
pub(crate) fn quoted(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let shown: String = text.chars().take(QUOTED_CHARS_MAX).collect();
    let ellipsis = if shown.len() < text.len() { "…" } else { "" };
    format!("{shown:?}{ellipsis}")
}

#[cfg(test)]
mod tests {
    use crate::Selector;

    #[test]
    fn the_caret_points_at_the_offending_character() {
        let text = "plat == linux and\n\tweb-tier in tags";
        let error = Selector::parse(text).unwrap_err();

        assert_eq!((error.line, error.column, error.offset), (2, 5, 22));
        assert_eq!(error.hint.as_deref(), Some("quote the value, e.g. `web-tier`"));
        let rendered = error.render(text);
        assert!(rendered.ends_with("\n   web-tier in tags\n      ^"), "{rendered}");
    }

    #[test]
    fn messages_have_the_documented_shapes() {
        let shapes = [
            ("os == linux", "unknown field \"os\"; did you mean \"plat\"?"),
            ("hostnam == x", "unknown field \"hostnam\"; did you mean \"hostname\"?"),
            ("tags matches x", "cannot use \"matches\" on tags (list)"),
            ("isolated == maybe", "\"maybe\" is not a boolean (field isolated)"),
            ("enroll == abc", "\"abc\" is not an integer (field enroll)"),
            ("hostname matches `[`", "invalid regular expression \"[\": missing closing ]"),
            ("plat == 1password", "1:9 (8): invalid number literal; quote the value, e.g. `1password`"),
            ("plat == `linux", "1:9 (8): unterminated string literal"),
            ("(plat == linux", "1:15 (14): unmatched parentheses"),
            ("plat == linux)", "1:14 (13): unmatched parentheses"),
            ("a in 'tags'", "1:6 (5): invalid selector"),
            ("plat == \"a\\d\"", "1:11 (10): invalid escape"),
        ];
        for (text, message) in shapes {
            assert_eq!(Selector::parse(text).unwrap_err().to_string(), message, "{text}");
        }
    }
}
