//! What was asked, and what may change about it later.

use crate::pace::Pace;
use muster_model::{TaskId, Timestamp};
use roaring::RoaringBitmap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::time::Duration;

/// Time to live when the caller names none: one week.
/// Source: seed "Reliable Tasking", parameter `ttl`.
pub const DEFAULT_TTL_S: u64 = 604_800;

/// Longest time to live: ten years, so that no sum of times can overflow.
pub const TTL_S_MAX: u64 = 315_360_000;

/// Longest context, which becomes the investigation id.
/// Source: reference/sensor.md section 10.4.
pub const CONTEXT_BYTES_MAX: usize = 1024;

/// A request as it was accepted; never changes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spec {
    /// The published id.
    pub task_id: TaskId,
    /// One command line.
    pub command: String,
    /// Selector text as submitted, or the translated legacy form.
    pub selector: String,
    /// Becomes `routing/investigation_id`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<String>,
    /// Time to live in seconds.
    pub ttl_s: u64,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// Who asked.
    pub created_by: String,
    /// Sensors that begin to match get it, sensors that stop matching lose it.
    #[serde(default)]
    pub dynamic: bool,
    /// Overtakes tasks that are not urgent.
    #[serde(default)]
    pub urgent: bool,
    /// What the sensor checks just before it runs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conditions: Option<Conditions>,
    /// How fast it may go out.
    #[serde(default)]
    pub pace: Pace,
    /// Targets at creation.
    pub total: u64,
    /// Of those, how many were online.
    pub tasked: u64,
    /// By how many microseconds the server's clock had been set while it ran, when this was accepted.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub clock_us: i64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(number: &i64) -> bool {
    *number == 0
}

impl Spec {
    /// The first instant at which it is no longer offered, by the clock as it was set when it was accepted.
    #[must_use]
    pub fn expires_at(&self) -> Timestamp {
        self.created_at.saturating_add(Duration::from_secs(self.ttl_s))
    }

    /// The same as a steady instant: on the line of the time that really passes ([`crate::Queue::steady`]).
    #[must_use]
    pub fn ends_at(&self) -> Timestamp {
        Timestamp::from_micros(self.expires_at().as_micros().saturating_sub(self.clock_us))
    }

    /// The investigation id of everything the task causes.
    /// Source: reference/sensor.md section 12.5.
    #[must_use]
    pub fn investigation_id(&self) -> String {
        self.context.clone().unwrap_or_else(|| format!("reliable-tasking/{}", self.task_id))
    }

    /// Whether another request with this id asks for the same thing.
    #[must_use]
    pub fn asks_the_same(&self, other: &Self) -> bool {
        self.command == other.command
            && self.selector == other.selector
            && self.context == other.context
            && self.ttl_s == other.ttl_s
            && self.dynamic == other.dynamic
            && self.urgent == other.urgent
            && self.conditions == other.conditions
            && self.pace == other.pace
    }

    /// Checks bounds.
    ///
    /// # Errors
    ///
    /// [`SpecError`] names the field and what it must be.
    pub fn check(&self) -> Result<(), SpecError> {
        if self.ttl_s == 0 || self.ttl_s > TTL_S_MAX {
            return Err(SpecError::Ttl);
        }
        if self.context.as_ref().is_some_and(|context| context.len() > CONTEXT_BYTES_MAX) {
            return Err(SpecError::Context);
        }
        if let Some(window) = self.conditions.as_ref().and_then(|conditions| conditions.window)
            && (window.start_min >= 1440 || window.end_min >= 1440)
        {
            return Err(SpecError::Window);
        }
        self.pace.check()
    }
}

/// Why a request was not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SpecError {
    /// Time to live out of range.
    #[error("ttl must be a whole number of seconds between 1 and {TTL_S_MAX}")]
    Ttl,
    /// Context too long.
    #[error("context must be at most {CONTEXT_BYTES_MAX} bytes")]
    Context,
    /// Not minutes of a day.
    #[error("the window must lie between 00:00 and 23:59")]
    Window,
    /// Pace out of range.
    #[error("{0} must be at least 1")]
    Pace(&'static str),
    /// Failure limit out of range.
    #[error("stop_on_failures must be a count of at least 1, or a percentage between 1% and 100%")]
    FailureLimit,
}

/// Conditions that the sensor checks just before it runs the task.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Conditions {
    /// Only at these local times.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<Window>,
    /// Only with exactly this payload: SHA-256 in hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload_sha256: Option<String>,
}

/// A window of local time; it may pass midnight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// First minute since local midnight.
    pub start_min: u16,
    /// First minute after the window; equal to the start means the whole day.
    pub end_min: u16,
    /// Days on which the window begins.
    #[serde(default)]
    pub weekdays: Weekdays,
}

/// A set of weekdays: bit 0 is Monday; none set means every day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Weekdays(pub u8);

/// What may change about a task after it was accepted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Control {
    /// An operator holds it back.
    #[serde(default)]
    pub paused: bool,
    /// It held itself back; says why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped: Option<String>,
    /// Failures before this count were forgiven by a resume.
    #[serde(default)]
    pub forgiven: u64,
    /// Targets that were taken back while they were still open.
    #[serde(default, with = "bitmap_text", skip_serializing_if = "RoaringBitmap::is_empty")]
    pub removed: RoaringBitmap,
    /// Targets whose platform does not know the command; they are never offered it.
    #[serde(default, with = "bitmap_text", skip_serializing_if = "RoaringBitmap::is_empty")]
    pub unsupported: RoaringBitmap,
    /// Targets on which an operator wants it ended, also where the sensor has it already: such a sensor is told at
    /// each connection, until it says how it ended.
    #[serde(default, with = "bitmap_text", skip_serializing_if = "RoaringBitmap::is_empty")]
    pub cancelled: RoaringBitmap,
    /// When the last of the removed were taken back.
    #[serde(default)]
    pub removed_at: Timestamp,
}

/// Bitmaps in JSON: base-64 would need a dependency, so hex of the portable form.
mod bitmap_text {
    use super::{Deserialize, Deserializer, RoaringBitmap, Serializer};
    use serde::de::Error;

    pub fn serialize<S: Serializer>(bitmap: &RoaringBitmap, to: S) -> Result<S::Ok, S::Error> {
        let mut bitmap = bitmap.clone();
        bitmap.optimize();
        let mut bytes = Vec::with_capacity(bitmap.serialized_size());
        bitmap.serialize_into(&mut bytes).map_err(serde::ser::Error::custom)?;
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        to.serialize_str(&hex)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<RoaringBitmap, D::Error> {
        let hex = String::deserialize(from)?;
        let digits = hex.as_bytes();
        let byte = |pair: &[u8]| {
            let text = std::str::from_utf8(pair).ok()?;
            u8::from_str_radix(text, 16).ok()
        };
        let bytes: Option<Vec<u8>> = digits.chunks(2).map(byte).collect();
        let bytes = bytes.ok_or_else(|| D::Error::custom("bitmap is not hex"))?;
        RoaringBitmap::deserialize_from(bytes.as_slice()).map_err(D::Error::custom)
    }
}
