//! Accounts, and what they may do.

use std::io;
use std::mem::{size_of, size_of_val};
use std::os::windows::io::{AsRawHandle as _, OwnedHandle};
use std::ptr::{null, null_mut};

use windows_sys::Win32::Foundation::{HANDLE, LocalFree};
use windows_sys::Win32::Security::Authorization::{ConvertSidToStringSidW, ConvertStringSidToSidW};
use windows_sys::Win32::Security::{
    GetTokenInformation, LookupAccountSidW, PSID, TOKEN_ELEVATION, TOKEN_INFORMATION_CLASS, TOKEN_QUERY, TOKEN_USER,
    TokenElevation, TokenUser,
};
use windows_sys::Win32::System::Threading::{GetCurrentProcess, OpenProcessToken};

use super::{done, narrow, owned, wide};

/// Longest name of an account or its domain, in UTF-16 units.
const NAME_UNITS_MAX: usize = 256;
/// What is asked about a token fits into so many units of 8 bytes: a pointer and a security identifier.
const FACTS_UNITS: usize = 16;

/// Whether this process may do what only administrators may.
#[must_use]
pub fn is_elevated() -> bool {
    // SAFETY: this process has a handle to itself that is never closed.
    let own = unsafe { GetCurrentProcess() };
    let facts = token(own).and_then(|token| about(&token, TokenElevation));
    // SAFETY: the call has written such a structure to the beginning.
    facts.is_ok_and(|facts| unsafe { (*facts.as_ptr().cast::<TOKEN_ELEVATION>()).TokenIsElevated != 0 })
}

/// The security identifier that this process runs as, as text.
pub fn own_account() -> io::Result<String> {
    // SAFETY: this process has a handle to itself that is never closed.
    account(unsafe { GetCurrentProcess() })
}

/// The security identifier that a process runs as, as text.
pub fn owner_of_process(process: &OwnedHandle) -> io::Result<String> {
    account(process.as_raw_handle())
}

/// The name of an account, with its domain (`LookupAccountSidW`).
#[must_use]
pub fn name_of_account(identifier: &str) -> Option<String> {
    let text = wide(identifier);
    let mut sid: PSID = null_mut();
    // SAFETY: the text ends with a zero; what is made is freed below, once.
    done(unsafe { ConvertStringSidToSidW(text.as_ptr(), &raw mut sid) }).ok()?;
    let (mut name, mut domain) = (vec![0_u16; NAME_UNITS_MAX], vec![0_u16; NAME_UNITS_MAX]);
    let (mut name_length, mut domain_length, mut kind) = (NAME_UNITS_MAX as u32, NAME_UNITS_MAX as u32, 0);
    // SAFETY: the identifier was just made; both buffers have the lengths that are said.
    let found = unsafe {
        let found = LookupAccountSidW(
            null(),
            sid,
            name.as_mut_ptr(),
            &raw mut name_length,
            domain.as_mut_ptr(),
            &raw mut domain_length,
            &raw mut kind,
        );
        LocalFree(sid);
        found
    };
    done(found).ok()?;
    let (name, domain) = (narrow(&name), narrow(&domain));
    Some(if domain.is_empty() { name } else { format!("{domain}\\{name}") })
}

fn account(process: HANDLE) -> io::Result<String> {
    let facts = about(&token(process)?, TokenUser)?;
    let mut text = null_mut();
    // SAFETY: the call has written such a structure to the beginning; what it points to lies in the same buffer.
    done(unsafe { ConvertSidToStringSidW((*facts.as_ptr().cast::<TOKEN_USER>()).User.Sid, &raw mut text) })?;
    // SAFETY: the text ends with a zero, and is freed once.
    let units = unsafe {
        let length = (0..NAME_UNITS_MAX).take_while(|at| *text.add(*at) != 0).count();
        let units = std::slice::from_raw_parts(text, length).to_vec();
        LocalFree(text.cast());
        units
    };
    Ok(narrow(&units))
}

fn token(process: HANDLE) -> io::Result<OwnedHandle> {
    let mut token = null_mut();
    // SAFETY: the handle is open; the token is written before the call returns.
    done(unsafe { OpenProcessToken(process, TOKEN_QUERY, &raw mut token) })?;
    owned(token)
}

fn about(token: &OwnedHandle, what: TOKEN_INFORMATION_CLASS) -> io::Result<Vec<u64>> {
    // Of units of 8 bytes, so that the structure at its beginning is aligned; on the heap, since that points into it.
    let mut facts = vec![0_u64; FACTS_UNITS];
    let (bytes, mut length) = (size_of_val(facts.as_slice()) as u32, 0);
    // SAFETY: the token is open; the buffer has the length that is said.
    done(unsafe {
        GetTokenInformation(token.as_raw_handle(), what, facts.as_mut_ptr().cast(), bytes, &raw mut length)
    })?;
    Ok(facts)
}

const _: () = assert!(size_of::<TOKEN_USER>() + 68 <= FACTS_UNITS * 8, "an identifier has 68 bytes at most");
