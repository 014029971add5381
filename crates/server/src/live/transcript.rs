//! What was done in a session, from its beginning to its end, as it is stored. Nobody can change it: commands are
//! never stored again but to say what became of them.

use super::error::Error;
use super::file::FileRecord;
use super::room::Live;
use super::stored;
use crate::clock;
use muster_live::{Command, Found, Session};
use muster_model::Oid;
use muster_store::LivePart;
use std::collections::BTreeMap;

/// All that is known of a session.
pub struct Transcript {
    /// The session with its commands.
    pub session: Session,
    /// What commands found, by their number.
    pub found: BTreeMap<u32, Found>,
    /// Files that were moved, by their number.
    pub files: BTreeMap<u32, FileRecord>,
}

impl Transcript {
    /// What a command found.
    #[must_use]
    pub fn found(&self, command: u32) -> Found {
        self.found.get(&command).cloned().unwrap_or_default()
    }

    /// Its commands with their numbers.
    pub fn commands(&self) -> impl Iterator<Item = (u32, &Command)> {
        (0..).zip(self.session.commands())
    }
}

impl Live {
    /// Everything about a session, also one that is not shown any more.
    ///
    /// # Errors
    ///
    /// [`Error::NoSession`], [`Error::Store`].
    pub async fn transcript(&self, oid: Oid, number: u64) -> Result<Transcript, Error> {
        let now = clock::now();
        let transcript = self.store.read(move |read| {
            let Some(header) = read.live_one(oid, number, LivePart::Session, 0)? else { return Ok(None) };
            let session = stored::session(read, oid, stored::header(&header)?, now)?;
            let found = stored::part(read, (oid, number), LivePart::Found)?;
            let files = stored::part(read, (oid, number), LivePart::File)?;
            Ok(Some(Transcript { session, found, files }))
        });
        transcript.await?.ok_or(Error::NoSession)
    }
}
