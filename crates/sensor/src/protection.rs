//! Isolation and seal: how they are changed, and what of them outlives the sensor.
//!
//! The server's flags come into force again after any restart; what a task did by
//! itself lasts until the next boot. Source: reference/sensor.md section 9.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::agent::event;
use crate::clock;
use crate::commands::{Failure, code};
use crate::executor::{ToSensor, Toolbox};
use crate::platform::shapes::IsolationError;
use crate::platform::{isolation, seal};
use crate::state_dir::{read_optional, write_atomically};

/// Name of the file in the state directory.
pub const FILE: &str = "flags.json";

/// What is remembered on disk.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remembered {
    /// The server's flag, if it ever set one.
    pub isolate: Option<bool>,
    /// The server's flag, if it ever set one.
    pub seal: Option<bool>,
    /// Whether the endpoint was isolated in the boot `boot_id`.
    pub is_isolated: bool,
    /// Whether the sensor was sealed in the boot `boot_id`.
    pub is_sealed: bool,
    /// The boot that the two above are about.
    pub boot_id: String,
    /// Addresses of the server that were exempt.
    pub servers: Vec<SocketAddr>,
}

impl Remembered {
    /// Reads what is remembered; nothing if there is nothing readable.
    ///
    /// # Errors
    ///
    /// An [`io::Error`] of the file system.
    pub fn load(path: &Path) -> io::Result<Self> {
        let bytes = read_optional(path)?.unwrap_or_default();
        Ok(serde_json::from_slice(&bytes).unwrap_or_default())
    }

    /// Writes it durably.
    ///
    /// # Errors
    ///
    /// An [`io::Error`] of the file system.
    pub fn save(&self, path: &Path) -> io::Result<()> {
        write_atomically(path, &serde_json::to_vec(self).map_err(io::Error::other)?)
    }

    /// Whether the endpoint must be isolated when the sensor starts in this boot.
    #[must_use]
    pub fn must_isolate(&self, boot_id: &str) -> bool {
        self.isolate == Some(true) || (self.is_isolated && self.boot_id == boot_id)
    }

    /// Whether the sensor must be sealed when it starts in this boot.
    #[must_use]
    pub fn must_seal(&self, boot_id: &str) -> bool {
        self.seal == Some(true) || (self.is_sealed && self.boot_id == boot_id)
    }
}

/// Isolates the endpoint or ends that. Blocks.
///
/// # Errors
///
/// [`Failure`] with `ERROR` 50 when the link cannot be exempted, 5 without privilege.
pub fn set_isolated(tools: &Toolbox, isolate: bool) -> Result<(), Failure> {
    let _changing = tools.changing.lock().unwrap_or_else(PoisonError::into_inner);
    change_isolation(tools, isolate)
}

fn change_isolation(tools: &Toolbox, isolate: bool) -> Result<(), Failure> {
    if isolate {
        let servers = tools.route.addresses(&tools.key);
        isolation::isolate(&servers).map_err(failure)?;
        tools.route.pin(servers);
    } else {
        isolation::rejoin().map_err(failure)?;
        tools.route.pin(Vec::new());
    }
    tools.is_isolated.store(isolate, Ordering::Relaxed);
    Ok(())
}

fn failure(error: IsolationError) -> Failure {
    match error {
        IsolationError::NoPermission(_) => Failure::new(code::ACCESS_DENIED, error.to_string()),
        _ => Failure::unsupported(error.to_string()),
    }
}

/// Seals the sensor or ends that; gives what could not be protected. Blocks.
pub fn set_sealed(tools: &Toolbox, is_sealed: bool) -> Vec<String> {
    tools.is_sealed.store(is_sealed, Ordering::Relaxed);
    seal::protect(is_sealed)
}

/// Brings isolation and seal to the server's flags, and reports each change. Blocks.
///
/// Calls may overtake each other; each goes by the newest flags.
pub fn enforce(tools: &Toolbox) {
    let _changing = tools.changing.lock().unwrap_or_else(PoisonError::into_inner);
    let flags = *tools.wanted.lock().unwrap_or_else(PoisonError::into_inner);
    let tell = |message| {
        // Nobody is left to tell when the sensor stops.
        let _ = tools.to_sensor.blocking_send(message);
    };
    if let Some(isolate) = flags.isolate.filter(|isolate| *isolate != tools.is_isolated.load(Ordering::Relaxed)) {
        let (code, message) = match change_isolation(tools, isolate) {
            Ok(()) => (0, None),
            Err(failure) => (failure.code, Some(failure.message)),
        };
        let event_type = if isolate { "SEGREGATE_NETWORK" } else { "REJOIN_NETWORK" };
        let mut body = json!({"ERROR": code});
        if let Some(message) = message {
            body["ERROR_MESSAGE"] = message.into();
        }
        tell(ToSensor::Reported(event(event_type, body, None, clock::now())));
        tell(ToSensor::ProtectionChanged);
    }
    if let Some(seal) = flags.seal.filter(|seal| *seal != tools.is_sealed.load(Ordering::Relaxed)) {
        set_sealed(tools, seal);
        tell(ToSensor::ProtectionChanged);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_of_the_server_outlives_a_boot_and_a_task_does_not() {
        let by_task = Remembered { is_isolated: true, boot_id: "a".to_owned(), ..Remembered::default() };
        assert!(by_task.must_isolate("a") && !by_task.must_isolate("b"));
        let by_flag = Remembered { isolate: Some(true), seal: Some(true), ..Remembered::default() };
        assert!(by_flag.must_isolate("b") && by_flag.must_seal("b"));
        assert!(!Remembered::default().must_isolate("") && !Remembered::default().must_seal(""));
    }
}
