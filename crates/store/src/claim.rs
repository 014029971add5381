//! Who may write: a claim says who owns an organization.
//!
//! A claim is a number that rises with each owner. Every list of an owner asks, in its own transaction, whether its
//! claims still stand; so a server that was taken over from, and does not know it yet, writes nothing any more.
//! Source: reference/cluster.md sections 4.1 and 4.4.

use crate::row::Write;
use crate::store::{Read, Store, StoreError};
use muster_model::Oid;
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use tokio::sync::watch;
use uuid::Uuid;

/// Stands for what belongs to the server and to no organization.
const SERVER: Oid = Oid(Uuid::nil());

/// How often a claim is tried while others claim the same: each has to be as quick.
const CLAIM_TRIES: usize = 16;

/// An owner's word that an organization is its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The organization; the nil one stands for what belongs to the server.
    pub oid: Oid,
    /// Counts the owners, from 1.
    pub term: u64,
}

/// How it stands with the owners of an organization.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// The term of the claim that stands; zero if nobody ever claimed it.
    pub term: u64,
    /// Its owner gave it up: whoever wants it may claim it.
    pub is_free: bool,
}

/// What an owner holds.
pub(crate) struct Held {
    claims: Mutex<BTreeMap<Oid, u64>>,
    lost: watch::Sender<Lost>,
}

/// A list that fails if its owner was deposed, and what [`Held::heed`] has to know of it once it is committed.
pub(crate) struct Fenced {
    /// The list.
    pub(crate) writes: Vec<Write>,
    /// The claims in it.
    pub(crate) claims: Vec<Claim>,
    /// The organizations that it is about.
    pub(crate) owners: Vec<Oid>,
}

/// What an owner has lost.
#[derive(Default)]
struct Lost {
    /// Someone else owns them by now.
    deposed: BTreeSet<Oid>,
    /// Nobody knows what is stored of something that it owns.
    is_unknown: bool,
}

/// What an owner loses to others, one organization after the other.
pub struct Losses {
    lost: watch::Receiver<Lost>,
    given: BTreeSet<Oid>,
}

impl Losses {
    /// Waits until an organization is someone else's; `None` when nothing more can be lost.
    ///
    /// # Cancel safety
    ///
    /// What was not given is given by the next call.
    pub async fn next(&mut self) -> Option<Oid> {
        let Self { lost, given } = self;
        let lost = lost.wait_for(|lost| !lost.deposed.is_subset(given)).await.ok()?;
        let next = lost.deposed.difference(given).next().copied();
        drop(lost);
        given.extend(next);
        next
    }

    /// An organization that was given was taken up again: it may be lost again, too.
    pub fn forget(&mut self, oid: Oid) {
        self.given.remove(&oid);
    }
}

impl Default for Held {
    fn default() -> Self {
        Self { claims: Mutex::default(), lost: watch::Sender::new(Lost::default()) }
    }
}

impl Held {
    /// The list with what makes it fail if this owner was deposed.
    pub(crate) fn fenced(&self, mut writes: Vec<Write>) -> Result<Fenced, StoreError> {
        // The claims of a list come first: all else in it is written under them.
        writes.sort_by_key(|write| !matches!(write, Write::Claim(_)));
        let claims = claims_in(&writes);
        let mut owners = Vec::new();
        writes.iter().for_each(|write| write.owners(&mut owners));
        owners.sort_unstable();
        owners.dedup();
        let held = self.claims.lock();
        let fence = |oid: &Oid| match held.get(oid) {
            Some(term) => Ok(Write::Hold(Claim { oid: *oid, term: *term })),
            None => Err(StoreError::Deposed(*oid)),
        };
        let unclaimed = owners.iter().filter(|oid| claims.iter().all(|claim| claim.oid != **oid));
        let fences = unclaimed.map(fence).collect::<Result<Vec<_>, _>>()?;
        writes.splice(0..0, fences);
        Ok(Fenced { writes, claims, owners })
    }

    /// What fails if this organization is someone else's by now; nothing if it is not owned.
    pub(crate) fn fence(&self, oid: Oid) -> Option<Write> {
        self.claims.lock().get(&oid).map(|term| Write::Hold(Claim { oid, term: *term }))
    }

    /// Owns by these claims from now on.
    pub(crate) fn keep(&self, claims: impl IntoIterator<Item = Claim>) {
        let mut held = self.claims.lock();
        for Claim { oid, term } in claims {
            held.insert(oid, term);
            self.lost.send_if_modified(|lost| lost.deposed.remove(&oid));
        }
    }

    /// Owns these no more; gives the claims that it had.
    pub(crate) fn give_up(&self, oids: &[Oid]) -> Vec<Claim> {
        let mut claims = self.claims.lock();
        oids.iter().filter_map(|oid| claims.remove(oid).map(|term| Claim { oid: *oid, term })).collect()
    }

    /// Heeds what came of a list: what is lost stays lost, and nothing is written of it any more.
    pub(crate) fn heed(&self, owners: &[Oid], claims: Vec<Claim>, error: Option<&StoreError>) {
        match error {
            None => self.keep(claims),
            Some(StoreError::Deposed(oid)) => self.lose(&[*oid], false),
            // What memory says of it may be untrue.
            Some(StoreError::Unknown(_)) => self.lose(owners, true),
            Some(_) => {}
        }
    }

    fn lose(&self, owners: &[Oid], is_unknown: bool) {
        let mut claims = self.claims.lock();
        let lost: Vec<Oid> = owners.iter().filter(|oid| claims.remove(oid).is_some()).copied().collect();
        if !lost.is_empty() {
            self.lost.send_modify(|known| {
                known.is_unknown |= is_unknown;
                known.deposed.extend(lost.into_iter().filter(|_| !is_unknown));
            });
        }
    }

    /// Ends when its owner cannot go on.
    pub(crate) async fn ended(&self) {
        let is_over = |lost: &Lost| lost.is_unknown || lost.deposed.contains(&SERVER);
        // The sender is here, so it is not gone.
        let _ = self.lost.subscribe().wait_for(is_over).await;
    }

    pub(crate) fn losses(&self) -> Losses {
        Losses { lost: self.lost.subscribe(), given: BTreeSet::new() }
    }
}

impl Store {
    /// Takes organizations over from whoever owned them: what is loaded from now on stays true until someone else does.
    /// On a full disk an owner goes on under the claim that stands, so that a server can start there. Blocks.
    ///
    /// # Errors
    ///
    /// [`StoreError::Deposed`] if others claim them all the time; else whatever the store says.
    pub fn claim(&self, oids: &[Oid]) -> Result<Vec<Claim>, StoreError> {
        for _ in 0..CLAIM_TRIES {
            let next = |read: &mut dyn Read| {
                let next = |oid: &Oid| Ok(Claim { oid: *oid, term: read.standing(*oid)?.term.saturating_add(1) });
                oids.iter().map(next).collect::<Result<Vec<_>, StoreError>>()
            };
            let claims = self.read_blocking(next)?;
            let result = self.raw_blocking(claims.iter().copied().map(Write::Claim).collect());
            match (result, &self.held) {
                (Err(StoreError::Deposed(_)), _) => {}
                (Err(StoreError::Full), Some(held)) => {
                    let stands = |claim: Claim| Claim { term: claim.term - 1, ..claim };
                    let claims: Vec<_> = claims.into_iter().map(stands).collect();
                    held.keep(claims.iter().copied());
                    return Ok(claims);
                }
                (Err(error), _) => return Err(error),
                (Ok(_), held) => {
                    held.iter().for_each(|held| held.keep(claims.iter().copied()));
                    return Ok(claims);
                }
            }
        }
        Err(StoreError::Deposed(oids.first().copied().unwrap_or(Oid(Uuid::nil()))))
    }

    /// Claims an organization that its owner gave up; tells whether it did. As after [`Store::claim`], what is loaded from
    /// now on stays true.
    ///
    /// # Errors
    ///
    /// Whatever the store says.
    ///
    /// # Cancel safety
    ///
    /// A caller that stops waiting may have claimed it, and does not own it.
    pub async fn take_up(&self, oid: Oid) -> Result<bool, StoreError> {
        let standing = self.read(move |read| read.standing(oid)).await?;
        if !standing.is_free {
            return Ok(false);
        }
        let claim = Claim { oid, term: standing.term.saturating_add(1) };
        match self.raw(vec![Write::Claim(claim)]).await {
            Ok(_) => {
                self.held.iter().for_each(|held| held.keep([claim]));
                Ok(true)
            }
            // Someone else was faster.
            Err(StoreError::Deposed(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Owns these no more: whoever wants them may take them up. Nothing of them is written through this handle any more.
    ///
    /// # Errors
    ///
    /// Whatever the store says; then they are owned no more either, and nobody is told.
    pub async fn give_up(&self, oids: &[Oid]) -> Result<(), StoreError> {
        let Some(held) = &self.held else { return Ok(()) };
        let claims = held.give_up(oids);
        self.raw(claims.into_iter().map(Write::GiveUp).collect()).await.map(|_| ())
    }

    /// Ends when this handle cannot go on: what belongs to the server itself is someone else's by now, or it is not known
    /// what is stored of something that it owns. Never, if it owns nothing.
    pub async fn lost(&self) {
        match &self.held {
            Some(held) => held.ended().await,
            None => std::future::pending().await,
        }
    }

    /// What this handle loses to others, and has lost; `None` if it owns nothing.
    #[must_use]
    pub fn losses(&self) -> Option<Losses> {
        self.held.as_ref().map(|held| held.losses())
    }

    /// Finds out whether an organization is someone else's by now, without writing anything of it: what is, is lost.
    pub async fn confirm(&self, oid: Oid) {
        let Some(held) = &self.held else { return };
        let Some(fence) = held.fence(oid) else { return };
        let result = self.raw(vec![fence]).await;
        held.heed(&[oid], Vec::new(), result.as_ref().err());
    }
}

/// The claims of a list.
fn claims_in(writes: &[Write]) -> Vec<Claim> {
    let claim = |write: &Write| match write {
        Write::Claim(claim) => Some(*claim),
        _ => None,
    };
    writes.iter().filter_map(claim).collect()
}
