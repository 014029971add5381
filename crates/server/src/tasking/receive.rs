//! Taking in what becomes of tasks.

use super::{Tasking, ask};
use crate::link::Link;
use crate::organization::Place;
use crate::organization::message;
use muster_wire::{AckedStep, Receipts, ReceiptsAck, from_server};
use std::sync::Arc;

/// Takes in steps that a sensor journalled; acknowledges them once they are stored.
pub async fn receive(tasking: &Arc<Tasking>, place: &Place, link: &Link, receipts: Receipts) {
    let reports = message::reports(&receipts.receipts);
    let input =
        |dispatch: &mut muster_tasking::Dispatch, request, now| dispatch.receipts(request, place.ordinal, reports, now);
    if ask(tasking, &place.organization, None, input).await.is_err() {
        // Not acknowledged: the sensor tells it again at its next connection.
        return link.close();
    }
    let steps = receipts.receipts.into_iter().map(|receipt| AckedStep { task_id: receipt.task_id, step: receipt.step });
    link.acknowledge(from_server::Message::ReceiptsAck(ReceiptsAck { steps: steps.collect() }));
}
