//! Making records of streams: what the server adds to what a sensor says.
//!
//! The sensor is not trusted for anything in `routing` but type, time, atoms and
//! investigation id. Source: reference/events.md sections 1, 3, 9.

use super::Record;
use crate::{clock, random};
use bytes::Bytes;
use muster_model::{Oid, Sensor, Sid, Timestamp};
use muster_store::Stream;
use muster_wire::{EVENT_TIMES_MS, Event, Unfit};
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// Type of a record in an artifact, which has none itself.
const ARTIFACT_RECORD: &str = "artifact";

/// Longest event type.
const TYPE_BYTES_MAX: usize = 128;

/// Many records are not longer, envelope included.
const BODY_BYTES: usize = 512;

/// An endpoint's clock may be this far off before the server corrects event times.
/// Source: reference/events.md section 1.
const CLOCK_SKEW_MAX: Duration = Duration::from_secs(60);

/// `routing` of a record.
#[derive(Serialize)]
struct Routing<'a> {
    oid: Oid,
    #[serde(skip_serializing_if = "Option::is_none")]
    sid: Option<Sid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    iid: Option<muster_model::Iid>,
    did: String,
    event_type: &'a str,
    event_time: i64,
    event_id: Uuid,
    hostname: &'a str,
    ext_ip: &'a str,
    int_ip: &'a str,
    plat: u32,
    arch: u8,
    #[serde(skip_serializing_if = "is_zero")]
    ext_plat: u32,
    moduleid: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    this: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    investigation_id: Option<&'a str>,
    tags: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    replayed: Option<u8>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(code: &u32) -> bool {
    *code == 0
}

/// `routing` of what the server itself tells, as of a log source.
#[derive(Serialize)]
struct SourceRouting<'a> {
    oid: Oid,
    sid: Sid,
    event_type: &'a str,
    event_time: i64,
    event_id: Uuid,
    hostname: &'a str,
    plat: u32,
    arch: u8,
    tags: [&'a str; 0],
}

#[derive(Serialize)]
struct Envelope<R, B> {
    routing: R,
    ts: String,
    event: B,
}

/// The text of an audit record.
#[derive(Serialize)]
struct Audit<'a> {
    oid: Oid,
    ts: String,
    time: i64,
    etype: &'a str,
    msg: &'a str,
    origin: &'a str,
    ident: &'a str,
    entity: &'a Value,
    mtd: Value,
}

/// The record of an event that a sensor sent.
///
/// `clock_offset_ms` is server time minus endpoint time. Nothing comes before it happens: what would lie in the future
/// even so (the endpoint's clock was set since) is of this instant.
///
/// # Errors
///
/// [`Unfit`]: rules or queries could not see it.
pub fn of_sensor(sensor: &Sensor, event: &Event, clock_offset_ms: i64, now: Timestamp) -> Result<Record, Unfit> {
    let text = std::str::from_utf8(&event.body).map_err(|_| Unfit::Malformed)?;
    let mut body: &RawValue = serde_json::from_str(text).map_err(|_| Unfit::Malformed)?;
    let one_line;
    // Streams and outputs are lines: a line end between tokens would let a sensor make up records.
    if text.contains(['\n', '\r']) {
        one_line = RawValue::from_string(text.replace(['\n', '\r'], " ")).map_err(|_| Unfit::Malformed)?;
        body = &one_line;
    }
    let is_object = body.get().starts_with('{');
    if !is_object || event.event_type.is_empty() || event.event_type.len() > TYPE_BYTES_MAX {
        return Err(Unfit::Malformed);
    }
    event.check()?;
    let time_ms = time_of(event.time_ms, clock_offset_ms, now)?;
    let atom = |bytes: &[u8]| <[u8; 16]>::try_from(bytes).ok();
    let hex = |bytes: &[u8]| atom(bytes).map(|atom| muster_model::to_hex(&atom));
    let investigation = Some(event.investigation_id.as_str()).filter(|id| !id.is_empty());
    let of_all = routing_of(sensor);
    let routing = Routing {
        event_type: &event.event_type,
        event_time: time_ms,
        moduleid: 2,
        // Every event can be asked for by its atom; where the sensor names none (an answer, a report of itself)
        // it is random, and its id is that already. Source: reference/events.md section 2.
        this: Some(hex(&event.this_atom).unwrap_or_else(|| of_all.event_id.simple().to_string())),
        parent: hex(&event.parent_atom),
        target: hex(&event.target_atom),
        investigation_id: investigation,
        replayed: event.replayed.then_some(1),
        ..of_all
    };
    Ok(Record {
        this_atom: atom(&event.this_atom),
        parent_atom: atom(&event.parent_atom),
        investigation_id: investigation.map(str::to_owned),
        ..record(sensor, Stream::Event, &routing, body)
    })
}

/// When an event happened, by the server's clock.
fn time_of(time_ms: i64, clock_offset_ms: i64, now: Timestamp) -> Result<i64, Unfit> {
    let skew_max_ms = i64::try_from(CLOCK_SKEW_MAX.as_millis()).unwrap_or(i64::MAX);
    let is_skewed = clock_offset_ms.saturating_abs() > skew_max_ms;
    let time_ms = if is_skewed { time_ms.saturating_add(clock_offset_ms) } else { time_ms };
    let now_ms = now.as_millis();
    let time_ms = if time_ms > now_ms.saturating_add(skew_max_ms) { now_ms } else { time_ms };
    if EVENT_TIMES_MS.contains(&time_ms) { Ok(time_ms) } else { Err(Unfit::ImpossibleTime) }
}

/// The id of a record that arrives now, whenever it happened.
fn fresh_id() -> Uuid {
    random::uuid_in_order(clock::now())
}

fn routing_of(sensor: &Sensor) -> Routing<'_> {
    Routing {
        oid: sensor.oid,
        sid: Some(sensor.sid),
        iid: Some(sensor.iid),
        did: sensor.did.map(|did| did.to_string()).unwrap_or_default(),
        event_type: "",
        event_time: 0,
        event_id: fresh_id(),
        hostname: &sensor.hostname,
        ext_ip: &sensor.ext_ip,
        int_ip: &sensor.int_ip,
        plat: sensor.platform.0,
        arch: sensor.architecture.0,
        ext_plat: sensor.ext_platform.0,
        moduleid: 0,
        this: None,
        parent: None,
        target: None,
        investigation_id: None,
        tags: sensor.tag_names().collect(),
        replayed: None,
    }
}

fn record(sensor: &Sensor, stream: Stream, routing: &Routing<'_>, event: impl Serialize) -> Record {
    let time = Timestamp::from_millis(routing.event_time);
    let envelope = Envelope { routing, ts: clock::text(time), event };
    Record {
        oid: sensor.oid,
        stream,
        sid: Some(sensor.sid),
        tags: tags_of(sensor),
        kind: routing.event_type.into(),
        id: routing.event_id,
        time,
        this_atom: None,
        parent_atom: None,
        investigation_id: None,
        body: text_of(&envelope),
    }
}

/// A deployment event of a sensor. Source: reference/sensor.md section 5.
#[must_use]
pub fn deployment(sensor: &Sensor, event_type: &str, event: &Value, now: Timestamp) -> Record {
    let routing = Routing { event_type, event_time: now.as_millis(), ..routing_of(sensor) };
    record(sensor, Stream::Deployment, &routing, event)
}

/// A periodic event of a sensor. Source: reference/detection-response.md section 2.5.
#[must_use]
pub fn sensor_tick(sensor: &Sensor, event_type: &str, frequency_s: i64, now: Timestamp) -> Record {
    let routing = Routing { event_type, event_time: now.as_millis(), ..routing_of(sensor) };
    record(sensor, Stream::Event, &routing, json!({"frequency": frequency_s}))
}

/// A periodic event of an organization, which has no sensor.
#[must_use]
pub fn organization_tick(oid: Oid, event_type: &str, frequency_s: i64, now: Timestamp) -> Record {
    let id = fresh_id();
    let body = json!({
        "routing": {
            "oid": oid, "sid": Uuid::nil(), "event_type": event_type, "event_time": now.as_millis(), "event_id": id,
            "tags": [],
        },
        "ts": clock::text(now),
        "event": {"frequency": frequency_s},
    });
    plain(oid, Stream::Event, event_type, id, now, &body)
}

/// An artifact event (`ingest`, `export_complete`). Source: reference/events.md section 9.
#[must_use]
pub fn artifact(
    oid: Oid,
    sensor: Option<&Sensor>,
    event_type: &str,
    log: (&str, &str),
    event: &Value,
    now: Timestamp,
) -> Record {
    let id = fresh_id();
    let routing = artifact_routing(oid, sensor, event_type, log, id, now);
    let body = json!({"routing": routing, "ts": clock::text(now), "event": event});
    plain(oid, Stream::Artifact, event_type, id, now, &body)
}

/// What the records in an artifact have in common, and their `routing`: a record has none of its own.
/// Source: reference/detection-response.md section 2.3.
#[must_use]
pub fn artifact_record(oid: Oid, sensor: Option<&Sensor>, log: (&str, &str), at: Timestamp) -> (Record, Value) {
    let id = fresh_id();
    let routing = artifact_routing(oid, sensor, ARTIFACT_RECORD, log, id, at);
    let record = Record {
        sid: sensor.map(|sensor| sensor.sid),
        tags: sensor.map(tags_of).unwrap_or_default(),
        ..plain(oid, Stream::Artifact, ARTIFACT_RECORD, id, at, &Value::Null)
    };
    (record, routing)
}

fn artifact_routing(
    oid: Oid,
    sensor: Option<&Sensor>,
    event_type: &str,
    log: (&str, &str),
    id: Uuid,
    at: Timestamp,
) -> Value {
    let mut routing = json!({
        "oid": oid, "event_type": event_type, "event_time": at.as_millis(), "event_id": id,
        "log_id": log.0, "log_type": log.1,
    });
    if let (Some(sensor), Some(fields)) = (sensor, routing.as_object_mut()) {
        fields.insert("sid".into(), json!(sensor.sid));
        fields.insert("iid".into(), json!(sensor.iid));
        fields.insert("hostname".into(), json!(sensor.hostname));
        fields.insert("plat".into(), json!(sensor.platform.0));
        fields.insert("arch".into(), json!(sensor.architecture.0));
        fields.insert("tags".into(), json!(sensor.tag_names().collect::<Vec<_>>()));
    }
    routing
}

fn tags_of(sensor: &Sensor) -> Arc<[Arc<str>]> {
    sensor.tags.iter().map(|tag| Arc::clone(&tag.name)).collect()
}

/// An event of the tasking extension itself, as of a log source with its name.
/// Source: reference/sensor.md section 12.6.
#[must_use]
pub fn activity(oid: Oid, source: &str, event_type: &str, event: &impl Serialize, now: Timestamp) -> Record {
    let id = fresh_id();
    let sid = Sid(Uuid::new_v5(&oid.0, source.as_bytes()));
    let routing = SourceRouting {
        oid,
        sid,
        event_type,
        event_time: now.as_millis(),
        event_id: id,
        hostname: source,
        plat: muster_model::Platform::JSON.0,
        arch: muster_model::Architecture::USP_ADAPTER.0,
        tags: [],
    };
    let body = Envelope { routing, ts: clock::text(now), event };
    Record { sid: Some(sid), ..plain(oid, Stream::Event, event_type, id, now, &body) }
}

/// Who did what, from where.
#[derive(Clone, Debug)]
pub struct Actor {
    /// Shown as `ident`.
    pub identity: String,
    /// `api`, `cli`, `console`, `system`.
    pub origin: &'static str,
    /// Source address.
    pub source: Option<IpAddr>,
    /// Who really called, where an extension acts with the token of someone else.
    pub called_by: Option<String>,
}

/// Origin of what is done in the web console.
pub const CONSOLE: &str = "console";

impl Actor {
    /// The same, where someone else called with the token of whoever this is.
    #[must_use]
    pub fn called_by(self, real: &str) -> Self {
        Self { called_by: Some(real.to_owned()), ..self }
    }

    /// The server itself.
    #[must_use]
    pub fn system() -> Self {
        Self { identity: "muster".into(), origin: "system", source: None, called_by: None }
    }

    /// Whether somebody came with a key, or a token of one.
    #[must_use]
    pub fn has_key(&self) -> bool {
        self.origin == "api"
    }

    /// Whether the server acts by itself.
    #[must_use]
    pub fn is_server(&self) -> bool {
        self.origin == "system" && !self.is_rule()
    }

    /// Whether a rule asked for it.
    #[must_use]
    pub fn is_rule(&self) -> bool {
        self.origin == "system" && self.identity.starts_with("rule/")
    }
}

/// An audit record. Source: reference/events.md section 9.
#[must_use]
pub fn audit(
    oid: Oid,
    actor: &Actor,
    message: &str,
    entity: &Value,
    action: &str,
    detail: &Value,
    now: Timestamp,
) -> Record {
    let mut mtd = json!({"action": action, "source_ip": actor.source.map(|ip| ip.to_string()).unwrap_or_default()});
    if let (Some(mtd), Some(detail)) = (mtd.as_object_mut(), detail.as_object()) {
        mtd.extend(detail.iter().map(|(name, value)| (name.clone(), value.clone())));
    }
    if let Some(real) = &actor.called_by {
        mtd["called_by"] = json!(real);
    }
    let etype = if actor.origin == "system" { "system_action" } else { "user_action" };
    let body = Audit {
        oid,
        ts: clock::rfc3339(now),
        time: now.as_secs(),
        etype,
        msg: message,
        origin: actor.origin,
        ident: &actor.identity,
        entity,
        mtd,
    };
    let sid = entity.get("sid").and_then(Value::as_str).and_then(|sid| sid.parse().ok());
    Record { sid, ..plain(oid, Stream::Audit, etype, fresh_id(), now, &body) }
}

/// JSON, made in one piece of memory where it is no longer than many are.
fn text_of(body: &impl Serialize) -> Bytes {
    let mut text = Vec::with_capacity(BODY_BYTES);
    serde_json::to_writer(&mut text, body).map(|()| Bytes::from(text)).unwrap_or_default()
}

fn plain(oid: Oid, stream: Stream, kind: &str, id: Uuid, time: Timestamp, body: &impl Serialize) -> Record {
    Record {
        oid,
        stream,
        sid: None,
        tags: Arc::default(),
        kind: kind.into(),
        id,
        time,
        this_atom: None,
        parent_atom: None,
        investigation_id: None,
        body: text_of(body),
    }
}
