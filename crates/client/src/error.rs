//! What can go wrong between a program and a server.

use muster_api_types::ErrorCode;

/// Why a call gave no answer that can be used. No text holds a secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The settings cannot work; nothing was sent.
    #[error("{0}")]
    Settings(String),
    /// No connection, or it broke.
    #[error("cannot reach the server at {address}: {cause}")]
    Unreachable {
        /// Scheme, host and port.
        address: String,
        /// Innermost reason, such as "Connection refused".
        cause: String,
    },
    /// The server refused.
    #[error("{message}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// What it calls the error; `None` if it gave no word, or one that is newer than this client.
        code: Option<ErrorCode>,
        /// For people.
        message: String,
        /// Seconds after which trying again makes sense.
        retry_after_s: Option<u64>,
    },
    /// The answer is not one that this client understands.
    #[error("the server's answer cannot be used: {0}")]
    Answer(String),
    /// A file of this machine cannot be read or written.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: std::path::PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

impl ClientError {
    /// HTTP status, if the server refused.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Refused { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// What the server calls the error, if it refused.
    #[must_use]
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Refused { code, .. } => *code,
            _ => None,
        }
    }
}
