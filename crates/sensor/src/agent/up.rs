//! The link as the agent sees it, and the server's clock on it.

use muster_wire::{Deliver, Welcome};

use super::Now;
use super::window::Window;

/// Longest that an offer may seem to have been under way: far above what a slow link takes, far below what
/// matters for a time to live. Beyond it the link is given up, and the next one measures the clocks anew.
const DELAY_MS_MAX: i64 = 10_000;
/// How far two clocks may drift apart: what no crystal exceeds. More is not believed when the server's clock seems to
/// stand behind, since a word of the server that lay in a buffer looks the same.
const DRIFT_PER_MILLION: i64 = 500;

/// A link on which the server has welcomed this sensor.
pub(super) struct Up {
    pub(super) epoch: u64,
    /// Milliseconds to add to `boot_ms` to get the server's clock.
    server_ahead_ms: i64,
    /// When that was measured.
    measured_boot_ms: i64,
    pub(super) window: Window,
}

fn boot_ms(now: Now) -> i64 {
    i64::try_from(now.boot_ms).unwrap_or(i64::MAX)
}

impl Up {
    pub(super) fn new(welcome: &Welcome, now: Now) -> Self {
        let boot_ms = boot_ms(now);
        Self {
            epoch: welcome.epoch,
            server_ahead_ms: welcome.server_now_ms.saturating_sub(boot_ms),
            measured_boot_ms: boot_ms,
            window: Window::new(welcome.spool_seq),
        }
    }

    /// The server's clock.
    pub(super) fn server_ms(&self, now: Now) -> i64 {
        boot_ms(now).saturating_add(self.server_ahead_ms)
    }

    /// The server told its clock. Nothing comes before it is sent, so one that stands ahead is believed at once;
    /// one that stands behind only as far as clocks drift.
    pub(super) fn measure(&mut self, server_now_ms: i64, now: Now) {
        let boot_ms = boot_ms(now);
        let passed_ms = boot_ms.saturating_sub(self.measured_boot_ms);
        let drift_ms = passed_ms.saturating_mul(DRIFT_PER_MILLION) / 1_000_000;
        let ahead_ms = server_now_ms.saturating_sub(boot_ms);
        if ahead_ms >= self.server_ahead_ms || drift_ms > 0 {
            self.server_ahead_ms = ahead_ms.max(self.server_ahead_ms.saturating_sub(drift_ms));
            self.measured_boot_ms = boot_ms;
        }
    }

    /// How long from now the task may begin: the span that it was sent with, less what it took to come. `None`
    /// if it seems to have taken longer than [`DELAY_MS_MAX`]: an offer that lay in a buffer while the endpoint
    /// slept cannot be told from one that was sent after the server's clock was set back.
    pub(super) fn lifetime_ms(&mut self, deliver: &Deliver, now: Now) -> Option<u64> {
        if deliver.not_after_ms == 0 {
            return Some(deliver.lifetime_ms);
        }
        let lifetime_ms = i64::try_from(deliver.lifetime_ms).unwrap_or(i64::MAX);
        let sent_ms = deliver.not_after_ms.saturating_sub(lifetime_ms);
        let delay_ms = self.server_ms(now).saturating_sub(sent_ms);
        if delay_ms < 0 {
            self.measure(sent_ms, now);
            return Some(deliver.lifetime_ms);
        }
        (delay_ms <= DELAY_MS_MAX).then(|| deliver.lifetime_ms.saturating_sub(delay_ms.unsigned_abs()))
    }
}
