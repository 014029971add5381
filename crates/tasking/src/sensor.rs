//! What a server keeps of one sensor.

use muster_model::{Sensor, Timestamp};
use serde::{Deserialize, Serialize};

/// A sensor as stored: the record, and what only the server needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SensorRow {
    /// Dense number within the organization, never reused; bitmaps are over these.
    pub ordinal: u32,
    /// The record.
    pub sensor: Sensor,
    /// Ed25519 public key, 32 bytes.
    pub public_key: Vec<u8>,
    /// Counts the enrolments of this identity, from 1.
    pub epoch: u64,
    /// Journal of this epoch, 16 bytes; empty before the first connection.
    pub journal_id: Vec<u8>,
    /// Boot id reported last.
    pub boot_id: String,
    /// Machine fingerprint, from which the device id is made.
    pub fingerprint: String,
    /// The server was asked to isolate or rejoin at least once: it owns the flag.
    pub owns_isolation: bool,
    /// The same for sealing.
    pub owns_seal: bool,
    /// When `deleted_sensor` was last emitted for it; zero is never.
    pub denied_at: Timestamp,
}

impl SensorRow {
    /// The first row of a sensor that has just enrolled.
    #[must_use]
    pub fn enrolled(ordinal: u32, sensor: Sensor, public_key: &[u8]) -> Self {
        Self {
            ordinal,
            sensor,
            public_key: public_key.to_vec(),
            epoch: 1,
            journal_id: Vec::new(),
            boot_id: String::new(),
            fingerprint: String::new(),
            owns_isolation: false,
            owns_seal: false,
            denied_at: Timestamp::ZERO,
        }
    }
}
