//! Taking in events of sensors: each once, in order, acknowledged when stored.

use super::local::LocalOwner;
use crate::intake::Record;
use crate::intake::event::of_sensor;
use crate::link::Link;
use crate::organization::Place;
use crate::{clock, detect, errors};
use muster_model::{Oid, Sensor, Sid, Timestamp};
use muster_store::Write;
use muster_wire::{Events, EventsAck, Unfit, from_server};
use std::collections::BTreeSet;
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
pub async fn receive(owner: &LocalOwner, place: &Place, link: &Link, events: Events) {
    let organization = &place.organization;
    let (sid, spool_id, stored_seq) = {
        let mut state = organization.state.lock();
        let Some(spool) = state.dispatch().spool(place.ordinal, link.id()) else { return link.close() };
        let Some((spool_id, stored_seq)) = spool else { return };
        let Some(sid) = state.fleet.row(place.ordinal).map(|row| row.sensor.sid) else { return };
        (sid, spool_id, stored_seq)
    };
    wait_for_turn(owner, (organization.oid, sid), link, events.events.len()).await;
    let seq = events.events.iter().map(|event| event.seq).max().unwrap_or(0).max(stored_seq);
    let mut through = stored_seq;
    while through < seq {
        let wait = detect::settled(&owner.detect, organization.oid, sid).await;
        // Looked at after a `wait`, which is there to let changes of the sensor reach its next events.
        let sensor = organization.state.lock().fleet.row(place.ordinal).map(|row| row.sensor.clone());
        let Some(sensor) = sensor else { return };
        let now = clock::now();
        let clock_offset_ms = link.clock_offset_ms(now, clock::since_boot());
        let Batch { records, seqs, unfit } = batch(&sensor, &events, through, (clock_offset_ms, now));
        let (oid, ordinal, after) = (organization.oid, place.ordinal, through);
        let reached = move |taken: usize| match taken.checked_sub(1) {
            _ if taken == seqs.len() => seq,
            // A `wait` came in between: nothing was taken.
            None => after,
            Some(last) => seqs.get(last).copied().unwrap_or(after),
        };
        let spool = {
            let reached = reached.clone();
            move |taken| vec![Write::PutSpool { oid, ordinal, spool_id, seq: reached(taken), after: Some(after) }]
        };
        through = match owner.intake.ingest(oid, records, wait, spool).await {
            Ok(taken) => reached(taken),
            Err(error) => {
                // Not acknowledged: the sensor keeps them, and sends them at its next connection.
                tracing::warn!(%error, "events could not be stored");
                link.close();
                return;
            }
        };
        organization.state.lock().dispatch().spooled(place.ordinal, spool_id, through);
        let refused: Vec<Unfit> = unfit.into_iter().filter(|(seq, _)| *seq <= through).map(|(_, why)| why).collect();
        tell_refused(owner, &sensor, refused).await;
    }
    let server_now_ms = organization.state.lock().queue.steady(clock::now()).as_millis();
    link.acknowledge(from_server::Message::EventsAck(EventsAck { seq, server_now_ms }));
}

/// A sensor that sends more than it may in a minute waits until that is over, and its spool with it: nothing is lost, and
/// whatever else it says goes on beside.
async fn wait_for_turn(owner: &LocalOwner, (oid, sid): (Oid, Sid), link: &Link, count: usize) {
    let most = owner.events_per_minute;
    let count = u32::try_from(count).unwrap_or(u32::MAX);
    while let Err(too_many) = owner.events.count_many(&sid.to_string(), count.min(most), most) {
        link.hold_back(u64::from(count));
        owner.telemetry.events_held_back.inc_by(u64::from(count));
        let text = format!("this sensor sends more than {most} events a minute: they wait on it, and come later");
        errors::report(&owner.records, oid, &format!("sensors/{sid}/events"), &text).await;
        tokio::time::sleep(Duration::from_secs(u64::from(too_many.retry_after_s))).await;
    }
}

/// What a batch comes to.
#[derive(Default)]
struct Batch {
    records: Vec<Record>,
    /// The numbers of their events.
    seqs: Vec<u64>,
    /// Events of which there is no record, by their numbers.
    unfit: Vec<(u64, Unfit)>,
}

/// The records of the events after a number.
fn batch(sensor: &Sensor, events: &Events, after: u64, (clock_offset_ms, now): (i64, Timestamp)) -> Batch {
    let mut seq = after;
    let mut batch = Batch::default();
    for event in &events.events {
        if event.seq <= seq {
            continue;
        }
        seq = event.seq;
        match of_sensor(sensor, event, clock_offset_ms, now) {
            Ok(record) => {
                batch.records.push(record);
                batch.seqs.push(seq);
            }
            Err(why) => batch.unfit.push((seq, why)),
        }
    }
    batch
}

/// Counts what is not taken in, and tells the operators of it.
async fn tell_refused(owner: &LocalOwner, sensor: &Sensor, refused: Vec<Unfit>) {
    refused.iter().for_each(|why| owner.telemetry.event_refused(*why));
    for why in BTreeSet::from_iter(refused) {
        tracing::warn!(sid = %sensor.sid, %why, "events of a sensor are refused");
        let text = format!(
            "events of this sensor are refused: {why}; the server counts them in muster_events_refused_total, and the \
             endpoint sends what no sensor of this version would"
        );
        errors::report(&owner.records, sensor.oid, &format!("sensors/{}/refused_events", sensor.sid), &text).await;
    }
}
