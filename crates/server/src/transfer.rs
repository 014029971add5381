//! One-time transfers: what is too large for a link travels by HTTP.

use crate::app::App;
use crate::gateway::Link;
use crate::sensor::Place;
use muster_wire::{TransferGrant, TransferRequest, from_server};

/// Transfers that were granted and not used yet.
#[derive(Default)]
pub struct Transfers {}

/// Answers a sensor that wants to move a file.
pub fn grant(_app: &App, _place: &Place, link: &Link, request: TransferRequest) {
    let grant = TransferGrant {
        id: request.id,
        status: 503,
        error: "transfers are not available".into(),
        ..TransferGrant::default()
    };
    link.send(from_server::Message::Grant(grant));
}
