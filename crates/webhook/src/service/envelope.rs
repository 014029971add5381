//! What the server posts.

use super::Etype;
use crate::canonical::{self, Text};
use muster_model::{Oid, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Version of the protocol.
pub const VERSION: i64 = 1;

/// How long the server usually waits for an answer, in seconds. Source: reference/service-protocol.md section 5.
pub const DEADLINE_S: i64 = 590;

/// What is written besides the data and the token has fewer bytes.
const HEAD_BYTES_USUAL: usize = 256;

/// One event for a service.
#[derive(Clone, PartialEq)]
pub struct Envelope {
    /// Version of the protocol; `None` if the sender did not say.
    pub version: Option<i64>,
    /// Message id: the same on each delivery of one event.
    pub mid: String,
    /// What the event is about; see [`Etype`]. Other names are kept, and answered with "not implemented".
    pub etype: String,
    /// When the sender stops waiting; `None` if it did not say.
    pub deadline: Option<Timestamp>,
    /// The organization; `None` where the event has none.
    pub oid: Option<Oid>,
    /// A token for the REST API of that organization. A secret: it is in no log line.
    pub jwt: Option<String>,
    /// What else there is to say; depends on `etype`.
    pub data: Map<String, Value>,
}

impl std::fmt::Debug for Envelope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut fields = f.debug_struct("Envelope");
        fields.field("etype", &self.etype).field("mid", &self.mid).field("oid", &self.oid).finish_non_exhaustive()
    }
}

/// Why a body is no event.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EnvelopeError {
    /// The body is not a JSON object, or a field has another type.
    #[error("the body is not an event: {0}")]
    Malformed(String),
    /// Nothing says what the event is about.
    #[error("the event has no etype")]
    NoEtype,
    /// `oid` is not a UUID.
    #[error("oid is not a UUID")]
    Oid,
}

/// The fields as they come; what is unknown is not looked at.
#[derive(Deserialize)]
struct Raw {
    version: Option<i64>,
    #[serde(default, deserialize_with = "crate::lenient::null_is_default")]
    mid: String,
    etype: Option<String>,
    deadline: Option<f64>,
    oid: Option<String>,
    jwt: Option<String>,
    #[serde(default, deserialize_with = "crate::lenient::null_is_default")]
    data: Map<String, Value>,
}

/// The fields as they are written, in the order of the one spelling.
#[derive(Serialize)]
struct Written<'a, D> {
    data: D,
    #[serde(skip_serializing_if = "Option::is_none")]
    deadline: Option<i64>,
    etype: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    jwt: Option<&'a str>,
    mid: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    oid: Option<Oid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<i64>,
}

impl Envelope {
    /// What is to be signed and sent of an event whose data is a JSON text: what [`Envelope::to_vec`] gives for what the text
    /// holds, without holding it. `of` is the organization, with a token for its API.
    ///
    /// `None` if the text is no object, or its keys are not in order: then it has to be read.
    #[must_use]
    pub fn written(etype: Etype, mid: &str, now: Timestamp, of: Option<(Oid, &str)>, text: &[u8]) -> Option<Vec<u8>> {
        let (etype, bytes) = (etype.to_string(), text.len() + text.len() / 4);
        let written = Written {
            data: Text(text),
            deadline: Some(deadline(now).as_secs()),
            etype: &etype,
            jwt: of.map(|(_, jwt)| jwt),
            mid,
            oid: of.map(|(oid, _)| oid),
            version: Some(VERSION),
        };
        canonical::try_to_vec(&written, bytes + of.map_or(0, |(_, jwt)| jwt.len()) + HEAD_BYTES_USUAL)
    }

    /// An event without an organization, for delivery now.
    #[must_use]
    pub fn new(etype: Etype, mid: &str, now: Timestamp, data: Map<String, Value>) -> Self {
        let (etype, mid) = (etype.to_string(), mid.to_owned());
        Self { version: Some(VERSION), mid, etype, deadline: Some(deadline(now)), oid: None, jwt: None, data }
    }

    /// The same for an organization, with a token for its API.
    #[must_use]
    pub fn of(mut self, oid: Oid, jwt: String) -> Self {
        (self.oid, self.jwt) = (Some(oid), Some(jwt));
        self
    }

    /// Reads a body.
    ///
    /// # Errors
    ///
    /// [`EnvelopeError`] says what is wrong with it; none of its texts repeats the content.
    pub fn read(body: &[u8]) -> Result<Self, EnvelopeError> {
        let raw: Raw = serde_json::from_slice(body).map_err(|error| {
            let (what, line, column) = (error.classify(), error.line(), error.column());
            EnvelopeError::Malformed(format!("{what:?} at line {line}, column {column}"))
        })?;
        let oid = raw.oid.map(|oid| oid.parse().map_err(|_| EnvelopeError::Oid)).transpose()?;
        Ok(Self {
            version: raw.version,
            mid: raw.mid,
            etype: raw.etype.ok_or(EnvelopeError::NoEtype)?,
            deadline: raw.deadline.map(timestamp),
            oid,
            jwt: raw.jwt,
            data: raw.data,
        })
    }

    /// The body to sign and send: the spelling that services of every line accept.
    #[must_use]
    pub fn to_vec(&self) -> Vec<u8> {
        canonical::to_vec(&Written {
            data: &self.data,
            // A whole number is spelled alike by every writer of JSON.
            deadline: self.deadline.map(Timestamp::as_secs),
            etype: &self.etype,
            jwt: self.jwt.as_deref(),
            mid: &self.mid,
            oid: self.oid,
            version: self.version,
        })
    }
}

fn deadline(now: Timestamp) -> Timestamp {
    Timestamp::from_secs(now.as_secs().saturating_add(DEADLINE_S))
}

/// Seconds since the epoch, with a fraction or without.
fn timestamp(seconds: f64) -> Timestamp {
    // Saturates at both ends, and a number that is none becomes the epoch. Whole seconds apart from their fraction:
    // in microseconds a far one is not exact any more, and what was read would be written as another second.
    #[expect(clippy::cast_possible_truncation, reason = "the casts saturate")]
    let (whole, micros) = (seconds.trunc() as i64, (seconds.fract() * 1e6) as i64);
    Timestamp::from_micros(Timestamp::from_secs(whole).as_micros().saturating_add(micros))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sign;
    use serde_json::json;

    const SECRET: &str = "shared-secret-123";

    fn published(last: &str) -> String {
        format!("5f0c1a52-6a0e-4a3b-9d7e-0c4f6f0b8a{last}")
    }

    /// Source: reference/service-protocol.md section 3.3, vector S1.
    #[test]
    fn checklist_21_1_1_vector_s1_is_written_bit_for_bit() {
        let now = Timestamp::from_secs(1_700_000_000);
        let body = Envelope::new(Etype::Health, &published("11"), now, Map::new()).to_vec();
        assert_eq!(body.len(), 116);
        let signature = "45989d7ee2bbc141a4277dcad7b0a6079e81646d2facd758cb3fa4d74dccc45b";
        assert_eq!(sign(SECRET, &body), signature, "{}", String::from_utf8_lossy(&body));
    }

    /// Source: reference/service-protocol.md section 3.3, vector S2.
    #[test]
    fn checklist_21_1_1_vector_s2_is_written_bit_for_bit() {
        let Value::Object(data) = json!({"note": "héllo ☃", "action": "get"}) else { unreachable!("an object") };
        let oid = "8cbe27f4-bfa1-4afb-ba19-138cd51389cd".parse().expect("a UUID");
        let now = Timestamp::from_secs(1_700_000_000);
        let event = Envelope::new(Etype::Request, &published("12"), now, data).of(oid, "header.payload.sig".into());
        let body = event.to_vec();
        assert_eq!(body.len(), 237);
        let signature = "dcd78493fcb5a948a66fd9112ba9488fe8db6a08fe90de00a7c070646bbfa621";
        assert_eq!(sign(SECRET, &body), signature, "{}", String::from_utf8_lossy(&body));
        assert_eq!(Envelope::read(&body), Ok(event));
    }

    #[test]
    fn a_text_is_sent_as_what_it_holds_is() {
        let (oid, now) = ("8cbe27f4-bfa1-4afb-ba19-138cd51389cd".parse().expect("a UUID"), Timestamp::from_secs(1));
        let text = r#"{"a":"☃","b":[1.50,{"c":null}]}"#;
        let Ok(Value::Object(data)) = serde_json::from_str(text) else { unreachable!("an object") };
        let event = Envelope::new(Etype::Detection, "m", now, data);
        let written = |of, text: &str| Envelope::written(Etype::Detection, "m", now, of, text.as_bytes());
        assert_eq!(written(None, text), Some(event.to_vec()));
        assert_eq!(written(Some((oid, "j.w.t")), text), Some(event.of(oid, "j.w.t".into()).to_vec()));
        assert_eq!(written(None, r#"{"b":1,"a":2}"#), None);
    }

    #[test]
    fn what_the_sender_left_out_is_taken_as_nothing() {
        let event = Envelope::read(br#"{"etype":"health"}"#).expect("enough for a health check");
        assert_eq!((event.version, event.deadline, event.oid, event.jwt), (None, None, None, None));
        let event = Envelope::read(br#"{"etype":"x","version":null,"data":null,"mid":null,"other":[]}"#);
        assert!(event.expect("null is absent, other fields are not looked at").data.is_empty());
    }

    #[test]
    fn what_is_no_event_is_refused() {
        for body in
            ["", "null", "[]", "{", r#"{"etype":1}"#, r#"{"etype":"a","data":[]}"#, r#"{"etype":"a","version":"1"}"#]
        {
            assert!(matches!(Envelope::read(body.as_bytes()), Err(EnvelopeError::Malformed(_))), "{body}");
        }
        assert_eq!(Envelope::read(b"{}"), Err(EnvelopeError::NoEtype));
        assert_eq!(Envelope::read(br#"{"etype":"a","oid":"b"}"#), Err(EnvelopeError::Oid));
    }

    #[test]
    fn deadlines_may_have_a_fraction_and_any_size() {
        let deadline = |text: &str| {
            let body = format!(r#"{{"etype":"a","deadline":{text}}}"#);
            Envelope::read(body.as_bytes()).expect("an event").deadline
        };
        assert_eq!(deadline("1700000590.25"), Some(Timestamp::from_millis(1_700_000_590_250)));
        assert_eq!(deadline("1e300"), Some(Timestamp::MAX));
        assert_eq!(deadline("9223372036854").map(Timestamp::as_secs), Some(9_223_372_036_854));
    }
}
