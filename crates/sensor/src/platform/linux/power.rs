//! Switching the endpoint off, and removing the sensor from it.

use std::fs;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::system::{RebootCommand, reboot};

use super::host;
use super::installation::{SERVICE, UNIT};
use crate::guard;

/// Why the sensor cannot switch the endpoint off; `None` if it can.
#[must_use]
pub fn objection() -> Option<&'static str> {
    guard::objection().or_else(|| (!host::is_privileged()).then_some("the sensor does not run as root"))
}

/// Switches the endpoint off or boots it anew: by the service manager, which ends
/// other programs in order, else at once.
///
/// # Errors
///
/// What the kernel says when both ways are barred.
pub fn switch_off(and_on_again: bool) -> io::Result<()> {
    let verb = if and_on_again { "reboot" } else { "poweroff" };
    if run("systemctl", &[verb]) {
        return Ok(());
    }
    rustix::fs::sync();
    reboot(if and_on_again { RebootCommand::Restart } else { RebootCommand::PowerOff })?;
    Ok(())
}

/// Removes unit and installed program. A program elsewhere is a working copy and stays.
pub fn remove_installation() {
    if guard::objection().is_some() {
        return;
    }
    if Path::new(UNIT).exists() {
        run("systemctl", &["disable", SERVICE]);
        remove(Path::new(UNIT));
        run("systemctl", &["daemon-reload"]);
    }
    if let Ok(own) = std::env::current_exe()
        && ["/usr/", "/opt/"].iter().any(|prefix| own.starts_with(prefix))
    {
        remove(&own);
    }
}

fn remove(path: &Path) {
    if let Err(error) = fs::remove_file(path) {
        tracing::warn!(path = %path.display(), %error, "cannot be removed");
    }
}

fn run(program: &str, arguments: &[&str]) -> bool {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
