//! The word to a command that it is to end before its end.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::watch;

/// Shared by the one who asks a command to end and the command.
#[derive(Debug, Default)]
pub struct Stop {
    asked: watch::Sender<bool>,
    is_heeded: AtomicBool,
}

impl Stop {
    /// Asks the command to end.
    pub fn ask(&self) {
        self.asked.send_replace(true);
    }

    /// Waits until it is asked. Cancel safe.
    pub async fn asked(&self) {
        // It cannot be closed while `self` lives.
        let _ = self.asked.subscribe().wait_for(|is_asked| *is_asked).await;
    }

    /// Whether it is asked; if so, the command ends for that, and has not done all that it was to do.
    pub fn heed(&self) -> bool {
        let is_asked = *self.asked.borrow();
        if is_asked {
            self.is_heeded.store(true, Ordering::Relaxed);
        }
        is_asked
    }

    /// Whether the command has ended because it was asked.
    #[must_use]
    pub fn was_heeded(&self) -> bool {
        self.is_heeded.load(Ordering::Relaxed)
    }
}
