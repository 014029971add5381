//! Images of memory, which the sensor does not make on Windows; `supported_commands` says so.

use std::io;

use muster_live::Name;

use crate::live::Failure;

/// Memory that can be read; there is none.
#[derive(Debug)]
pub enum Source {}

/// Memory of a process.
///
/// # Errors
///
/// `NOT_SUPPORTED`.
pub fn of_process(_: u32) -> Result<Source, Failure> {
    Err(Failure::unsupported(Name::Memdump))
}

/// Memory of the machine.
///
/// # Errors
///
/// `NOT_SUPPORTED`.
pub fn of_machine() -> Result<Source, Failure> {
    Err(Failure::unsupported(Name::Memdump))
}

impl Source {
    /// Bytes of the image.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        match *self {}
    }

    /// Gives the image piece by piece.
    ///
    /// # Errors
    ///
    /// What `write` says.
    pub fn pieces(&self, _: &mut dyn FnMut(&[u8], usize) -> io::Result<()>) -> io::Result<()> {
        match *self {}
    }
}
