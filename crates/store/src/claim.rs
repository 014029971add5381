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
    lost: watch::Sender<bool>,
}

impl Default for Held {
    fn default() -> Self {
        Self { claims: Mutex::default(), lost: watch::Sender::new(false) }
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

    /// Owns by these claims from now on.
    pub(crate) fn keep(&self, claims: impl IntoIterator<Item = Claim>) {
        self.claims.lock().extend(claims.into_iter().map(|claim| (claim.oid, claim.term)));
    }

    /// Heeds what came of a list: what is lost stays lost, and nothing is written of it any more.
    pub(crate) fn heed(&self, owners: &BTreeSet<Oid>, claims: Vec<Claim>, error: Option<&StoreError>) {
        match error {
            None => self.keep(claims),
            Some(StoreError::Deposed(oid)) => self.lose(&BTreeSet::from([*oid])),
            // What memory says of it may be untrue.
            Some(StoreError::Unknown(_)) => self.lose(owners),
            Some(_) => {}
        }
    }

    fn lose(&self, owners: &BTreeSet<Oid>) {
        let mut claims = self.claims.lock();
        let before = claims.len();
        claims.retain(|oid, _| !owners.contains(oid));
        if claims.len() < before {
            self.lost.send_replace(true);
        }
    }

    /// Ends when something was lost.
    pub(crate) async fn lost(&self) {
        // The sender is here, so it is not gone.
        let _ = self.lost.subscribe().wait_for(|is_lost| *is_lost).await;
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
