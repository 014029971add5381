//! How a sensor ends: stopping, beginning anew, leaving the endpoint, taking it down.

use std::fs;
use std::io;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout};

use super::{End, Sensor, status_file};
use crate::agent::{Afterwards, StorageError};
use crate::link::FromLink;
use crate::platform::power;
use crate::state_dir::StateDir;
use crate::{collector, identity, image, journal, protection};

/// How long the end waits until the server has stored what it was sent.
const FLUSH_MAX: Duration = Duration::from_secs(3);
/// How long the link has for its last frames.
const CLOSE_MAX: Duration = Duration::from_millis(500);

impl Sensor<'_> {
    /// Waits until the server has stored what it was sent, or a few seconds.
    pub(super) async fn flush(&mut self) -> Result<(), StorageError> {
        let (until, newest) = (Instant::now() + FLUSH_MAX, self.spool.newest());
        while self.agent.is_connected() && !self.is_flushed(newest) {
            tokio::select! {
                Some(heard) = self.heard.1.recv() => self.hear(heard),
                Some(told) = self.told.recv() => self.take(told),
                () = sleep_until(until) => break,
            }
            self.take_more();
            self.settle()?;
        }
        self.link.say = None;
        while let Ok(Some(heard)) = timeout(CLOSE_MAX, self.heard.1.recv()).await {
            if matches!(heard, FromLink::Down(..)) {
                break;
            }
        }
        Ok(())
    }

    /// What happens on the endpoint meanwhile is not waited for.
    fn is_flushed(&self, newest: u64) -> bool {
        self.spool.is_done_with(newest) && self.agent.ledger().unacknowledged().is_empty()
    }

    /// Does what a task asked for, now that its end is durable.
    pub(super) async fn conclude(&mut self, afterwards: Afterwards) -> Result<End, StorageError> {
        self.flush().await?;
        match afterwards {
            Afterwards::Restart => return Ok(End::Again),
            Afterwards::Uninstall => self.uninstall(),
            Afterwards::Shutdown => report(power::switch_off(false)),
            Afterwards::Reboot => report(power::switch_off(true)),
        }
        Ok(End::Stopped)
    }

    fn uninstall(&mut self) {
        if self.tools.is_isolated.load(Ordering::Relaxed)
            && let Err(failure) = protection::set_isolated(&self.tools, false)
        {
            tracing::error!(
                error = failure.message,
                "the endpoint stays isolated: remove the table with `nft delete table inet muster`"
            );
        }
        power::remove_installation();
        remove_state(self.dir);
        tracing::info!("the sensor is removed");
    }
}

/// Removes what the sensor has made, and the directory if nothing else is in it.
pub fn remove_state(dir: &StateDir) {
    for name in ["spool", "history", "tmp"] {
        ignore_missing(fs::remove_dir_all(dir.file(name)));
    }
    for name in [
        identity::FILE,
        identity::KEY_FILE,
        protection::FILE,
        image::FILE,
        collector::USERS,
        "journal",
        "journal.damaged",
        journal::MARK_FILE,
        "lock",
    ] {
        ignore_missing(fs::remove_file(dir.file(name)));
    }
    ignore_missing(fs::remove_file(status_file(dir.path())));
    if let Err(error) = fs::remove_dir(dir.path()) {
        tracing::warn!(dir = %dir.path().display(), %error, "the state directory stays");
    }
}

fn ignore_missing(removed: io::Result<()>) {
    if let Err(error) = removed
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(%error, "not removed");
    }
}

fn report(switched: io::Result<()>) {
    if let Err(error) = switched {
        tracing::error!(%error, "the endpoint cannot be switched off");
    }
}
