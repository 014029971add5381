//! How the sensor stands: for the server, and in the status file for people and monitoring on the endpoint.

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use muster_wire::{Event, SensorState, from_sensor};
use serde_json::json;
use tokio::time::Instant;

use super::{SYNC_EVERY, Sensor};
use crate::agent::event;
use crate::clock;
use crate::platform::{self, host};
use crate::state_dir::write_atomically;

/// By so much the endpoint's clock must have been set to be told at once: half of what makes the server correct the
/// times of events.
const CLOCK_SET_MS: u64 = 30_000;

impl Sensor<'_> {
    pub(super) fn state(&self) -> SensorState {
        SensorState {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            boot_id: self.boot_id.clone(),
            hostname: host::hostname(),
            int_ip: platform::internal_ip(),
            mac_addr: host::mac_address(),
            platform: host::PLATFORM.0,
            architecture: u32::from(host::ARCHITECTURE.0),
            kernel: false,
            isolated: self.tools.is_isolated.load(Ordering::Relaxed),
            sealed: self.tools.is_sealed.load(Ordering::Relaxed),
            journal_id: self.journal.id().to_vec(),
            spool_id: self.spool.id().to_vec(),
            now_ms: clock::now().wall_ms,
            fingerprint: self.fingerprint.clone(),
            full: self.agent.is_full(),
        }
    }

    /// Tells the server and the rules how the sensor stands.
    pub(super) fn sync(&mut self, event_type: &str) {
        self.sync_at = Instant::now() + SYNC_EVERY;
        self.told_ahead_ms = clock::now().ahead_ms();
        let state = self.state();
        self.agent.observed(state_event(event_type, &state));
        self.say(from_sensor::Message::Sync(state));
    }

    /// Tells the server at once when the endpoint's clock was set: by it the times of the events that follow are read.
    pub(super) fn mind_clock(&mut self) {
        let set_ms = clock::now().ahead_ms().abs_diff(self.told_ahead_ms);
        if self.agent.is_connected() && set_ms >= CLOCK_SET_MS {
            tracing::warn!(set_ms, "the clock of this endpoint was set");
            self.sync("SYNC");
        }
    }

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
