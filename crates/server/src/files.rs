//! Files that come in by HTTP and stay on disk: payloads and artifacts.
//!
//! A file is received beside its place, synced, and then given its name: under
//! its name it is whole or not there. What was received and never named goes
//! when the upload is dropped, or at the next start.

use crate::arrival::{Arrival, ArrivalError, read_past};
use crate::random;
use aws_lc_rs::digest::{Context, SHA256};
use bytes::Bytes;
use futures_util::stream;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyDataStream, BodyExt as _, StreamBody};
use hyper::body::{Frame, Incoming};
use muster_model::{Oid, to_hex};
use std::io::{self, Read as _};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use tokio::fs::{self, File, OpenOptions};
use tokio::io::{AsyncSeekExt as _, AsyncWriteExt as _, SeekFrom};
use tokio::sync::Mutex;
use tokio::task::{JoinHandle, spawn_blocking};

/// Bytes of one piece of a file on its way out.
const PIECE_BYTES: usize = 128 * 1024;

/// Where files are received, below the data directory.
const INCOMING: &str = "incoming";

/// Why a file is not taken in, or not given out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// It did not arrive.
    #[error(transparent)]
    Arrival(#[from] ArrivalError),
    /// It has more bytes than this.
    #[error("a file may have at most {0} bytes")]
    TooLarge(u64),
    /// It does not fit on the disk.
    #[error("the disk of the server is full; nothing was kept. Free some space and try again")]
    DiskFull,
    /// It was removed meanwhile.
    #[error("the file is not there any more")]
    Gone,
    /// The disk failed; for the log alone.
    #[error("a file could not be read or written: {0}")]
    Disk(io::Error),
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull,
            _ => Self::Disk(error),
        }
    }
}

/// The content of a kept file, read as it is asked for.
pub type Content = UnsyncBoxBody<Bytes, io::Error>;

/// What a file is kept as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shelf {
    /// Named by digest.
    Payloads,
    /// Named by payload id.
    Artifacts,
}

/// The files of a server, below its data directory.
pub struct Files {
    data_dir: PathBuf,
    /// Held while a file is kept or removed with its record: a name is not given away before its record is gone.
    pub placing: Mutex<()>,
}

impl Files {
    /// Files below a data directory.
    #[must_use]
    pub fn new(data_dir: PathBuf) -> Self {
        Self { data_dir, placing: Mutex::new(()) }
    }

    /// Path of a kept file. The name must hold neither slashes nor a leading dot.
    #[must_use]
    pub fn path(&self, shelf: Shelf, oid: Oid, name: &str) -> PathBuf {
        let shelf = match shelf {
            Shelf::Payloads => "payloads",
            Shelf::Artifacts => "artifacts",
        };
        self.data_dir.join(shelf).join(oid.to_string()).join(name)
    }

    /// Begins an upload.
    ///
    /// # Errors
    ///
    /// [`Error::DiskFull`] or [`Error::Disk`].
    pub async fn begin(&self) -> Result<Upload, Error> {
        let dir = self.data_dir.join(INCOMING);
        make_dir(&dir)?;
        let path = dir.join(random::uuid().to_string());
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).await?;
        Ok(Upload { file, at: Unnamed(Some(path)), digest: Context::new(&SHA256), size: 0 })
    }

    /// Removes uploads that a crash left without a name. Blocks; only before the server listens.
    pub fn tidy_uploads(&self) {
        tidy_dir(&self.data_dir.join(INCOMING), |_| false);
    }

    /// Removes files of an organization that a crash left without a record. Blocks; only before the server listens.
    pub fn tidy(&self, shelf: Shelf, oid: Oid, has_record: impl Fn(&str) -> bool) {
        tidy_dir(&self.path(shelf, oid, ""), has_record);
    }
}

/// An upload that goes on; dropping it leaves nothing behind.
pub struct Upload {
    file: File,
    at: Unnamed,
    digest: Context,
    size: u64,
}

/// The path of a file that has no name yet.
struct Unnamed(Option<PathBuf>);

impl Drop for Unnamed {
    fn drop(&mut self) {
        if let Some(path) = &self.0
            && let Err(error) = std::fs::remove_file(path)
        {
            tracing::warn!(%error, "an unfinished upload could not be removed");
        }
    }
}

impl Upload {
    /// Bytes so far.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Appends a body.
    ///
    /// # Errors
    ///
    /// [`Error::TooLarge`] above `bytes_max` in all, [`Error::DiskFull`], or [`Error::Arrival`] if the sender breaks off.
    pub async fn append(&mut self, mut body: Incoming, bytes_max: u64) -> Result<(), Error> {
        let taken = self.take(&mut body, bytes_max).await;
        if matches!(&taken, Err(error) if !matches!(error, Error::Arrival(_))) {
            // What came is of no use any more, and a full disk needs its room.
            let _ = self.file.set_len(0).await;
            read_past(BodyDataStream::new(body)).await;
        }
        taken
    }

    async fn take(&mut self, body: &mut Incoming, bytes_max: u64) -> Result<(), Error> {
        if hyper::body::Body::size_hint(body).lower().saturating_add(self.size) > bytes_max {
            return Err(Error::TooLarge(bytes_max));
        }
        let mut arrival = Arrival::begin();
        while let Some(data) = arrival.next(body).await? {
            self.size = self.size.saturating_add(data.len() as u64);
            if self.size > bytes_max {
                return Err(Error::TooLarge(bytes_max));
            }
            self.digest.update(&data);
            self.file.write_all(&data).await?;
        }
        Ok(())
    }

    /// Makes the file durable.
    ///
    /// # Errors
    ///
    /// [`Error::DiskFull`] or [`Error::Disk`].
    pub async fn finish(mut self) -> Result<Received, Error> {
        self.file.flush().await?;
        self.file.sync_all().await?;
        Ok(Received { at: self.at, size: self.size, sha256: to_hex(self.digest.finish().as_ref()) })
    }
}

/// A file that is whole and has no name yet; dropping it removes it.
pub struct Received {
    at: Unnamed,
    /// Bytes.
    pub size: u64,
    /// SHA-256, hex.
    pub sha256: String,
}

impl Received {
    /// Gives the file its name, in place of whatever had it.
    ///
    /// # Errors
    ///
    /// [`Error::DiskFull`] or [`Error::Disk`].
    pub async fn keep(mut self, to: &Path) -> Result<(), Error> {
        let dir = to.parent().unwrap_or(to);
        make_dir(dir)?;
        if let Some(from) = &self.at.0 {
            fs::rename(from, to).await?;
        }
        self.at.0 = None;
        // The name is durable when its directory is.
        Ok(File::open(dir).await?.sync_all().await?)
    }
}

pub(crate) fn make_dir(dir: &Path) -> io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

/// Size and content of a kept file.
///
/// # Errors
///
/// [`Error::Gone`].
pub async fn read(path: &Path) -> Result<(u64, Content), Error> {
    read_from(path, 0).await
}

/// Content of a kept file from this byte on, and its length.
///
/// # Errors
///
/// [`Error::Gone`].
pub async fn read_from(path: &Path, offset: u64) -> Result<(u64, Content), Error> {
    let gone = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => Error::Gone,
        _ => Error::Disk(error),
    };
    let mut file = File::open(path).await.map_err(gone)?;
    let size = file.metadata().await.map_err(gone)?.len().saturating_sub(offset);
    file.seek(SeekFrom::Start(offset)).await?;
    let first = read_on(file.into_std().await);
    let pieces = stream::try_unfold(first, |reading| async move {
        let (file, piece) = reading.await.map_err(io::Error::other)??;
        Ok::<_, io::Error>((!piece.is_empty()).then(|| (Frame::data(piece), read_on(file))))
    });
    Ok((size, StreamBody::new(pieces).boxed_unsync()))
}

/// Reads the next piece of a file, while the one before goes; an empty one is the end.
fn read_on(file: std::fs::File) -> JoinHandle<io::Result<(std::fs::File, Bytes)>> {
    spawn_blocking(move || {
        let mut piece = Vec::with_capacity(PIECE_BYTES);
        (&file).take(PIECE_BYTES as u64).read_to_end(&mut piece)?;
        Ok((file, piece.into()))
    })
}

/// Removes a kept file; one that is not there is fine.
pub async fn remove(path: &Path) {
    match fs::remove_file(path).await {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(%error, "a file could not be removed");
        }
        _ => {}
    }
}

pub(crate) fn tidy_dir(dir: &Path, is_kept: impl Fn(&str) -> bool) {
    if let Err(error) = remove_unknown(dir, is_kept) {
        tracing::warn!(%error, "files that a crash left could not be removed");
    }
}

fn remove_unknown(dir: &Path, is_kept: impl Fn(&str) -> bool) -> io::Result<()> {
    let entries = match std::fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let is_known = entry.file_name().to_str().is_some_and(&is_kept);
        let metadata = entry.metadata()?;
        if metadata.is_file() && !is_known && metadata.permissions().mode() & 0o777 == 0o600 {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_told_as_one() {
        for kind in [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded] {
            let error = Error::from(io::Error::from(kind));
            assert!(matches!(error, Error::DiskFull), "{error}");
        }
    }
}
