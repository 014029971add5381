//! Webhooks in the hive `cloud_sensor`: where programs post what becomes events of a sensor.
//!
//! Other kinds of sources are kept as they are, and nothing comes of them.
//!
//! Source: reference/extension-protocol.md section 11.

use muster_model::{Iid, Oid};
use serde_json::{Map, Value};

/// The kind of source that is ingested.
const WEBHOOK: &str = "webhook";

/// Fields of a mapping.
const MAPPED: [&str; 3] = ["event_type_path", "event_time_path", "investigation_id_path"];

/// Longest secret, name of a sensor, seed and path, in bytes.
const TEXT_BYTES_MAX: usize = 1_024;

/// A webhook. It prints nothing: it holds a secret.
#[derive(Clone)]
pub struct Webhook {
    /// The last part of its address.
    pub secret: String,
    /// The installation key with which its sensor enrols.
    pub iid: Iid,
    /// The organization that the record names.
    pub oid: Option<Oid>,
    /// The name of its sensor.
    pub hostname: String,
    /// What the identity of its sensor is made of: webhooks with one seed have one sensor.
    pub seed: String,
    /// Where in what is posted the type of an event is.
    pub event_type_path: Option<String>,
    /// Where its time is: seconds or milliseconds since 1970.
    pub event_time_path: Option<String>,
    /// Where its investigation id is.
    pub investigation_id_path: Option<String>,
}

impl Webhook {
    /// Reads a record; none if it is another kind of source.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn read(name: &str, data: &Value) -> Result<Option<Self>, String> {
        if data.get("sensor_type").and_then(Value::as_str) != Some(WEBHOOK) {
            return Ok(None);
        }
        let none = Map::new();
        let object = |of: &Value, field: &str, at: &str| match of.get(field) {
            Some(Value::Object(object)) => Ok(object.clone()),
            _ => Err(format!("{at} must be an object")),
        };
        let webhook = Value::Object(object(data, "webhook", "webhook")?);
        let secret = text(&webhook, "secret", "webhook.secret")?.ok_or("webhook.secret is required")?;
        let options = Value::Object(object(&webhook, "client_options", "webhook.client_options")?);
        let identity = Value::Object(object(&options, "identity", "webhook.client_options.identity")?);
        let iid = text(&identity, "installation_key", "identity.installation_key")?;
        let iid = iid.and_then(|iid| iid.parse().ok()).map(Iid);
        let iid =
            iid.ok_or("webhook.client_options.identity.installation_key must be the id of an installation key")?;
        let oid = text(&identity, "oid", "identity.oid")?.map(|oid| oid.parse().map_err(|_| "identity.oid is no id"));
        let mapping = match options.get("mapping") {
            None | Some(Value::Null) => &none,
            Some(Value::Object(mapping)) => mapping,
            Some(_) => return Err("webhook.client_options.mapping must be an object".to_owned()),
        };
        let is_set = |(field, value): &(&String, &Value)| !MAPPED.contains(&field.as_str()) && !is_unset(value);
        if let Some((field, _)) = mapping.iter().find(is_set) {
            return Err(format!("mapping.{field} is not supported; there are {}", MAPPED.join(", ")));
        }
        let mapping = Value::Object(mapping.clone());
        let path = |field: &str| text(&mapping, field, field);
        let named = |field: &str| Ok::<_, String>(text(&options, field, field)?.unwrap_or_else(|| name.to_owned()));
        Ok(Some(Self {
            secret,
            iid,
            oid: oid.transpose()?,
            hostname: named("hostname")?,
            seed: named("sensor_seed_key")?,
            event_type_path: path("event_type_path")?,
            event_time_path: path("event_time_path")?,
            investigation_id_path: path("investigation_id_path")?,
        }))
    }
}

/// Published clients write what is not set in many ways.
fn is_unset(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    }
}

fn text(of: &Value, field: &str, at: &str) -> Result<Option<String>, String> {
    match of.get(field) {
        None => Ok(None),
        Some(value) if is_unset(value) => Ok(None),
        Some(Value::String(text)) if text.len() <= TEXT_BYTES_MAX => Ok(Some(text.clone())),
        Some(_) => Err(format!("{at} must be text of at most {TEXT_BYTES_MAX} bytes")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_webhook_says_what_is_missing_and_other_sources_are_left_alone() {
        let iid = "00000000-0000-4000-8000-000000000001";
        let full = |mapping: Value| {
            json!({"sensor_type": "webhook", "webhook": {"secret": "s", "client_options": {
                "hostname": "ext-a", "identity": {"oid": iid, "installation_key": iid}, "platform": "json",
                "sensor_seed_key": "ext-a", "mapping": mapping,
            }}})
        };
        let read = |data: &Value| Webhook::read("ext-a", data).map(|webhook| webhook.is_some());
        assert_eq!(read(&full(json!({"event_type_path": "a/b", "parsing_re": ""}))), Ok(true));
        assert_eq!(read(&json!({"sensor_type": "s3", "s3": {}})), Ok(false));
        assert_eq!(read(&json!({"anything": 1})), Ok(false));
        for (data, part) in [
            (json!({"sensor_type": "webhook"}), "webhook must be an object"),
            (json!({"sensor_type": "webhook", "webhook": {}}), "webhook.secret is required"),
            (json!({"sensor_type": "webhook", "webhook": {"secret": "s"}}), "client_options must be"),
            (full(json!({"sensor_hostname_path": "a"})), "mapping.sensor_hostname_path is not supported"),
        ] {
            let error = read(&data).expect_err(part);
            assert!(error.contains(part), "{error}");
        }
    }
}
