//! Effects: decided actions as data, for a server to carry out and for replay to show.

use crate::load::Rule;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::sync::Arc;

/// One effect together with the rule that asked for it.
#[derive(Clone, Debug)]
pub struct Decided {
    /// The rule.
    pub rule: Arc<Rule>,
    /// What it wants done.
    pub effect: Effect,
}

/// What a rule wants done. Serialises to an object with the action's name under `action`, and comes back
/// from it, so that it can be stored until it is carried out.
///
/// `sid` is the sensor of the event; times to live are in seconds. Source:
/// reference/detection-response.md section 13.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all_fields = "snake_case")]
#[non_exhaustive]
#[allow(missing_docs)] // Fields carry the names of the published parameters.
pub enum Effect {
    /// A detection was made. `published` is false if only chained rules and services may see it.
    #[serde(rename = "report")]
    Report {
        name: String,
        published: bool,
        #[serde(flatten)]
        detection: Value,
    },
    /// Send a command: a text, or a list of arguments.
    #[serde(rename = "task")]
    Task {
        sid: String,
        command: Value,
        #[serde(skip_serializing_if = "Option::is_none")]
        investigation: Option<String>,
    },
    #[serde(rename = "add tag")]
    AddTag {
        sid: String,
        tag: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        ttl: Option<i64>,
        entire_device: bool,
    },
    #[serde(rename = "remove tag")]
    RemoveTag { sid: String, tag: String },
    /// Already applied to the sensor's variables; told for traces and replication.
    #[serde(rename = "add var")]
    AddVar {
        sid: String,
        name: String,
        value: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        ttl: Option<i64>,
    },
    /// Already applied to the sensor's variables; told for traces and replication.
    #[serde(rename = "del var")]
    DelVar { sid: String, name: String, value: String },
    #[serde(rename = "extension request")]
    ExtensionRequest {
        #[serde(rename = "extension name")]
        extension_name: String,
        #[serde(rename = "extension action")]
        extension_action: String,
        #[serde(rename = "extension request")]
        extension_request: Value,
        /// The investigation to which the event belongs, if it has one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        investigation: Option<String>,
    },
    #[serde(rename = "service request")]
    ServiceRequest { name: String, request: Value },
    #[serde(rename = "start ai agent")]
    StartAiAgent {
        #[serde(flatten)]
        request: Value,
    },
    #[serde(rename = "isolate network")]
    IsolateNetwork { sid: String },
    #[serde(rename = "rejoin network")]
    RejoinNetwork { sid: String },
    #[serde(rename = "seal")]
    Seal { sid: String },
    #[serde(rename = "unseal")]
    Unseal { sid: String },
    /// Send the event to the output of this name on the tailored stream.
    #[serde(rename = "output")]
    Output { name: String, data: Value },
    #[serde(rename = "undelete sensor")]
    UndeleteSensor { sid: String },
    /// Make a cloned sensor obtain another identity.
    #[serde(rename = "re-enroll")]
    ReEnroll { sid: String },
    /// Hold back the effects that follow, and the sensor's next events.
    #[serde(rename = "wait")]
    Wait { duration_ms: i64 },
    #[serde(rename = "add hive tag")]
    AddHiveTag {
        #[serde(rename = "hive name")]
        hive_name: String,
        #[serde(rename = "record name")]
        record_name: String,
        tag: String,
    },
    #[serde(rename = "remove hive tag")]
    RemoveHiveTag {
        #[serde(rename = "hive name")]
        hive_name: String,
        #[serde(rename = "record name")]
        record_name: String,
        tag: String,
    },
    /// An action failed; the others of its rule still ran.
    #[serde(rename = "error")]
    Error {
        /// The action that failed.
        failed: String,
        /// Where it stands in the rule.
        place: String,
        message: String,
    },
}

/// The effect of an action that takes nothing but the sensor.
pub(super) fn on_sensor(name: &str, sid: String) -> Result<Effect, String> {
    Ok(match name {
        "isolate network" => Effect::IsolateNetwork { sid },
        "rejoin network" => Effect::RejoinNetwork { sid },
        "seal" => Effect::Seal { sid },
        "unseal" => Effect::Unseal { sid },
        "undelete sensor" => Effect::UndeleteSensor { sid },
        "re-enroll" => Effect::ReEnroll { sid },
        _ => return Err(format!("the action {name} has no effect")),
    })
}
