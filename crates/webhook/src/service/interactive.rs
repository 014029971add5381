//! Interactive services: a task whose answer comes back to a named callback, with no state in between.
//!
//! The investigation id of the task names service, callback, job and context; a rule that every
//! subscribed organization has makes detections of all events that carry such an id.
//! Source: reference/service-protocol.md section 11.

use md5::{Digest as _, Md5};
use muster_model::to_hex;
use serde_json::{Value, json};

/// What every investigation id of a service begins with; also the name of its rule.
#[must_use]
pub fn root_id(service: &str) -> String {
    format!("svc-{service}-ex")
}

/// Name of the detections that lead answers back. Two underscores keep it out of outputs.
#[must_use]
pub fn detection_name(service: &str) -> String {
    format!("__{}", root_id(service))
}

/// Name of a callback in investigation ids: eight digits that only who knows the secret can tell.
///
/// The same for every instance of a service, and as the framework in use makes it.
#[must_use]
pub fn callback_key(secret: Option<&str>, callback: &str) -> String {
    let secret = secret.map_or_else(|| "None".to_owned(), |secret| bytes_literal(secret.as_bytes()));
    to_hex(&Md5::digest(format!("{secret}/{callback}")))[..8].to_owned()
}

/// Bytes as Python shows them: the secret enters the key in this form.
fn bytes_literal(bytes: &[u8]) -> String {
    let quote = if bytes.contains(&b'\'') && !bytes.contains(&b'"') { b'"' } else { b'\'' };
    let mut text = format!("b{}", char::from(quote));
    for byte in bytes {
        match byte {
            b'\\' => text.push_str(r"\\"),
            b'\n' => text.push_str(r"\n"),
            b'\r' => text.push_str(r"\r"),
            b'\t' => text.push_str(r"\t"),
            byte if *byte == quote => text.extend(['\\', char::from(quote)]),
            b' '..=b'~' => text.push(char::from(*byte)),
            byte => text.push_str(&format!("\\x{byte:02x}")),
        }
    }
    text.push(char::from(quote));
    text
}

/// An investigation id: where an answer goes, and what came along.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvestigationId {
    /// Which callback; see [`callback_key`].
    pub callback_key: String,
    /// Id of the job; empty for none.
    pub job: String,
    /// What the service wants to know again; any text.
    pub context: String,
}

impl InvestigationId {
    /// Reads the id of a service.
    ///
    /// `None` if it belongs to nobody or to another service, `Some(Err)` if parts are missing.
    #[must_use]
    pub fn parse(service: &str, id: &str) -> Option<Result<Self, Incomplete>> {
        let rest = id.strip_prefix(&root_id(service))?;
        let Some(rest) = rest.strip_prefix('/') else {
            // Another service may have a name that begins with this one.
            return rest.is_empty().then_some(Err(Incomplete));
        };
        // The context may hold slashes itself.
        let mut parts = rest.splitn(3, '/').map(str::to_owned);
        let (Some(callback_key), Some(job), Some(context)) = (parts.next(), parts.next(), parts.next()) else {
            return Some(Err(Incomplete));
        };
        Some(Ok(Self { callback_key, job, context }))
    }

    /// The id as a text, for the tasks of a service.
    #[must_use]
    pub fn of(&self, service: &str) -> String {
        format!("{}/{}/{}/{}", root_id(service), self.callback_key, self.job, self.context)
    }
}

/// An investigation id lacks parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the investigation id has fewer than four parts")]
pub struct Incomplete;

/// The rule that leads answers back: its detection and its response.
///
/// What the server says about tasks is left out; receipts and all other events with the id are not.
#[must_use]
pub fn interactive_rule(service: &str) -> (Value, Value) {
    let detect = json!({"op": "and", "rules": [
        {"op": "starts with", "path": "routing/investigation_id", "value": root_id(service)},
        {"op": "is", "not": true, "path": "routing/event_type", "value": "CLOUD_NOTIFICATION"},
    ]});
    (detect, json!([{"action": "report", "name": detection_name(service)}]))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Source: reference/service-protocol.md section 11.2.
    #[test]
    fn checklist_21_2_14_keys_are_those_of_the_framework_in_use() {
        assert_eq!(callback_key(Some("shared-secret-123"), "processPackages"), "ea32893a");
        assert_eq!(callback_key(None, "processPackages"), "6188c718");
    }

    /// What Python 3.11 gives for `repr` of the same bytes.
    #[test]
    fn secrets_enter_the_key_as_the_framework_in_use_spells_them() {
        assert_eq!(bytes_literal("é\\\n\u{7f}".as_bytes()), r"b'\xc3\xa9\\\n\x7f'");
        assert_eq!(bytes_literal(b"it's"), r#"b"it's""#);
        assert_eq!(bytes_literal(b"it's \"so\""), r#"b'it\'s "so"'"#);
    }

    #[test]
    fn checklist_21_2_14_contexts_of_any_text_come_back() {
        for context in ["", "plain", "a/b /c", "héllo ☃", "{\"a\":[1]}"] {
            for job in ["", "2b1d8f0e-5f0c-4a52-9d7e-0c4f6f0b8a11"] {
                let id = InvestigationId { callback_key: "ea32893a".into(), job: job.into(), context: context.into() };
                assert_eq!(InvestigationId::parse("packages", &id.of("packages")), Some(Ok(id)));
            }
        }
    }

    #[test]
    fn ids_of_others_are_not_taken() {
        assert_eq!(InvestigationId::parse("a", ""), None);
        assert_eq!(InvestigationId::parse("a", "svc-b-ex/k//c"), None);
        assert_eq!(InvestigationId::parse("a", "svc-a-extra/k//c"), None, "another service with a longer name");
        assert_eq!(InvestigationId::parse("a", "svc-a-ex"), Some(Err(Incomplete)));
        assert_eq!(InvestigationId::parse("a", "svc-a-ex/k/j"), Some(Err(Incomplete)));
    }
}
