//! The sensor's directory: private, locked by one process, changed atomically.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use rustix::process::geteuid;

/// An open state directory. The lock lives as long as this value.
#[derive(Debug)]
pub struct StateDir {
    path: PathBuf,
    _lock: File,
}

impl StateDir {
    /// Creates (mode 0700) and locks the directory.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::PermissionDenied`] if it is a symbolic link or belongs to another user, who could then
    /// put an identity or a program into it; [`io::ErrorKind::WouldBlock`] if another sensor runs on it; else
    /// what the file system says.
    pub fn open(path: &Path) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        check(path, geteuid().as_raw())?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o700))?;
        let path = fs::canonicalize(path)?;
        let lock = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path.join("lock"))?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
        Ok(Self { path, _lock: lock })
    }

    /// Absolute path of a file in the directory.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Absolute path of the directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn check(path: &Path, owner: u32) -> io::Result<()> {
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
    let is_ours = |metadata: &fs::Metadata| [0, user].contains(&metadata.uid()) && metadata.mode() & 0o022 == 0;
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::symlink_metadata(path).is_ok_and(|file| file.is_file() && is_ours(&file))
        && fs::metadata(parent).is_ok_and(|parent| is_ours(&parent))
}

/// Reads a file that may be absent.
///
/// # Errors
///
/// Any error but that it is absent.
pub fn read_optional(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Replaces a file as a whole, durably, mode 0600.
///
/// # Errors
///
/// What the file system says; the old content then stays.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let fresh = path.with_extension("new");
    let mut file = OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&fresh)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&fresh, path)?;
    path.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all())
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
        fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).unwrap();
        drop(StateDir::open(&path).unwrap());
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o700);
        let text = check(&path, geteuid().as_raw() + 1).unwrap_err().to_string();
        assert!(text.contains("belongs to user"), "{text}");
        let link = dir.path().join("link");
        symlink(&path, &link).unwrap();
        let text = StateDir::open(&link).unwrap_err().to_string();
        assert!(text.contains("symbolic link") && text.contains("state"), "{text}");
    }

    #[test]
    fn a_file_is_trusted_only_where_no_one_else_can_have_put_it() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("key");
        fs::write(&file, "key").unwrap();
        let set = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
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
