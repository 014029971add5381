//! Why there can be no such output.

use super::settings::{SETTINGS_BYTES_MAX, SETTINGS_MAX};
use super::{NAME_BYTES_MAX, OUTPUTS_MAX};
use crate::{access, names};
use muster_store::StoreError;
use std::net::IpAddr;

/// Why there can be no such output.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// It cannot have this name.
    #[error("name must have 1 to {NAME_BYTES_MAX} bytes, without line ends")]
    Name,
    /// A setting is missing or wrong; the text names it and says what it must be.
    #[error("{0}")]
    Setting(String),
    /// This server has no such module or stream; the text lists those that there are.
    #[error("{0}")]
    Unavailable(String),
    /// No module has this setting.
    #[error(transparent)]
    UnknownSetting(#[from] names::Unknown),
    /// The settings are more than are kept.
    #[error("an output may have {SETTINGS_MAX} settings and {SETTINGS_BYTES_MAX} bytes of them")]
    TooLarge,
    /// The server is set up not to connect there for an output.
    #[error("dest_host leads to {0}, a private address, which this server does not allow for outputs")]
    PrivateDestination(IpAddr),
    /// The organization has all the outputs that it may have.
    #[error("an organization may have {OUTPUTS_MAX} outputs; delete one first")]
    TooMany,
    /// The flair of a key keeps it from others.
    #[error(transparent)]
    Access(#[from] access::Error),
    /// It could not be stored.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Error {
    pub(super) fn setting(text: impl Into<String>) -> Self {
        Self::Setting(text.into())
    }
}
