//! What a server owns, and how organizations come and go: one that another server has taken over ends here, and is taken up
//! again when that one gives it up.

use super::{App, forget, index};
use crate::profile::{ORGANIZATION, ORGANIZATION_OWNER};
use crate::records::SERVER;
use crate::{clock, detect};
use muster_model::Oid;
use muster_store::{Store, StoreError};
use std::iter::once;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// How often it is looked whether an organization that was lost was given up. Clients that were told to come again wait
/// for longer.
const TAKE_UP_EVERY: Duration = Duration::from_secs(1);

impl App {
    /// Ends all that is done here for organizations, one after the other, that someone else has taken over, and takes up
    /// again what was given up. Runs until dropped.
    pub async fn heed_losses(self: Arc<Self>) {
        let Some(mut losses) = self.store.losses() else { return };
        loop {
            let next = losses.next();
            let next = match self.organizations.has_lost() {
                true => timeout(TAKE_UP_EVERY, next).await,
                false => Ok(next.await),
            };
            match next {
                Ok(Some(oid)) => {
                    tracing::error!(%oid, "another server has taken this organization over; here it ends");
                    self.end(oid).await;
                    // Whoever took one over may have taken over the whole server, which has nothing to say then.
                    self.store.confirm(SERVER).await;
                }
                Ok(None) => return,
                Err(_) => {
                    for oid in self.organizations.ended() {
                        if self.try_to_take_up(oid).await {
                            losses.forget(oid);
                        }
                    }
                }
            }
        }
    }

    /// Ends all that is done here for an organization.
    async fn end(&self, oid: Oid) {
        self.organizations.lose(oid);
        self.records.lose(oid);
        self.detect.detectors.end(oid).await;
        self.delivery.outputs.end(oid);
        self.services.end_organization(oid);
        self.live.end(oid);
    }

    /// Takes an organization up if it can be claimed; tells whether it did.
    async fn try_to_take_up(&self, oid: Oid) -> bool {
        match self.take_up(oid).await {
            Ok(is_taken_up) => is_taken_up,
            Err(error) => {
                tracing::warn!(%oid, %error, "this organization cannot be taken up now; it is tried again");
                self.end(oid).await;
                if let Err(error) = self.store.give_up(&[oid]).await {
                    tracing::error!(%oid, %error, "it could not be given up again; the next start takes it up");
                }
                false
            }
        }
    }

    /// As a start does with all of them; before it is done, whoever comes is told to come again.
    async fn take_up(&self, oid: Oid) -> Result<bool, StoreError> {
        let Some(damaged) = self.records.take_up(&self.store, oid).await? else { return Ok(false) };
        index(&self.records, oid);
        forget(self.tasking.replays.take_up(&self.records, oid, clock::now()), &self.store).await;
        self.delivery.outputs.reload(&self.records, &self.secrets, oid);
        self.services.take_up(oid)?;
        self.load_organizations(Some(oid), damaged).await?;
        self.live.restore(Some(oid), |oid| self.organization(oid), clock::now())?;
        detect::take_up(&self.detect, oid).await?;
        self.organizations.regain(oid);
        tracing::info!(%oid, "this organization was given up, and is served here again");
        Ok(true)
    }

    /// Gives all organizations up, as the last thing that a server does: whoever lost one to it takes it up again.
    pub(crate) async fn give_up(&self) -> Result<(), StoreError> {
        let oids: Vec<Oid> = self.organizations().iter().map(|organization| organization.oid).collect();
        self.store.give_up(&oids).await
    }
}

/// A handle that has claimed all that a server owns: what belongs to itself, and every organization. To be had before
/// anything of it is loaded.
///
/// # Errors
///
/// Whatever the store says.
pub fn owned(store: &Store) -> Result<Store, StoreError> {
    let store = store.owning();
    let organizations =
        store.read_blocking(|read| read.records(Some(ORGANIZATION_OWNER), Some(ORGANIZATION.word())))?;
    let oids = organizations.iter().filter_map(|record| record.key.parse().ok());
    store.claim(&once(SERVER).chain(oids).collect::<Vec<_>>())?;
    Ok(store)
}
