//! What tells of processes as they come and go: nothing yet, so that they are polled.

use std::io;

use crate::platform::shapes::Change;

/// An open listener; there is none.
#[derive(Debug)]
pub enum Listener {}

impl Listener {
    /// Begins to listen.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::Unsupported`].
    pub fn open() -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Waits for changes, and adds them.
    ///
    /// # Errors
    ///
    /// None.
    pub fn wait(&self, _: &mut Vec<Change>) -> io::Result<()> {
        match *self {}
    }
}

/// What processes are told by.
#[must_use]
pub const fn tier(_: bool) -> &'static str {
    "toolhelp"
}
