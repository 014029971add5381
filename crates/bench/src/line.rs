//! What is printed: one JSON object per line.

use serde_json::{Map, Value, json};
use std::time::Duration;

/// One measurement. Besides `name`, `value` and `unit` it holds the parameters,
/// the aim, and what was measured beside it for comparison.
pub struct Line(Map<String, Value>);

impl Line {
    /// A measurement.
    pub fn new(name: &str, value: f64, unit: &str) -> Self {
        let mut fields = Map::new();
        fields.insert("name".into(), json!(name));
        fields.insert("value".into(), json!(rounded(value)));
        fields.insert("unit".into(), json!(unit));
        Self(fields)
    }

    /// A parameter, or a number that belongs to it.
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        let value = value.into();
        let value = value.as_f64().filter(|_| value.is_f64()).map_or(value, |number| json!(rounded(number)));
        self.0.insert(name.into(), value);
        self
    }

    /// What it is compared with, in the same unit, measured in the same run.
    pub fn against(self, what: &str, limit: f64) -> Self {
        let ratio = self.value() / limit;
        self.with("against", what).with("limit", limit).with("ratio", ratio)
    }

    /// The most that it should be.
    pub fn at_most(self, aim: f64) -> Self {
        let reached = self.value() <= aim;
        self.with("aim", format!("<= {aim}")).with("reached", reached)
    }

    /// The least that it should be.
    pub fn at_least(self, aim: f64) -> Self {
        let reached = self.value() >= aim;
        self.with("aim", format!(">= {aim}")).with("reached", reached)
    }

    fn value(&self) -> f64 {
        self.0["value"].as_f64().unwrap_or(f64::NAN)
    }

    /// Prints it, with the load of the machine: neighbours falsify everything here.
    pub fn print(self) {
        let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let load: f64 = load.split(' ').next().and_then(|one| one.parse().ok()).unwrap_or(0.0);
        println!("{}", Value::Object(self.with("load", load).0));
    }
}

/// Four significant digits are more than any of this is worth.
fn rounded(value: f64) -> f64 {
    format!("{value:.3e}").parse().unwrap_or(value)
}

/// Milliseconds of a duration.
pub fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// The value that a share (0 to 1) of all values does not exceed; zero of none.
pub fn percentile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().saturating_sub(1);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "an index"
    )]
    let at = (share * last as f64).round() as usize;
    sorted.get(at).copied().unwrap_or(0.0)
}

/// The middle value.
pub fn median(values: &[f64]) -> f64 {
    percentile(values, 0.5)
}
