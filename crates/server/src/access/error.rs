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
    /// It was made by somebody else, and the key has segment.
    #[error("{0} was made by somebody else; a key with the flair segment reaches what it made itself")]
    Unseen(String),
    /// A key with lock holds it.
    #[error("{0} is locked by the key {1}; only that key, or one of the same name or with the flair root, changes it")]
    Locked(String, String),
    /// A key with segment gives no more than it has.
    #[error("a key with the flair segment makes keys with that flair alone")]
    Loosened,
    /// Tags of an installation key.
    #[error(transparent)]
    Tags(#[from] WrongTags),
    /// What describes a user or a key is missing or wrong; the text says how to mend it.
    #[error("{0}")]
    Invalid(String),
}
