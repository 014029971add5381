//! What the server posts to an extension.

use super::Acl;
use muster_model::Oid;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Version of the protocol; a date.
pub const VERSION: i64 = 20_221_218;

/// Event: an organization subscribed.
pub const SUBSCRIBE: &str = "subscribe";
/// Event: an organization unsubscribed.
pub const UNSUBSCRIBE: &str = "unsubscribe";
/// Event: a day went by for a subscribed organization.
pub const UPDATE: &str = "update";

/// One message.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Message {
    /// Version of the protocol.
    pub version: i64,
    /// The same on every attempt of one logical call.
    pub idempotency_key: String,
    /// What it is about.
    #[serde(flatten)]
    pub subject: Subject,
}

/// What a message is about.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// Is the extension well?
    Heartbeat {},
    /// What does the extension offer?
    SchemaRequest {},
    /// The server met an error on behalf of the extension.
    ErrorReport(ErrorReport),
    /// May an organization have this configuration?
    ConfValidation(ConfValidation),
    /// An action.
    Request(Action),
    /// Something happened to an organization.
    Event(Event),
}

/// An error that the server met.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorReport {
    /// What went wrong.
    pub error: String,
    /// For which organization, if for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oid: Option<String>,
}

/// For whom an extension acts.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Org {
    /// The organization.
    pub oid: Oid,
    /// A token for its REST API. A secret: it is in no log line.
    pub jwt: String,
    /// Who asked: an address, the name of a key, or `DR:NAMESPACE.RULE`.
    #[serde(default)]
    pub ident: String,
}

impl std::fmt::Debug for Org {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Org").field("oid", &self.oid).field("ident", &self.ident).finish_non_exhaustive()
    }
}

/// A configuration that waits for its approval.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConfValidation {
    /// For whom.
    pub org: Org,
    /// The configuration.
    #[serde(default, deserialize_with = "crate::lenient::null_is_default")]
    pub conf: Map<String, Value>,
}

/// A resource and its last modification: `last_mod`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceState {
    /// When it was changed last; the unit is not published.
    #[serde(default)]
    pub last_mod: i64,
}

/// A call of an action.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Action {
    /// For whom.
    pub org: Org,
    /// Which action.
    #[serde(default)]
    pub action: String,
    /// Its parameters; the state of a continuation.
    #[serde(default, deserialize_with = "crate::lenient::null_is_default")]
    pub data: Map<String, Value>,
    /// The stored configuration of the organization.
    #[serde(default, deserialize_with = "crate::lenient::null_is_default")]
    pub config: Map<String, Value>,
    /// Modification times of related resources, by name.
    #[serde(default, deserialize_with = "crate::lenient::null_is_default")]
    pub resource_state: BTreeMap<String, ResourceState>,
    /// Investigation id; may be empty.
    #[serde(default)]
    pub inv_id: String,
    /// What of the restricted resources the caller may see; `None` from older servers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acl: Option<Acl>,
    /// The rule that asked, for actions that allow automation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub automation_rule: Option<String>,
}

/// Something happened to an organization.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// For whom.
    pub org: Org,
    /// What: [`SUBSCRIBE`], [`UNSUBSCRIBE`] or [`UPDATE`].
    #[serde(default)]
    pub event_name: String,
    /// More about it.
    #[serde(default, deserialize_with = "crate::lenient::null_is_default")]
    pub data: Map<String, Value>,
    /// The stored configuration of the organization.
    #[serde(default, deserialize_with = "crate::lenient::null_is_default")]
    pub config: Map<String, Value>,
}

/// Why a text is no message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MessageError {
    /// The text is not a JSON object, or a field has another type.
    #[error("invalid json body: {0}")]
    Malformed(String),
    /// It is about nothing.
    #[error("no data in request: one of heartbeat, schema_request, error_report, conf_validation, request, event")]
    Empty,
    /// It is about several things; frameworks differ in which they look at.
    #[error("a message is about one thing, and this one about {0}")]
    Several(String),
}

/// The fields as they come: `null` is absent, an empty object is not.
#[derive(Deserialize)]
struct Raw {
    #[serde(default)]
    version: Option<i64>,
    #[serde(default, deserialize_with = "crate::lenient::null_is_default")]
    idempotency_key: String,
    heartbeat: Option<Map<String, Value>>,
    schema_request: Option<Map<String, Value>>,
    error_report: Option<ErrorReport>,
    conf_validation: Option<ConfValidation>,
    request: Option<Action>,
    event: Option<Event>,
}

impl Message {
    /// A message of this version.
    #[must_use]
    pub fn new(idempotency_key: impl Into<String>, subject: Subject) -> Self {
        Self { version: VERSION, idempotency_key: idempotency_key.into(), subject }
    }

    /// The JSON text: what is signed, and what is sent plain or compressed.
    #[must_use]
    pub fn to_vec(&self) -> Vec<u8> {
        let text = serde_json::to_vec(self);
        debug_assert!(text.is_ok(), "every key of a message is a text");
        text.unwrap_or_default()
    }

    /// Reads a JSON text.
    ///
    /// # Errors
    ///
    /// [`MessageError`] says what is wrong; its texts do not repeat the content.
    pub fn read(text: &[u8]) -> Result<Self, MessageError> {
        let raw: Raw = serde_json::from_slice(text).map_err(|error| {
            let (what, line, column) = (error.classify(), error.line(), error.column());
            MessageError::Malformed(format!("{what:?} at line {line}, column {column}"))
        })?;
        let subjects = [
            raw.heartbeat.map(|_| ("heartbeat", Subject::Heartbeat {})),
            raw.schema_request.map(|_| ("schema_request", Subject::SchemaRequest {})),
            raw.error_report.map(|report| ("error_report", Subject::ErrorReport(report))),
            raw.conf_validation.map(|validation| ("conf_validation", Subject::ConfValidation(validation))),
            raw.request.map(|action| ("request", Subject::Request(action))),
            raw.event.map(|event| ("event", Subject::Event(event))),
        ];
        let (names, mut subjects): (Vec<&str>, Vec<Subject>) = subjects.into_iter().flatten().unzip();
        match (subjects.pop(), subjects.is_empty()) {
            (None, _) => Err(MessageError::Empty),
            (Some(subject), true) => {
                let version = raw.version.unwrap_or(VERSION);
                Ok(Self { version, idempotency_key: raw.idempotency_key, subject })
            }
            (Some(_), false) => Err(MessageError::Several(names.join(" and "))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sign;
    use serde_json::json;

    const SECRET: &str = "extension-secret-0123456789abcdef";

    /// Source: reference/extension-protocol.md section 3.1, vector E1.
    #[test]
    fn checklist_19_1_1_vector_e1_is_written_bit_for_bit() {
        let text = Message::new("k-1", Subject::Heartbeat {}).to_vec();
        assert_eq!(text, br#"{"version":20221218,"idempotency_key":"k-1","heartbeat":{}}"#);
        assert_eq!(sign(SECRET, &text), "fe5804d3e6d7aa18ed1f01c4605dcd287436af0fb0e2a189814803a7fa5e8bce");
    }

    /// Source: reference/extension-protocol.md section 3.1, vector E2.
    #[test]
    fn checklist_19_1_1_vector_e2_is_written_bit_for_bit() {
        let oid = "8cbe27f4-bfa1-4afb-ba19-138cd51389cd".parse().expect("a UUID");
        let org = Org { oid, jwt: "header.payload.sig".into(), ident: "user@example.com".into() };
        let Value::Object(data) = json!({"some_value": "x"}) else { unreachable!("an object") };
        let action = Action {
            org,
            action: "ping".into(),
            data,
            config: Map::new(),
            resource_state: BTreeMap::new(),
            inv_id: String::new(),
            acl: None,
            automation_rule: None,
        };
        let message = Message::new("k-2", Subject::Request(action));
        let text = message.to_vec();
        assert_eq!(text.len(), 249);
        assert_eq!(sign(SECRET, &text), "49b2681adef50b282f643d8c73325b70163fb321e29fc38cb985fb25db72eab8");
        assert_eq!(Message::read(&text), Ok(message));
    }

    #[test]
    fn checklist_19_2_6_an_empty_object_is_there_and_null_is_not() {
        let read = |text: &str| Message::read(text.as_bytes());
        let subject = |text: &str| read(text).map(|message| message.subject);
        assert_eq!(subject(r#"{"schema_request":{}}"#), Ok(Subject::SchemaRequest {}));
        assert_eq!(subject(r#"{"heartbeat":null,"schema_request":{}}"#), Ok(Subject::SchemaRequest {}));
        assert_eq!(read(r#"{"heartbeat":null}"#), Err(MessageError::Empty));
        assert_eq!(read("{}"), Err(MessageError::Empty));
        let several = read(r#"{"heartbeat":{},"schema_request":{}}"#);
        assert_eq!(several, Err(MessageError::Several("heartbeat and schema_request".into())));
        for text in [
            "",
            "[]",
            "null",
            "{",
            r#"{"heartbeat":1}"#,
            r#"{"request":{}}"#,
            r#"{"request":{"org":{"oid":"x","jwt":"y"}}}"#,
        ] {
            assert!(matches!(read(text), Err(MessageError::Malformed(_))), "{text}");
        }
    }
}
