//! Enrolment that waits: golden images must not enrol before they are cloned.
//!
//! Source: reference/sensor.md section 2.

use std::io;
use std::time::Duration;

use crate::platform::service_manager;
use crate::state_dir::{StateDir, read_optional, write_atomically};
use crate::{clock, identity};

/// Name of the file in the state directory; it holds epoch seconds.
pub const FILE: &str = "hcp_vdi";
/// What the command line writes.
pub const DELAY_S: i64 = 24 * 60 * 60;
/// How often the wait looks at the clock, which may be set.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// Makes an unenrolled sensor wait for a day.
///
/// # Errors
///
/// An [`io::Error`] of the file system.
pub fn begin(dir: &StateDir) -> io::Result<()> {
    let until = clock::now().wall_ms / 1_000 + DELAY_S;
    write_atomically(&dir.file(FILE), until.to_string().as_bytes())
}

/// Waits as the file says; an enrolled sensor does not look at it.
pub(super) async fn wait(dir: &StateDir) -> io::Result<()> {
    loop {
        let until =
            read_optional(&dir.file(FILE))?.and_then(|bytes| String::from_utf8(bytes).ok()?.trim().parse().ok());
        let is_early = until.is_some_and(|until: i64| clock::now().wall_ms / 1_000 < until);
        if !is_early || identity::is_enrolled(&dir.file(identity::FILE)) {
            return Ok(());
        }
        service_manager::ready();
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
