//! What is wrong with a rule, where, and what to do about it.

use std::fmt;

/// Messages quote the rule, which may be large; they are cut at so many bytes.
const MESSAGE_BYTES_MAX: usize = 1000;

/// Code of a rule that names a lookup which is not there.
pub(crate) const UNKNOWN_LOOKUP: &str = "rule/unknown-lookup";

/// A rule that cannot be loaded. Data, so that a command line and a console can show it their own way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadError {
    /// Stable code, such as `rule/missing-op`.
    pub code: &'static str,
    /// What is wrong, naming the key.
    pub message: String,
    /// What to do about it.
    pub help: String,
    /// Where in the rule, such as `detect/rules/0/op`.
    pub place: String,
    /// Line in the text, counted from 1; 0 if the rule did not come from text.
    pub line: u32,
    /// Column in the line, counted from 1; 0 if unknown.
    pub column: u32,
}

impl LoadError {
    /// Whether the rule names a lookup that is not there: the one fault of a rule that another document can mend.
    #[must_use]
    pub fn names_unknown_lookup(&self) -> bool {
        self.code == UNKNOWN_LOOKUP
    }

    pub(crate) fn new(code: &'static str, message: impl Into<String>, help: impl Into<String>) -> Self {
        let mut message = message.into();
        if message.len() > MESSAGE_BYTES_MAX {
            message.truncate(message.floor_char_boundary(MESSAGE_BYTES_MAX));
            message.push('…');
        }
        Self { code, message, help: help.into(), place: String::new(), line: 0, column: 0 }
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line > 0 {
            write!(f, "line {}, column {}: ", self.line, self.column)?;
        }
        if !self.place.is_empty() {
            write!(f, "{}: ", self.place)?;
        }
        f.write_str(&self.message)?;
        if !self.help.is_empty() {
            write!(f, "; {}", self.help)?;
        }
        Ok(())
    }
}

impl std::error::Error for LoadError {}

/// Something that loads but is probably a mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// Stable code, such as `rule/unknown-key`.
    pub code: &'static str,
    /// What is odd.
    pub message: String,
    /// Where in the rule.
    pub place: String,
}
