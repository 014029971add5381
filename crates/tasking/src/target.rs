//! The receipt chain: what is known of one task on one sensor.

use muster_model::{TargetState, Timestamp};

/// What is known of one task on one sensor. An instant of zero is "not yet".
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "each instant belongs to the state of the same name")]
pub struct Target {
    pub state: TargetState,
    /// How often it was handed to a link.
    pub attempts: u32,
    pub sent_at: Timestamp,
    pub confirmed_at: Timestamp,
    pub started_at: Timestamp,
    /// When it came to its final state.
    pub ended_at: Timestamp,
    /// `ERROR` of the answer: 0 (or 200 of a transfer) is success.
    pub code: i32,
    /// Readable reason of anything but success.
    pub error: Option<Box<str>>,
}

impl Target {
    /// Whether the endpoint said that it began.
    #[must_use]
    pub fn began(&self) -> bool {
        self.started_at != Timestamp::ZERO
    }

    /// Finished, and not with success. Source: reference/sensor.md section 11
    /// (0 is success, 200 is success of a transfer).
    #[must_use]
    pub fn has_failed(&self) -> bool {
        match self.state {
            TargetState::Finished => !matches!(self.code, 0 | 200),
            TargetState::Interrupted | TargetState::Refused | TargetState::Unsupported | TargetState::Doubled => true,
            _ => false,
        }
    }
}
