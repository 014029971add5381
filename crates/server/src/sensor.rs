//! What happens to sensors: enrolment, presence, tags, flags, deletion.
//!
//! Each change is decided on a copy of the record, stored together with the
//! records that tell of it, and then applied. Source: reference/sensor.md.

mod change;
mod presence;
mod record;

pub use change::{Change, delete, put_tags, set_flag, sweep_tags, take_tags, undelete, update};
pub use presence::{Enrolment, Seen, denied, enrol, over_quota, reported, went_offline, went_online};
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

/// Flags that the server keeps for a sensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flag {
    /// Network isolation.
    Isolation,
    /// Tamper resistance.
    Seal,
}

/// What the server asks of a sensor: only flags that an operator ever set.
#[must_use]
pub fn wanted_flags(row: &muster_store::SensorRow) -> muster_wire::Flags {
    muster_wire::Flags {
        isolate: row.owns_isolation.then_some(row.sensor.should_isolate),
        seal: row.owns_seal.then_some(row.sensor.should_seal),
    }
}
