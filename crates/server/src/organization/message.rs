//! What the dispatch machine and the link protocol call the same things. Pure.

use muster_model::{TaskId, Timestamp};
use muster_tasking::dispatch::{self, Delivery, Message, Reported};
use muster_tasking::{Report, TargetState};
use muster_wire::{Cancel, Conditions, Deliver, Flags, Recall, Receipt, SensorState, Step, Welcome, from_server};
use uuid::Uuid;

/// Readable reasons of endpoints are cut at this many characters.
const ERROR_CHARS_MAX: usize = 256;

/// Why a target ends of which the sensor knows nothing.
const FORGOTTEN: &str = "the sensor no longer knows it: the state of the sensor, or of the server, was set back to an \
                         earlier one; it may have run to its end";

/// What a sensor is told.
#[must_use]
pub fn message(message: Message) -> from_server::Message {
    match message {
        Message::Deliver(delivery) => from_server::Message::Deliver(deliver(*delivery)),
        Message::Flags(wanted) => from_server::Message::Flags(flags(wanted)),
        Message::Recall(tasks) => {
            let task_ids = tasks.into_iter().map(|task| task.0.as_bytes().to_vec()).collect();
            from_server::Message::Recall(Recall { task_ids })
        }
        Message::Cancel(tasks) => {
            let task_ids = tasks.into_iter().map(|task| task.0.as_bytes().to_vec()).collect();
            from_server::Message::Cancel(Cancel { task_ids })
        }
    }
}

fn deliver(delivery: Delivery) -> Deliver {
    Deliver {
        task_id: delivery.task_id.0.as_bytes().to_vec(),
        epoch: delivery.epoch,
        command: delivery.command,
        investigation_id: delivery.investigation_id,
        not_after_ms: delivery.ends_at.as_millis(),
        lifetime_ms: u64::try_from(delivery.lifetime.as_millis()).unwrap_or(u64::MAX),
        wants_receipts: true,
        conditions: delivery.conditions.as_ref().map(conditions),
        urgent: delivery.urgent,
    }
}

fn flags(wanted: dispatch::Flags) -> Flags {
    Flags { isolate: wanted.isolate, seal: wanted.seal }
}

/// What a sensor is told when its link is up, at a steady instant ([`muster_tasking::Queue::steady`]).
#[must_use]
pub fn welcome(welcome: &dispatch::Welcome, steady: Timestamp) -> Welcome {
    Welcome {
        server_now_ms: steady.as_millis(),
        epoch: welcome.epoch,
        flags: Some(flags(welcome.flags)),
        sleeper: welcome.sleeper,
        spool_seq: welcome.spool_seq,
        // One server has all sensors.
        cell_hint: Vec::new(),
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

/// What receipts report, each with its epoch; those that make no sense are left out.
#[must_use]
pub fn reports(receipts: &[Receipt]) -> Vec<(u64, Report)> {
    receipts.iter().filter_map(|receipt| Some((receipt.epoch, report(receipt)?))).collect()
}

fn report(receipt: &Receipt) -> Option<Report> {
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
        Step::Forgotten => TargetState::Interrupted,
        Step::Cancelled => TargetState::Cancelled,
    };
    let told = if receipt.step() == Step::Forgotten { FORGOTTEN } else { &receipt.error };
    let mut error: String = told.chars().take(ERROR_CHARS_MAX).collect();
    error.retain(|character| character == '\n' || !character.is_control());
    Some(Report {
        task_id: TaskId(Uuid::from_slice(&receipt.task_id).ok()?),
        state,
        at: Timestamp::from_millis(receipt.at_ms),
        code: receipt.code,
        error: (!error.is_empty()).then(|| error.into()),
    })
}

/// What a sensor says of itself.
#[must_use]
pub fn reported(state: &SensorState) -> Reported {
    Reported {
        platform: state.platform,
        architecture: state.architecture,
        hostname: state.hostname.clone(),
        int_ip: state.int_ip.clone(),
        mac_addr: state.mac_addr.clone(),
        version: state.version.clone(),
        fingerprint: state.fingerprint.clone(),
        boot_id: state.boot_id.clone(),
        journal_id: state.journal_id.clone(),
        kernel: state.kernel,
        isolated: state.isolated,
        sealed: state.sealed,
    }
}

/// The spool that a sensor says it has.
#[must_use]
pub fn spool_of(state: &SensorState) -> Option<[u8; 16]> {
    state.spool_id.as_slice().try_into().ok()
}
