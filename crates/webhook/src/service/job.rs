//! Jobs: units of visible work, made and continued by what services answer.
//!
//! Source: reference/service-protocol.md section 10.

use crate::lenient::null_is_default;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use muster_model::{Sid, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// What is new about a job. Times are in milliseconds since the Unix epoch.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// Which: a UUID that the service chose.
    pub id: String,
    /// When it began; only in the message that makes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<i64>,
    /// Why there is this job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// Sensors that it is about.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "Vec::is_empty")]
    pub sid: Vec<String>,
    /// What happened since the last message about it.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "Vec::is_empty")]
    pub hist: Vec<Entry>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<i64>,
}

/// One line of a job's history.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// When, in milliseconds since the Unix epoch.
    #[serde(default)]
    pub ts: i64,
    /// What happened.
    #[serde(default)]
    pub msg: String,
    /// Evidence.
    #[serde(default, deserialize_with = "null_is_default")]
    pub attachments: Vec<Attachment>,
    /// Whether people should see it at once.
    #[serde(default)]
    pub is_important: bool,
}

/// A piece of evidence: `att_type` says of which kind. Kinds that are not known here are kept as they are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Attachment(pub Map<String, Value>);

/// Why there can be no such job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JobError {
    /// Nobody would know why it is there.
    #[error("a new job needs a cause that is not empty")]
    NoCause,
}

impl Job {
    /// A new job. `id` must be new too, such as a random UUID.
    ///
    /// # Errors
    ///
    /// [`JobError::NoCause`] if the cause is empty.
    pub fn new(id: impl Into<String>, now: Timestamp, cause: &str) -> Result<Self, JobError> {
        if cause.trim().is_empty() {
            return Err(JobError::NoCause);
        }
        let (id, start, cause) = (id.into(), Some(now.as_millis()), Some(cause.to_owned()));
        Ok(Self { id, start, cause, ..Self::default() })
    }

    /// More of a job that exists.
    #[must_use]
    pub fn open(id: impl Into<String>) -> Self {
        Self { id: id.into(), ..Self::default() }
    }

    /// The job is about this sensor too.
    pub fn add_sensor(&mut self, sid: Sid) {
        let sid = sid.to_string();
        if !self.sid.contains(&sid) {
            self.sid.push(sid);
        }
    }

    /// Something happened.
    pub fn narrate(&mut self, now: Timestamp, message: impl Into<String>, attachments: Vec<Attachment>) {
        self.hist.push(Entry { ts: now.as_millis(), msg: message.into(), attachments, is_important: false });
    }

    /// Something happened that people should see at once.
    pub fn narrate_important(&mut self, now: Timestamp, message: impl Into<String>, attachments: Vec<Attachment>) {
        self.narrate(now, message, attachments);
        self.hist.iter_mut().last().into_iter().for_each(|entry| entry.is_important = true);
    }

    /// The job is over.
    pub fn close(&mut self, now: Timestamp) {
        self.end = Some(now.as_millis());
    }
}

impl Attachment {
    fn of(kind: &str, caption: &str, data: impl Into<Value>) -> Self {
        let fields = [("att_type", json!(kind)), ("caption", json!(caption)), ("data", data.into())];
        Self(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    }

    /// Bytes, shown as a hex dump.
    #[must_use]
    pub fn hex_dump(caption: &str, bytes: &[u8]) -> Self {
        Self::of("hex_dump", caption, STANDARD.encode(bytes))
    }

    /// A table. A row that is shorter than the headers has empty cells at its end.
    #[must_use]
    pub fn table(caption: &str, headers: &[&str], rows: Vec<Vec<Value>>) -> Self {
        let mut table = Self::of("table", caption, Value::Null);
        table.0.remove("data");
        table.0.insert("headers".to_owned(), json!(headers));
        table.0.insert("rows".to_owned(), json!(rows));
        table
    }

    /// A text in YAML.
    #[must_use]
    pub fn yaml(caption: &str, text: &str) -> Self {
        Self::of("yaml", caption, text)
    }

    /// A value, shown as JSON.
    #[must_use]
    pub fn json(caption: &str, value: &Value) -> Self {
        Self::of("json", caption, format!("{value:#}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checklist_21_2_13_jobs_have_the_published_shape() {
        let (then, later) = (Timestamp::from_secs(1_700_000_000), Timestamp::from_secs(1_700_000_060));
        let mut job = Job::new("j", then, "a request").expect("it has a cause");
        job.add_sensor(Sid(uuid::Uuid::nil()));
        job.add_sensor(Sid(uuid::Uuid::nil()));
        let table = Attachment::table("t", &["a", "b"], vec![vec![json!(1), json!("x")]]);
        job.narrate(then, "begun", vec![Attachment::hex_dump("h", b"\0\xff"), table]);
        let evidence = vec![Attachment::yaml("y", "a: 1\n"), Attachment::json("j", &json!({"a": [1]}))];
        job.narrate_important(later, "found", evidence);
        job.close(later);
        let expected = json!({
            "id": "j", "start": 1_700_000_000_000_i64, "cause": "a request",
            "sid": ["00000000-0000-0000-0000-000000000000"], "end": 1_700_000_060_000_i64,
            "hist": [
                {"ts": 1_700_000_000_000_i64, "msg": "begun", "is_important": false, "attachments": [
                    {"att_type": "hex_dump", "caption": "h", "data": "AP8="},
                    {"att_type": "table", "caption": "t", "headers": ["a", "b"], "rows": [[1, "x"]]}]},
                {"ts": 1_700_000_060_000_i64, "msg": "found", "is_important": true, "attachments": [
                    {"att_type": "yaml", "caption": "y", "data": "a: 1\n"},
                    {"att_type": "json", "caption": "j", "data": "{\n  \"a\": [\n    1\n  ]\n}"}]},
            ],
        });
        assert_eq!(json!(job), expected);
    }

    #[test]
    fn checklist_21_2_13_a_new_job_without_a_cause_is_caught_before_it_is_sent() {
        assert_eq!(Job::new("j", Timestamp::ZERO, " "), Err(JobError::NoCause));
        assert_eq!(json!(Job::open("j")), json!({"id": "j"}), "an update needs none");
    }

    #[test]
    fn attachments_of_an_unknown_kind_are_kept() {
        let text =
            r#"{"id":"j","hist":[{"ts":1,"msg":"m","attachments":[{"att_type":"graph","nodes":[1]}]}],"sid":null}"#;
        let job: Job = serde_json::from_str(text).expect("a job");
        assert_eq!(job.hist[0].attachments[0].0["nodes"], json!([1]));
        let nothing: Job = serde_json::from_str(r#"{"id":"j","hist":null}"#).expect("other frameworks write null");
        assert_eq!(nothing, Job::open("j"));
    }
}
