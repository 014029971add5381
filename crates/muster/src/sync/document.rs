//! A configuration as files: the one that is pushed, and those that it includes.
//!
//! As the published client reads them: `include` is a pattern or a list of patterns, `**` among them, relative to the
//! file that has it; a pattern without wildcards must name a file. Sections are put together. Where the published client
//! takes whichever of two files comes last, an element that two files have, and not alike, is refused here.

use crate::exit::Usage;
use anyhow::Context as _;
use glob::{MatchOptions, Pattern, glob_with};
use muster_client::Sections;
use muster_rules::{YamlBounds, YamlError, read_yaml};
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// How large a file may be: 15,000 rules, or lookups with millions of entries.
const BOUNDS: YamlBounds = YamlBounds { depth: 64, values: 16_000_000, text_bytes: 256 << 20 };

/// Files of one configuration; a rule each is common.
const FILES_MAX: usize = 20_000;

/// As the shell has it: names that begin with a dot, and folders between, are named.
const MATCHING: MatchOptions =
    MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: true };

/// Sections whose elements stand one level deeper.
const NESTED: [&str; 2] = ["hives", "exfil"];

/// A configuration.
pub(super) struct Document {
    /// As the file has it; `None` if others are included.
    text: Option<String>,
    content: Map<String, Value>,
}

impl Document {
    /// Reads a file and what it includes.
    pub(super) fn read(file: &Path) -> anyhow::Result<Self> {
        let (text, content) = read_file(file)?;
        let mut reading = Reading { seen: BTreeSet::from([canonical(file)?]), content };
        let includes = reading.content.remove("include");
        match includes {
            None | Some(Value::Null) => Ok(Self { text: Some(text), content: reading.content }),
            Some(includes) => {
                reading.include(file, &includes)?;
                Ok(Self { text: None, content: reading.content })
            }
        }
    }

    /// The whole as one text.
    pub(super) fn text(&self) -> anyhow::Result<String> {
        match &self.text {
            Some(text) => Ok(text.clone()),
            None => serde_saphyr::to_string(&self.content).context("the files cannot be written as one"),
        }
    }

    /// The sections that it has; the server tells those that nobody knows.
    pub(super) fn sections(&self) -> Sections {
        let mut sections = Sections::default();
        for (name, section) in &self.content {
            match (name.as_str(), section) {
                ("hives", Value::Object(hives)) => {
                    for hive in hives.keys() {
                        sections.add(&format!("hives/{hive}"));
                    }
                }
                _ => _ = sections.add(name),
            }
        }
        sections
    }
}

/// Files that are put together.
struct Reading {
    /// Every file counts once, also where two include each other.
    seen: BTreeSet<PathBuf>,
    content: Map<String, Value>,
}

impl Reading {
    fn include(&mut self, file: &Path, includes: &Value) -> anyhow::Result<()> {
        let patterns = match includes {
            Value::String(pattern) => Some(vec![pattern.as_str()]),
            Value::Array(patterns) => patterns.iter().map(Value::as_str).collect(),
            _ => None,
        };
        let patterns = patterns.ok_or_else(|| wrong(file, "include must be a pattern or a list of patterns"))?;
        for pattern in patterns {
            for included in matching(file, pattern)? {
                if !self.seen.insert(canonical(&included)?) {
                    continue;
                }
                if self.seen.len() > FILES_MAX {
                    return Err(wrong(file, &format!("a configuration has at most {FILES_MAX} files")).into());
                }
                let (_, mut content) = read_file(&included)?;
                let more = content.remove("include");
                self.merge(&included, content)?;
                if let Some(more) = more.filter(|more| !more.is_null()) {
                    self.include(&included, &more)?;
                }
            }
        }
        Ok(())
    }

    fn merge(&mut self, file: &Path, content: Map<String, Value>) -> Result<(), Usage> {
        for (name, section) in content {
            // The version is that of the first file.
            if name == "version" || section.is_null() {
                continue;
            }
            let levels = if NESTED.contains(&name.as_str()) { 2 } else { 1 };
            let into = self.content.entry(name.as_str()).or_insert(Value::Null);
            put(into, section, levels).map_err(|key| {
                wrong(file, &format!("{name}{key} is in another file too, and not the same; write it once"))
            })?;
        }
        Ok(())
    }
}

/// Puts a section into what is there of it; fails with the path of what is there already and differs.
fn put(into: &mut Value, section: Value, levels: usize) -> Result<(), String> {
    match (into, section) {
        (into @ Value::Null, section) => *into = section,
        (Value::Array(items), Value::Array(more)) => items.extend(more),
        (Value::Object(entries), Value::Object(more)) if levels > 0 => {
            for (key, value) in more {
                let place = entries.entry(key.as_str()).or_insert(Value::Null);
                put(place, value, levels - 1).map_err(|path| format!("/{key}{path}"))?;
            }
        }
        (into, section) if *into == section => {}
        _ => return Err(String::new()),
    }
    Ok(())
}

/// The files that a pattern names, in order.
fn matching(file: &Path, pattern: &str) -> anyhow::Result<Vec<PathBuf>> {
    let folder = file.parent().unwrap_or(Path::new("")).to_string_lossy();
    let folder = if folder.is_empty() { ".".into() } else { Pattern::escape(&folder) };
    let whole = if Path::new(pattern).is_absolute() { pattern.to_owned() } else { format!("{folder}/{pattern}") };
    let paths = glob_with(&whole, MATCHING).map_err(|error| wrong(file, &format!("include {pattern:?}: {error}")))?;
    let mut files = Vec::new();
    for path in paths {
        let path = path.with_context(|| format!("{}: include {pattern:?} cannot be followed", file.display()))?;
        if path.is_file() {
            files.push(path);
        }
    }
    if files.is_empty() && !pattern.contains(['*', '?']) {
        return Err(wrong(file, &format!("include {pattern:?} names no file")).into());
    }
    Ok(files)
}

fn canonical(file: &Path) -> anyhow::Result<PathBuf> {
    file.canonicalize().with_context(|| format!("{} cannot be read", file.display()))
}

fn wrong(file: &Path, what: &str) -> Usage {
    Usage(format!("{}: {what}", file.display()))
}

fn read_file(file: &Path) -> anyhow::Result<(String, Map<String, Value>)> {
    let text = std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?;
    let content = match read_yaml(&text, BOUNDS) {
        Ok(Value::Object(content)) => Ok(content),
        Ok(_) => Err(wrong(file, "is no YAML object")),
        Err(YamlError { message, line, column }) => {
            Err(wrong(file, &format!("is no YAML object: {message} (line {line}, column {column})")))
        }
    };
    Ok((text, content?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn files(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        folder
    }

    #[test]
    fn included_files_are_put_together_each_relative_to_the_one_that_names_it() {
        let folder = files(&[
            ("org.yaml", "version: 3\ninclude: [rules/**/*.yaml, keys.yaml]\noutputs: {a: {module: file}}\n"),
            ("rules/one.yaml", "version: 3\nhives: {fp: {f1: {data: {op: exists}}}}\n"),
            ("rules/deep/two.yaml", "version: 3\ninclude: ../../org.yaml\nhives: {fp: {f2: {}}, lookup: {l: {}}}\n"),
            (
                "keys.yaml",
                "version: 2\ninclude: more-keys.yaml\ninstallation_keys: [{desc: a}]\noutputs: {a: {module: file}}\n",
            ),
            ("more-keys.yaml", "installation_keys: [{desc: b}]\noutputs: {b: {}}\nrules: null\n"),
            ("rules/.hidden.yaml", "not: [read"),
        ]);
        let document = Document::read(&folder.path().join("org.yaml")).unwrap();
        let whole = read_yaml(&document.text().unwrap(), BOUNDS).unwrap();
        let expected = json!({
            "version": 3,
            "outputs": {"a": {"module": "file"}, "b": {}},
            "hives": {"fp": {"f1": {"data": {"op": "exists"}}, "f2": {}}, "lookup": {"l": {}}},
            "installation_keys": [{"desc": "a"}, {"desc": "b"}],
        });
        assert_eq!(whole, expected);
    }

    #[test]
    fn an_include_that_cannot_be_followed_says_which_file_and_why() {
        let cases = [
            ("include: gone.yaml", "org.yaml: include \"gone.yaml\" names no file"),
            ("include: {a: b}", "org.yaml: include must be a pattern"),
            ("include: 'a[.yaml'", "org.yaml: include \"a[.yaml\""),
            ("include: list.yaml", "list.yaml: is no YAML object"),
            ("include: other.yaml\nhives: {fp: {f: {data: 1}}}", "other.yaml: hives/fp/f is in another file too"),
            ("include: other.yaml\nhives: [1]", "other.yaml: hives is in another file too"),
        ];
        for (text, expected) in cases {
            let folder =
                files(&[("org.yaml", text), ("list.yaml", "[1]"), ("other.yaml", "hives: {fp: {f: {data: 2}}}")]);
            let error = Document::read(&folder.path().join("org.yaml")).err().map(|error| format!("{error:#}"));
            assert!(error.as_ref().is_some_and(|error| error.contains(expected)), "{text}: {error:?}");
        }
        let folder = files(&[("org.yaml", "include: 'none/*.yaml'\nversion: 3")]);
        assert!(Document::read(&folder.path().join("org.yaml")).is_ok(), "a pattern may match nothing");
    }
}
