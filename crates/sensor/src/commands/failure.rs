//! Why a command did not do what it should: `ERROR` and `ERROR_MESSAGE`.

use std::io;
use std::path::Path;

use super::Fields;
use crate::platform::errors;

/// Error codes. Source: reference/sensor.md section 11.
#[allow(missing_docs, reason = "the names are those of the published table")]
pub mod code {
    pub const INVALID_FUNCTION: i32 = 1;
    pub const FILE_NOT_FOUND: i32 = 2;
    pub const PATH_NOT_FOUND: i32 = 3;
    pub const ACCESS_DENIED: i32 = 5;
    pub const CRC: i32 = 23;
    pub const NOT_SUPPORTED: i32 = 50;
    pub const BAD_NET_NAME: i32 = 67;
    pub const INVALID_PARAMETER: i32 = 87;
    pub const BUSY: i32 = 170;
    pub const FILE_TOO_LARGE: i32 = 223;
    pub const READ_FAULT: i32 = 30;
    pub const DIRECTORY: i32 = 267;
    pub const INVALID_ADDRESS: i32 = 487;
    pub const CANCELLED: i32 = 1_223;
    pub const TIMEOUT: i32 = 1_460;
    /// Success of transfers: an HTTP status.
    pub const TRANSFERRED: i32 = 200;
}

/// How a failure counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The command ran, and this came of it.
    Failed,
    /// The sensor did not run it: sealed, or not the payload that was ordered.
    Refused,
    /// It cannot be done on this endpoint.
    Unsupported,
}

/// A failed command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// `ERROR`.
    pub code: i32,
    /// `ERROR_MESSAGE`.
    pub message: String,
    /// How it counts.
    pub kind: Kind,
    /// What was found nevertheless.
    pub fields: Fields,
}

impl Failure {
    /// The command ran and failed.
    #[must_use]
    pub fn new(code: i32, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), kind: Kind::Failed, fields: Fields::new() }
    }

    /// The command was not run.
    #[must_use]
    pub fn refused(code: i32, message: impl Into<String>) -> Self {
        Self { kind: Kind::Refused, ..Self::new(code, message) }
    }

    /// The command cannot be run here.
    #[must_use]
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self { kind: Kind::Unsupported, ..Self::new(code::NOT_SUPPORTED, message) }
    }

    /// Adds what was found nevertheless.
    #[must_use]
    pub fn with(self, fields: Fields) -> Self {
        Self { fields, ..self }
    }

    /// A failure at a path: tells a missing file from a missing directory.
    #[must_use]
    pub fn at(path: &Path, error: &io::Error) -> Self {
        let is_parent_missing = error.kind() == io::ErrorKind::NotFound
            && path.parent().is_some_and(|parent| !parent.as_os_str().is_empty() && !parent.is_dir());
        let code = if is_parent_missing { code::PATH_NOT_FOUND } else { errors::of_task(error) };
        Self::new(code, error.to_string())
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        // A system that has no such thing.
        if error.kind() == io::ErrorKind::Unsupported && error.raw_os_error().is_none() {
            return Self::unsupported("this sensor cannot do that on this system");
        }
        Self::new(errors::of_task(&error), error.to_string())
    }
}
