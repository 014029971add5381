//! The sensor's directory: private, locked by one process, changed atomically.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use crate::platform::files;

/// An open state directory. The lock lives as long as this value.
#[derive(Debug)]
pub struct StateDir {
    path: PathBuf,
    _lock: File,
}

impl StateDir {
    /// Creates the directory, closes it to others, and locks it.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::PermissionDenied`] if it is a symbolic link or belongs to another user;
    /// [`io::ErrorKind::WouldBlock`] if another sensor runs on it; else what the file system says.
    pub fn open(path: &Path) -> io::Result<Self> {
        files::make_private_dir(path)?;
        files::take_possession(path)?;
        let path = files::resolve(path)?;
        let lock = files::private().create(true).truncate(false).write(true).open(path.join("lock"))?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => io::ErrorKind::WouldBlock.into(),
            TryLockError::Error(error) => error,
        })?;
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

/// Replaces a file as a whole, durably; only its owner may read it.
///
/// # Errors
///
/// What the file system says; the old content then stays.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let fresh = path.with_extension("new");
    let mut file = files::private().create(true).write(true).truncate(true).open(&fresh)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    // It cannot take the place of another while it is open everywhere.
    drop(file);
    files::replace(&fresh, path)
}
