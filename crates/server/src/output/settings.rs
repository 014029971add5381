//! Settings of outputs: text or JSON, read into what a worker needs.

use super::Error;
use super::destination::{self, HostPort};
use super::{Feed, file, syslog, webhook};
use muster_store::Stream;
use serde_json::{Map, Value};

/// Modules that work here.
pub const MODULES: &[&str] = &["file", "syslog", "webhook", "webhook_bulk"];

/// Settings of all modules: of a misspelled filter, everything would be sent.
/// Source: reference/events.md sections 11.2 and 12.
pub const KNOWN: &[&str] = &[
    "auth_header_name",
    "auth_header_value",
    "body",
    "cat",
    "cat_black_list",
    "cat_white_list",
    "custom_transform",
    "dest_host",
    "dir",
    "event_black_list",
    "event_white_list",
    "for",
    "inv_id",
    "is_compression",
    "is_delete_on_failure",
    "is_flat",
    "is_indexing",
    "is_json_list",
    "is_no_header",
    "is_no_routing",
    "is_no_sharding",
    "is_payload_as_string",
    "is_prefix_data",
    "is_strict_tls",
    "is_tls",
    "max_bytes",
    "module",
    "name",
    "retention_days",
    "rule_tag_black_list",
    "rule_tag_white_list",
    "sample_rate",
    "sec_per_file",
    "secret_key",
    "sid",
    "structured_data",
    "tag",
    "tag_black_list",
];

/// Settings of one output that may be kept.
pub(super) const SETTINGS_MAX: usize = 64;

/// Bytes of all settings of an output.
pub(super) const SETTINGS_BYTES_MAX: usize = 64 * 1024;

/// Reads settings; every error names the setting.
pub(super) struct Settings<'a>(pub(super) &'a Map<String, Value>);

impl Settings<'_> {
    /// A setting as text, whatever it came as; `None` if absent or empty.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        let text = match self.0.get(name)? {
            Value::String(text) => text.clone(),
            Value::Null => return None,
            other => other.to_string(),
        };
        (!text.is_empty()).then_some(text)
    }

    pub(super) fn require(&self, name: &str) -> Result<String, Error> {
        let module = self.text("module").unwrap_or_default();
        self.text(name).ok_or_else(|| Error::setting(format!("{name} is required for module {module}")))
    }

    pub(super) fn flag(&self, name: &str) -> Result<bool, Error> {
        match self.text(name).as_deref() {
            None | Some("false" | "False" | "FALSE" | "0") => Ok(false),
            Some("true" | "True" | "TRUE" | "1") => Ok(true),
            Some(_) => Err(Error::setting(format!("{name} must be true or false"))),
        }
    }

    /// A whole number within bounds.
    pub(super) fn number(&self, name: &str, min: u64, max: u64) -> Result<Option<u64>, Error> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let number = text.parse().ok().filter(|number| (min..=max).contains(number));
        let wrong = || Error::setting(format!("{name} must be a whole number from {min} to {max}"));
        number.map(Some).ok_or_else(wrong)
    }

    /// Lines of text, or a JSON list; blanks trimmed, empty ones dropped.
    pub(super) fn lines(&self, name: &str) -> Result<Vec<String>, Error> {
        let trimmed = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(Value::String(text)) => Ok(text.lines().filter_map(trimmed).collect()),
            Some(Value::Array(items)) => Ok(items.iter().filter_map(Value::as_str).filter_map(trimmed).collect()),
            Some(_) => Err(Error::setting(format!("{name} must be lines of text"))),
        }
    }

    pub(super) fn feed(&self) -> Result<Feed, Error> {
        match self.text("for").as_deref() {
            Some("event") => Ok(Feed::Of(Stream::Event)),
            Some("detect" | "detection") => Ok(Feed::Of(Stream::Detect)),
            Some("audit") => Ok(Feed::Of(Stream::Audit)),
            Some("deployment") => Ok(Feed::Of(Stream::Deployment)),
            Some("artifact") => Ok(Feed::Of(Stream::Artifact)),
            Some("tailored") => Ok(Feed::Tailored),
            None => Err(Error::setting("type is required")),
            Some(other) => Err(Error::Unavailable(format!(
                "type {other} is not available on this server; available: event, detect, audit, deployment, artifact, tailored"
            ))),
        }
    }
}

/// The settings as they are kept: `type` becomes `for`, and `name` is there.
/// Source: reference/rest-api.md section 7.6.
pub(super) fn normal(mut settings: Map<String, Value>, name: &str) -> Result<Map<String, Value>, Error> {
    settings.remove("oid");
    let written = settings.remove("type").filter(|written| written.as_str() != Some(""));
    let feed = written.or_else(|| settings.remove("for")).unwrap_or_default();
    let feed = if feed.as_str() == Some("detection") { Value::from("detect") } else { feed };
    settings.insert("for".into(), feed);
    settings.insert("name".into(), name.into());
    let bytes: usize = settings.iter().map(|(name, value)| name.len() + value.to_string().len()).sum();
    if settings.len() > SETTINGS_MAX || bytes > SETTINGS_BYTES_MAX {
        return Err(Error::TooLarge);
    }
    Ok(settings)
}

/// What delivers.
pub(super) enum Module {
    File(file::Settings),
    Syslog(syslog::Settings),
    Webhook(Box<webhook::Settings>),
}

impl Module {
    pub(super) fn read(settings: &Settings<'_>) -> Result<Self, Error> {
        match settings.text("module").as_deref() {
            Some("file") => file::Settings::read(settings).map(Self::File),
            Some("syslog") => syslog::Settings::read(settings).map(Self::Syslog),
            Some("webhook") => webhook::Settings::read(settings, false).map(Box::new).map(Self::Webhook),
            Some("webhook_bulk") => webhook::Settings::read(settings, true).map(Box::new).map(Self::Webhook),
            None => Err(Error::setting("module is required")),
            Some(other) => Err(Error::Unavailable(format!(
                "module {other} is not available on this server; available: {}",
                MODULES.join(", ")
            ))),
        }
    }

    /// Refuses addresses that an output may not reach. Names that do not resolve now may resolve
    /// later, and are checked again at every connection.
    pub(super) async fn check_destination(&self, allow_private: bool) -> Result<(), Error> {
        let place: HostPort = match self {
            Self::File(_) => return Ok(()),
            Self::Syslog(settings) => settings.to.clone(),
            Self::Webhook(settings) => settings.place(),
        };
        match destination::resolve(&place, allow_private).await {
            Err(destination::Unreachable::Private(address)) => Err(Error::PrivateDestination(address)),
            Ok(_) | Err(_) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(settings: Value) -> Result<(), String> {
        let settings =
            normal(settings.as_object().cloned().unwrap_or_default(), "o").map_err(|error| error.to_string())?;
        let settings = Settings(&settings);
        settings.feed().and_then(|_| Module::read(&settings).map(|_| ())).map_err(|error| error.to_string())
    }

    #[test]
    fn refusals_name_what_is_wrong() {
        let cases = [
            (json!({"type": "event"}), "module is required"),
            (json!({"module": "syslog", "dest_host": "h:1"}), "type is required"),
            (json!({"module": "syslog", "type": "event"}), "dest_host is required for module syslog"),
            (json!({"module": "webhook", "type": "event", "dest_host": "https://h"}), "secret_key is required"),
            (json!({"module": "kafka", "type": "event"}), "available: file, syslog, webhook, webhook_bulk"),
            (json!({"module": "file", "type": "billing", "dir": "a"}), "type billing is not available"),
            (json!({"module": "file", "type": "event", "dir": "../a"}), "dir must"),
            (json!({"module": "file", "type": "event", "dir": "/a"}), "dir must"),
            (json!({"module": "file", "type": "event", "dir": "a", "sec_per_file": "4000"}), "sec_per_file must"),
            (json!({"module": "syslog", "type": "event", "dest_host": "nowhere"}), "dest_host must be host:port"),
            (json!({"module": "syslog", "type": "event", "dest_host": "h:1", "is_tls": "maybe"}), "is_tls must"),
        ];
        for (settings, expected) in cases {
            let message = read(settings.clone()).expect_err("refused");
            assert!(message.contains(expected), "{settings}: {message}");
        }
        assert_eq!(read(json!({"module": "file", "type": "detection", "dir": "a/b"})), Ok(()));
    }
}
