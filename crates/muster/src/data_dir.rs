//! The data directory: one server at a time.

use anyhow::{Context as _, bail};
use std::fs;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// Name of the file that is locked while a server runs.
pub const LOCK_FILE: &str = "lock";

/// A data directory that belongs to this process until it is dropped, or dies.
pub struct DataDir {
    /// Absolute path.
    pub path: PathBuf,
    _lock: fs::File,
}

impl DataDir {
    /// Takes a data directory, and makes it if there is none.
    ///
    /// # Errors
    ///
    /// If another server uses it, or it cannot be written to.
    pub fn take(path: &Path) -> anyhow::Result<Self> {
        let unusable = || format!("cannot use the data directory {}", path.display());
        fs::DirBuilder::new().recursive(true).mode(0o700).create(path).with_context(unusable)?;
        let path = fs::canonicalize(path).with_context(unusable)?;
        let mut options = fs::OpenOptions::new();
        let lock = options.write(true).create(true).truncate(false).mode(0o600).open(path.join(LOCK_FILE));
        let lock = lock.with_context(unusable)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path, _lock: lock }),
            Err(fs::TryLockError::WouldBlock) => bail!(
                "another muster server runs on {}: stop it first, or choose another directory with --data-dir",
                path.display()
            ),
            Err(fs::TryLockError::Error(error)) => Err(error).with_context(unusable),
        }
    }

    /// Whether a server runs on a directory now.
    pub fn is_taken(path: &Path) -> bool {
        let lock = fs::OpenOptions::new().write(true).open(path.join(LOCK_FILE));
        lock.is_ok_and(|lock| matches!(lock.try_lock(), Err(fs::TryLockError::WouldBlock)))
    }
}
