//! `DIR/env`: what a shell sources to talk to this server.

use anyhow::{Context as _, anyhow};
use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// Name of the file in the data directory.
pub const FILE: &str = "env";

/// Variables by name, as they stand in the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Environment(pub BTreeMap<String, String>);

impl Environment {
    /// Reads the file of a data directory; `None` if there is none.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, or holds something else than assignments.
    pub fn read(data_dir: &Path) -> anyhow::Result<Option<Self>> {
        Self::read_file(&data_dir.join(FILE))
    }

    /// Reads a file of this form, wherever it is.
    ///
    /// # Errors
    ///
    /// As [`Environment::read`].
    pub fn read_file(path: &Path) -> anyhow::Result<Option<Self>> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(anyhow!(error).context(format!("cannot read {}", path.display()))),
        };
        Self::parse(&text)
            .with_context(|| format!("{} is damaged; delete it to have it made anew", path.display()))
            .map(Some)
    }

    /// Writes the file in one step: whoever reads meanwhile sees the old one or the new one.
    /// Only its owner may read it, since it holds an API key.
    ///
    /// # Errors
    ///
    /// Whatever the file system says.
    pub fn write(&self, data_dir: &Path) -> anyhow::Result<()> {
        let path = data_dir.join(FILE);
        let fresh = data_dir.join("env.new");
        let write = || -> std::io::Result<()> {
            let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
            file.write_all(self.text().as_bytes())?;
            file.sync_all()?;
            fs::rename(&fresh, &path)?;
            fs::File::open(data_dir)?.sync_all()
        };
        write().with_context(|| format!("cannot write {}", path.display()))
    }

    /// A variable; empty counts as missing.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The text of the file: one `export` line per variable, values in single quotes.
    pub fn text(&self) -> String {
        let mut text = String::from("# Made by `muster up`; it holds a secret. Use it by: source env\n");
        for (name, value) in &self.0 {
            text.push_str(&format!("export {name}={}\n", quoted(value)));
        }
        text
    }

    fn parse(text: &str) -> anyhow::Result<Self> {
        let mut variables = BTreeMap::new();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let assignment = line.strip_prefix("export ").and_then(|rest| rest.split_once('='));
            let unquoted = assignment.and_then(|(name, value)| {
                let inner = value.strip_prefix('\'')?.strip_suffix('\'')?;
                Some((name.to_owned(), inner.replace(r"'\''", "'")))
            });
            let (name, value) = unquoted.ok_or_else(|| anyhow!("line {number} is not export NAME='VALUE'"))?;
            variables.insert(name, value);
        }
        Ok(Self(variables))
    }
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// A word for a shell: as it is where that is one, else in single quotes.
pub fn word(text: &str) -> String {
    let is_plain = |char: char| char.is_ascii_alphanumeric() || "-_./".contains(char);
    if text.chars().all(is_plain) { text.to_owned() } else { quoted(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A path may hold any character; a shell must get exactly it, and so must the next `muster up`.
    #[test]
    fn a_value_with_quotes_survives_the_file_and_a_shell() {
        let value = r#"/tmp/it's "here" $HOME `id` \ !"#;
        let environment = Environment([("SSL_CERT_FILE".to_owned(), value.to_owned())].into());
        assert_eq!(Environment::parse(&environment.text()).unwrap(), environment);

        let script = format!("{}printf %s \"$SSL_CERT_FILE\"", environment.text());
        let output = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), value);
    }

    #[test]
    fn a_damaged_file_is_an_error_that_names_the_line() {
        let error = Environment::parse("export A='1'\nexport B='2\n").unwrap_err();
        assert!(error.to_string().contains("line 2"), "{error}");
    }
}
