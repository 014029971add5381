//! What is known of an organization: read by all, changed by the machine alone.

use super::effect::Flags;
use crate::fleet::Fleet;
use crate::queue::Queue;
use crate::sensor::SensorRow;
use roaring::RoaringBitmap;

/// Sensors, tasks and who is online, as they are stored.
#[derive(Default)]
pub struct Known {
    /// All sensors.
    pub fleet: Fleet,
    /// All reliable tasks.
    pub queue: Queue,
    /// Sensors with a live link.
    pub online: RoaringBitmap,
}

impl Known {
    /// Whether a sensor has a live link.
    #[must_use]
    pub fn is_online(&self, ordinal: u32) -> bool {
        self.online.contains(ordinal)
    }
}

/// What the server asks of a sensor: only flags that an operator ever set.
#[must_use]
pub fn wanted_flags(row: &SensorRow) -> Flags {
    Flags {
        isolate: row.owns_isolation.then_some(row.sensor.should_isolate),
        seal: row.owns_seal.then_some(row.sensor.should_seal),
    }
}
