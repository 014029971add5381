//! Taking in events of sensors: each once, in order, acknowledged when stored.

use crate::app::App;
use crate::detect;
use crate::intake::Record;
use crate::intake::event::of_sensor;
use crate::link::Link;
use crate::organization::Place;
use muster_model::Sensor;
use muster_store::Write;
use muster_wire::{Events, EventsAck, from_server};
use std::sync::Arc;
use std::time::Duration;

/// Takes in a batch of a sensor's spool.
///
/// What was stored before an acknowledgement was lost is recognised by its
/// sequence number, and neither stored nor published again. While a sensor
/// changes links, the old one may still be storing what the new one brings
/// again: only the current link is heard, and the store takes a batch only after
/// the number that it was decided upon.
///
/// # Cancel safety
///
/// What has been handed to the store is stored or not, and not acknowledged; the next link finds out.
pub async fn receive(app: &Arc<App>, place: &Place, link: &Link, events: Events, clock_offset_ms: i64) {
    let organization = &place.organization;
    let (spool_id, stored_seq) = {
        let mut state = organization.state.lock();
        let Some(spool) = state.dispatch().spool(place.ordinal, link.id()) else { return link.close() };
        let Some(spool) = spool else { return };
        spool
    };
    wait_for_turn(app, place, link, events.events.len()).await;
    let seq = events.events.iter().map(|event| event.seq).max().unwrap_or(0).max(stored_seq);
    let mut through = stored_seq;
    while through < seq {
        let sensor = || organization.state.lock().fleet.row(place.ordinal).map(|row| row.sensor.clone());
        let Some(sid) = sensor().map(|sensor| sensor.sid) else { return };
        let wait = detect::settled(app, organization.oid, sid).await;
        // Made anew after a `wait`, which is there to let changes of the sensor reach its next events.
        let Some(sensor) = sensor() else { return };
        let (records, seqs) = records_of(&sensor, &events, through, clock_offset_ms);
        let (oid, ordinal, after) = (organization.oid, place.ordinal, through);
        let reached = move |taken: usize| match taken {
            _ if taken == seqs.len() => seq,
            // A `wait` came in between: nothing was taken.
            0 => after,
            _ => seqs[taken - 1],
        };
        let spool = {
            let reached = reached.clone();
            move |taken| vec![Write::PutSpool { oid, ordinal, spool_id, seq: reached(taken), after: Some(after) }]
        };
        through = match app.intake.ingest(oid, records, wait, spool).await {
            Ok(taken) => reached(taken),
            Err(error) => {
                // Not acknowledged: the sensor keeps them, and sends them at its next connection.
                tracing::warn!(%error, "events could not be stored");
                link.close();
                return;
            }
        };
        organization.state.lock().dispatch().spooled(place.ordinal, spool_id, through);
    }
    link.send(from_server::Message::EventsAck(EventsAck { seq }));
}

/// A sensor that sends more than it may in a minute waits until that is over, and its spool with it: nothing is lost, and
/// whatever else it says goes on beside.
async fn wait_for_turn(app: &App, place: &Place, link: &Link, count: usize) {
    let (oid, most) = (place.organization.oid, app.config.limits.events_per_minute);
    let Some(sid) = place.organization.state.lock().fleet.row(place.ordinal).map(|row| row.sensor.sid) else { return };
    let count = u32::try_from(count).unwrap_or(u32::MAX);
    while let Err(too_many) = app.events.count_many(&sid.to_string(), count.min(most), most) {
        link.hold_back(u64::from(count));
        app.telemetry.events_held_back.inc_by(u64::from(count));
        let text = format!("this sensor sends more than {most} events a minute: they wait on it, and come later");
        crate::errors::report(&app.records, oid, &format!("sensors/{sid}/events"), &text).await;
        tokio::time::sleep(Duration::from_secs(u64::from(too_many.retry_after_s))).await;
    }
}

/// The records of the events after a number, and their numbers.
fn records_of(sensor: &Sensor, events: &Events, after: u64, clock_offset_ms: i64) -> (Vec<Record>, Vec<u64>) {
    let mut seq = after;
    let (mut records, mut seqs) = (Vec::with_capacity(events.events.len()), Vec::new());
    for event in &events.events {
        if event.seq <= seq {
            continue;
        }
        seq = event.seq;
        match of_sensor(sensor, event, clock_offset_ms) {
            Some(record) => {
                records.push(record);
                seqs.push(seq);
            }
            None => tracing::warn!(sid = %sensor.sid, seq, "an event is not a JSON object and was dropped"),
        }
    }
    (records, seqs)
}
