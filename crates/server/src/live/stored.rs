//! What is stored of live sessions, and how it comes back.

use super::FileRecord;
use super::session::LiveSession;
use muster_live::{Command, Session, Step};
use muster_model::{Oid, Timestamp};
use muster_store::{LivePart, LiveRow, Read, StoreError};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;

fn row(oid: Oid, session: u64, part: LivePart, item: u32, value: &impl Serialize) -> Result<LiveRow, StoreError> {
    let body = serde_json::to_vec(value).map_err(|error| StoreError::Failed(error.to_string()))?;
    Ok(LiveRow { oid, session, part, item, body })
}

/// The rows that a step changed.
pub(super) fn rows(oid: Oid, session: &Session, step: &Step) -> Result<Vec<LiveRow>, StoreError> {
    let mut rows = Vec::with_capacity(1 + step.commands.len());
    if step.header {
        rows.push(row(oid, session.number, LivePart::Session, 0, session)?);
    }
    for number in &step.commands {
        if let Some(command) = session.command(*number) {
            rows.push(row(oid, session.number, LivePart::Command, *number, command)?);
        }
    }
    Ok(rows)
}

/// The row of a file.
pub(super) fn file(oid: Oid, session: u64, item: u32, file: &FileRecord) -> Result<LiveRow, StoreError> {
    row(oid, session, LivePart::File, item, file)
}

/// The row of what a command found, as the sensor wrote it.
pub(super) const fn found(oid: Oid, session: u64, command: u32, body: Vec<u8>) -> LiveRow {
    LiveRow { oid, session, part: LivePart::Found, item: command, body }
}

fn read_row<T: DeserializeOwned>(row: &LiveRow) -> Result<T, StoreError> {
    serde_json::from_slice(&row.body)
        .map_err(|error| StoreError::Corrupt(format!("a row of live session {} cannot be read: {error}", row.session)))
}

/// Rows of one part of a session, by their number. What a command found has no body if it found nothing.
pub(super) fn part<T: DeserializeOwned>(
    read: &mut dyn Read,
    (oid, session): (Oid, u64),
    part: LivePart,
) -> Result<BTreeMap<u32, T>, StoreError> {
    let mut rows = Vec::new();
    read.live(oid, session, part, &mut |row| rows.push(row))?;
    let is_told = |row: &&LiveRow| part != LivePart::Found || !row.body.is_empty();
    rows.iter().filter(is_told).map(|row| Ok((row.item, read_row(row)?))).collect()
}

/// A session as it was stored, without its commands.
pub(super) fn header(row: &LiveRow) -> Result<Session, StoreError> {
    read_row(row)
}

/// The same with them.
pub(super) fn session(read: &mut dyn Read, oid: Oid, header: Session, now: Timestamp) -> Result<Session, StoreError> {
    let commands: BTreeMap<u32, Command> = part(read, (oid, header.number), LivePart::Command)?;
    Ok(header.restored(commands.into_values().collect(), now))
}

/// Files of a session.
pub(super) fn files(read: &mut dyn Read, live: &LiveSession) -> Result<BTreeMap<u32, FileRecord>, StoreError> {
    part(read, (live.oid(), live.number()), LivePart::File)
}
