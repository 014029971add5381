//! What errors of Windows are called: as Windows calls them, which is what both protocols do.

use std::io;

use muster_live::Code;

use crate::commands::code;

/// The code of an error, as tasks tell it. Source: reference/sensor.md section 11.
#[must_use]
pub fn of_task(error: &io::Error) -> i32 {
    match error.kind() {
        io::ErrorKind::TimedOut => code::TIMEOUT,
        io::ErrorKind::Unsupported => code::NOT_SUPPORTED,
        _ => error.raw_os_error().unwrap_or(code::INVALID_FUNCTION),
    }
}

/// The code of an error, as sessions tell it. Source: reference/live-response.md section 8.4.
#[must_use]
pub fn of_session(error: &io::Error) -> Code {
    /// What a stranger of a name says: its path names no such share, or no such drive.
    const OF_PATHS: [u32; 3] = [53, 67, 15];
    match (error.raw_os_error().and_then(|code| u32::try_from(code).ok()), error.kind()) {
        (Some(code), _) if OF_PATHS.contains(&code) => Code::PATH_NOT_FOUND,
        // Windows has two words for what is there already.
        (Some(80), _) => Code::ALREADY_EXISTS,
        (Some(code), _) => Code(code),
        (None, io::ErrorKind::TimedOut) => Code::TIMEOUT,
        (None, io::ErrorKind::Unsupported) => Code::NOT_SUPPORTED,
        (None, io::ErrorKind::NotFound) => Code::FILE_NOT_FOUND,
        // A path with a zero in it, before Windows was asked.
        (None, io::ErrorKind::InvalidInput) => Code::INVALID_NAME,
        (None, _) => Code::GEN_FAILURE,
    }
}
