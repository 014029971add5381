//! How often something happens in a minute, by whom: calls by credential, wrong credentials by address, enrolments by key. Source: reference/rest-api.md section 4.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::time::Duration;
use tokio::time::Instant;

const WINDOW: Duration = Duration::from_secs(60);

/// Names remembered at once; beyond, all counts start over. Bounds memory
/// against callers who make them up.
const NAMES_MAX: usize = 100_000;

/// A credential has made all the calls that it may make in this minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many calls with this credential; wait and try again")]
pub struct TooManyCalls {
    /// Seconds until it may call again.
    pub retry_after_s: u32,
    /// Calls that it may make in a minute.
    pub per_minute: u32,
    /// Calls that it has made in this minute.
    pub calls: u32,
}

/// Counts calls in windows of one minute.
#[derive(Default)]
pub struct Meter {
    windows: Mutex<HashMap<String, (Instant, u32)>>,
}

impl Meter {
    /// Counts one call; `most` 0 is no limit. Gives how many it makes in this minute.
    ///
    /// # Errors
    ///
    /// [`TooManyCalls`].
    pub fn count(&self, name: &str, most: u32) -> Result<u32, TooManyCalls> {
        self.count_many(name, 1, most)
    }

    /// Counts several at once.
    ///
    /// # Errors
    ///
    /// [`TooManyCalls`]; they are counted all the same.
    pub fn count_many(&self, name: &str, calls_now: u32, most: u32) -> Result<u32, TooManyCalls> {
        if most == 0 || name.is_empty() {
            return Ok(0);
        }
        let now = Instant::now();
        let mut windows = self.windows.lock();
        if windows.len() >= NAMES_MAX && !windows.contains_key(name) {
            windows.retain(|_, (started, _)| now.duration_since(*started) < WINDOW);
        }
        if windows.len() >= NAMES_MAX && !windows.contains_key(name) {
            windows.clear();
        }
        // A name is copied only when it is new: a sensor's comes with each of its events.
        let (started, calls) = match windows.get_mut(name) {
            Some(window) => window,
            None => windows.entry(name.to_owned()).or_insert((now, 0)),
        };
        if now.duration_since(*started) >= WINDOW {
            (*started, *calls) = (now, 0);
        }
        *calls = calls.saturating_add(calls_now);
        if *calls <= most {
            return Ok(*calls);
        }
        let left = WINDOW.saturating_sub(now.duration_since(*started)).as_secs();
        Err(TooManyCalls { retry_after_s: u32::try_from(left).unwrap_or(60).max(1), per_minute: most, calls: *calls })
    }
}
