//! The diagnostic report of the command line. Source: reference/sensor.md section 3.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::identity;
use crate::platform::{self, host, process_events, system};
use crate::sensor::status_file;

/// How a sensor on this state directory stands. Holds no secret.
#[must_use]
pub fn report(state_dir: &Path) -> Value {
    let status = fs::read(status_file(state_dir)).ok().and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
    let system = system::version();
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "state_dir": state_dir,
        "state_dir_exists": state_dir.is_dir(),
        "is_enrolled": identity::is_enrolled(&state_dir.join(identity::FILE)),
        "status": status,
        "hostname": host::hostname(),
        "int_ip": platform::internal_ip(),
        "mac_addr": host::mac_address(),
        "architecture": host::ARCHITECTURE.name(),
        "os": system.name,
        "kernel": system.kernel,
        "is_root": host::is_privileged(),
        "acquisition_tier": process_events::tier(process_events::Listener::open().is_ok()),
    })
}
