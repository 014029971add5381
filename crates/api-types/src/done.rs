//! Answers without content.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// It is done and stored; there is nothing else to say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Done {}
