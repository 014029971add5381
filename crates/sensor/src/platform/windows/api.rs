//! What is called of Windows, each call behind a function that cannot be called wrongly. The only place of the sensor
//! that is not checked by the compiler.
//!
//! Source: Microsoft's reference of the Windows API; names of functions stand at each.

#![allow(unsafe_code, reason = "Windows is spoken to in C")]

mod files;
mod network;
mod process;
mod service;
mod system;
mod token;

use std::ffi::OsStr;
use std::io;
use std::os::windows::ffi::OsStrExt as _;
use std::os::windows::io::{FromRawHandle as _, OwnedHandle};

use windows_sys::Win32::Foundation::{HANDLE, INVALID_HANDLE_VALUE};
use windows_sys::core::BOOL;

pub use files::{close_to_others, file_number, free_bytes, is_on_disk, move_durably, remove_at_boot, short_name};
pub use network::{Table, mac_address, sockets};
pub use process::{
    Job, Range, SnapshotEntry, command_line, created, has_ended, image, mapped_file, memory_bytes, open_process,
    own_block, ranges, read_memory, resume, snapshot, suspend, terminate,
};
pub use service::{report_event, run_dispatcher};
pub use system::{boot_ms, drives, host_name};
pub use token::{is_elevated, name_of_account, own_account, owner_of_process};

/// Text for Windows: UTF-16 with a zero at its end.
fn wide(text: impl AsRef<OsStr>) -> Vec<u16> {
    text.as_ref().encode_wide().chain([0]).collect()
}

/// Text of Windows, up to its zero.
fn narrow(units: &[u16]) -> String {
    let end = units.iter().position(|unit| *unit == 0).unwrap_or(units.len());
    String::from_utf16_lossy(&units[..end])
}

/// What a call says that gives zero when it fails.
fn done(result: BOOL) -> io::Result<()> {
    if result == 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Takes a handle that a call gave, or tells why it gave none.
fn owned(handle: HANDLE) -> io::Result<OwnedHandle> {
    if handle.is_null() || handle == INVALID_HANDLE_VALUE {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call gave the handle to us alone.
    Ok(unsafe { OwnedHandle::from_raw_handle(handle) })
}
