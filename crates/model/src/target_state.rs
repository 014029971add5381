//! The receipt chain of a reliable task.
//!
//! A later state is never followed by an earlier one, except that a receipt of the endpoint overrides `removed`: what
//! was already under way when it was untasked did happen.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Where a target stands, in the order of its way; all from `finished` on are ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum TargetState {
    /// Owed, and not yet handed to a link.
    #[default]
    Queued = 0,
    /// Handed to a link; not yet confirmed.
    Sent = 1,
    /// In the journal of the sensor: it is not offered again.
    Confirmed = 2,
    /// The sensor is about to run it, or running it.
    Started = 3,
    /// Ran to its end; `code` says how.
    Finished = 4,
    /// The sensor died between start and end; it did not run again.
    Interrupted = 5,
    /// The sensor declined to run it; `error` says why.
    Refused = 6,
    /// Outside the time window of its conditions.
    NotNow = 7,
    /// The sensor, or its platform, does not know the command.
    Unsupported = 8,
    /// Its time to live ran out before it could begin.
    Expired = 9,
    /// Taken back by an operator, or the sensor was deleted or enrolled again.
    Removed = 10,
    /// An operator cancelled it when the sensor had it already; `error` says whether it was begun.
    Cancelled = 11,
    /// Begun more than once: more than one machine has the identity of the sensor, or an earlier state of it.
    Doubled = 12,
}

impl TargetState {
    /// Every state, in the order of the chain.
    pub const ALL: [Self; 13] = [
        Self::Queued,
        Self::Sent,
        Self::Confirmed,
        Self::Started,
        Self::Finished,
        Self::Interrupted,
        Self::Refused,
        Self::NotNow,
        Self::Unsupported,
        Self::Expired,
        Self::Removed,
        Self::Cancelled,
        Self::Doubled,
    ];

    /// The word for it in every interface.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Sent => "sent",
            Self::Confirmed => "confirmed",
            Self::Started => "started",
            Self::Finished => "finished",
            Self::Interrupted => "interrupted",
            Self::Refused => "refused",
            Self::NotNow => "not_now",
            Self::Unsupported => "unsupported",
            Self::Expired => "expired",
            Self::Removed => "removed",
            Self::Cancelled => "cancelled",
            Self::Doubled => "doubled",
        }
    }

    /// The state stored under this number.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code)).copied()
    }

    /// The state with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }

    /// Whether the sensor still has to confirm: only these are offered.
    #[must_use]
    pub const fn is_pending(self) -> bool {
        matches!(self, Self::Queued | Self::Sent)
    }

    /// Whether nothing more will happen.
    #[must_use]
    pub const fn is_final(self) -> bool {
        self as u8 >= Self::Finished as u8
    }
}

impl fmt::Display for TargetState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
