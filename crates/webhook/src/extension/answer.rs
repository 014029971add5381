//! What an extension answers.

use super::VERSION;
use crate::lenient::null_is_default;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// What an extension says about one message.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct Answer {
    /// Version of the protocol; `None` if the answer does not come from an extension.
    #[serde(default)]
    pub version: Option<i64>,
    /// What went wrong; empty if nothing did.
    #[serde(default, deserialize_with = "null_is_default")]
    pub error: String,
    /// Whether another try makes sense; `None` if the extension does not say, which means yes.
    #[serde(default)]
    pub retriable: Option<bool>,
    /// What the extension gives back.
    #[serde(default)]
    pub data: Value,
    /// Actions to be called later.
    #[serde(default, deserialize_with = "null_is_default")]
    pub continuations: Vec<Continuation>,
    /// What is to be counted.
    #[serde(default)]
    pub metrics: Option<MetricReport>,
}

/// An action to be called later.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Continuation {
    /// After how many seconds, 0 to 300; more is cut to 300.
    #[serde(default)]
    pub in_delay_sec: u64,
    /// Which action.
    pub action: String,
    /// Its parameters.
    #[serde(default, deserialize_with = "null_is_default")]
    pub state: Map<String, Value>,
}

/// What an extension counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetricReport {
    /// Counted once, however often it comes: the key of the message, and spelled otherwise here.
    pub idempotent_key: String,
    /// At most 10.
    #[serde(default, deserialize_with = "null_is_default")]
    pub metrics: Vec<Metric>,
}

/// One counted thing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metric {
    /// What.
    pub sku: String,
    /// How many.
    pub value: i64,
}

impl Answer {
    /// A success.
    #[must_use]
    pub fn done(data: Value) -> Self {
        Self { version: Some(VERSION), data, ..Self::default() }
    }

    /// A failure that another try may mend.
    #[must_use]
    pub fn again(error: impl Into<String>) -> Self {
        Self { version: Some(VERSION), error: error.into(), retriable: Some(true), ..Self::default() }
    }

    /// A failure for good.
    #[must_use]
    pub fn failed(error: impl Into<String>) -> Self {
        Self { retriable: Some(false), ..Self::again(error) }
    }

    /// The HTTP status that goes with it: the server tries again on 500, and not on 400.
    #[must_use]
    pub fn status(&self) -> u16 {
        match (self.error.is_empty(), self.retriable) {
            (true, _) => 200,
            (false, Some(false)) => 400,
            (false, _) => 500,
        }
    }

    /// The body. Source: reference/extension-protocol.md section 5.
    #[must_use]
    pub fn to_value(&self) -> Value {
        let data = if self.data.is_null() { json!({}) } else { self.data.clone() };
        let mut body = vec![("version", json!(self.version.unwrap_or(VERSION))), ("data", data)];
        if !self.error.is_empty() {
            body.push(("error", json!(self.error)));
            body.push(("retriable", json!(self.retriable.unwrap_or(true))));
        }
        if !self.continuations.is_empty() {
            body.push(("continuations", json!(self.continuations)));
        }
        body.extend(self.metrics.as_ref().map(|metrics| ("metrics", json!(metrics))));
        body.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checklist_19_2_8_success_and_failure_have_the_published_shape() {
        let done = Answer::done(Value::Null);
        assert_eq!((done.to_value(), done.status()), (json!({"version": VERSION, "data": {}}), 200));
        let body = |retriable: bool| json!({"version": VERSION, "data": {}, "error": "no", "retriable": retriable});
        let (failed, again) = (Answer::failed("no"), Answer::again("no"));
        assert_eq!((failed.to_value(), failed.status()), (body(false), 400));
        assert_eq!((again.to_value(), again.status()), (body(true), 500));
        let unsaid = Answer { retriable: None, ..Answer::failed("no") };
        assert_eq!((unsaid.to_value(), unsaid.status()), (body(true), 500), "unset means that it may be tried again");
    }

    #[test]
    fn checklist_19_2_13_continuations_and_metrics_have_the_published_shape() {
        let mut answer = Answer::done(json!(1));
        let Value::Object(state) = json!({"page": 2}) else { unreachable!("an object") };
        answer.continuations.push(Continuation { in_delay_sec: 5, action: "more".into(), state });
        let metrics = vec![Metric { sku: "scans".into(), value: 3 }];
        answer.metrics = Some(MetricReport { idempotent_key: "k-1".into(), metrics });
        let body = json!({
            "version": VERSION, "data": 1,
            "continuations": [{"in_delay_sec": 5, "action": "more", "state": {"page": 2}}],
            "metrics": {"idempotent_key": "k-1", "metrics": [{"sku": "scans", "value": 3}]},
        });
        assert_eq!(answer.to_value(), body);
        assert_eq!(serde_json::from_value::<Answer>(body).expect("an answer"), answer);
    }
}
