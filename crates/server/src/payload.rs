//! Payloads: files that operators keep on the server for `run` and `put`.

use crate::access::{self, Reach};
use crate::clock;
use crate::files::{self, Files, Received, Shelf};
use crate::intake::event::{self, Actor};
use crate::records::{Kind, Records};
use muster_command::{Command, CommandError};
use muster_model::{Oid, Timestamp};
use muster_store::{Expect, StoreError};
use serde::{Deserialize, Serialize};
use serde_json::json;

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

/// Why there is no such payload, or why one is not kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A command names a payload that is not there.
    #[error(transparent)]
    Missing(CommandError),
    /// A payload cannot have this name.
    #[error("a payload name has 1 to {NAME_BYTES_MAX} bytes, without line ends")]
    Name,
    /// The organization has all the payloads that it may have.
    #[error("an organization may have {PAYLOADS_MAX} payloads; delete one first")]
    TooMany,
    /// The bytes could not be kept.
    #[error(transparent)]
    File(#[from] files::Error),
    /// The flair of a key keeps it from others.
    #[error(transparent)]
    Access(#[from] access::Error),
    /// The record could not be stored.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Checks that the payloads a command names are there.
///
/// # Errors
///
/// [`Error::Missing`].
pub fn require(records: &Records, oid: Oid, command: &Command) -> Result<(), Error> {
    match command.payloads().find(|name| !records.has(oid, PAYLOAD, name)) {
        Some(name) => Err(Error::Missing(CommandError::PayloadNotFound(name.to_owned()))),
        None => Ok(()),
    }
}

/// Payloads per organization: their records are held in memory.
const PAYLOADS_MAX: usize = 10_000;

/// Longest name, in bytes.
const NAME_BYTES_MAX: usize = 255;

/// Checks that a payload may have this name.
///
/// # Errors
///
/// [`Error::Name`] or [`Error::TooMany`].
pub fn require_room(records: &Records, oid: Oid, name: &str) -> Result<(), Error> {
    if name.is_empty() || name.len() > NAME_BYTES_MAX || name.chars().any(char::is_control) {
        return Err(Error::Name);
    }
    if !records.has(oid, PAYLOAD, name) && records.count(oid, PAYLOAD) >= PAYLOADS_MAX {
        return Err(Error::TooMany);
    }
    Ok(())
}

/// Keeps an upload as the payload of this name, in place of an earlier one.
///
/// # Errors
///
/// As [`require_room`], or what kept the file or the record from being stored; the earlier one stays then.
pub async fn keep(
    records: &Records,
    files: &Files,
    oid: Oid,
    name: &str,
    received: Received,
    actor: &Actor,
) -> Result<(), Error> {
    let _one_at_a_time = files.placing.lock().await;
    require_room(records, oid, name)?;
    let earlier = records.get(oid, PAYLOAD, name);
    let now = clock::now();
    let payload =
        Payload { size: received.size, sha256: received.sha256.clone(), by: actor.identity.clone(), created_at: now };
    received.keep(&files.path(Shelf::Payloads, oid, &payload.sha256)).await?;
    let detail = json!({"size": payload.size, "sha256": payload.sha256});
    let entity = json!({"type": "payload", "name": name});
    let record = event::audit(oid, actor, "payload set", &entity, "set_payload", &detail, now);
    let reach = Reach::of(records, oid, actor);
    let stored = reach.put::<_, Error>(PAYLOAD, name, &payload, Expect::Any, record).await;
    for digest in earlier.map(|earlier| earlier.sha256).into_iter().chain([payload.sha256]) {
        forget_unused(records, files, oid, &digest).await;
    }
    stored
}

/// Deletes a payload; tells whether it was there.
///
/// # Errors
///
/// Whatever the store says.
pub async fn delete(records: &Records, files: &Files, oid: Oid, name: &str, actor: &Actor) -> Result<bool, Error> {
    let _one_at_a_time = files.placing.lock().await;
    let Some(payload) = records.get(oid, PAYLOAD, name) else { return Ok(false) };
    let entity = json!({"type": "payload", "name": name});
    let record = event::audit(oid, actor, "payload deleted", &entity, "delete_payload", &json!({}), clock::now());
    Reach::of(records, oid, actor).delete::<_, Error>(PAYLOAD, name, record).await?;
    forget_unused(records, files, oid, &payload.sha256).await;
    Ok(true)
}

/// Removes the file of a digest that no payload has.
async fn forget_unused(records: &Records, files: &Files, oid: Oid, digest: &str) {
    if !records.list(oid, PAYLOAD).iter().any(|(_, payload)| payload.sha256 == digest) {
        files::remove(&files.path(Shelf::Payloads, oid, digest)).await;
    }
}
