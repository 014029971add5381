//! Why the console lets somebody not in, or not do something.

use super::origin::HEADER;
use super::password::{BYTES_MAX, CHARACTERS_MIN};
use crate::access;
use muster_store::StoreError;

/// Why the console lets somebody not in, or not do something. Texts are for whoever sits in front of it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no session, or it is over.
    #[error("you are signed out")]
    SignedOut,
    /// Which of the two is wrong is not told.
    #[error("wrong user name or password")]
    WrongLogin,
    /// Whoever wants another password does not know the present one.
    #[error("the present password is wrong")]
    WrongPassword,
    /// Someone tried too often; seconds until the next try.
    #[error("too many tries to sign in; try again in {0} s")]
    TooManyTries(u32),
    /// The new password is none.
    #[error("a password has at least {CHARACTERS_MIN} characters and at most {BYTES_MAX} bytes")]
    WeakPassword,
    /// The request was sent to another name than this server's.
    #[error("the console is at https://{0}/console/ and at loopback addresses alone")]
    ForeignHost(String),
    /// Another site's page made it: a request or a connection.
    #[error("this {0} was made by a page of another site")]
    ForeignPage(&'static str),
    /// The header is missing that forms cannot set.
    #[error("requests with a session need the header {HEADER}: 1")]
    NoHeader,
    /// The user has no such session.
    #[error("no such session")]
    NoSession,
    /// The organization has no such user.
    #[error("user not found")]
    NoUser,
    /// A link for this user would give more than its maker has.
    #[error("this user may do something that you may not; only they can change their password")]
    StrongerUser,
    /// The one-time link is good for nothing.
    #[error("this link was used already, or its 15 minutes are over; `muster console` prints a fresh one")]
    LinkSpent,
    /// A new user chose the name of another one.
    #[error("there is a user of this name already; choose another, or sign in")]
    NameTaken,
    /// What the link is for was deleted.
    #[error("the organization of this link is gone")]
    OrganizationGone,
    /// Something else than a WebSocket was asked for.
    #[error("this address takes WebSocket connections alone")]
    NotWebSocket,
    /// All live connections are taken.
    #[error("too many live connections to this server")]
    TooManySockets,
    /// A name or a permission is refused.
    #[error(transparent)]
    Access(#[from] access::Error),
    /// It could not be stored.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A fault of the server; for the log alone.
    #[error("the console failed: {0}")]
    Fault(String),
}
