//! Why an extension does not do what it is asked.

use super::BUILT_IN;
use crate::hive::LISTING_BYTES_MAX;
use crate::{access, hive, names, service, tasking};
use muster_selector::SelectorError;
use muster_store::StoreError;

/// Why an extension does not do what it is asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no such extension.
    #[error("no such extension: {0}; available: {available}", available = BUILT_IN.join(", "))]
    NoExtension(String),
    /// One of others does not do it.
    #[error(transparent)]
    OfOthers(#[from] service::Error),
    /// It acts as whoever calls it, and nobody does.
    #[error("{0} acts with the permissions of a caller; rules have none")]
    NeedsCaller(String),
    /// The organization has not subscribed to it.
    #[error("not subscribed to {0}; subscribe first: limacharlie extension subscribe --name {0}")]
    NotSubscribed(String),
    /// The request is wrong; the text names the field and says what it must be.
    #[error("{0}")]
    Invalid(String),
    /// A field has a name that none has.
    #[error(transparent)]
    UnknownField(#[from] names::Unknown),
    /// A selector cannot be read. Source: reference/selectors.md section 6.
    #[error("invalid selector: {0}")]
    Selector(SelectorError),
    /// There is no such task.
    #[error("no such task: {0:?}; the action overview lists those that there are")]
    NoTask(String),
    /// No sensor has such a tag.
    #[error("no sensor has the tag {tag:?}; tags of this organization: {known}")]
    NoTag {
        /// What was asked for.
        tag: String,
        /// Some that there are.
        known: String,
    },
    /// The document would be too large.
    #[error("the hives have more than {LISTING_BYTES_MAX} bytes; ask for fewer at once")]
    TooLarge,
    /// The caller may not do that.
    #[error(transparent)]
    Access(#[from] access::Error),
    /// A record is refused.
    #[error(transparent)]
    Hive(#[from] hive::Error),
    /// An order is refused.
    #[error(transparent)]
    Tasking(#[from] tasking::Error),
    /// It could not be stored.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A fault of the server; the text is for the log alone.
    #[error("the extension failed: {0}")]
    Fault(String),
}

impl Error {
    pub(super) fn invalid(text: impl Into<String>) -> Self {
        Self::Invalid(text.into())
    }

    /// What the store said, if that is why.
    #[must_use]
    pub fn of_store(&self) -> Option<&StoreError> {
        match self {
            Self::Store(error) | Self::OfOthers(service::Error::Store(error)) => Some(error),
            Self::Hive(error) => error.of_store(),
            Self::Tasking(error) => error.of_store(),
            _ => None,
        }
    }
}
