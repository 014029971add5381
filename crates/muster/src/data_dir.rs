//! The data directory: one server at a time.

use anyhow::{Context as _, bail};
use rustix::process::geteuid;
use std::fs;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
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
    /// If another server uses it, it is a link or belongs to someone else, or it cannot be written to.
    pub fn take(path: &Path) -> anyhow::Result<Self> {
        let unusable = || format!("cannot use the data directory {}", path.display());
        fs::DirBuilder::new().recursive(true).mode(0o700).create(path).with_context(unusable)?;
        require_own(path).with_context(unusable)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o700)).with_context(unusable)?;
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

/// Whoever owns the directory, or the link to it, could put other keys there.
fn require_own(path: &Path) -> anyhow::Result<()> {
    let (found, user) = (fs::symlink_metadata(path)?, geteuid().as_raw());
    if found.is_symlink() {
        bail!("it is a link: name {} itself", fs::read_link(path).unwrap_or_default().display());
    }
    if found.uid() != user {
        bail!("it belongs to user {}, and this runs as {user}: change its owner, or name another", found.uid());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_11_a_data_directory_is_private_and_no_link() {
        let folder = tempfile::tempdir().unwrap();
        let (own, link) = (folder.path().join("own"), folder.path().join("link"));
        fs::DirBuilder::new().mode(0o755).create(&own).unwrap();
        let taken = DataDir::take(&own).unwrap();
        assert_eq!(fs::metadata(&own).unwrap().permissions().mode() & 0o777, 0o700);
        drop(taken);
        std::os::unix::fs::symlink(&own, &link).unwrap();
        let refused = DataDir::take(&link).err().map(|error| format!("{error:#}")).unwrap_or_default();
        assert!(refused.contains("it is a link"), "{refused}");
    }
}
