//! What a service says of itself. Source: reference/service-protocol.md section 7.

use super::Parameters;
use crate::lenient::null_is_default;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// Answer to a health check, in `data`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Health {
    /// Version of the protocol.
    #[serde(default)]
    pub version: i64,
    /// When the program started, in seconds since the Unix epoch.
    #[serde(default)]
    pub start_time: i64,
    /// Events in work, the health check included.
    #[serde(default)]
    pub calls_in_progress: u64,
    /// What the service wants and offers.
    #[serde(default, deserialize_with = "null_is_default")]
    pub mtd: Metadata,
}

/// What a service wants and offers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Metadata {
    /// Names of detections that it wants.
    #[serde(default, deserialize_with = "null_is_default")]
    pub detect_subscriptions: BTreeSet<String>,
    /// Names of events for which it has a callback; others are not sent.
    #[serde(default, deserialize_with = "null_is_default")]
    pub callbacks: BTreeSet<String>,
    /// Parameters of requests.
    #[serde(default, deserialize_with = "null_is_default")]
    pub request_params: Parameters,
    /// Commands of a product that is gone; only one framework sends them, and they are kept.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "Map::is_empty")]
    pub commands: Map<String, Value>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_each_framework_says_is_understood() {
        let python = json!({"version": 1, "start_time": 5, "calls_in_progress": 1, "mtd": {
            "detect_subscriptions": ["b", "a"], "callbacks": ["health", "get_resource"], "request_params": {}}});
        let health: Health = serde_json::from_value(python).expect("an answer");
        assert_eq!(health.mtd.detect_subscriptions, BTreeSet::from(["a".into(), "b".into()]));
        let other = json!({"version": 1, "start_time": 5, "calls_in_progress": 1, "mtd": {
            "detect_subscriptions": null, "callbacks": ["health"], "request_params": null,
            "commands": {"c": {"name": "c", "desc": "d", "args": {}}}}});
        let health: Health = serde_json::from_value(other).expect("an answer");
        assert_eq!(health.mtd.commands["c"]["name"], json!("c"));
        assert_eq!(serde_json::from_value::<Health>(json!({})).expect("nothing is needed"), Health::default());
    }
}
