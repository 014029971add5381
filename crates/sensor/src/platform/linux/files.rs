//! Files: what makes them private, durable, and what is told of them.

use std::fs::{self, DirBuilder, File, Metadata, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{
    DirBuilderExt as _, FileExt as _, FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use rustix::process::geteuid;
use serde_json::json;

use super::accounts;
use crate::commands::Fields;
use crate::commands::file::bit;

/// Options of a file that only its owner may read, if it comes to be.
#[must_use]
pub fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(0o600);
    options
}

/// Makes a directory that only its owner may enter, with those above it; leaves one that is there.
///
/// # Errors
///
/// What the kernel says.
pub fn make_private_dir(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Closes a directory to everyone else.
///
/// # Errors
///
/// [`io::ErrorKind::PermissionDenied`] if it is a symbolic link or belongs to another user, who could then put an
/// identity or a program into it; else what the kernel says.
pub fn take_possession(path: &Path) -> io::Result<()> {
    check_owner(path, geteuid().as_raw())?;
    fs::set_permissions(path, Permissions::from_mode(0o700))
}

fn check_owner(path: &Path, owner: u32) -> io::Result<()> {
    let metadata = fs::symlink_metadata(path)?;
    let denied = |text: String| Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
    if metadata.is_symlink() {
        let target = fs::read_link(path).unwrap_or_default();
        return denied(format!("it is a symbolic link: name {} itself", target.display()));
    }
    if metadata.uid() != owner {
        let has = metadata.uid();
        return denied(format!(
            "it belongs to user {has} and the sensor runs as {owner}: change its owner, or name another"
        ));
    }
    Ok(())
}

/// Whether only this user or root can have written a file: it is one, belongs to them, and no one else may write
/// to it or to its directory.
#[must_use]
pub fn is_trusted(path: &Path) -> bool {
    is_trusted_by(path, geteuid().as_raw())
}

fn is_trusted_by(path: &Path, user: u32) -> bool {
    let is_ours = |metadata: &Metadata| [0, user].contains(&metadata.uid()) && metadata.mode() & 0o022 == 0;
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::symlink_metadata(path).is_ok_and(|file| file.is_file() && is_ours(&file))
        && fs::metadata(parent).is_ok_and(|parent| is_ours(&parent))
}

/// Lets a file of this user be run, or not.
///
/// # Errors
///
/// What the kernel says.
pub fn set_executable(path: &Path, is_executable: bool) -> io::Result<()> {
    fs::set_permissions(path, Permissions::from_mode(if is_executable { 0o700 } else { 0o600 }))
}

/// Gives a new file the mode of the one whose place it takes, if there is one.
///
/// # Errors
///
/// What the kernel says.
pub fn take_over_mode(old: &Path, new: &Path) -> io::Result<()> {
    match fs::symlink_metadata(old) {
        Ok(metadata) if metadata.is_file() => {
            fs::set_permissions(new, Permissions::from_mode(metadata.permissions().mode() & 0o7777))
        }
        _ => Ok(()),
    }
}

/// Puts a file whose content is durable in the place of another, durably.
///
/// # Errors
///
/// What the kernel says; the old content then stays.
pub fn replace(fresh: &Path, path: &Path) -> io::Result<()> {
    fs::rename(fresh, path)?;
    path.parent().map_or(Ok(()), sync_names)
}

/// Makes durable which names there are in a directory.
///
/// # Errors
///
/// What the kernel says.
pub fn sync_names(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Where a path leads, without links.
///
/// # Errors
///
/// What the kernel says.
pub fn resolve(path: &Path) -> io::Result<PathBuf> {
    fs::canonicalize(path)
}

/// Reads at a place, and all that is asked for.
///
/// # Errors
///
/// What the kernel says; [`io::ErrorKind::UnexpectedEof`] at the end of the file.
pub fn read_exact_at(file: &File, buffer: &mut [u8], at: u64) -> io::Result<()> {
    file.read_exact_at(buffer, at)
}

/// Writes all at a place.
///
/// # Errors
///
/// What the kernel says.
pub fn write_all_at(file: &File, bytes: &[u8], at: u64) -> io::Result<()> {
    file.write_all_at(bytes, at)
}

/// Opens a file for reading. A pipe that nobody writes to does not hold this up, and what waits until there is
/// something to read (the kernel's log, say) fails instead.
///
/// # Errors
///
/// What the kernel says.
pub fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(OFlags::NONBLOCK.bits().cast_signed()).open(path)
}

/// Attributes by [`bit`].
#[must_use]
pub fn attributes(path: &Path, metadata: &Metadata) -> u32 {
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

/// Whose a file is and what they may do, as tasks answer it.
#[must_use]
pub fn ownership(metadata: &Metadata) -> Fields {
    let mut found = Fields::new();
    found.insert("FILE_MODE".to_owned(), json!(metadata.mode()));
    found.insert("USER_ID".to_owned(), json!(metadata.uid()));
    found.insert("GROUP_ID".to_owned(), json!(metadata.gid()));
    if let Some(name) = accounts::Names::read().get(&metadata.uid()) {
        found.insert("USER_NAME".to_owned(), name.into());
    }
    found
}

/// Bytes that may still be written to the file system of a path.
///
/// # Errors
///
/// What the kernel says.
pub fn free_bytes(path: &Path) -> io::Result<u64> {
    let facts = rustix::fs::statvfs(path)?;
    Ok(facts.f_bavail.saturating_mul(facts.f_frsize))
}

/// What changes when the content of a file does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Content {
    device: u64,
    inode: u64,
    /// Length.
    pub bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Content {
    /// That of an open file.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub fn of(file: &File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        Ok(Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            bytes: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }

    /// A text for it, without blanks.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{}-{}-{}", self.inode, self.bytes, self.changed.0)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_directory_of_someone_else_or_behind_a_link_is_refused_and_an_open_one_is_closed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o777)).unwrap();
        take_possession(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o700);
        let text = check_owner(&path, geteuid().as_raw() + 1).unwrap_err().to_string();
        assert!(text.contains("belongs to user"), "{text}");
        let link = dir.path().join("link");
        symlink(&path, &link).unwrap();
        let text = take_possession(&link).unwrap_err().to_string();
        assert!(text.contains("symbolic link") && text.contains("state"), "{text}");
    }

    #[test]
    fn a_file_is_trusted_only_where_no_one_else_can_have_put_it() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("key");
        fs::write(&file, "key").unwrap();
        let set = |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        set(&file, 0o644);
        assert!(is_trusted(&file) && !is_trusted(&dir.path().join("missing")));
        set(&file, 0o664);
        assert!(!is_trusted(&file));
        set(&file, 0o644);
        set(dir.path(), 0o777);
        assert!(!is_trusted(&file), "anyone could have put it there");
        set(dir.path(), 0o700);
        let link = dir.path().join("link");
        symlink(&file, &link).unwrap();
        assert!(!is_trusted(&link));
        let owner = fs::metadata(&file).unwrap().uid();
        assert_eq!(is_trusted_by(&file, owner + 1), owner == 0, "root's files are trusted by all");
    }
}
