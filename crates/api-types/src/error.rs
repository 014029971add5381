//! What every call answers when it fails.

use crate::ErrorCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What went wrong, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Error {
    /// For people; says what to do.
    pub error: String,
    /// For programs.
    pub error_code: ErrorCode,
}
