//! How a record looks when it leaves. Source: reference/events.md section 11.2.

use super::Error;
use super::settings::Settings;
use muster_rules::{Reshape, Reshaped};
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::borrow::Cow;

/// Format of one output.
pub(super) struct Format {
    reshape: Option<Reshape>,
    /// Why a record was left out lately.
    failure: Mutex<Option<String>>,
    is_no_routing: bool,
    is_payload_as_string: bool,
    is_flat: bool,
    is_prefix_data: bool,
    is_json_list: bool,
}

/// What a record says of itself, read without building the rest.
#[derive(Default, Deserialize)]
pub(super) struct Head<'a> {
    #[serde(borrow, default)]
    routing: RoutingHead<'a>,
    #[serde(borrow, default)]
    cat: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    etype: Option<Cow<'a, str>>,
    /// Seconds; audit records only.
    #[serde(default)]
    time: Option<i64>,
}

#[derive(Default, Deserialize)]
struct RoutingHead<'a> {
    #[serde(borrow, default)]
    event_type: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    hostname: Option<Cow<'a, str>>,
    #[serde(default)]
    event_time: Option<i64>,
}

impl<'a> Head<'a> {
    pub(super) fn read(body: &'a [u8]) -> Self {
        serde_json::from_slice(body).unwrap_or_default()
    }

    /// Detection category, audit type or event type.
    pub(super) fn kind(&self) -> &str {
        let kind = self.cat.as_deref().or(self.etype.as_deref()).or(self.routing.event_type.as_deref());
        kind.unwrap_or_default()
    }

    pub(super) fn hostname(&self) -> &str {
        self.routing.hostname.as_deref().unwrap_or_default()
    }

    /// Milliseconds.
    pub(super) fn time_ms(&self) -> Option<i64> {
        self.routing.event_time.or_else(|| self.time.map(|seconds| seconds.saturating_mul(1_000)))
    }
}

impl Format {
    /// `anon_seed` is the private seed of the template function `anon`.
    pub(super) fn read(settings: &Settings<'_>, anon_seed: &str) -> Result<Self, Error> {
        let reshape = settings.text("custom_transform").map(|text| Reshape::new(&text, anon_seed)).transpose();
        Ok(Self {
            reshape: reshape.map_err(|error| Error::setting(format!("custom_transform: {error}")))?,
            failure: Mutex::new(None),
            is_no_routing: settings.flag("is_no_routing")?,
            is_payload_as_string: settings.flag("is_payload_as_string")?,
            is_flat: settings.flag("is_flat")?,
            is_prefix_data: settings.flag("is_prefix_data")?,
            is_json_list: settings.flag("is_json_list")?,
        })
    }

    fn changes_nothing(&self) -> bool {
        let flags = [self.is_no_routing, self.is_payload_as_string, self.is_flat, self.is_prefix_data];
        self.reshape.is_none() && !flags.contains(&true)
    }

    /// Why a record was left out since this was asked last.
    pub(super) fn take_failure(&self) -> Option<String> {
        self.failure.lock().take()
    }

    /// A record as it is sent where a line is a record: one line, without its end; `None` if there is nothing
    /// to send.
    pub(super) fn line<'a>(&self, body: &'a [u8]) -> Option<Cow<'a, [u8]>> {
        let mut text = self.text(body)?;
        // A template may make several lines, and one that brings line ends of an event along would let a
        // sensor make up records.
        if text.iter().any(|byte| matches!(byte, b'\n' | b'\r')) {
            for byte in text.to_mut() {
                if matches!(byte, b'\n' | b'\r') {
                    *byte = b' ';
                }
            }
        }
        Some(text)
    }

    /// A record as it is sent by itself: one line of JSON, or the text of a template; `None` if it is not JSON
    /// or cannot be transformed.
    pub(super) fn text<'a>(&self, body: &'a [u8]) -> Option<Cow<'a, [u8]>> {
        // Line ends between the tokens would make two records of one.
        if self.changes_nothing() && !body.iter().any(|byte| matches!(byte, b'\n' | b'\r')) {
            return Some(Cow::Borrowed(body));
        }
        let value = serde_json::from_slice(body).ok()?;
        let value = match self.reshape.as_ref().map(|reshape| reshape.apply(&value)) {
            None => value,
            Some(Ok(Reshaped::Record(value))) => value,
            Some(Ok(Reshaped::Text(text))) => return Some(Cow::Owned(text.into_bytes())),
            Some(Err(error)) => {
                *self.failure.lock() = Some(format!("custom_transform: {error}"));
                return None;
            }
        };
        serde_json::to_vec(&self.value(value, body)).ok().map(Cow::Owned)
    }

    fn value(&self, mut value: Value, body: &[u8]) -> Value {
        if self.is_no_routing {
            value = without_routing(value);
        }
        if self.is_payload_as_string {
            payload_to_text(&mut value);
        }
        if self.is_flat {
            value = flat(value);
        }
        if self.is_prefix_data {
            value = Value::Object(Map::from_iter([(Head::read(body).kind().to_owned(), value)]));
        }
        value
    }

    /// A batch as one text: a JSON list, or lines.
    pub(super) fn batch(&self, lines: &[Cow<'_, [u8]>]) -> Vec<u8> {
        let separator = if self.is_json_list { b',' } else { b'\n' };
        let mut text = Vec::with_capacity(lines.iter().map(|line| line.len() + 1).sum::<usize>() + 2);
        if self.is_json_list {
            text.push(b'[');
        }
        for (at, line) in lines.iter().enumerate() {
            if at > 0 {
                text.push(separator);
            }
            text.extend_from_slice(line);
        }
        if self.is_json_list {
            text.push(b']');
        }
        text
    }
}

/// `event` alone, where there is one; else the record without `routing`.
fn without_routing(value: Value) -> Value {
    match value {
        Value::Object(mut record) => match record.remove("event") {
            Some(event) if record.contains_key("routing") => event,
            event => {
                record.extend(event.map(|event| ("event".to_owned(), event)));
                record.remove("routing");
                Value::Object(record)
            }
        },
        other => other,
    }
}

fn payload_to_text(value: &mut Value) {
    for name in ["event", "detect"] {
        if let Some(payload) = value.get_mut(name)
            && !payload.is_string()
        {
            *payload = Value::String(payload.to_string());
        }
    }
}

/// One level, path parts joined by `/`; lists stay lists.
fn flat(value: Value) -> Value {
    fn put(prefix: &str, value: Value, into: &mut Map<String, Value>) {
        match value {
            Value::Object(object) if !object.is_empty() => {
                for (name, value) in object {
                    let path = if prefix.is_empty() { name } else { format!("{prefix}/{name}") };
                    put(&path, value, into);
                }
            }
            value => {
                into.insert(prefix.to_owned(), value);
            }
        }
    }
    if !value.is_object() {
        return value;
    }
    let mut into = Map::new();
    put("", value, &mut into);
    Value::Object(into)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn format(settings: &Value) -> Format {
        Format::read(&Settings(settings.as_object().unwrap()), "seed").unwrap()
    }

    #[test]
    fn each_flag_does_its_part() {
        let event =
            json!({"event": {"A": {"B": 1}, "L": [{"x": 1}]}, "routing": {"event_type": "T", "sid": "s"}, "ts": "t"});
        let detection = json!({"cat": "c", "detect": {"event": {"A": 1}}, "routing": {"event_type": "T"}});
        let cases = [
            (&event, json!({"is_no_routing": "true"}), json!({"A": {"B": 1}, "L": [{"x": 1}]})),
            (&detection, json!({"is_no_routing": true}), json!({"cat": "c", "detect": {"event": {"A": 1}}})),
            (
                &event,
                json!({"is_flat": "True"}),
                json!({"event/A/B": 1, "event/L": [{"x": 1}], "routing/event_type": "T", "routing/sid": "s", "ts": "t"}),
            ),
            (&event, json!({"is_prefix_data": "1"}), json!({"T": event})),
            (&detection, json!({"is_prefix_data": "1"}), json!({"c": detection})),
            (
                &detection,
                json!({"is_payload_as_string": "true", "is_no_routing": "true"}),
                json!({"cat": "c", "detect": "{\"event\":{\"A\":1}}"}),
            ),
            (
                &event,
                json!({"custom_transform": "{\"b\":\"event.A.B\"}", "is_prefix_data": "true"}),
                json!({"T": {"b": 1}}),
            ),
        ];
        for (record, settings, expected) in cases {
            let body = record.to_string().into_bytes();
            let line = format(&settings).line(&body).unwrap().into_owned();
            assert_eq!(serde_json::from_slice::<Value>(&line).unwrap(), expected, "{settings}");
        }
    }

    #[test]
    fn a_record_is_one_line_and_else_untouched() {
        let plain = format(&json!({}));
        assert_eq!(
            &*plain.line(br#"{"b": 1, "a": 18446744073709551615}"#).unwrap(),
            br#"{"b": 1, "a": 18446744073709551615}"#
        );
        assert_eq!(&*plain.line(b"{\n\"n\":\r\n18446744073709551615}").unwrap(), br#"{"n":18446744073709551615}"#);
        assert!(plain.line(b"{\n").is_none());
    }

    #[test]
    fn a_template_makes_text_and_no_line_of_its_own() {
        let body = br#"{"cat":"c","detect":{"event":{"A":"x\r\ny"}}}"#;
        let made = format(&json!({"custom_transform": "{{ .cat }}: {{ .detect.event.A }}", "is_flat": "true"}));
        assert_eq!(&*made.text(body).unwrap(), b"c: x\r\ny");
        assert_eq!(&*made.line(body).unwrap(), b"c: x  y");
        assert_eq!(made.take_failure(), None);
        let failing = format(&json!({"custom_transform": "{{ .nothing.there }}"}));
        assert_eq!(failing.line(body), None);
        assert!(failing.take_failure().unwrap().starts_with("custom_transform: "));
        assert_eq!(failing.take_failure(), None);
    }

    #[test]
    fn batches_are_lines_or_a_list() {
        let lines = [Cow::Borrowed(&b"1"[..]), Cow::Borrowed(&b"2"[..])];
        assert_eq!(format(&json!({})).batch(&lines), b"1\n2");
        assert_eq!(format(&json!({"is_json_list": "true"})).batch(&lines), b"[1,2]");
    }
}
