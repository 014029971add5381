//! What can go wrong with services.

use muster_store::StoreError;

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is none of this name, or not for this organization.
    #[error("no such service: {0}; see which there are: muster service list")]
    Unknown(String),
    /// What was asked for is wrong; the text says how to mend it.
    #[error("{0}")]
    Invalid(String),
    /// The name is in use.
    #[error("{0} is registered already; delete it first, or choose another name")]
    Taken(String),
    /// The organization has too many.
    #[error("an organization may register {0} services; delete one first")]
    TooMany(usize),
    /// Nobody gives what they do not have.
    #[error("the service asks for {0}, which you do not have yourself and cannot grant")]
    Grant(String),
    /// The organization must be subscribed first.
    #[error("not subscribed to {0}; subscribe first: muster service subscribe {0}")]
    NotSubscribed(String),
    /// Too many messages wait for it already.
    #[error("too many messages wait for {0}; nothing was added. See: muster service deliveries {0}")]
    Full(String),
    /// There is no job of this id.
    #[error("no such job; see which there are: muster job list")]
    NoJob,
    /// No message of this id was given up.
    #[error("no message of this id was given up")]
    NoMessage,
    /// The service could not be asked, or did not do it.
    #[error("{name}: {reason}")]
    Failed {
        /// Which.
        name: String,
        /// What it said, or why it could not be reached.
        reason: String,
    },
    /// Whatever the store says.
    #[error(transparent)]
    Store(#[from] StoreError),
}
