//! What a service answers.

use super::Job;
use crate::lenient::null_is_default;
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// What a service says about one event.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct Answer {
    /// Whether the event is dealt with.
    #[serde(default, deserialize_with = "null_is_default")]
    pub success: bool,
    /// Whether the event shall be delivered again; means nothing on success.
    #[serde(default, deserialize_with = "null_is_default")]
    pub retry: bool,
    /// What the service gives back; depends on the event.
    #[serde(default, deserialize_with = "null_is_default")]
    pub data: Map<String, Value>,
    /// For the errors of the organization; allowed on success too.
    #[serde(default)]
    pub error: Option<String>,
    /// Jobs that are new, or went on.
    #[serde(default, deserialize_with = "null_is_default")]
    pub jobs: Vec<Job>,
}

impl Answer {
    /// The event is dealt with.
    #[must_use]
    pub fn done() -> Self {
        Self { success: true, ..Self::default() }
    }

    /// The event failed for good.
    #[must_use]
    pub fn failed() -> Self {
        Self::default()
    }

    /// The event failed, and shall be delivered again.
    #[must_use]
    pub fn again() -> Self {
        Self { retry: true, ..Self::default() }
    }

    /// The service has no callback for the event.
    #[must_use]
    pub fn not_implemented() -> Self {
        Self::failed().with("error", json!(NOT_IMPLEMENTED))
    }

    /// The service does not speak this version of the protocol.
    #[must_use]
    pub fn unsupported_version() -> Self {
        Self::failed().with("error", json!(format!("unsupported version (> {})", super::VERSION)))
    }

    /// The callback could not go on: an error that it did not deal with.
    #[must_use]
    pub fn exception(text: &str) -> Self {
        Self::again().with("exception", json!(text))
    }

    /// The same with one more field of `data`.
    #[must_use]
    pub fn with(mut self, name: &str, value: Value) -> Self {
        self.data.insert(name.to_owned(), value);
        self
    }

    /// The same with an error for the organization.
    #[must_use]
    pub fn with_error(mut self, error: impl Into<String>) -> Self {
        self.error = Some(error.into());
        self
    }

    /// The same with a job that is new or went on.
    #[must_use]
    pub fn with_job(mut self, job: Job) -> Self {
        self.jobs.push(job);
        self
    }

    /// What went wrong, wherever the service said it.
    #[must_use]
    pub fn trouble(&self) -> Option<&str> {
        let in_data = |name: &str| self.data.get(name).and_then(Value::as_str);
        self.error.as_deref().or_else(|| in_data("error")).or_else(|| in_data("exception"))
    }

    /// Whether the service says that it has no callback for the event.
    #[must_use]
    pub fn is_not_implemented(&self) -> bool {
        !self.success && self.trouble() == Some(NOT_IMPLEMENTED)
    }

    /// The body. Source: reference/service-protocol.md section 4.2.
    #[must_use]
    pub fn to_value(&self) -> Value {
        let mut body = vec![("success", json!(self.success)), ("data", json!(self.data))];
        if !self.success {
            body.push(("retry", json!(self.retry)));
        }
        body.extend(self.error.as_ref().map(|error| ("error", json!(error))));
        if !self.jobs.is_empty() {
            body.push(("jobs", json!(self.jobs)));
        }
        body.into_iter().collect()
    }
}

/// What every framework says about events for which there is no callback.
const NOT_IMPLEMENTED: &str = "not implemented";

#[cfg(test)]
mod tests {
    use super::*;

    /// Source: reference/service-protocol.md section 4.2.
    #[test]
    fn answers_are_spelled_as_published() {
        assert_eq!(Answer::done().to_value(), json!({"success": true, "data": {}}));
        assert_eq!(Answer::failed().to_value(), json!({"success": false, "data": {}, "retry": false}));
        assert_eq!(Answer::again().to_value(), json!({"success": false, "data": {}, "retry": true}));
        let refused = json!({"success": false, "data": {"error": "not implemented"}, "retry": false});
        assert_eq!(Answer::not_implemented().to_value(), refused);
        let refused = json!({"success": false, "data": {"error": "unsupported version (> 1)"}, "retry": false});
        assert_eq!(Answer::unsupported_version().to_value(), refused);
        let thrown = json!({"success": false, "data": {"exception": "out of paper"}, "retry": true});
        assert_eq!(Answer::exception("out of paper").to_value(), thrown);
        let told = json!({"success": true, "data": {}, "error": "half of it"});
        assert_eq!(Answer::done().with_error("half of it").to_value(), told);
    }

    #[test]
    fn both_places_of_an_error_are_looked_at() {
        let read = |text: &str| serde_json::from_str::<Answer>(text).expect("an answer");
        let other = read(r#"{"success":false,"error":"not implemented","data":null}"#);
        assert!(other.is_not_implemented());
        assert!(Answer::not_implemented().is_not_implemented());
        assert_eq!(Answer::exception("x").trouble(), Some("x"));
        let told = read(r#"{"success":true,"data":{},"error":"not implemented"}"#);
        assert!(!told.is_not_implemented(), "it was dealt with");
    }
}
