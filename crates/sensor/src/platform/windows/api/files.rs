//! Files.

use std::fs::File;
use std::io;
use std::mem::zeroed;
use std::os::windows::io::AsRawHandle as _;
use std::path::Path;
use std::ptr::{null, null_mut};

use windows_sys::Win32::Foundation::LocalFree;
use windows_sys::Win32::Security::Authorization::{
    ConvertStringSecurityDescriptorToSecurityDescriptorW, SDDL_REVISION_1,
};
use windows_sys::Win32::Security::{DACL_SECURITY_INFORMATION, PSECURITY_DESCRIPTOR, SetFileSecurityW};
use windows_sys::Win32::Storage::FileSystem::{
    BY_HANDLE_FILE_INFORMATION, FILE_TYPE_DISK, FindClose, FindFirstFileW, GetDiskFreeSpaceExW,
    GetFileInformationByHandle, GetFileType, MOVEFILE_DELAY_UNTIL_REBOOT, MOVEFILE_REPLACE_EXISTING,
    MOVEFILE_WRITE_THROUGH, MoveFileExW, WIN32_FIND_DATAW,
};

use super::{done, narrow, wide};

/// Puts a file in the place of another; returns when that is durable (`MoveFileExW`).
pub fn move_durably(from: &Path, to: &Path) -> io::Result<()> {
    let (from, to) = (wide(from), wide(to));
    // SAFETY: both texts end with a zero and live until the call returns.
    done(unsafe { MoveFileExW(from.as_ptr(), to.as_ptr(), MOVEFILE_REPLACE_EXISTING | MOVEFILE_WRITE_THROUGH) })
}

/// Has a file that is in use removed when the system starts anew (`MoveFileExW`).
pub fn remove_at_boot(path: &Path) -> io::Result<()> {
    let path = wide(path);
    // SAFETY: the text ends with a zero and lives until the call returns; no target means removal.
    done(unsafe { MoveFileExW(path.as_ptr(), null(), MOVEFILE_DELAY_UNTIL_REBOOT) })
}

/// Gives a directory, and what comes to be in it, to the system, administrators and this account alone
/// (`SetFileSecurityW`).
pub fn close_to_others(dir: &Path, account: &str) -> io::Result<()> {
    let rights = wide(format!("D:P(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)(A;OICI;FA;;;{account})"));
    let mut descriptor: PSECURITY_DESCRIPTOR = null_mut();
    // SAFETY: the text ends with a zero; the descriptor is written before the call returns.
    done(unsafe {
        ConvertStringSecurityDescriptorToSecurityDescriptorW(
            rights.as_ptr(),
            SDDL_REVISION_1,
            &raw mut descriptor,
            null_mut(),
        )
    })?;
    let dir = wide(dir);
    // SAFETY: the text ends with a zero; the descriptor is the one that was just made, and is freed once.
    unsafe {
        let set = done(SetFileSecurityW(dir.as_ptr(), DACL_SECURITY_INFORMATION, descriptor));
        LocalFree(descriptor);
        set
    }
}

/// Whether an open file is one of a disk, and no pipe or device (`GetFileType`).
#[must_use]
pub fn is_on_disk(file: &File) -> bool {
    // SAFETY: the handle is open as long as the file is borrowed.
    unsafe { GetFileType(file.as_raw_handle()) == FILE_TYPE_DISK }
}

/// What names an open file on this system: its volume and its number there (`GetFileInformationByHandle`).
pub fn file_number(file: &File) -> io::Result<(u32, u64)> {
    // SAFETY: zeros are a value of this structure.
    let mut facts: BY_HANDLE_FILE_INFORMATION = unsafe { zeroed() };
    // SAFETY: the handle is open as long as the file is borrowed; the structure is ours.
    done(unsafe { GetFileInformationByHandle(file.as_raw_handle(), &raw mut facts) })?;
    Ok((facts.dwVolumeSerialNumber, u64::from(facts.nFileIndexHigh) << 32 | u64::from(facts.nFileIndexLow)))
}

/// The name of a file in the form of 8 and 3 characters, if it has another beside it (`FindFirstFileW`).
#[must_use]
pub fn short_name(path: &Path) -> Option<String> {
    // SAFETY: zeros are a value of this structure.
    let mut found: WIN32_FIND_DATAW = unsafe { zeroed() };
    let path = wide(path);
    // SAFETY: the text ends with a zero; the structure is ours; the search is closed once.
    unsafe {
        let search = FindFirstFileW(path.as_ptr(), &raw mut found);
        if search == windows_sys::Win32::Foundation::INVALID_HANDLE_VALUE {
            return None;
        }
        FindClose(search);
    }
    Some(narrow(&found.cAlternateFileName)).filter(|name| !name.is_empty())
}

/// Bytes that may still be written to the volume of a path (`GetDiskFreeSpaceExW`).
pub fn free_bytes(path: &Path) -> io::Result<u64> {
    let (path, mut free) = (wide(path), 0);
    // SAFETY: the text ends with a zero; what is not wanted may be null.
    done(unsafe { GetDiskFreeSpaceExW(path.as_ptr(), &raw mut free, null_mut(), null_mut()) })?;
    Ok(free)
}
