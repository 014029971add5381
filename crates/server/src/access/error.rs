//! Why access is not given, and not changed.

use super::Refused;
use crate::names::WrongTags;

/// Why somebody may not do something, or may not change what others may do. Texts are for clients, and name no secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The credential or the token is not taken.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The key behind a token is gone.
    #[error("the API key of this token was deleted")]
    KeyDeleted,
    /// The caller lacks this permission.
    #[error("missing permission: {0}")]
    MissingPermission(String),
    /// There is no such permission.
    #[error("unknown permission: {0}")]
    UnknownPermission(String),
    /// Nobody gives what they do not have.
    #[error("cannot grant {0}, which you do not have yourself")]
    NotGrantable(String),
    /// Nobody would be left who manages keys or users.
    #[error("nobody could manage this organization any more; first make another key with apikey.ctrl or user.ctrl")]
    LastKeeper,
    /// Tags of an installation key.
    #[error(transparent)]
    Tags(#[from] WrongTags),
    /// What describes a user or a key is missing or wrong; the text says how to mend it.
    #[error("{0}")]
    Invalid(String),
}
