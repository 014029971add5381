//! Installation keys: what may be written on one, and a fresh one. Source: reference/sensor.md section 2.

use super::{Error, InstallationKeyRecord, to_hex};
use crate::names;
use crate::{clock, random};

/// Installation keys of one organization.
pub const INSTALLATION_KEYS_MAX: usize = 1_000;

/// Longest description, in bytes.
const DESCRIPTION_BYTES_MAX: usize = 1_024;

/// Checks what a client says of a key.
///
/// # Errors
///
/// [`Error::Invalid`] or [`Error::Tags`].
pub fn check_installation_key(description: &str, tags: &[&str]) -> Result<(), Error> {
    if description.len() > DESCRIPTION_BYTES_MAX {
        return Err(Error::Invalid(format!("desc must be at most {DESCRIPTION_BYTES_MAX} bytes")));
    }
    Ok(names::check_tags(tags)?)
}

/// A key that nobody has described yet.
#[must_use]
pub fn fresh_installation_key() -> InstallationKeyRecord {
    let secret: [u8; 32] = random::bytes();
    InstallationKeyRecord {
        description: String::new(),
        tags: Vec::new(),
        created_at: clock::now(),
        secret: to_hex(&secret),
        quota: 0,
        use_public_root_ca: false,
    }
}
