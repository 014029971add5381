//! How long what may take. Source: reference/live-response.md section 3.3.

use crate::Order;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Longest time that a client may ask for, in seconds: a day.
const TIMEOUT_S_MAX: u32 = 86_400;

/// Times of a session, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timers {
    /// How long the sensor is waited for.
    pub check_in_s: u32,
    /// How long a sensor that was lost is waited for; and how long nothing may be ordered, unless `wait_s` says so.
    pub session_s: u32,
    /// How long nothing may be ordered.
    pub wait_s: Option<u32>,
    /// How long a command may take that does not say so.
    pub command_s: Option<u32>,
}

/// A time that nobody can mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a timeout is a whole number of seconds, from 1 to {TIMEOUT_S_MAX}")]
pub struct TimersError;

impl Timers {
    /// Checks a time that a client asks for.
    ///
    /// # Errors
    ///
    /// [`TimersError`].
    pub fn checked(seconds: u64) -> Result<u32, TimersError> {
        let seconds = u32::try_from(seconds).map_err(|_| TimersError)?;
        if (1..=TIMEOUT_S_MAX).contains(&seconds) { Ok(seconds) } else { Err(TimersError) }
    }

    /// How long the sensor is waited for.
    #[must_use]
    pub fn check_in(&self) -> Duration {
        Duration::from_secs(u64::from(self.check_in_s))
    }

    /// How long a sensor that was lost is waited for.
    #[must_use]
    pub fn session(&self) -> Duration {
        Duration::from_secs(u64::from(self.session_s))
    }

    /// How long nothing may be ordered.
    #[must_use]
    pub fn idle(&self) -> Duration {
        Duration::from_secs(u64::from(self.wait_s.unwrap_or(self.session_s)))
    }

    /// How long a command may take, in seconds, that asks for this time or for none.
    #[must_use]
    pub fn command(&self, asked: Option<u32>, order: &Order) -> u32 {
        let usual = || u32::try_from(order.time_max().as_secs()).unwrap_or(TIMEOUT_S_MAX);
        asked.or(self.command_s).unwrap_or_else(usual)
    }
}
