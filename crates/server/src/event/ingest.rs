//! Taking in events of sensors: each once, in order, acknowledged when stored.

use super::of_sensor;
use crate::app::App;
use crate::detect;
use crate::gateway::Link;
use crate::sensor::Place;
use muster_store::Write;
use muster_wire::{Events, EventsAck, from_server};
use std::sync::Arc;

/// Takes in a batch of a sensor's spool.
///
/// What was stored before an acknowledgement was lost is recognised by its
/// sequence number, and neither stored nor published again. While a sensor
/// changes links, the old one may still be storing what the new one brings
/// again: only the current link is heard, and the store takes a batch only after
/// the number that it was decided upon.
pub async fn receive(app: &Arc<App>, place: &Place, link: &Link, events: Events, clock_offset_ms: i64) {
    let organization = &place.organization;
    let (spool_id, stored_seq, sensor) = {
        let state = organization.state.lock();
        if state.links.get(&place.ordinal).is_none_or(|current| current.generation != link.generation) {
            return link.close();
        }
        let Some((spool_id, seq)) = state.spools.get(&place.ordinal).copied() else { return };
        let Some(row) = state.fleet.row(place.ordinal) else { return };
        (spool_id, seq, row.sensor.clone())
    };
    let mut seq = stored_seq;
    let mut records = Vec::with_capacity(events.events.len());
    let mut seqs = Vec::with_capacity(events.events.len());
    for event in &events.events {
        if event.seq <= seq {
            continue;
        }
        seq = event.seq;
        match of_sensor(&sensor, event, clock_offset_ms) {
            Some(record) => {
                records.push(record);
                seqs.push(seq);
            }
            None => tracing::warn!(sid = %sensor.sid, seq, "an event is not a JSON object and was dropped"),
        }
    }
    let (mut left, mut seqs_left) = (records.as_slice(), seqs.as_slice());
    let mut through = stored_seq;
    while through < seq {
        // Evaluated before the commit that keeps them, up to an event that makes its sensor wait.
        let mut pass = detect::evaluate(app, organization.oid, left);
        let after = Some(through);
        let now;
        (now, left) = left.split_at(pass.taken);
        through = if left.is_empty() { seq } else { seqs_left.get(pass.taken - 1).copied().unwrap_or(seq) };
        seqs_left = &seqs_left[pass.taken..];
        let mut writes = app.emit(now);
        writes.append(&mut pass.writes);
        let (oid, ordinal) = (organization.oid, place.ordinal);
        writes.push(Write::PutSpool { oid, ordinal, spool_id, seq: through, after });
        if let Err(error) = app.store.commit(writes).await {
            // Not acknowledged: the sensor keeps them, and sends them at its next connection.
            tracing::warn!(%error, "events could not be stored");
            link.close();
            return;
        }
        {
            let mut state = organization.state.lock();
            if let Some(spool) = state.spools.get_mut(&place.ordinal).filter(|spool| spool.0 == spool_id) {
                spool.1 = spool.1.max(through);
            }
        }
        pass.act(app).await;
    }
    link.send(from_server::Message::EventsAck(EventsAck { seq }));
}
