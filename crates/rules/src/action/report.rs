//! Makes detections.
//!
//! Source: reference/detection-response.md sections 13.1 and 17, resolutions
//!

use super::{Action, Context, Effectuate, Firing, Shape};
use crate::document::Document;
use crate::template::to_data;
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

/// What is needed to make one detection.
pub(super) struct Reporting<'a> {
    pub(super) firing: &'a Firing<'a>,
    pub(super) action: &'a Action,
    /// The event that is reported.
    pub(super) context: &'a Context<'a>,
    pub(super) now_ms: i64,
    pub(super) console_url: Option<&'a str>,
}

/// A detection and what went wrong while it was made.
pub(super) struct Made {
    pub(super) name: String,
    pub(super) is_published: bool,
    pub(super) record: Value,
    pub(super) errors: Vec<String>,
}

impl Reporting<'_> {
    /// `entropy` and `ordinal` make the detection's id.
    pub(super) fn make(&self, entropy: u128, ordinal: u32) -> Option<Made> {
        let Effectuate::Report { name, is_published, priority, metadata, detect_data } = &self.action.does else {
            return None;
        };
        let mut errors = Vec::new();
        let mut record = self.record(detection_id(entropy, ordinal));
        record.insert("cat".into(), name.text().into());
        if let Some(priority) = priority {
            record.insert("priority".into(), (*priority).into());
        }
        let cat = if name.is_literal() {
            name.text().to_owned()
        } else {
            let data = to_data(&self.with_event(&record));
            name.render(&data).unwrap_or_else(|cause| {
                errors.push(cause.to_string());
                name.text().to_owned()
            })
        };
        record.insert("cat".into(), cat.as_str().into());
        let parts = [("detect_mtd", metadata), ("detect_data", detect_data)];
        let parts: Vec<_> = parts.iter().filter_map(|(key, shape)| Some((*key, shape.as_ref()?))).collect();
        if !parts.is_empty() {
            let value = self.with_event(&record);
            let document = Document::from_value(&value);
            let context = self.context.with_value(&document, value);
            for (key, shape) in parts {
                record.insert(key.into(), render_or_raw(shape, &context, &mut errors));
            }
        }
        let is_published = *is_published && !cat.starts_with("__");
        Some(Made { name: cat, is_published, record: Value::Object(record), errors })
    }

    /// The detection with the event's payload beside it, under the name that older rules use.
    fn with_event(&self, record: &Map<String, Value>) -> Value {
        let mut map = record.clone();
        if let Some(event) = self.context.value().get("event") {
            map.insert("event".into(), event.clone());
        }
        map.insert("mtd".into(), self.context.value()["mtd"].clone());
        Value::Object(map)
    }

    fn record(&self, detect_id: String) -> Map<String, Value> {
        let rule = &self.firing.rule;
        let reported = self.firing.reported;
        let detect = reported.to_value();
        let mut routing = match reported.routing().map(|routing| reported.value_at(routing)) {
            Some(Value::Object(routing)) => routing,
            _ => Map::new(),
        };
        let source = source(&routing);
        if let Some(time) = reported.event_time_ms() {
            routing.insert("latency".into(), self.now_ms.saturating_sub(time).into());
        }
        let mtd = &self.firing.metadata.0;
        let fields = json!({
            "detect_id": detect_id,
            "namespace": rule.meta.namespace,
            "source": source,
            "source_rule": format!("{}.{}", rule.meta.namespace, rule.meta.name),
            "author": rule.meta.author,
            "gen_time": self.now_ms,
            "ts": text_time(self.now_ms),
            "mtd": if mtd.is_empty() { Value::Null } else { Value::Object(mtd.clone()) },
        });
        let mut record = match fields {
            Value::Object(map) => map,
            _ => Map::new(),
        };
        if !rule.meta.tags.is_empty() {
            record.insert("rule_tags".into(), rule.meta.tags.clone().into());
        }
        if let Some(link) = self.link(&routing) {
            record.insert("link".into(), link.into());
        }
        record.insert("routing".into(), Value::Object(routing));
        record.insert("detect".into(), detect);
        record
    }

    fn link(&self, routing: &Map<String, Value>) -> Option<String> {
        let field = |name: &str| routing.get(name).and_then(Value::as_str);
        let (base, oid, sid) = (self.console_url?, field("oid")?, field("sid")?);
        let seconds = self.firing.reported.event_time_ms()?.div_euclid(1000);
        let selected = field("this").unwrap_or_default();
        Some(format!("{base}/orgs/{oid}/sensors/{sid}/timeline?time={seconds}&selected={selected}"))
    }
}

fn render_or_raw(shape: &Shape, context: &Context<'_>, errors: &mut Vec<String>) -> Value {
    shape.render(context).unwrap_or_else(|cause| {
        errors.push(cause.to_string());
        shape.raw()
    })
}

/// `OID.IID.SID.PLATFORM.ARCH`, the platform in hex; missing parts are empty or 0.
fn source(routing: &Map<String, Value>) -> String {
    let text = |name: &str| routing.get(name).and_then(Value::as_str).unwrap_or_default();
    let code = |name: &str| routing.get(name).and_then(Value::as_u64).unwrap_or(0);
    format!("{}.{}.{}.{:x}.{}", text("oid"), text("iid"), text("sid"), code("plat"), code("arch"))
}

fn text_time(now_ms: i64) -> String {
    let time = Timestamp::from_millisecond(now_ms).unwrap_or(Timestamp::UNIX_EPOCH);
    time.strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// An id that is unique as far as `entropy` is, in the form of a UUID of version 8.
fn detection_id(entropy: u128, ordinal: u32) -> String {
    let digest = Sha256::new().chain_update(entropy.to_le_bytes()).chain_update(ordinal.to_le_bytes()).finalize();
    let bits = digest[..16].iter().fold(0_u128, |sum, byte| sum << 8 | u128::from(*byte));
    let bits = bits & !(0xf << 76) & !(0x3 << 62) | 0x8 << 76 | 0x2 << 62;
    let hex = format!("{bits:032x}");
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}
