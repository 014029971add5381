//! Lookups that come with a replay, in front of the stored ones.
//! Source: reference/detection-response.md section 20.3.

use crate::api::ApiError;
use crate::hive::Lookups;
use muster_rules::Resources;
use serde_json::{Map, Value};
use std::sync::Arc;

/// Lookups in one request.
const LOOKUPS_MAX: usize = 32;

/// Indicators in all of them.
const INDICATORS_MAX: usize = 20_000;

/// Bytes of all of them as JSON.
const LOOKUP_BYTES_MAX: usize = 64 * 1024;

/// Lookups by name, each with metadata by indicator.
pub(super) struct Supplied(Map<String, Value>);

impl Supplied {
    /// Checks their bounds.
    pub(super) fn new(lookups: Map<String, Value>) -> Result<Self, ApiError> {
        let wrong = |what: String| Err(ApiError::bad_request(format!("invalid lookups: {what}")));
        if lookups.len() > LOOKUPS_MAX {
            return wrong(format!("too many lookups: {} (max {LOOKUPS_MAX})", lookups.len()));
        }
        let mut indicators = 0;
        for (name, lookup) in &lookups {
            let Some(lookup) = lookup.as_object() else { return wrong(format!("{name} must be an object")) };
            indicators += lookup.len();
        }
        if indicators > INDICATORS_MAX {
            return wrong(format!("too many indicators: {indicators} (max {INDICATORS_MAX})"));
        }
        let bytes = Value::Object(lookups.clone()).to_string().len();
        if bytes > LOOKUP_BYTES_MAX {
            return wrong(format!("too many bytes: {bytes} (max {LOOKUP_BYTES_MAX})"));
        }
        Ok(Self(lookups))
    }
}

/// What a tried rule may refer to.
pub(super) struct TrialLookups {
    pub(super) supplied: Option<Supplied>,
    pub(super) stored: Arc<Lookups>,
}

impl Resources for TrialLookups {
    fn has_lookup(&self, name: &str) -> bool {
        self.supplied.as_ref().is_some_and(|supplied| supplied.0.contains_key(name)) || self.stored.has_lookup(name)
    }

    fn find(&self, lookup: &str, key: &str) -> Option<&Value> {
        match self.supplied.as_ref().and_then(|supplied| supplied.0.get(lookup)) {
            Some(lookup) => lookup.get(key).filter(|metadata| !metadata.is_null()),
            None => self.stored.find(lookup, key),
        }
    }

    fn detection(&self, reference: &str) -> Option<&Value> {
        self.stored.detection(reference)
    }
}
