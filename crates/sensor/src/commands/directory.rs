//! Commands on directories: `dir_list`, `dir_find_hash`. Source: reference/commands.md section 6.2.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::Instant;

use serde_json::{Value, json};

use super::{Failure, Fields, Job, List, Outcome, code, fields, file};
use crate::digest::Digests;
use crate::platform::live;

/// Entries looked at. Source: reference/commands.md section 6.2.
const ENTRIES_MAX: usize = 100_000;
/// Time for one listing. Source: reference/commands.md section 6.2.
const TIME_MAX: Duration = Duration::from_secs(60);
/// Longest file that is hashed on the way: some 20 seconds. Anyone can make a file that seems to be longer than
/// any disk and takes none of it.
const HASHED_BYTES_MAX: u64 = 4 * 1024 * 1024 * 1024;

/// What a filter makes of an entry.
enum Verdict {
    Passes(Fields),
    Fails,
    TooLarge,
    TimeIsOver,
}

pub(super) fn list(job: &Job) -> Outcome {
    walk(job, TIME_MAX, |_, _, _| Verdict::Passes(Fields::new()))
}

pub(super) fn find_hash(job: &Job) -> Outcome {
    find_hash_within(job, TIME_MAX)
}

pub(super) fn find_hash_within(job: &Job, time: Duration) -> Outcome {
    let wanted = job.arguments.list("hash");
    walk(job, time, |path, metadata, until| {
        if !metadata.is_file() {
            return Verdict::Fails;
        }
        if metadata.len() > HASHED_BYTES_MAX {
            return Verdict::TooLarge;
        }
        let Ok(mut file) = file::open_regular(path) else { return Verdict::Fails };
        match Digests::of(&mut file, HASHED_BYTES_MAX, || Instant::now() >= until || job.stop.heed()) {
            Ok(digests) if digests.are_among(wanted) => Verdict::Passes(fields(json!({"HASH": digests.sha256}))),
            Err(error) if error.kind() == io::ErrorKind::FileTooLarge => Verdict::TooLarge,
            Err(error) if error.kind() == io::ErrorKind::TimedOut => Verdict::TimeIsOver,
            _ => Verdict::Fails,
        }
    })
}

/// Lists what matches the expression and passes the filter, which adds fields.
fn walk(job: &Job, time: Duration, filter: impl Fn(&Path, &fs::Metadata, Instant) -> Verdict) -> Outcome {
    let root = Path::new(job.arguments.text("root-dir").unwrap_or_default());
    let expression = job.arguments.text("file-exp").unwrap_or("*").as_bytes();
    let depth = job.arguments.number("depth").unwrap_or(0);
    if !fs::metadata(root).map_err(|error| Failure::at(root, &error))?.is_dir() {
        return Err(Failure::new(code::PATH_NOT_FOUND, "not a directory"));
    }
    // Unreadable directories below the root are skipped, an unreadable root is an error.
    drop(fs::read_dir(root).map_err(|error| Failure::at(root, &error))?);
    let until = Instant::now() + time;
    let (mut seen, mut found, mut too_large) = (0, List::default(), 0_u64);
    let mut ahead: Vec<(PathBuf, i64)> = vec![(root.to_owned(), depth)];
    let truncated = |found: List, why: &str| {
        let listed = fields(json!({"DIRECTORY_LIST": found.values}));
        Err(Failure::new(code::BUSY, format!("truncated: {why}")).with(listed))
    };
    while let Some((dir, levels)) = ahead.pop() {
        for entry in fs::read_dir(&dir).into_iter().flatten().flatten() {
            seen += 1;
            if seen > ENTRIES_MAX {
                return truncated(found, &format!("more than {ENTRIES_MAX} entries"));
            }
            let path = entry.path();
            let Ok(metadata) = entry.metadata() else { continue };
            if metadata.is_dir() && levels > 0 {
                ahead.push((path.clone(), levels - 1));
            }
            let is_match = live::is_match(expression, entry.file_name().as_encoded_bytes(), matches);
            let verdict = if is_match { filter(&path, &metadata, until) } else { Verdict::Fails };
            too_large += u64::from(matches!(verdict, Verdict::TooLarge));
            if let Verdict::Passes(extra) = verdict
                && !found.push(entry_of(&path, &metadata, extra))
            {
                return truncated(found, "the list is too long for a reply");
            }
            if job.stop.heed() {
                return truncated(found, "it was asked to stop");
            }
            if Instant::now() >= until {
                return truncated(found, &format!("it took more than {} s", time.as_secs()));
            }
        }
    }
    let mut reply = fields(json!({"DIRECTORY_LIST": found.values}));
    if too_large > 0 {
        let text = format!("{too_large} files of more than {HASHED_BYTES_MAX} bytes were not hashed: use file_hash");
        reply.extend(fields(json!({"SKIPPED_FILES": too_large, "ERROR_MESSAGE": text})));
    }
    Ok(reply)
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
pub(crate) fn matches(expression: &[u8], name: &[u8]) -> bool {
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
