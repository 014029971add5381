//! Reliable and direct tasking: the use cases around [`muster_tasking::Queue`].
//!
//! Both doors (the extension and the older service) and the command line end
//! here. Source: reference/sensor.md sections 10 and 12.

mod control;
mod create;
mod deliver;
mod direct;
mod inquire;
pub mod message;
mod tick;

pub use control::{Choice, pause, resume, untask};
pub use create::{Created, NewTask, create};
pub use deliver::{deliver_next, fan_out, matching_changed, offer_again, receive};
pub use direct::{DIRECT_LIFETIME, Order, send_direct, send_once, send_ordered};
pub use inquire::{explain, list, overview, page_of_targets, preview};
pub use tick::run as run_ticker;

use crate::access::Caller;
use crate::api::ApiError;
use muster_command::Command;
use muster_model::Oid;

/// Name of the extension; also the source of its activity events.
pub const EXTENSION: &str = "ext-reliable-tasking";

/// Checks that a caller may have the payload used that a command names.
///
/// # Errors
///
/// 401 naming the permission. Source: reference/sensor.md section 10.1.
pub fn require_payload(caller: &Caller, oid: Oid, command: &Command) -> Result<(), ApiError> {
    match command.spec.needs_payload(&command.arguments) {
        Some(_) => caller.require(oid, "payload.use"),
        None => Ok(()),
    }
}

/// Activity events about single targets are made for tasks of at most this many
/// targets: beyond, the counts of the task say more, and cost less.
const ACTIVITY_TARGETS_MAX: u64 = 10_000;
