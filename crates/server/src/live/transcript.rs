//! What was done in a session, from its beginning to its end, as it is stored. Nobody can change it: commands are
//! never stored again but to say what became of them. It is forgotten with the audit records of its time.

use super::error::Error;
use super::file::FileRecord;
use super::room::Live;
use super::stored;
use crate::clock;
use muster_live::{Command, Found, Session};
use muster_model::{Oid, Timestamp};
use muster_store::{LivePart, StoreError, Write};
use std::collections::{BTreeMap, BTreeSet, HashMap};

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

    /// Forgets sessions that ended before an instant and are not shown any more; gives how many. The newest of each
    /// organization stays: the next one counts on from its number.
    ///
    /// # Errors
    ///
    /// Whatever the store says; what was forgotten before stays so.
    pub async fn forget_before(&self, before: Timestamp) -> Result<usize, StoreError> {
        let ended = self.store.read(move |read| {
            let (mut ended, mut newest) = (BTreeSet::new(), HashMap::<Oid, u64>::new());
            read.live_sessions(None, &mut |row| {
                let last = newest.entry(row.oid).or_default();
                *last = row.session.max(*last);
                let is_old = |session: Session| session.is_over() && session.ended_at().is_some_and(|at| at < before);
                if stored::header(&row).is_ok_and(is_old) {
                    ended.insert((row.oid, row.session));
                }
            })?;
            ended.retain(|(oid, session)| newest.get(oid) != Some(session));
            Ok(ended)
        });
        let mut forgotten = 0;
        for (oid, session) in ended.await? {
            if self.room(oid).all().iter().any(|live| live.number() == session) {
                continue;
            }
            // Each in a commit of its own: it may have the answers of hundreds of commands.
            self.store.commit(vec![Write::DeleteLive { oid, session }]).await?;
            forgotten += 1;
        }
        Ok(forgotten)
    }
}
