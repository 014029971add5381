//! Who may write: a claim says who owns an organization.
//!
//! A claim is a number that rises with each owner. Every list of an owner asks, in its own transaction, whether its
//! claims still stand; so a server that was taken over from, and does not know it yet, writes nothing any more.
//! Source: reference/cluster.md sections 4.1 and 4.4.

use crate::row::Write;
use crate::store::StoreError;
use muster_model::Oid;
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use tokio::sync::watch;
use uuid::Uuid;

/// Stands for what belongs to the server and to no organization.
const SERVER: Oid = Oid(Uuid::nil());

/// An owner's word that an organization is its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The organization; the nil one stands for what belongs to the server.
    pub oid: Oid,
    /// Counts the owners, from 1.
    pub term: u64,
}

/// What an owner holds.
pub(crate) struct Held {
    claims: Mutex<BTreeMap<Oid, u64>>,
    lost: watch::Sender<Lost>,
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
}

impl Default for Held {
    fn default() -> Self {
        Self { claims: Mutex::default(), lost: watch::Sender::new(Lost::default()) }
    }
}

impl Held {
    /// The list with what makes it fail if this owner was deposed, and the organizations that it is about.
    pub(crate) fn fenced(&self, writes: Vec<Write>) -> Result<(Vec<Write>, BTreeSet<Oid>), StoreError> {
        let (mut owners, mut claimed) = (BTreeSet::new(), BTreeSet::new());
        for write in &writes {
            match write {
                Write::Claim(claim) => _ = claimed.insert(claim.oid),
                other => other.owners(&mut owners),
            }
        }
        let claims = self.claims.lock();
        let fence = |oid: &Oid| match claims.get(oid) {
            Some(term) => Ok(Write::Hold(Claim { oid: *oid, term: *term })),
            None => Err(StoreError::Deposed(*oid)),
        };
        let mut fenced: Vec<Write> = owners.difference(&claimed).map(fence).collect::<Result<_, _>>()?;
        let (first, then): (Vec<_>, Vec<_>) = writes.into_iter().partition(|write| matches!(write, Write::Claim(_)));
        fenced.extend(first.into_iter().chain(then));
        owners.extend(claimed);
        Ok((fenced, owners))
    }

    /// What fails if this organization is someone else's by now; nothing if it is not owned.
    pub(crate) fn fence(&self, oid: Oid) -> Option<Write> {
        self.claims.lock().get(&oid).map(|term| Write::Hold(Claim { oid, term: *term }))
    }

    /// Owns by these claims from now on.
    pub(crate) fn keep(&self, claims: impl IntoIterator<Item = Claim>) {
        self.claims.lock().extend(claims.into_iter().map(|claim| (claim.oid, claim.term)));
    }

    /// Heeds what came of a list: what is lost stays lost, and nothing is written of it any more.
    pub(crate) fn heed(&self, owners: &BTreeSet<Oid>, claims: Vec<Claim>, error: Option<&StoreError>) {
        match error {
            None => self.keep(claims),
            Some(StoreError::Deposed(oid)) => self.lose(&BTreeSet::from([*oid]), false),
            // What memory says of it may be untrue.
            Some(StoreError::Unknown(_)) => self.lose(owners, true),
            Some(_) => {}
        }
    }

    fn lose(&self, owners: &BTreeSet<Oid>, is_unknown: bool) {
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

/// The claims of a list.
pub(crate) fn claims_in(writes: &[Write]) -> Vec<Claim> {
    let claim = |write: &Write| match write {
        Write::Claim(claim) => Some(*claim),
        _ => None,
    };
    writes.iter().filter_map(claim).collect()
}
