//! What the queue and the link protocol call the same things. Pure.

use muster_model::{TaskId, Timestamp};
use muster_tasking::{Report, TargetState, Task};
use muster_wire::{Conditions, Deliver, Receipt, Step};
use uuid::Uuid;

/// Readable reasons of endpoints are cut at this many characters.
const ERROR_CHARS_MAX: usize = 256;

/// The order for a sensor of this enrolment epoch, with its lifetime counted from now.
#[must_use]
pub fn deliver(task: &Task, epoch: u64, now: Timestamp) -> Deliver {
    let expires_at = task.spec.expires_at();
    Deliver {
        task_id: task.spec.task_id.0.as_bytes().to_vec(),
        epoch,
        command: task.spec.command.clone(),
        investigation_id: task.spec.investigation_id(),
        not_after_ms: expires_at.as_millis(),
        lifetime_ms: u64::try_from(expires_at.since(now).as_millis()).unwrap_or(u64::MAX),
        wants_receipts: true,
        conditions: task.spec.conditions.as_ref().map(conditions),
        urgent: task.spec.urgent,
    }
}

fn conditions(conditions: &muster_tasking::Conditions) -> Conditions {
    let window = conditions.window;
    Conditions {
        window_start_min: window.map_or(0, |window| window.start_min.into()),
        window_end_min: window.map_or(0, |window| window.end_min.into()),
        weekdays: window.map_or(0, |window| window.weekdays.0.into()),
        payload_sha256: conditions.payload_sha256.as_deref().and_then(from_hex).unwrap_or_default(),
    }
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes().chunks(2);
    digits.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

/// What a receipt tells the queue; `None` if it is of another enrolment epoch than
/// the sensor's present one, or makes no sense.
#[must_use]
pub fn report(receipt: &Receipt, epoch: u64) -> Option<Report> {
    if receipt.epoch != epoch {
        return None;
    }
    let state = match receipt.step() {
        Step::Unspecified => return None,
        Step::Confirmed => TargetState::Confirmed,
        Step::Started => TargetState::Started,
        Step::Finished => TargetState::Finished,
        Step::Interrupted => TargetState::Interrupted,
        Step::Refused => TargetState::Refused,
        Step::NotNow => TargetState::NotNow,
        Step::Unsupported => TargetState::Unsupported,
        Step::Expired => TargetState::Expired,
        // It is still owed; why it was not taken is shown.
        Step::Full => TargetState::Sent,
    };
    let mut error: String = receipt.error.chars().take(ERROR_CHARS_MAX).collect();
    error.retain(|character| character == '\n' || !character.is_control());
    Some(Report {
        task_id: TaskId(Uuid::from_slice(&receipt.task_id).ok()?),
        state,
        at: Timestamp::from_millis(receipt.at_ms),
        code: receipt.code,
        error: (!error.is_empty()).then(|| error.into()),
    })
}
