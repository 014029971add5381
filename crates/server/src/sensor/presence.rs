//! Enrolment, and coming and going of links.

use super::change::Abandonment;
use super::{Place, wanted_flags};
use crate::app::App;
use crate::detect;
use crate::gateway::Link;
use crate::organization::Organization;
use crate::{clock, event, random, tasking};
use muster_model::{Architecture, Did, Iid, Platform, Sensor, Sid, Tag, Timestamp};
use muster_store::{SensorRow, StoreError, Write};
use muster_wire::{Flags, SensorState};
use roaring::RoaringBitmap;
use serde_json::json;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// Longest text that a sensor may report of itself, in bytes; more is cut.
const REPORTED_BYTES_MAX: usize = 256;

/// `deleted_sensor` is told at most this often per sensor. Source: reference/sensor.md section 6.
const DENIED_EVERY: Duration = Duration::from_secs(24 * 3_600);

/// What `denied_for` says: the time for which the refusal is remembered.
const DENIED_FOR: &str = "720h0m0s";

/// A sensor that asks for an identity.
pub struct Enrolment<'a> {
    /// The installation key.
    pub iid: Iid,
    /// Tags of the key.
    pub tags: &'a [String],
    /// Ed25519 public key of the sensor.
    pub public_key: &'a [u8],
    /// What it says of itself.
    pub state: &'a SensorState,
    /// Where it connects from.
    pub source: Option<IpAddr>,
}

/// What a sensor that comes online is to be told.
pub struct Seen {
    /// Its epoch.
    pub epoch: u64,
    /// Flags to enforce.
    pub flags: Flags,
    /// It is tagged as a sleeper.
    pub sleeper: bool,
    /// Highest stored event of its spool.
    pub spool_seq: u64,
}

fn cut(text: &str) -> Box<str> {
    let end = (0..=REPORTED_BYTES_MAX.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    text[..end].into()
}

fn device_of(oid: muster_model::Oid, fingerprint: &str) -> Option<Did> {
    (!fingerprint.is_empty()).then(|| Did(Uuid::new_v5(&oid.0, fingerprint.as_bytes())))
}

fn apply_report(row: &mut SensorRow, state: &SensorState) {
    let sensor = &mut row.sensor;
    sensor.hostname = cut(&state.hostname);
    sensor.int_ip = cut(&state.int_ip);
    sensor.mac_addr = cut(&state.mac_addr);
    sensor.version = cut(&state.version);
    sensor.kernel = state.kernel;
    sensor.isolated = state.isolated;
    sensor.sealed = state.sealed;
    if !state.fingerprint.is_empty() {
        row.fingerprint = cut(&state.fingerprint).into();
        sensor.did = device_of(sensor.oid, &row.fingerprint);
    }
}

/// Gives a new sensor its identity.
///
/// # Errors
///
/// Whatever the store says.
pub async fn enrol(app: &Arc<App>, organization: &Arc<Organization>, new: &Enrolment<'_>) -> Result<Sid, StoreError> {
    let ordinal = organization.state.lock().fleet.reserve_ordinal();
    let row = new_row(organization, ordinal, new, clock::now());
    let event = json!({
        "public_ip": row.sensor.ext_ip, "internal_ip": row.sensor.int_ip, "host_name": row.sensor.hostname,
    });
    let record = event::deployment(&row.sensor, "enrollment", &event, clock::now());
    let beside = vec![Write::PutSensor(Box::new(row.clone()))];
    detect::emit(app, organization.oid, vec![record], beside).await?;
    organization.state.lock().fleet.put(row.clone());
    tracing::info!(sid = %row.sensor.sid, hostname = %row.sensor.hostname, "a sensor enrolled");
    tasking::matching_changed(app, organization, &[row.ordinal]).await;
    Ok(row.sensor.sid)
}

fn new_row(organization: &Organization, ordinal: u32, new: &Enrolment<'_>, now: Timestamp) -> SensorRow {
    let by: Arc<str> = "installation key".into();
    let platform = Platform(new.state.platform);
    let architecture = Architecture(u8::try_from(new.state.architecture).unwrap_or(0));
    let mut sensor = Sensor::enrolled(Sid(random::uuid()), organization.oid, new.iid, platform, architecture, now);
    sensor.ext_ip = new.source.map(|ip| ip.to_string()).unwrap_or_default().into();
    let mut row = SensorRow::enrolled(ordinal, sensor, new.public_key);
    apply_report(&mut row, new.state);
    for name in new.tags {
        let tag = Tag { name: name.as_str().into(), added_by: Arc::clone(&by), added_at: now, expires_at: None };
        row.sensor.put_tag(tag);
    }
    row
}

/// Takes in a sensor that proved who it is, and makes its link the current one.
///
/// # Errors
///
/// Whatever the store says; the link is then not taken in.
pub async fn went_online(
    app: &Arc<App>,
    place: &Place,
    link: &Arc<Link>,
    state: &SensorState,
    source: Option<IpAddr>,
) -> Result<Seen, StoreError> {
    let organization = &place.organization;
    let now = clock::now();
    let mut clone_of = None;
    let one = RoaringBitmap::from_iter([place.ordinal]);
    if let Some(other) = organization.state.lock().links.get(&place.ordinal) {
        let is_elsewhere = other.boot_id != state.boot_id && other.hostname != state.hostname;
        clone_of = is_elsewhere.then(|| other.hostname.clone());
    }
    let edit = |row: &mut SensorRow| {
        let lost_journal = !row.journal_id.is_empty() && row.journal_id != state.journal_id;
        row.epoch += u64::from(lost_journal);
        row.journal_id.clone_from(&state.journal_id);
        row.boot_id.clone_from(&state.boot_id);
        row.sensor.alive_at = now;
        if let Some(source) = source {
            row.sensor.ext_ip = source.to_string().into();
        }
        apply_report(row, state);
        true
    };
    let ends = |before: &SensorRow, after: &SensorRow| {
        let reason = "the sensor was wiped and enrolled again, or lost its journal";
        (before.epoch != after.epoch).then_some(Abandonment { reason, journal_is_lost: true })
    };
    super::change::update_and_abandon(app, organization, &one, None, edit, ends).await?;
    if let Some(previous) = clone_of {
        let event = json!({"previous_hostname": previous, "new_hostname": state.hostname});
        tell(app, place, "sensor_clone", &event).await;
    }
    let spool = spool(app, place, state).await?;
    let mut guard = organization.state.lock();
    guard.spools.extend(spool.map(|spool| (place.ordinal, spool)));
    let spool_seq = spool.map_or(0, |(_, seq)| seq);
    if let Some(replaced) = guard.links.insert(place.ordinal, Arc::clone(link)) {
        replaced.close();
    }
    guard.online.insert(place.ordinal);
    // Whatever was sent on an earlier link may be lost: it is offered again.
    guard.queue.disconnected(place.ordinal);
    let row = guard.fleet.row(place.ordinal).ok_or_else(|| StoreError::Failed("the sensor vanished".into()))?;
    Ok(Seen { epoch: row.epoch, flags: wanted_flags(row), sleeper: row.sensor.has_tag("lc:sleeper"), spool_seq })
}

/// The spool that a sensor reports, and the highest number that is stored of it.
async fn spool(app: &App, place: &Place, state: &SensorState) -> Result<Option<([u8; 16], u64)>, StoreError> {
    let Ok(spool_id) = <[u8; 16]>::try_from(state.spool_id.as_slice()) else { return Ok(None) };
    let (oid, ordinal) = (place.organization.oid, place.ordinal);
    let stored = app.store.read(move |read| read.spool(oid, ordinal, spool_id)).await?;
    if stored.is_none() {
        let first = Write::PutSpool { oid, ordinal, spool_id, seq: 0, after: None };
        app.store.commit(vec![first]).await?;
    }
    Ok(Some((spool_id, stored.unwrap_or(0))))
}

/// Takes in what a sensor reports at `SYNC`.
pub async fn reported(app: &Arc<App>, place: &Place, state: &SensorState) {
    let one = RoaringBitmap::from_iter([place.ordinal]);
    let edit = |row: &mut SensorRow| {
        let before = row.sensor.clone();
        apply_report(row, state);
        row.sensor != before
    };
    if let Err(error) = super::update(app, &place.organization, &one, None, edit).await {
        tracing::warn!(%error, "a report of a sensor could not be stored; the next one will tell it again");
    }
}

/// A link ended. Only the current link of a sensor counts.
pub async fn went_offline(app: &Arc<App>, place: &Place, link: &Link) {
    {
        let mut state = place.organization.state.lock();
        let is_current = state.links.get(&place.ordinal).is_some_and(|have| have.generation == link.generation);
        if !is_current {
            return;
        }
        state.links.remove(&place.ordinal);
        state.online.remove(place.ordinal);
        state.spools.remove(&place.ordinal);
        state.queue.disconnected(place.ordinal);
    }
    tell(app, place, "disconnected", &json!({})).await;
}

/// A deleted sensor tried to connect.
pub async fn denied(app: &Arc<App>, place: &Place) {
    let now = clock::now();
    let one = RoaringBitmap::from_iter([place.ordinal]);
    let mut is_due = false;
    let edit = |row: &mut SensorRow| {
        is_due = row.denied_at == Timestamp::ZERO || now.since(row.denied_at) >= DENIED_EVERY;
        if is_due {
            row.denied_at = now;
        }
        is_due
    };
    if super::update(app, &place.organization, &one, None, edit).await.is_ok() && is_due {
        tell(app, place, "deleted_sensor", &json!({"denied_for": DENIED_FOR})).await;
    }
}

/// A sensor was sent away because too many are online.
pub async fn over_quota(app: &Arc<App>, place: &Place) {
    let event = {
        let state = place.organization.state.lock();
        let Some(row) = state.fleet.row(place.ordinal) else { return };
        let sensor = &row.sensor;
        json!({"public_ip": sensor.ext_ip, "internal_ip": sensor.int_ip, "host_name": sensor.hostname})
    };
    tell(app, place, "sensor_over_quota", &event).await;
}

async fn tell(app: &Arc<App>, place: &Place, event_type: &str, event: &serde_json::Value) {
    let record = {
        let state = place.organization.state.lock();
        let Some(row) = state.fleet.row(place.ordinal) else { return };
        event::deployment(&row.sensor, event_type, event, clock::now())
    };
    if let Err(error) = detect::emit(app, place.organization.oid, vec![record], Vec::new()).await {
        tracing::warn!(%error, event_type, "a deployment event could not be stored");
    }
}
