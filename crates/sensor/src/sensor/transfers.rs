//! Transfers that commands have asked for and the server has not answered.

use std::collections::BTreeMap;

use muster_wire::{Transfer, TransferGrant, TransferRequest};
use tokio::sync::oneshot;

/// Requests without an answer. They survive a link: each is asked again on the next.
#[derive(Debug, Default)]
pub(super) struct Transfers {
    next: u64,
    pending: BTreeMap<u64, (Transfer, oneshot::Sender<TransferGrant>)>,
}

impl Transfers {
    /// Takes a request in; gives what to send.
    pub(super) fn begin(&mut self, wanted: Transfer, grant: oneshot::Sender<TransferGrant>) -> TransferRequest {
        self.next += 1;
        self.pending.insert(self.next, (wanted.clone(), grant));
        TransferRequest { id: self.next, transfer: Some(wanted) }
    }

    /// Hands an answer on. Answers nobody waits for are dropped; the server forgets unused grants.
    pub(super) fn granted(&mut self, grant: TransferGrant) {
        if let Some((_, waiting)) = self.pending.remove(&grant.id) {
            // The command may have given up.
            let _ = waiting.send(grant);
        }
    }

    /// What is still wanted.
    pub(super) fn again(&mut self) -> Vec<TransferRequest> {
        self.pending.retain(|_, (_, waiting)| !waiting.is_closed());
        let request =
            |(id, (wanted, _)): (&u64, &(Transfer, _))| TransferRequest { id: *id, transfer: Some(wanted.clone()) };
        self.pending.iter().map(request).collect()
    }
}
