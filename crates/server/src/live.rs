//! Live sessions: an operator and one endpoint, now.
//!
//! [`muster_live::Session`] decides; here it is asked, what it decided is stored, and only then said to the sensor and
//! answered. Each session takes one change at a time, so that commands reach the sensor in the order of their numbers;
//! whoever only reads sees the state after the last stored change, without waiting.
//!
//! Source: reference/live-response.md.

mod error;
mod file;
mod filling;
mod heard;
mod room;
mod session;
mod stored;
mod transcript;

pub use error::Error;
pub use file::FileRecord;
pub use filling::Sent;
pub use room::Live;
pub use session::{CommandView, LiveSession};
pub use transcript::Transcript;

use crate::organization::Place;
use muster_model::Sensor;

/// Number by which Live Response clients know a device: the sensor's own, from 1, since some take 0 for none. A sensor
/// keeps its number for ever, and no other gets it.
#[must_use]
pub fn device_of(ordinal: u32) -> u32 {
    ordinal.saturating_add(1)
}

/// The sensor that is known by this number.
pub(crate) fn ordinal_of(device: u32) -> Option<u32> {
    device.checked_sub(1)
}

/// What is known of the sensor at a place.
fn sensor_at(place: &Place) -> Option<Sensor> {
    let state = place.organization.state.lock();
    state.fleet.row(place.ordinal).map(|row| row.sensor.clone())
}
