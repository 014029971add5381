//! Commands on single files. Source: reference/commands.md section 6.2.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustix::fs::OFlags;
use serde_json::json;

use super::{Failure, Fields, Job, Outcome, code, fields};
use crate::digest::Digests;
use crate::platform::accounts;

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

/// Opens a file for reading; pipes and devices would block for ever. Files of the kernel that wait until there
/// is something to read (its log, say) fail instead.
pub(crate) fn open_regular(path: &Path) -> Result<File, Failure> {
    // Opened first and then looked at: what is looked at first may be another file when it is opened. A pipe
    // that nobody writes to does not hold this up.
    let open = OpenOptions::new().read(true).custom_flags(OFlags::NONBLOCK.bits().cast_signed()).open(path);
    let file = open.map_err(|error| Failure::at(path, &error))?;
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        return Err(Failure::new(code::DIRECTORY, "is a directory"));
    }
    if !metadata.is_file() {
        return Err(Failure::new(code::NOT_SUPPORTED, "not a regular file"));
    }
    Ok(file)
}

pub(super) fn info(job: &Job) -> Outcome {
    let path = path(job);
    let metadata = fs::symlink_metadata(path).map_err(|error| Failure::at(path, &error))?;
    let mut found = described(path, &metadata);
    found.extend(fields(json!({
        "FILE_IS_SIGNED": 0,
        "FILE_MODE": metadata.mode(),
        "USER_ID": metadata.uid(),
        "GROUP_ID": metadata.gid(),
    })));
    if let Some(name) = accounts::user_name(metadata.uid()) {
        found.insert("USER_NAME".to_owned(), name.into());
    }
    if let Ok(target) = fs::read_link(path) {
        found.insert("LINK_TARGET".to_owned(), target.to_string_lossy().into());
    }
    Ok(found)
}

/// Bits of attributes.
#[allow(missing_docs, reason = "the names are those of the published table")]
pub(crate) mod bit {
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
    let ms = |seconds: i64, nanoseconds: i64| seconds.saturating_mul(1_000).saturating_add(nanoseconds / 1_000_000);
    let born = metadata.created().ok().and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
    let created = born
        .and_then(|since| i64::try_from(since.as_millis()).ok())
        .unwrap_or_else(|| ms(metadata.ctime(), metadata.ctime_nsec()));
    Facts {
        size: metadata.len(),
        attributes: attributes(path, metadata),
        created_ms: created,
        accessed_ms: ms(metadata.atime(), metadata.atime_nsec()),
        modified_ms: ms(metadata.mtime(), metadata.mtime_nsec()),
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

fn attributes(path: &Path, metadata: &fs::Metadata) -> u32 {
    let kind = metadata.file_type();
    let is_hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
    let is_plain =
        kind.is_file() || kind.is_fifo() || kind.is_socket() || kind.is_block_device() || kind.is_char_device();
    [
        (metadata.mode() & 0o222 == 0, bit::READONLY),
        (is_hidden, bit::HIDDEN),
        (kind.is_dir(), bit::DIRECTORY),
        (is_plain, bit::ARCHIVE),
        (kind.is_symlink(), bit::REPARSE_POINT),
    ]
    .into_iter()
    .filter_map(|(holds, bit)| holds.then_some(bit))
    .sum()
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
