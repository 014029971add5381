//! Codes of errors: what a program can rely on when a call fails.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A word that is not one of the codes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownCode(pub String);

impl fmt::Display for UnknownCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unknown error code: {}", self.0)
    }
}

impl std::error::Error for UnknownCode {}

/// One table, so that no code is without a word, a status or a place in [`ErrorCode::ALL`].
macro_rules! codes {
    ($($(#[$about:meta])+ $name:ident $word:literal $status:literal)+) => {
        /// What went wrong, as a stable word for programs: `error_code` of an answer. Each has a page
        /// `docs/errors/WORD.md` that says what to do.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        #[non_exhaustive]
        pub enum ErrorCode {
            $($(#[$about])+ #[serde(rename = $word)] $name,)+
        }

        impl ErrorCode {
            /// All codes.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The stable word.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $(Self::$name => $word),+ }
            }

            /// The HTTP status of an answer with this code.
            #[must_use]
            pub const fn status(self) -> u16 {
                match self { $(Self::$name => $status),+ }
            }
        }
    };
}

codes! {
    /// The request is wrong; the message says how to mend it.
    BadRequest "bad_request" 400
    /// A rule cannot be loaded, or one of its own unit tests fails.
    InvalidRule "invalid_rule" 400
    /// The content of a record is not what its hive holds.
    InvalidRecord "invalid_record" 400
    /// A sensor selector cannot be read.
    InvalidSelector "invalid_selector" 400
    /// The hive has no such record. The published service answers 400 here, and clients rely on it.
    RecordNotFound "RECORD_NOT_FOUND" 400
    /// The record was changed since its etag was read.
    EtagMismatch "ETAG_MISMATCH" 400
    /// A record cannot expire at that time.
    InvalidExpiryTime "INVALID_EXPIRY_TIME" 400
    /// The cursor of a hive's listing was not given out by the server.
    InvalidCursor "INVALID_CURSOR" 400
    /// No token, or not a valid one.
    Unauthorized "unauthorized" 401
    /// The caller lacks a permission; the published service answers 401 here.
    MissingPermission "missing_permission" 401
    /// Name and password do not belong together, or there is no such user.
    WrongPassword "wrong_password" 401
    /// The session of a browser is over.
    SignedOut "signed_out" 401
    /// Known, and not allowed.
    Forbidden "forbidden" 403
    /// The organization is not subscribed to this extension.
    NotSubscribed "not_subscribed" 403
    /// Not there, or not the caller's to see.
    NotFound "not_found" 404
    /// The path is there, and not for this method.
    MethodNotAllowed "method_not_allowed" 405
    /// The body came too slowly.
    TooSlow "too_slow" 408
    /// The request contradicts what is stored.
    Conflict "conflict" 409
    /// The sensor has as many tasks as it can keep in mind, and takes no more now.
    SensorFull "sensor_full" 409
    /// Larger than the bound that the message names.
    TooLarge "too_large" 413
    /// A hive is too large to be listed in one answer.
    HiveListingTooLarge "HIVE_LISTING_TOO_LARGE" 413
    /// The body has a form that is not read here.
    UnsupportedMediaType "unsupported_media_type" 415
    /// Too many calls with this credential.
    TooManyCalls "too_many_calls" 429
    /// Too many tries to sign in.
    TooManyTries "too_many_tries" 429
    /// The server failed; its log says why.
    Internal "internal" 500
    /// A change of rules is stored, and could not be put in force.
    NotInForce "not_in_force" 500
    /// A service or an extension of someone else was not reached, or did not do it.
    ServiceFailed "service_failed" 502
    /// Cannot be done now; nothing was changed.
    Unavailable "unavailable" 503
    /// The store is full; nothing was changed.
    StoreFull "store_full" 503
    /// The store is busy; nothing was changed.
    StoreBusy "store_busy" 503
    /// The storage broke down amid a change: it was made as a whole, or not at all.
    OutcomeUnknown "outcome_unknown" 503
    /// A file does not fit on the disk of the server.
    DiskFull "disk_full" 507
    /// The organization has as many artifacts as it may have.
    TooManyArtifacts "too_many_artifacts" 507
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for ErrorCode {
    type Err = UnknownCode;

    fn from_str(word: &str) -> Result<Self, UnknownCode> {
        let mut all = Self::ALL.iter();
        all.find(|code| code.word() == word).copied().ok_or_else(|| UnknownCode(word.to_owned()))
    }
}
