//! The file that `muster up` writes for those that use its server.

use std::collections::HashMap;
use std::path::Path;

/// Its variables by name; `None` as long as it is not there. It appears as a whole.
pub fn read(data_dir: &Path) -> Option<HashMap<String, String>> {
    let text = std::fs::read_to_string(data_dir.join("env")).ok()?;
    let assignments = text.lines().filter_map(|line| line.strip_prefix("export ")?.split_once('='));
    Some(assignments.map(|(name, value)| (name.to_owned(), value.trim_matches('\'').to_owned())).collect())
}
