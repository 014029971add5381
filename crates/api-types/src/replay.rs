//! What a rule would have done. Source: reference/rest-api.md section 7.11.

use crate::schema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A rule tried on events, without any effect.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Replay {
    /// Whether the rule matched at least once.
    pub did_match: bool,
    /// What the caller must know of the rule; empty is nothing.
    pub error: String,
    /// The events were counted, and nothing was evaluated.
    pub is_dry_run: bool,
    /// Ended at the limit of evaluations.
    pub limit_eval_reached: bool,
    /// Ended at the limit of events.
    pub limit_event_reached: bool,
    /// Ended at the limit of time.
    pub limit_time_reached: bool,
    /// Events that matched, up to a bound.
    pub matches: Vec<ReplayMatch>,
    /// What the rule would have done, up to a bound.
    pub results: Vec<ReplayResult>,
    /// Numbers.
    pub stats: ReplayStats,
    /// Steps of the evaluation of each event, up to a bound.
    pub traces: Vec<Vec<String>>,
}

/// An event that matched.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ReplayMatch {
    /// Its place among the events, from 0.
    pub at: u64,
    /// What tells it from others.
    #[schemars(with = "schema::Open")]
    pub routing: Map<String, Value>,
    /// Steps of its evaluation; empty unless traces were asked for.
    pub trace: Vec<String>,
}

/// Something that the rule would have done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ReplayResult {
    /// The action.
    pub action: String,
    /// Its parameters.
    #[schemars(with = "schema::Open")]
    pub data: Map<String, Value>,
}

/// Numbers of a replay.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ReplayStats {
    /// The same as `wall_time`, under the published name.
    pub cummulative_time: f64,
    /// Always nothing.
    pub estimated_price: Price,
    /// When the last event happened.
    #[schemars(with = "Option<schema::UnixMilliseconds>")]
    pub last_event_time: Option<i64>,
    /// Always 0.
    pub n_batch_access: u64,
    /// Always 0.
    pub n_billed: u64,
    /// Bytes of the events.
    pub n_bytes_scan: u64,
    /// Evaluations of operators.
    pub n_eval: u64,
    /// The same as `n_proc`.
    pub n_free: u64,
    /// Events that matched.
    pub n_matched: u64,
    /// Events on which the rule was evaluated.
    pub n_proc: u64,
    /// Results beyond the bound.
    pub n_results_left_out: u64,
    /// Events that were read.
    pub n_scan: u64,
    /// Always 1.
    pub n_shard: u64,
    /// Traces beyond the bound.
    pub n_traces_left_out: u64,
    /// Seconds.
    pub wall_time: f64,
}

/// What something costs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Price {
    /// Of the value.
    pub currency: String,
    /// How much.
    pub value: f64,
}
