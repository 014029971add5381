//! Commands on directories: `dir_list`, `dir_find_hash`. Source: reference/commands.md section 6.2.

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{Failure, Fields, Job, Outcome, code, fields, file};
use crate::digest::Digests;

/// Entries looked at. Source: reference/commands.md section 6.2.
const ENTRIES_MAX: usize = 100_000;
/// Time for one listing. Source: reference/commands.md section 6.2.
const TIME_MAX: Duration = Duration::from_secs(60);

pub(super) fn list(job: &Job) -> Outcome {
    walk(job, |_, _| Some(Fields::new()))
}

pub(super) fn find_hash(job: &Job) -> Outcome {
    let wanted = job.arguments.list("hash");
    walk(job, |path, metadata| {
        if !metadata.is_file() {
            return None;
        }
        let digests = Digests::of(&mut file::open_regular(path).ok()?, u64::MAX).ok()?;
        digests.are_among(wanted).then(|| fields(json!({"HASH": digests.sha256})))
    })
}

/// Lists what matches the expression and passes the filter, which adds fields.
fn walk(job: &Job, filter: impl Fn(&Path, &fs::Metadata) -> Option<Fields>) -> Outcome {
    let root = Path::new(job.arguments.text("root-dir").unwrap_or_default());
    let expression = job.arguments.text("file-exp").unwrap_or("*").as_bytes();
    let depth = job.arguments.number("depth").unwrap_or(0);
    if !fs::metadata(root).map_err(|error| Failure::at(root, &error))?.is_dir() {
        return Err(Failure::new(code::PATH_NOT_FOUND, "not a directory"));
    }
    // Unreadable directories below the root are skipped, an unreadable root is an error.
    drop(fs::read_dir(root).map_err(|error| Failure::at(root, &error))?);
    let (begun, mut seen, mut found) = (Instant::now(), 0, Vec::new());
    let mut ahead: Vec<(PathBuf, i64)> = vec![(root.to_owned(), depth)];
    while let Some((dir, levels)) = ahead.pop() {
        for entry in fs::read_dir(&dir).into_iter().flatten().flatten() {
            seen += 1;
            if seen > ENTRIES_MAX || begun.elapsed() > TIME_MAX {
                let listed = fields(json!({"DIRECTORY_LIST": found}));
                return Err(Failure::new(code::BUSY, "truncated").with(listed));
            }
            let path = entry.path();
            let Ok(metadata) = entry.metadata() else { continue };
            if metadata.is_dir() && levels > 0 {
                ahead.push((path.clone(), levels - 1));
            }
            if matches(expression, entry.file_name().as_bytes())
                && let Some(extra) = filter(&path, &metadata)
            {
                found.push(entry_of(&path, &metadata, extra));
            }
        }
    }
    Ok(fields(json!({"DIRECTORY_LIST": found})))
}

fn entry_of(path: &Path, metadata: &fs::Metadata, extra: Fields) -> Value {
    let mut entry = file::described(path, metadata);
    entry.insert("FILE_NAME".to_owned(), path.file_name().unwrap_or_default().to_string_lossy().into());
    entry.insert("FILE_PATH".to_owned(), path.to_string_lossy().into());
    entry.extend(extra);
    Value::Object(entry)
}

/// Whether a name fits: `*` is any run, `?` one character. Linear in both lengths
/// but for the last `*`, so no expression can hang it.
fn matches(expression: &[u8], name: &[u8]) -> bool {
    let (mut at, mut in_name, mut retry) = (0, 0, None);
    while in_name < name.len() {
        match expression.get(at) {
            Some(b'*') => {
                retry = Some((at, in_name));
                at += 1;
            }
            Some(b'?') => {
                // One character, which may be several bytes of UTF-8.
                at += 1;
                in_name += 1;
                while name.get(in_name).is_some_and(|byte| byte & 0xc0 == 0x80) {
                    in_name += 1;
                }
            }
            Some(byte) if *byte == name[in_name] => {
                at += 1;
                in_name += 1;
            }
            _ => {
                let Some((star, from)) = retry else { return false };
                retry = Some((star, from + 1));
                at = star + 1;
                in_name = from + 1;
            }
        }
    }
    expression[at..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_match_whole_names() {
        for (expression, name, fits) in [
            ("*", "anything", true),
            ("*.log", "a.log", true),
            ("*.log", "a.log.gz", false),
            ("a*b*c", "axxbyybzc", true),
            ("?.txt", "é.txt", true),
            ("?", "", false),
            ("", "", true),
            ("**", "", true),
            ("A", "a", false),
        ] {
            assert_eq!(matches(expression.as_bytes(), name.as_bytes()), fits, "{expression} {name}");
        }
    }
}
