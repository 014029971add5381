//! Why a record is not there, or not written.

use super::{KEY_BYTES_MAX, RECORDS_MAX};
use crate::{access, service};
use muster_rules::LoadError;
use muster_store::StoreError;

/// Why a record is not there, or not written. Published clients read `lc_error_code:WORD` in some of the texts.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no such record.
    #[error("lc_error_code:RECORD_NOT_FOUND - no record {0:?} in this hive")]
    NotFound(String),
    /// The record was changed since its etag was read.
    #[error("lc_error_code:ETAG_MISMATCH - the record was changed meanwhile; read it again and repeat the change")]
    EtagMismatch,
    /// A record cannot expire then.
    #[error("lc_error_code:INVALID_EXPIRY_TIME - {0}")]
    InvalidExpiry(&'static str),
    /// A whole listing would be too large.
    #[error("lc_error_code:HIVE_LISTING_TOO_LARGE - ask for pages with limit and cursor")]
    ListingTooLarge,
    /// The cursor of a page is none.
    #[error("lc_error_code:INVALID_CURSOR - the cursor is not one that was given out")]
    Cursor,
    /// No record can have this key.
    #[error("the name of a record must have 1 to {KEY_BYTES_MAX} bytes, without line ends")]
    Key,
    /// Another record has this key.
    #[error("there is a record {0:?} already")]
    KeyTaken(String),
    /// The hive has all the records that it may have.
    #[error("a hive holds at most {RECORDS_MAX} records; delete some first")]
    Full,
    /// A field of the metadata is wrong; the text names it.
    #[error("usr_mtd.{0}")]
    Metadata(String),
    /// A rule cannot be loaded, or fails its own unit tests.
    #[error("invalid rule: {0}")]
    Rule(LoadError),
    /// The content is not what the hive holds.
    #[error("{0}")]
    Content(String),
    /// The content has more bytes than this.
    #[error("data has more than {0} bytes")]
    TooLarge(usize),
    /// What was written is stored, and the rules of before are in force.
    #[error(
        "the change is stored, but the rules could not be put in force: the earlier ones still are. The server's log says \
         why; with the next change of a rule, or its next start, the server tries again"
    )]
    NotInForce,
    /// A fault of the server; the text is for the log alone.
    #[error("a record could not be checked: {0}")]
    Fault(String),
    /// The extension whose configuration it is refuses it, or could not be asked.
    #[error(transparent)]
    Extension(#[from] service::Error),
    /// The flair of a key keeps it from others.
    #[error(transparent)]
    Access(#[from] access::Error),
    /// It could not be stored.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Error {
    /// What the store said, if that is why.
    #[must_use]
    pub fn of_store(&self) -> Option<&StoreError> {
        match self {
            Self::Store(error) | Self::Extension(service::Error::Store(error)) => Some(error),
            _ => None,
        }
    }
}
