//! What programs post to a webhook becomes events of a sensor: rules, outputs and timelines have them as any other.
//!
//! A webhook is a record of the hive `cloud_sensor`; extensions make one to feed their events back. Its sensor has no
//! agent: it enrols with the first event, by the installation key that the record names, and is never online.
//!
//! Source: reference/extension-protocol.md section 11.

use crate::access::INSTALLATION_KEY;
use crate::detect::{self, Detect};
use crate::hive::{CLOUD_SENSOR, Webhook};
use crate::intake::event::of_sensor;
use crate::organization::Organization;
use crate::records::Records;
use crate::sensor::{self, Enrolment};
use crate::{clock, meter};
use muster_model::{Architecture, Oid, Platform, Sensor, Sid};
use muster_store::StoreError;
use muster_wire::{Event, SensorState};
use serde_json::Value;
use std::net::IpAddr;
use std::sync::Arc;
use subtle::ConstantTimeEq as _;
use uuid::Uuid;

/// Events in one post.
const EVENTS_MAX: usize = 10_000;

/// Largest event, in bytes of JSON.
const EVENT_BYTES_MAX: usize = 1 << 20;

/// What an event is that does not say its type.
const UNTYPED: &str = "json";

/// Numbers from here on are milliseconds since 1970; in seconds it would be the year 5138.
const MILLISECONDS_FROM: f64 = 1e11;

/// Why events were not taken in.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The body is none that can be taken in; nothing of it was.
    #[error("{0}")]
    Invalid(String),
    /// Its sensor is not, or cannot be, enrolled; the text says why.
    #[error("{0}")]
    NoSensor(String),
    /// It sends more than a sensor may.
    #[error(transparent)]
    TooMany(#[from] meter::TooManyCalls),
    /// They could not be stored.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The webhook of this name, if it takes this secret. How alike two secrets are cannot be measured.
#[must_use]
pub fn find(records: &Records, oid: Oid, name: &str, secret: &str) -> Option<Webhook> {
    let record = records.get(oid, CLOUD_SENSOR.kind, name).filter(|record| record.usr_mtd.enabled)?;
    let webhook = Webhook::read(name, &record.data).ok()??;
    let is_its_own = webhook.oid.is_none_or(|named| named == oid);
    let is_right = bool::from(webhook.secret.as_bytes().ct_eq(secret.as_bytes()));
    (is_right && is_its_own).then_some(webhook)
}

/// Takes in what was posted: an object, a list of objects, or an object a line. Gives how many events that is.
///
/// # Errors
///
/// [`Error`]. If the store fails amid many events, or rules hold some back and the caller goes away, those before are
/// taken in.
pub async fn take(
    detect: &Detect,
    organization: &Arc<Organization>,
    webhook: &Webhook,
    (body, source): (&[u8], Option<IpAddr>),
    count: impl Fn(&str, u32) -> Result<u32, meter::TooManyCalls>,
) -> Result<usize, Error> {
    let events = events_of(webhook, body)?;
    let sid = sensor_of(detect, organization, webhook, source).await?;
    count(&format!("hook/{sid}"), u32::try_from(events.len()).unwrap_or(u32::MAX))?;
    let mut taken = 0;
    while taken < events.len() {
        let wait = detect::settled(detect, organization.oid, sid).await;
        // Made anew after a `wait`, which is there to let changes of the sensor reach its next events.
        let sensor = enrolled(organization, sid)?.ok_or_else(deleted)?;
        let now = clock::now();
        let records =
            events.iter().skip(taken).map(|event| of_sensor(&sensor, event, 0, now)).collect::<Result<Vec<_>, _>>();
        let records = records.map_err(|why| Error::Invalid(format!("an event cannot be taken in: {why}")))?;
        taken += detect.intake.ingest(organization.oid, records, wait, |_| Vec::new()).await?;
    }
    Ok(taken)
}

/// The sensor of an id, if there is one; deleted ones do not come back.
fn enrolled(organization: &Organization, sid: Sid) -> Result<Option<Sensor>, Error> {
    let state = organization.state.lock();
    match state.fleet.ordinal(sid).and_then(|ordinal| state.fleet.row(ordinal)) {
        Some(row) if row.sensor.deleted => Err(deleted()),
        row => Ok(row.map(|row| row.sensor.clone())),
    }
}

fn deleted() -> Error {
    Error::NoSensor("the sensor of this webhook was deleted; undelete it, or give the webhook another seed".to_owned())
}

/// The sensor of a webhook, enrolled if it is not yet.
async fn sensor_of(
    detect: &Detect,
    organization: &Arc<Organization>,
    webhook: &Webhook,
    source: Option<IpAddr>,
) -> Result<Sid, Error> {
    let sid = Sid(Uuid::new_v5(&organization.oid.0, format!("hook/{}", webhook.seed).as_bytes()));
    if enrolled(organization, sid)?.is_some() {
        return Ok(sid);
    }
    let iid = webhook.iid;
    let key = detect.records.get(organization.oid, INSTALLATION_KEY, &iid.to_string());
    let key =
        key.ok_or_else(|| Error::NoSensor(format!("there is no installation key {iid}, which the webhook names")))?;
    if let Some(text) = sensor::no_room(&detect.sensors, organization, iid, key.quota) {
        return Err(Error::NoSensor(text));
    }
    let state = SensorState {
        hostname: webhook.hostname.clone(),
        platform: Platform::JSON.0,
        architecture: u32::from(Architecture::USP_ADAPTER.0),
        ..SensorState::default()
    };
    // No agent can prove to be it.
    let new = Enrolment { iid, tags: &key.tags, public_key: &[], sid: None, state: &state, source };
    match sensor::enrol_as(&detect.sensors, organization, &new, sid).await? {
        Some(sid) => Ok(sid),
        // Somebody posted at the same time.
        None if enrolled(organization, sid)?.is_some() => Ok(sid),
        None => Err(Error::NoSensor("the sensor of this webhook is being enrolled; post again".to_owned())),
    }
}

/// The events of a body, each as a sensor would send it.
fn events_of(webhook: &Webhook, body: &[u8]) -> Result<Vec<Event>, Error> {
    let invalid = |error: serde_json::Error| Error::Invalid(format!("the body is no JSON: {error}"));
    let mut events = Vec::new();
    for value in serde_json::Deserializer::from_slice(body).into_iter::<Value>() {
        let items = match value.map_err(invalid)? {
            Value::Array(items) => items,
            one => vec![one],
        };
        for item in items {
            if events.len() == EVENTS_MAX {
                return Err(Error::Invalid(format!("a post has at most {EVENTS_MAX} events")));
            }
            events.push(event_of(webhook, &item)?);
        }
    }
    match events.is_empty() {
        true => Err(Error::Invalid("the body has no event: post an object, a list of them, or one a line".to_owned())),
        false => Ok(events),
    }
}

fn event_of(webhook: &Webhook, item: &Value) -> Result<Event, Error> {
    let found = |path: &Option<String>| path.as_deref().and_then(|path| at(item, path));
    let text = |path: &Option<String>| found(path).and_then(Value::as_str).filter(|text| !text.is_empty());
    let time = found(&webhook.event_time_path).and_then(Value::as_f64).filter(|time| *time > 0.0);
    #[expect(clippy::cast_possible_truncation, reason = "what is too large is refused as an impossible time")]
    let time_ms = time.map(|time| (if time < MILLISECONDS_FROM { time * 1_000.0 } else { time }) as i64);
    let event = Event {
        event_type: text(&webhook.event_type_path).unwrap_or(UNTYPED).to_owned(),
        time_ms: time_ms.unwrap_or_else(|| clock::now().as_millis()),
        investigation_id: text(&webhook.investigation_id_path).unwrap_or_default().to_owned(),
        body: item.to_string().into_bytes(),
        ..Event::default()
    };
    if event.body.len() > EVENT_BYTES_MAX {
        return Err(Error::Invalid(format!("an event has at most {EVENT_BYTES_MAX} bytes")));
    }
    Ok(event)
}

/// The value at a path whose parts are parted by slashes.
fn at<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('/').filter(|part| !part.is_empty()).try_fold(value, |value, part| match value {
        Value::Array(items) => items.get(part.parse::<usize>().ok()?),
        _ => value.get(part),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_model::Iid;

    fn webhook() -> Webhook {
        let path = |path: &str| Some(path.to_owned());
        Webhook {
            secret: "s".into(),
            iid: Iid(Uuid::nil()),
            oid: None,
            hostname: "h".into(),
            seed: "h".into(),
            event_type_path: path("kind"),
            event_time_path: path("at/0"),
            investigation_id_path: path("a/id"),
        }
    }

    #[test]
    fn a_body_is_one_event_a_list_or_lines_and_paths_say_what_each_is() {
        let read = |body: &str| events_of(&webhook(), body.as_bytes());
        let events = read(r#"{"kind": "LOGIN", "at": [1700000000], "a": {"id": "x/y"}} {"kind": 5}"#).unwrap();
        let seen: Vec<_> =
            events.iter().map(|event| (event.event_type.as_str(), event.investigation_id.as_str())).collect();
        assert_eq!(seen, [("LOGIN", "x/y"), ("json", "")]);
        assert_eq!(events[0].time_ms, 1_700_000_000_000);
        assert_eq!(read(r#"[{"at": [1700000000123]}, {}]"#).unwrap()[0].time_ms, 1_700_000_000_123);
        assert_eq!(read("{}\n{}\n{}\n").unwrap().len(), 3);
        for body in ["", "[]", "{", "{} x"] {
            assert!(matches!(read(body), Err(Error::Invalid(_))), "{body}");
        }
        let many = "{}".repeat(EVENTS_MAX + 1);
        assert!(read(&many).is_err_and(|error| error.to_string().contains("at most 10000 events")));
        let large = format!(r#"{{"a": "{}"}}"#, "x".repeat(EVENT_BYTES_MAX));
        assert!(read(&large).is_err());
    }
}
