//! Reads the keys of a rule's tree, with errors that say where.

use super::LoadError;
use super::tree::{Kind, Tree};

/// A place in the tree together with its path.
#[derive(Clone)]
pub(super) struct Cursor<'t> {
    pub(super) tree: &'t Tree,
    pub(super) place: String,
}

impl<'t> Cursor<'t> {
    pub(super) fn new(tree: &'t Tree, place: &str) -> Self {
        Self { tree, place: place.to_owned() }
    }

    pub(super) fn error(&self, code: &'static str, message: impl Into<String>, help: impl Into<String>) -> LoadError {
        LoadError {
            place: self.place.clone(),
            line: self.tree.line,
            column: self.tree.column,
            ..LoadError::new(code, message, help)
        }
    }

    fn wrong_type(&self, wanted: &str) -> LoadError {
        let key = self.place.rsplit('/').next().unwrap_or_default();
        let message = format!("{key} must be {wanted}, not {}", self.tree.describe());
        self.error("rule/wrong-type", message, "")
    }

    /// The value of a key, if it is there.
    pub(super) fn get(&self, key: &str) -> Option<Self> {
        let tree = self.tree.get(key)?;
        Some(Self { tree, place: self.join(key) })
    }

    /// The value of a key that must be there.
    pub(super) fn need(&self, key: &str, help: &str) -> Result<Self, LoadError> {
        let code = if key == "op" { "rule/missing-op" } else { "rule/missing-key" };
        self.get(key).ok_or_else(|| self.error(code, format!("missing {key}"), help))
    }

    pub(super) fn join(&self, key: &str) -> String {
        if self.place.is_empty() { key.to_owned() } else { format!("{}/{key}", self.place) }
    }

    pub(super) fn entries(&self) -> Result<&'t [(String, Tree)], LoadError> {
        match &self.tree.kind {
            Kind::Map(entries) => Ok(entries),
            _ => Err(self.wrong_type("an object")),
        }
    }

    pub(super) fn items(&self) -> Result<Vec<Self>, LoadError> {
        match &self.tree.kind {
            Kind::List(items) => {
                let place = |at: usize| self.join(&at.to_string());
                Ok(items.iter().enumerate().map(|(at, tree)| Self { tree, place: place(at) }).collect())
            }
            _ => Err(self.wrong_type("a list")),
        }
    }

    pub(super) fn text(&self) -> Result<&'t str, LoadError> {
        match &self.tree.kind {
            Kind::Text(text) => Ok(text),
            _ => Err(self.wrong_type("a text")),
        }
    }

    /// A text or a number written where a name belongs.
    pub(super) fn label(&self) -> Result<String, LoadError> {
        match &self.tree.kind {
            Kind::Text(text) => Ok(text.clone()),
            Kind::Number(number) => Ok(number.to_string()),
            Kind::Bool(flag) => Ok(flag.to_string()),
            _ => Err(self.wrong_type("a text")),
        }
    }

    /// An integer, also as decimal text, since rules written by hand hold both. A whole number is one however it is
    /// written: machines write `1.07e+09`.
    pub(super) fn integer(&self) -> Result<i64, LoadError> {
        let found = match &self.tree.kind {
            Kind::Number(number) => number.as_i64().or_else(|| number.as_f64().and_then(whole)),
            Kind::Text(text) => text.trim().parse().ok().or_else(|| text.trim().parse().ok().and_then(whole)),
            _ => None,
        };
        found.ok_or_else(|| self.wrong_type("an integer"))
    }

    pub(super) fn integer_of(&self, key: &str) -> Result<Option<i64>, LoadError> {
        self.get(key).filter(|at| !matches!(at.tree.kind, Kind::Null)).map(|at| at.integer()).transpose()
    }

    /// An integer that must not be negative.
    pub(super) fn count_of(&self, key: &str) -> Result<Option<i64>, LoadError> {
        let Some(value) = self.integer_of(key)? else { return Ok(None) };
        if value < 0 {
            return Err(self.error(
                "rule/out-of-range",
                format!("{key} is {value}"),
                format!("{key} must not be negative"),
            ));
        }
        Ok(Some(value))
    }

    /// A boolean, also as text, since rules written by hand hold both.
    pub(super) fn flag(&self, key: &str, default: bool) -> Result<bool, LoadError> {
        let Some(at) = self.get(key) else { return Ok(default) };
        match &at.tree.kind {
            Kind::Bool(flag) => Ok(*flag),
            Kind::Null => Ok(default),
            Kind::Text(text) => match text.to_ascii_lowercase().as_str() {
                "true" | "yes" | "on" => Ok(true),
                "false" | "no" | "off" => Ok(false),
                _ => Err(at.wrong_type("true or false")),
            },
            _ => Err(at.wrong_type("true or false")),
        }
    }

    pub(super) fn text_of(&self, key: &str) -> Result<Option<String>, LoadError> {
        self.get(key).filter(|at| !matches!(at.tree.kind, Kind::Null)).map(|at| at.label()).transpose()
    }
}

/// A float that is a whole number, as far as floats tell whole numbers apart.
fn whole(float: f64) -> Option<i64> {
    const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
    (float.fract() == 0.0 && float.abs() <= EXACT_MAX).then_some(float as i64)
}
