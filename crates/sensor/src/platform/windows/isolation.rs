//! Isolation, which the sensor cannot bring about on Windows.

use std::net::SocketAddr;

use crate::platform::shapes::IsolationError;

/// Would drop all traffic but that with these servers.
///
/// # Errors
///
/// [`IsolationError::Refused`]; nothing changed then.
pub fn isolate(_: &[SocketAddr]) -> Result<(), IsolationError> {
    Err(IsolationError::Refused("this sensor cannot isolate Windows".to_owned()))
}

/// Ends the isolation, of which there is none.
///
/// # Errors
///
/// None.
pub const fn rejoin() -> Result<(), IsolationError> {
    Ok(())
}
