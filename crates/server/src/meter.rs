//! Calls per credential and minute. Source: reference/rest-api.md section 4.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::time::{Duration, Instant};

const WINDOW: Duration = Duration::from_secs(60);

/// Credentials remembered at once; beyond, all counts start over. Bounds memory
/// against callers who make up credentials (they never get this far without one).
const CREDENTIALS_MAX: usize = 10_000;

/// A credential has made all the calls that it may make in this minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many calls with this credential; wait and try again")]
pub struct TooManyCalls {
    /// Seconds until it may call again.
    pub retry_after_s: u32,
    /// Calls that it may make in a minute.
    pub per_minute: u32,
}

/// Counts calls in windows of one minute.
#[derive(Default)]
pub struct Meter {
    windows: Mutex<HashMap<String, (Instant, u32)>>,
}

impl Meter {
    /// Counts one call; `most` 0 is no limit.
    ///
    /// # Errors
    ///
    /// [`TooManyCalls`].
    pub fn count(&self, credential: &str, most: u32) -> Result<(), TooManyCalls> {
        if most == 0 || credential.is_empty() {
            return Ok(());
        }
        let now = Instant::now();
        let mut windows = self.windows.lock();
        if windows.len() >= CREDENTIALS_MAX && !windows.contains_key(credential) {
            windows.clear();
        }
        let (started, calls) = windows.entry(credential.to_owned()).or_insert((now, 0));
        if now.duration_since(*started) >= WINDOW {
            (*started, *calls) = (now, 0);
        }
        *calls = calls.saturating_add(1);
        if *calls <= most {
            return Ok(());
        }
        let left = WINDOW.saturating_sub(now.duration_since(*started)).as_secs();
        Err(TooManyCalls { retry_after_s: u32::try_from(left).unwrap_or(60).max(1), per_minute: most })
    }
}
