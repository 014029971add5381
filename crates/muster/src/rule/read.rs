//! Rules, lookups and events of files.

use crate::exit::Usage;
use anyhow::Context as _;
use muster_rules::{LoadError, Resources, WrittenRule, read_rules};
use serde::Serialize;
use serde_json::{Map, Value};
use std::fmt;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// Largest file of events: all of them are held in memory.
const EVENTS_BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// Largest file of rules, or of lookups.
const RULES_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Stands for standard input.
const STDIN: &str = "-";

/// Something about a rule, with the place in its file.
#[derive(Debug, Serialize)]
pub struct Remark {
    pub file: String,
    pub rule: String,
    pub code: String,
    pub message: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub help: String,
    /// Where in the rule.
    pub place: String,
    /// From 1; 0 if unknown, as is the column.
    pub line: u32,
    pub column: u32,
    pub is_error: bool,
}

impl Remark {
    /// What is wrong with a rule.
    pub fn error(file: &Path, rule: &str, error: &LoadError) -> Self {
        Self {
            file: file.display().to_string(),
            rule: rule.to_owned(),
            code: error.code.to_owned(),
            message: error.message.clone(),
            help: error.help.clone(),
            place: error.place.clone(),
            line: error.line,
            column: error.column,
            is_error: true,
        }
    }
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file)?;
        if self.line > 0 {
            write!(f, "{}:{}:", self.line, self.column)?;
        }
        let kind = if self.is_error { "error" } else { "warning" };
        write!(f, " {kind}[{}]", self.code)?;
        if !self.rule.is_empty() {
            write!(f, " {}", self.rule)?;
        }
        if !self.place.is_empty() {
            write!(f, " {}", self.place)?;
        }
        write!(f, ": {}", self.message)?;
        if self.help.is_empty() { Ok(()) } else { write!(f, "; {}", self.help) }
    }
}

/// The rules of a file, or why there are none.
pub fn rules(path: &Path) -> anyhow::Result<Result<Vec<WrittenRule>, Remark>> {
    let text = text(path, RULES_BYTES_MAX)?;
    let name = path.file_stem().map_or_else(|| "rule".into(), |stem| stem.to_string_lossy().into_owned());
    Ok(read_rules(&text, &name).map_err(|error| Remark::error(path, "", &error)))
}

/// The rules of files of which all must be readable.
pub fn all_rules(paths: &[PathBuf]) -> anyhow::Result<Vec<(PathBuf, WrittenRule)>> {
    let mut found = Vec::new();
    for path in paths {
        let rules = rules(path)?.map_err(|remark| Usage(remark.to_string()))?;
        found.extend(rules.into_iter().map(|rule| (path.clone(), rule)));
    }
    Ok(found)
}

/// The text of a file, or of standard input.
pub fn text(path: &Path, bytes_max: u64) -> anyhow::Result<String> {
    let mut text = String::new();
    let read = if path == Path::new(STDIN) {
        std::io::stdin().lock().take(bytes_max + 1).read_to_string(&mut text)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(bytes_max + 1).read_to_string(&mut text))
    };
    read.with_context(|| format!("cannot read {}", path.display()))?;
    if text.len() as u64 > bytes_max {
        return Err(Usage(format!("{} has more than {bytes_max} bytes", path.display())).into());
    }
    Ok(text)
}

/// Lookups that rules of files refer to. One that no file gives is there and empty.
#[derive(Default)]
pub struct Lookups(Map<String, Value>);

impl Lookups {
    /// Reads `{name: {indicator: metadata}}`.
    pub fn read(path: Option<&Path>) -> anyhow::Result<Self> {
        let Some(path) = path else { return Ok(Self::default()) };
        let lookups = serde_json::from_str(&text(path, RULES_BYTES_MAX)?);
        let what = || format!("{} must hold lookups by name: {{\"NAME\": {{\"INDICATOR\": {{}}}}}}", path.display());
        Ok(Self(lookups.with_context(what)?))
    }

    /// As the server takes them; nothing if there are none.
    pub fn supplied(&self) -> Option<Value> {
        (!self.0.is_empty()).then(|| Value::Object(self.0.clone()))
    }
}

impl Resources for Lookups {
    fn has_lookup(&self, _name: &str) -> bool {
        true
    }

    fn find(&self, lookup: &str, key: &str) -> Option<&Value> {
        self.0.get(lookup)?.get(key).filter(|metadata| !metadata.is_null())
    }
}

/// Events of a file: a JSON list, one object, or one object per line.
pub fn events(path: &Path) -> anyhow::Result<Vec<Value>> {
    let text = text(path, EVENTS_BYTES_MAX)?;
    if text.trim_start().starts_with('[') {
        return serde_json::from_str(&text).with_context(|| format!("{} is no JSON list", path.display()));
    }
    // Objects one after the other, whether each has a line of its own or not.
    let mut events = Vec::new();
    for event in serde_json::Deserializer::from_str(&text).into_iter() {
        let event: Value = event.with_context(|| format!("{}: event {}", path.display(), events.len() + 1))?;
        events.push(event);
    }
    Ok(events)
}
