//! Memory of the machine, which Windows shows to drivers alone.

use muster_live::Code;

use crate::live::Failure;
use crate::live::image::Image;

/// Memory of the machine.
///
/// # Errors
///
/// `NOT_SUPPORTED`.
pub(crate) fn of_machine() -> Result<Image, Failure> {
    Err(Failure::new(Code::NOT_SUPPORTED, "Windows does not show the memory of the machine to programs; name a pid"))
}
