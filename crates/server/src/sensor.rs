//! What happens to sensors: enrolment, presence, tags, flags, deletion.
//!
//! The dispatch machine ([`muster_tasking::dispatch`]) decides each change; here stands how it is asked.
//! Source: reference/sensor.md.

mod change;
mod presence;
mod record;

pub use change::{delete, put_tags, set_flag, take_tags, undelete};
pub use muster_tasking::dispatch::Flag;
pub use presence::{Enrolment, Rejection, enrol, quota_of, reported, went_offline, went_online};
pub use record::SensorRecord;

use crate::organization::Organization;
use std::sync::Arc;

/// A sensor of an organization, by its number.
#[derive(Clone)]
pub struct Place {
    /// Its organization.
    pub organization: Arc<Organization>,
    /// Its number there.
    pub ordinal: u32,
}
