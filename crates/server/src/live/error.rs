//! What cannot be done with live sessions, and why.

use muster_live::{OrderError, Refusal, TimersError};
use muster_store::StoreError;

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No such device, or one that was deleted. Clients compare this text.
    #[error("Unable to find: sensorId")]
    NoDevice,
    /// No such session, or it is over. Clients compare this text.
    #[error("Session not found")]
    NoSession,
    /// No such command.
    #[error("command not found")]
    NoCommand,
    /// No such file.
    #[error("file not found")]
    NoFile,
    /// A command names a file that is not there, or not whole.
    #[error("file_id names no file of this session that is whole; upload it first")]
    NoSuchUpload,
    /// The session does not take it now.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The command cannot be read.
    #[error(transparent)]
    Order(#[from] OrderError),
    /// A time that nobody can mean.
    #[error(transparent)]
    Timers(#[from] TimersError),
    /// Too many sessions at once.
    #[error("session limit reached: {0} sessions are live in this organization; close one")]
    TooManySessions(usize),
    /// Too many files.
    #[error("a session holds at most {0} files; delete some")]
    TooManyFiles(usize),
    /// Files take more room than they may.
    #[error("the files of live sessions may have {0} bytes in all, and one file {1}; delete some")]
    TooLarge(u64, u64),
    /// The content is not all here.
    #[error("the file is not whole yet: see size_uploaded")]
    NotWhole,
    /// The content goes on elsewhere.
    #[error("the file goes on at byte {0}")]
    Offset(u64),
    /// The sensor did not say in time whether it had begun.
    #[error("the endpoint did not answer whether the command had begun; look at its status")]
    NoAnswer,
    /// The sender is too slow, or the body is damaged.
    #[error(transparent)]
    Arrival(#[from] crate::arrival::ArrivalError),
    /// An upload that is none.
    #[error("{0}")]
    Upload(String),
    /// The disk is full.
    #[error("the disk of the server is full; nothing was kept. Free some space and try again")]
    DiskFull,
    /// The disk failed.
    #[error("a file of a live session cannot be used")]
    Disk(#[source] std::io::Error),
    /// The store cannot write or read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => Self::DiskFull,
            _ => Self::Disk(error),
        }
    }
}
