//! `directory list`, `create directory`, `delete file`. Source: reference/live-response.md sections 5.3 to 5.5.

use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};

use muster_live::{Code, Entry, Found};

use super::{FOUND_BYTES_MAX, Failure, Outcome};
use crate::commands::file::{Facts, bit, facts};
use crate::commands::matches;
use crate::executor::Toolbox;
use crate::platform::{files, live};

/// Names of attributes by their bits.
const ATTRIBUTES: &[(u32, &str)] = &[
    (bit::READONLY, "READONLY"),
    (bit::HIDDEN, "HIDDEN"),
    (bit::SYSTEM, "SYSTEM"),
    (bit::DIRECTORY, "DIRECTORY"),
    (bit::ARCHIVE, "ARCHIVE"),
    (bit::DEVICE, "DEVICE"),
    (bit::NORMAL, "NORMAL"),
    (bit::TEMPORARY, "TEMPORARY"),
    (bit::SPARSE_FILE, "SPARSE_FILE"),
    (bit::REPARSE_POINT, "REPARSE_POINT"),
    (bit::COMPRESSED, "COMPRESSED"),
    (bit::OFFLINE, "OFFLINE"),
    (bit::NOT_CONTENT_INDEXED, "NOT_CONTENT_INDEXED"),
    (bit::ENCRYPTED, "ENCRYPTED"),
    (bit::INTEGRITY_STREAM, "INTEGRITY_STREAM"),
    (bit::VIRTUAL, "VIRTUAL"),
    (bit::NO_SCRUB_DATA, "NO_SCRUB_DATA"),
    (bit::RECALL_ON_OPEN, "RECALL_ON_OPEN"),
    (bit::PINNED, "PINNED"),
    (bit::UNPINNED, "UNPINNED"),
    (bit::RECALL_ON_DATA_ACCESS, "RECALL_ON_DATA_ACCESS"),
];

/// Bytes that an entry takes beside its name, about, where lists are kept within bounds.
const ENTRY_BYTES: usize = 160;

/// A path as the session sees it: relative ones begin at its working directory.
pub(super) fn resolved(path: &str) -> PathBuf {
    live::path(path)
}

/// Lists the content of a directory if the path ends with a separator, what matches if its last part is a pattern, and
/// else the one entry that it names.
pub(super) fn list(path: &str) -> Outcome {
    let (above, last) = match path.rfind(live::is_separator) {
        Some(at) => path.split_at(at + 1),
        None => ("", path),
    };
    let files = if last.is_empty() {
        content(&resolved(above), |_| true)?
    } else if last.contains(['*', '?']) {
        let pattern = last.as_bytes();
        content(&resolved(above), |name| live::is_match(pattern, name, matches))?
    } else {
        let path = resolved(path);
        let metadata = fs::symlink_metadata(&path).map_err(|error| Failure::at(&path, &error))?;
        vec![entry(&path, last, &metadata)]
    };
    if files.is_empty() {
        return Err(Failure::new(Code::FILE_NOT_FOUND, format!("nothing matches {path}")));
    }
    Ok(Found { files, ..Found::default() })
}

/// Entries whose name fits, `.` and `..` among them, by their name.
fn content(dir: &Path, fits: impl Fn(&[u8]) -> bool) -> Result<Vec<Entry>, Failure> {
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::NotADirectory => Failure::at(dir, &error).with_code(Code::DIRECTORY),
        io::ErrorKind::NotFound => Failure::at(dir, &error).with_code(Code::PATH_NOT_FOUND),
        _ => Failure::at(dir, &error),
    };
    let listed = fs::read_dir(dir).map_err(failed)?;
    let (mut entries, mut bytes) = (Vec::new(), 0);
    let own = [(".", dir.to_owned()), ("..", dir.join(".."))];
    for (name, path) in own.into_iter().filter(|(name, _)| fits(name.as_bytes())) {
        let metadata = fs::metadata(&path).map_err(failed)?;
        entries.push(entry(&path, name, &metadata));
    }
    for listed in listed {
        let listed = listed.map_err(failed)?;
        let name = listed.file_name();
        if !fits(name.as_encoded_bytes()) {
            continue;
        }
        // What goes while it is listed is not there.
        let Ok(metadata) = listed.metadata() else { continue };
        let entry = entry(&listed.path(), &name.to_string_lossy(), &metadata);
        bytes += ENTRY_BYTES + entry.name.len();
        if bytes > FOUND_BYTES_MAX {
            let text = format!("{} holds more than fits into an answer; use a pattern", dir.display());
            return Err(Failure::new(Code::NO_SYSTEM_RESOURCES, text));
        }
        entries.push(entry);
    }
    entries.sort_unstable_by(|one, other| one.name.cmp(&other.name));
    Ok(entries)
}

fn entry(path: &Path, name: &str, metadata: &Metadata) -> Entry {
    let Facts { size, attributes, created_ms, accessed_ms, modified_ms } = facts(path, metadata);
    let attributes = live::attributes(attributes, metadata, name);
    let names = ATTRIBUTES.iter().filter(|(bit, _)| attributes & bit != 0);
    Entry {
        name: name.to_owned(),
        alternate: live::alternate_name(path),
        attributes: names.map(|(_, name)| (*name).to_owned()).collect(),
        size: if metadata.is_dir() { 0 } else { size },
        created: created_ms.div_euclid(1_000),
        accessed: accessed_ms.div_euclid(1_000),
        modified: modified_ms.div_euclid(1_000),
    }
}

pub(super) fn create_directory(tools: &Toolbox, path: &Path) -> Outcome {
    refuse_own(tools, path)?;
    match fs::create_dir(path) {
        Ok(()) => Ok(Found::default()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(Failure::at(path, &error).with_code(Code::PATH_NOT_FOUND))
        }
        Err(error) => Err(Failure::at(path, &error)),
    }
}

/// Removes a file, a link itself, or an empty directory.
pub(super) fn delete(tools: &Toolbox, path: &Path) -> Outcome {
    refuse_own(tools, path)?;
    let text = path.to_string_lossy();
    let bare = Path::new(text.trim_end_matches(live::is_separator));
    let path = if bare.as_os_str().is_empty() { path } else { bare };
    let metadata = fs::symlink_metadata(path).map_err(|error| Failure::at(path, &error))?;
    let removed = if metadata.is_dir() { fs::remove_dir(path) } else { fs::remove_file(path) };
    removed.map_err(|error| Failure::at(path, &error))?;
    Ok(Found::default())
}

/// Refuses to write where the sensor keeps what it must not lose: a session could make it forget what it has done.
///
/// # Errors
///
/// `ACCESS_DENIED`.
pub(super) fn refuse_own(tools: &Toolbox, path: &Path) -> Result<(), Failure> {
    tools.refuse_if_protected(path)?;
    let target = files::resolve(path).ok();
    if tools.is_state(path) || target.is_some_and(|target| tools.is_state(&target)) {
        return Err(Failure::new(Code::ACCESS_DENIED, "this belongs to the sensor"));
    }
    Ok(())
}
