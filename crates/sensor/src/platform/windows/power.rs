//! Switching the endpoint off, and removing the sensor from it.

use std::io;
use std::process::{Command, Stdio};

use super::{host, installation};
use crate::guard;

/// Why the sensor cannot switch the endpoint off; `None` if it can.
#[must_use]
pub fn objection() -> Option<&'static str> {
    guard::objection().or_else(|| (!host::is_privileged()).then_some("the sensor does not run as an administrator"))
}

/// Switches the endpoint off or boots it anew, at once.
///
/// # Errors
///
/// What Windows says.
pub fn switch_off(and_on_again: bool) -> io::Result<()> {
    let mut command = Command::new("shutdown.exe");
    command.args([if and_on_again { "/r" } else { "/s" }, "/f", "/t", "0"]).stdin(Stdio::null());
    let output = command.output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(io::Error::other(format!("shutdown.exe: {}", String::from_utf8_lossy(&output.stderr).trim())))
}

/// Removes service and installed program. A program elsewhere is a working copy and stays.
pub fn remove_installation() {
    if guard::objection().is_none()
        && let Err(error) = installation::forget()
    {
        tracing::warn!(%error, "the service stays");
    }
}
