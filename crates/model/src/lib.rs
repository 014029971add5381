//! Words shared by every part of muster: ids, time, platforms, sensors, tags.
//!
//! Everything here is plain data: no IO, no clock, no randomness. Other crates
//! take these types as arguments so that one word means one thing from the wire
//! to the store.

#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

mod causes;
mod hex;
mod id;
mod platform;
mod sensor;
mod target_state;
mod time;

pub use causes::causes;
pub use hex::to_hex;
pub use id::{Did, Iid, Oid, Sid, TaskId};
pub use platform::{Architecture, Platform};
pub use sensor::{Sensor, Tag};
pub use target_state::TargetState;
pub use time::Timestamp;
