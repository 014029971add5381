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
mod moving;
mod receive;
pub mod row;
mod tick;

pub use control::{Cancelled, cancel, pause, resume, untask};
pub use create::{Created, NewTask, create};
pub use direct::{DIRECT_LIFETIME, Order, send_direct, send_once, send_ordered};
pub(crate) use drive::{ask, carry_out, tell};
pub use error::Error;
pub use inquire::{
    From as TargetsFrom, TARGET_FIELDS, TargetsAsked, commands, explain, list, overview, page_of_targets, preview,
    summary,
};
pub(crate) use moving::{DirectTasks, Moved, may_move};
pub use muster_tasking::dispatch::Choice;
pub use receive::receive;
pub use tick::run as run_ticker;

use crate::access::{self, Caller};
use crate::intake::Intake;
use crate::jobs::Jobs;
use crate::organization::Organizations;
use crate::records::Records;
use crate::replay::Replays;
use muster_command::Command;
use muster_model::Oid;
use muster_store::Store;
use std::sync::Arc;

/// Name of the extension; also the source of its activity events.
pub const EXTENSION: &str = "ext-reliable-tasking";

/// What tasking needs of the server.
pub struct Tasking {
    pub(crate) store: Store,
    pub(crate) intake: Arc<Intake>,
    pub(crate) records: Arc<Records>,
    pub(crate) organizations: Arc<Organizations>,
    /// Calls that must not be carried out twice.
    pub(crate) replays: Replays,
    /// What direct tasks may move.
    pub(crate) direct: DirectTasks,
    pub(crate) jobs: Jobs,
}

/// Checks that a caller may have the payload used that a command names.
///
/// # Errors
///
/// [`access::Error::MissingPermission`]. Source: reference/sensor.md section 10.1.
pub fn require_payload(caller: &Caller, oid: Oid, command: &Command) -> Result<(), access::Error> {
    if command.payloads().next().is_some() { caller.require(oid, "payload.use") } else { Ok(()) }
}
