//! The system itself.

use windows_sys::Win32::Storage::FileSystem::GetLogicalDrives;
use windows_sys::Win32::System::SystemInformation::{
    ComputerNamePhysicalDnsHostname, GetComputerNameExW, GetTickCount64,
};

use super::{done, narrow};

/// Longest name of a host, in UTF-16 units.
const NAME_UNITS_MAX: usize = 256;

/// Milliseconds since boot, suspension included (`GetTickCount64`).
#[must_use]
pub fn boot_ms() -> u64 {
    // SAFETY: the call takes nothing.
    unsafe { GetTickCount64() }
}

/// The name of the host (`GetComputerNameExW`); empty if it has none.
#[must_use]
pub fn host_name() -> String {
    let (mut units, mut length) = (vec![0_u16; NAME_UNITS_MAX], NAME_UNITS_MAX as u32);
    // SAFETY: the buffer has the length that is said.
    let named = unsafe { GetComputerNameExW(ComputerNamePhysicalDnsHostname, units.as_mut_ptr(), &raw mut length) };
    done(named).map(|()| narrow(&units)).unwrap_or_default()
}

/// The letters of the drives (`GetLogicalDrives`).
#[must_use]
pub fn drives() -> Vec<char> {
    // SAFETY: the call takes nothing.
    let bits = unsafe { GetLogicalDrives() };
    ('A'..='Z').enumerate().filter(|(at, _)| bits & (1 << at) != 0).map(|(_, letter)| letter).collect()
}
