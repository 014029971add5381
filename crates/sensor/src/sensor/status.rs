//! The status file, for people and monitoring on the endpoint.

use std::path::{Path, PathBuf};

use muster_wire::{Event, SensorState};
use serde_json::json;

use super::Sensor;
use crate::agent::event;
use crate::clock;
use crate::state_dir::write_atomically;

impl Sensor<'_> {
    /// Writes the status file. Source: reference/sensor.md section 3.
    pub(super) fn write_status(&self) {
        let status = json!({
            "version": env!("CARGO_PKG_VERSION"),
            "sid": self.identity.sid(),
            "oid": self.identity.oid(),
            "last_update": clock::now().wall_ms / 1_000,
            "uptime": self.tools.begun.elapsed().as_secs(),
            "is_connected": self.agent.is_connected(),
        });
        if let Err(error) = write_atomically(&status_file(self.dir.path()), status.to_string().as_bytes()) {
            tracing::debug!(%error, "the status file cannot be written");
        }
    }
}

/// Path of the status file in a state directory.
#[must_use]
pub fn status_file(state_dir: &Path) -> PathBuf {
    state_dir.join("hcp_hbs_status.json")
}

/// `CONNECTED` and `SYNC`. Source: reference/events.md section 5.6.
pub(super) fn state_event(event_type: &str, state: &SensorState) -> Event {
    let body = json!({
        "HOST_NAME": state.hostname,
        "IS_SEGREGATED": u8::from(state.isolated),
        "KERNEL_ACQ_AVAILABLE": u8::from(state.kernel),
        "MAC_ADDRESS": state.mac_addr,
        "SEAL_STATUS": {"ERROR": 0, "IS_DISABLED": u8::from(!state.sealed)},
    });
    event(event_type, body, None, clock::now())
}
