//! Sensor variables: named sets of text, for one sensor.
//!
//! Source: reference/detection-response.md section 11, resolution A-17. The
//! limits are part of the documented behaviour, and so is what they destroy.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Most variables of one sensor.
pub const VARIABLES_MAX: usize = 16;
/// Most values in one variable.
pub const VARIABLE_VALUES_MAX: usize = 32;
/// Longest name or value, in bytes.
const VARIABLE_BYTES_MAX: usize = 32 << 10;

/// Why a value was not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VariableError {
    /// A 33rd value: the variable was cleared.
    #[error("a variable holds at most {VARIABLE_VALUES_MAX} values; it was cleared")]
    TooManyValues,
    /// A 17th name: all variables of the sensor were cleared.
    #[error("a sensor holds at most {VARIABLES_MAX} variables; all were cleared")]
    TooManyNames,
    /// The name or value is longer than 32 KiB; nothing was changed.
    #[error("a variable's name and value have at most {VARIABLE_BYTES_MAX} bytes")]
    TooLong,
}

/// The variables of one sensor. Survives reconnection, so it can be stored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Variables {
    /// Expiry of each value, in milliseconds since the Unix epoch; none is never.
    names: BTreeMap<String, BTreeMap<String, Option<i64>>>,
}

impl Variables {
    /// Adds one value; adding one that is there overwrites its expiry.
    ///
    /// # Errors
    ///
    /// [`VariableError`] when a limit is exceeded, which clears what the error names.
    pub fn add(&mut self, name: &str, value: &str, ttl_seconds: Option<i64>, now_ms: i64) -> Result<(), VariableError> {
        if name.len() > VARIABLE_BYTES_MAX || value.len() > VARIABLE_BYTES_MAX {
            return Err(VariableError::TooLong);
        }
        self.sweep(now_ms);
        if !self.names.contains_key(name) && self.names.len() >= VARIABLES_MAX {
            self.names.clear();
            return Err(VariableError::TooManyNames);
        }
        let values = self.names.entry(name.to_owned()).or_default();
        if !values.contains_key(value) && values.len() >= VARIABLE_VALUES_MAX {
            self.names.remove(name);
            return Err(VariableError::TooManyValues);
        }
        values.insert(value.to_owned(), ttl_seconds.map(|ttl| now_ms.saturating_add(ttl.saturating_mul(1000))));
        Ok(())
    }

    /// Removes one value, or all of them for the empty value.
    pub fn remove(&mut self, name: &str, value: &str) {
        if value.is_empty() {
            self.names.remove(name);
        } else if let Some(values) = self.names.get_mut(name) {
            values.remove(value);
            if values.is_empty() {
                self.names.remove(name);
            }
        }
    }

    /// The values in force.
    pub fn values(&self, name: &str, now_ms: i64) -> impl Iterator<Item = &str> {
        let values = self.names.get(name).into_iter().flatten();
        values.filter(move |(_, expiry)| is_live(**expiry, now_ms)).map(|(value, _)| value.as_str())
    }

    /// Whether nothing is stored.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    fn sweep(&mut self, now_ms: i64) {
        self.names.retain(|_, values| {
            values.retain(|_, expiry| is_live(*expiry, now_ms));
            !values.is_empty()
        });
    }
}

fn is_live(expiry: Option<i64>, now_ms: i64) -> bool {
    expiry.is_none_or(|expiry| now_ms < expiry)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seventeenth_name_clears_everything_but_expired_names_do_not_count() {
        let mut variables = Variables::default();
        for name in 0..VARIABLES_MAX {
            variables.add(&name.to_string(), "v", (name == 0).then_some(1), 0).unwrap();
        }
        variables.add("late", "v", None, 1000).unwrap();
        assert_eq!(variables.values("5", 1000).count(), 1, "the expired name made room");
        assert_eq!(variables.add("one more", "v", None, 1000), Err(VariableError::TooManyNames));
        assert!(variables.is_empty());
    }
}
