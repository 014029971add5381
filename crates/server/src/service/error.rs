//! What can go wrong with services and extensions.

use super::Program;
use super::program::Protocol;
use muster_store::StoreError;

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is none of this name, or not for this organization.
    #[error("no such {word}: {0}; see which there are: muster {word} list", word = .0.protocol)]
    Unknown(Program),
    /// What was asked for is wrong; the text says how to mend it.
    #[error("{0}")]
    Invalid(String),
    /// The name is in use.
    #[error("{0} is registered already; delete it first, or choose another name")]
    Taken(Program),
    /// The organization has too many.
    #[error("an organization may register {1} {0}s; delete one first")]
    TooMany(Protocol, usize),
    /// Nobody gives what they do not have.
    #[error("the {0} asks for {1}, which you do not have yourself and cannot grant")]
    Grant(Protocol, String),
    /// The organization must be subscribed first.
    #[error("not subscribed to {0}; subscribe first: muster {word} subscribe {0}", word = .0.protocol)]
    NotSubscribed(Program),
    /// Too many messages wait for it already.
    #[error("too many messages wait for {0}; nothing was added")]
    Full(Program),
    /// There is no job of this id.
    #[error("no such job; see which there are: muster job list")]
    NoJob,
    /// No message of this id was given up.
    #[error("no message of this id was given up")]
    NoMessage,
    /// It acts as whoever calls it, and nobody does.
    #[error("{action} of {program} acts with the permissions of a caller; rules have none")]
    NeedsCaller {
        /// Which extension.
        program: Program,
        /// Which action.
        action: String,
    },
    /// It could not be asked, or did not do it.
    #[error("{program}: {reason}")]
    Failed {
        /// Which.
        program: Program,
        /// What it said, or why it could not be reached.
        reason: String,
    },
    /// Whatever the store says.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Error {
    pub(super) fn failed(program: &Program, reason: impl Into<String>) -> Self {
        Self::Failed { program: program.clone(), reason: reason.into() }
    }
}
