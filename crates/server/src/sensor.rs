//! What happens to sensors: enrolment, presence, tags, flags, deletion.
//!
//! The dispatch machine ([`muster_tasking::dispatch`]) decides each change; here stands how it is asked.
//! Source: reference/sensor.md.

mod change;
mod presence;
mod record;

pub use change::{delete, put_tags, set_flag, take_tags, undelete};
pub use muster_tasking::dispatch::Flag;
pub use presence::{Enrolment, Rejection, enrol, enrol_as, no_room, quota_of, reported, went_offline, went_online};
pub use record::SensorRecord;

use crate::tasking::Tasking;
use std::sync::Arc;

/// What changes of sensors need of the server.
#[derive(Clone)]
pub struct Sensors {
    pub(crate) tasking: Arc<Tasking>,
    /// Sensors of an organization that has no quota of its own; 0 is no limit.
    pub(crate) quota: u32,
}
