//! Payloads: files that operators keep on the server for `run` and `put`.

use crate::api::ApiError;
use crate::app::App;
use crate::records::Kind;
use muster_command::{Command, CommandError};
use muster_model::{Oid, Timestamp};
use serde::{Deserialize, Serialize};

/// Payloads of organizations, by name.
pub const PAYLOAD: Kind<Payload> = Kind::new("payload");

/// A payload; its bytes are in a file named by their digest.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Payload {
    /// Bytes.
    pub size: u64,
    /// SHA-256, hex.
    pub sha256: String,
    /// Who uploaded it.
    pub by: String,
    /// When.
    pub created_at: Timestamp,
}

/// Checks that the payload a command names is there.
///
/// # Errors
///
/// 400 naming the payload.
pub fn require(app: &App, oid: Oid, command: &Command) -> Result<(), ApiError> {
    match command.spec.needs_payload(&command.arguments) {
        Some(name) if !app.records.has(oid, PAYLOAD, name) => {
            Err(ApiError::bad_request(CommandError::PayloadNotFound(name.to_owned()).to_string()))
        }
        _ => Ok(()),
    }
}
