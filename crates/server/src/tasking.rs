//! Reliable and direct tasking: the use cases around [`muster_tasking::dispatch`], which decides, and what carries
//! out its decisions.
//!
//! Both doors (the extension and the older service) and the command line end
//! here. Source: reference/sensor.md sections 10 and 12.

mod control;
mod create;
mod direct;
mod drive;
mod error;
mod facts;
mod inquire;
pub mod message;
mod receive;
pub mod row;
mod tick;

pub use control::{Cancelled, cancel, pause, resume, untask};
pub use create::{Created, NewTask, create};
pub use direct::{DIRECT_LIFETIME, Order, send_direct, send_once, send_ordered};
pub(crate) use drive::{ask, carry_out, tell};
pub use error::Error;
pub use inquire::{
    From as TargetsFrom, TARGET_FIELDS, TargetsAsked, explain, list, overview, page_of_targets, preview, summary,
};
pub use muster_tasking::dispatch::Choice;
pub use receive::receive;
pub use tick::run as run_ticker;

use crate::access::{self, Caller};
use muster_command::Command;
use muster_model::Oid;

/// Name of the extension; also the source of its activity events.
pub const EXTENSION: &str = "ext-reliable-tasking";

/// Checks that a caller may have the payload used that a command names.
///
/// # Errors
///
/// [`access::Error::MissingPermission`]. Source: reference/sensor.md section 10.1.
pub fn require_payload(caller: &Caller, oid: Oid, command: &Command) -> Result<(), access::Error> {
    match command.spec.needs_payload(&command.arguments) {
        Some(_) => caller.require(oid, "payload.use"),
        None => Ok(()),
    }
}
