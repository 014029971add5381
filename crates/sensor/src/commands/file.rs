//! Commands on single files. Source: reference/commands.md section 6.2.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::{Failure, Fields, Job, Outcome, code, fields};
use crate::digest::Digests;
use crate::platform::files;

/// Largest content in one reply. Source: reference/commands.md section 6.2.
const CONTENT_BYTES_MAX: u64 = 10 * 1024 * 1024;
/// What fits into one message of the wire as base64 text.
const REPLY_CONTENT_BYTES_MAX: u64 = 6 * 1024 * 1024;

fn path(job: &Job) -> &Path {
    Path::new(job.arguments.text("file").unwrap_or_default())
}

pub(super) fn get(job: &Job) -> Outcome {
    let path = path(job);
    let size = |name| job.arguments.number(name).and_then(|number| u64::try_from(number).ok());
    let mut file = open_regular(path)?;
    let whole = file.metadata()?.len();
    let offset = size("offset").unwrap_or(0);
    let wanted = size("max-size").unwrap_or(u64::MAX).min(whole.saturating_sub(offset));
    let found = fields(json!({"FILE_SIZE": whole}));
    if wanted > CONTENT_BYTES_MAX.min(REPLY_CONTENT_BYTES_MAX) {
        let message = format!("{wanted} bytes do not fit into a reply: use artifact_get, or --offset and --max-size");
        return Err(Failure::new(code::FILE_TOO_LARGE, message).with(found));
    }
    file.seek(SeekFrom::Start(offset))?;
    // Files of /proc say that they are empty.
    let limit = if whole == 0 { size("max-size").unwrap_or(REPLY_CONTENT_BYTES_MAX) } else { wanted };
    let mut content = Vec::new();
    file.take(limit.min(REPLY_CONTENT_BYTES_MAX)).read_to_end(&mut content)?;
    Ok(fields(json!({"FILE_SIZE": whole.max(content.len() as u64), "FILE_CONTENT": STANDARD.encode(content)})))
}

/// Opens a file for reading; pipes and devices would block for ever.
pub(crate) fn open_regular(path: &Path) -> Result<File, Failure> {
    // Opened first and then looked at: what is looked at first may be another file when it is opened.
    let file = files::open(path).map_err(|error| Failure::at(path, &error))?;
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        return Err(Failure::new(code::DIRECTORY, "is a directory"));
    }
    if !metadata.is_file() {
        return Err(Failure::new(code::NOT_SUPPORTED, "not a regular file"));
    }
    Ok(file)
}

/// Whether a file begins with these bytes.
pub(crate) fn begins_with(path: &Path, bytes: &[u8]) -> bool {
    let mut start = vec![0; bytes.len()];
    File::open(path).and_then(|mut file| file.read_exact(&mut start)).is_ok() && start == bytes
}

pub(super) fn info(job: &Job) -> Outcome {
    let path = path(job);
    let metadata = fs::symlink_metadata(path).map_err(|error| Failure::at(path, &error))?;
    let mut found = described(path, &metadata);
    found.insert("FILE_IS_SIGNED".to_owned(), 0.into());
    found.extend(files::ownership(&metadata));
    if let Ok(target) = fs::read_link(path) {
        found.insert("LINK_TARGET".to_owned(), target.to_string_lossy().into());
    }
    Ok(found)
}

/// Bits of attributes.
#[allow(missing_docs, reason = "the names are those of the published table")]
pub mod bit {
    pub const READONLY: u32 = 0x1;
    pub const HIDDEN: u32 = 0x2;
    pub const SYSTEM: u32 = 0x4;
    pub const DIRECTORY: u32 = 0x10;
    pub const ARCHIVE: u32 = 0x20;
    pub const DEVICE: u32 = 0x40;
    pub const NORMAL: u32 = 0x80;
    pub const TEMPORARY: u32 = 0x100;
    pub const SPARSE_FILE: u32 = 0x200;
    pub const REPARSE_POINT: u32 = 0x400;
    pub const COMPRESSED: u32 = 0x800;
    pub const OFFLINE: u32 = 0x1000;
    pub const NOT_CONTENT_INDEXED: u32 = 0x2000;
    pub const ENCRYPTED: u32 = 0x4000;
    pub const INTEGRITY_STREAM: u32 = 0x8000;
    pub const VIRTUAL: u32 = 0x1_0000;
    pub const NO_SCRUB_DATA: u32 = 0x2_0000;
    pub const RECALL_ON_OPEN: u32 = 0x4_0000;
    pub const PINNED: u32 = 0x8_0000;
    pub const UNPINNED: u32 = 0x10_0000;
    pub const RECALL_ON_DATA_ACCESS: u32 = 0x40_0000;
}

/// What listings and descriptions tell of an entry; times are Unix milliseconds.
pub(crate) struct Facts {
    pub(crate) size: u64,
    /// See [`bit`].
    pub(crate) attributes: u32,
    pub(crate) created_ms: i64,
    pub(crate) accessed_ms: i64,
    pub(crate) modified_ms: i64,
}

/// Size, attributes and times of an entry.
pub(crate) fn facts(path: &Path, metadata: &fs::Metadata) -> Facts {
    let modified_ms = metadata.modified().map_or(0, ms);
    Facts {
        size: metadata.len(),
        attributes: files::attributes(path, metadata),
        // Not every file system knows. Source: reference/live-response.md section 5.4.
        created_ms: metadata.created().map_or(modified_ms, ms),
        accessed_ms: metadata.accessed().map_or(0, ms),
        modified_ms,
    }
}

/// The same, as tasks answer it.
pub(super) fn described(path: &Path, metadata: &fs::Metadata) -> Fields {
    let facts = facts(path, metadata);
    fields(json!({
        "FILE_SIZE": facts.size,
        "ATTRIBUTES": facts.attributes,
        "CREATION_TIME": facts.created_ms,
        "ACCESS_TIME": facts.accessed_ms,
        "MODIFICATION_TIME": facts.modified_ms,
    }))
}

/// Unix milliseconds; before 1970 they are negative.
fn ms(time: SystemTime) -> i64 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
        Err(error) => i64::try_from(error.duration().as_millis()).map_or(i64::MIN, |before| -before),
    }
}

pub(super) fn hash(job: &Job) -> Outcome {
    let path = path(job);
    let mut file = open_regular(path)?;
    let bytes = file.metadata()?.len();
    let digests = Digests::of(&mut file, u64::MAX, || job.is_over()).map_err(|error| match error.kind() {
        io::ErrorKind::TimedOut => {
            let done = file.stream_position().unwrap_or(0);
            let text = format!("of {bytes} bytes {done} were hashed when its time was over");
            Failure::new(code::TIMEOUT, text).with(fields(json!({"FILE_SIZE": bytes})))
        }
        _ => Failure::at(path, &error),
    })?;
    let mut found = fields(json!({
        "HASH": digests.sha256,
        "HASH_SHA1": digests.sha1,
        "HASH_MD5": digests.md5,
        "FILE_SIZE": digests.bytes,
        "FILE_IS_SIGNED": 0,
    }));
    if job.arguments.flag("all") {
        found.insert("SHA256".to_owned(), digests.sha256.into());
        found.insert("SHA1".to_owned(), digests.sha1.into());
        found.insert("MD5".to_owned(), digests.md5.into());
    }
    Ok(found)
}

pub(super) fn delete(job: &Job) -> Outcome {
    let path = path(job);
    job.tools.refuse_if_protected(path)?;
    let metadata = fs::symlink_metadata(path).map_err(|error| Failure::at(path, &error))?;
    if metadata.is_dir() {
        let is_empty = fs::read_dir(path).map_err(|error| Failure::at(path, &error))?.next().is_none();
        let failure =
            if is_empty { (code::DIRECTORY, "is a directory") } else { (145, "is a directory that is not empty") };
        return Err(Failure::new(failure.0, failure.1));
    }
    fs::remove_file(path).map_err(|error| Failure::at(path, &error))?;
    Ok(Fields::new())
}

pub(super) fn rename(job: &Job) -> Outcome {
    let argument = |name| Path::new(job.arguments.text(name).unwrap_or_default());
    let (from, to) = (argument("src"), argument("dst"));
    job.tools.refuse_if_protected(from)?;
    job.tools.refuse_if_protected(to)?;
    fs::symlink_metadata(from).map_err(|error| Failure::at(from, &error))?;
    match fs::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => copy_over(from, to)?,
        moved => moved.map_err(|error| Failure::at(to, &error))?,
    }
    Ok(Fields::new())
}

/// Moves between file systems: the target appears whole, then the source goes.
fn copy_over(from: &Path, to: &Path) -> Result<(), Failure> {
    drop(open_regular(from)?);
    let name = to.file_name().ok_or_else(|| Failure::new(123, "the destination names no file"))?;
    let partial = to.with_file_name(format!("{}.part", name.to_string_lossy()));
    let copied =
        fs::copy(from, &partial).and_then(|_| File::open(&partial)?.sync_all()).and_then(|()| fs::rename(&partial, to));
    if let Err(error) = copied {
        // Nothing is lost if the remains cannot be removed: the source is whole.
        let _ = fs::remove_file(&partial);
        return Err(Failure::at(to, &error));
    }
    fs::remove_file(from).map_err(|error| Failure::at(from, &error))
}
