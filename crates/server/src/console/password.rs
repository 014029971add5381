//! Passwords: Argon2id, off the runtime.

use super::Console;
use super::Error;
use crate::access::{PASSWORD, Password, to_hex};
use crate::records::{Batch, SERVER};
use crate::{clock, random};
use argon2::{Algorithm, Argon2, Params, Version};
use muster_store::{Expect, StoreError};
use std::sync::Arc;
use subtle::ConstantTimeEq as _;

/// Memory of one hash in KiB, and passes over it: the second choice of RFC 9106 is for machines with less
/// memory than a server has to spare for tries of strangers, so this is the smaller set that OWASP names.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;

/// Length of a hash, in bytes.
const HASH_BYTES: usize = 32;

/// Fewest characters of a password: NIST SP 800-63B-4 asks for 15 where it is the only factor; the tries are limited here.
pub(super) const CHARACTERS_MIN: usize = 12;

/// Longest password, in bytes: more is no password, but work for the server.
pub(super) const BYTES_MAX: usize = 1_024;

/// Whether this is the password of this user. Takes as long for a user that does not exist.
///
/// # Errors
///
/// [`Error::Fault`] if the server cannot hash.
pub async fn is_right(console: &Arc<Console>, email: &str, password: &str) -> Result<bool, Error> {
    let stored = console.records.get(SERVER, PASSWORD, email);
    let (memory_kib, passes) =
        stored.as_ref().map_or((MEMORY_KIB, PASSES), |stored| (stored.memory_kib, stored.passes));
    let salt = stored.as_ref().map_or_else(|| to_hex(&random::bytes::<16>()), |stored| stored.salt.clone());
    let hash = hashed(console, password, salt, memory_kib, passes).await?;
    let is_right = stored.is_some_and(|stored| bool::from(stored.hash.as_bytes().ct_eq(hash.as_bytes())));
    Ok(is_right && password.len() <= BYTES_MAX)
}

/// A fresh record of a password.
///
/// # Errors
///
/// [`Error::WeakPassword`] if it is too short or too long.
pub async fn fresh(console: &Arc<Console>, password: &str) -> Result<Password, Error> {
    if password.chars().count() < CHARACTERS_MIN || password.len() > BYTES_MAX {
        return Err(Error::WeakPassword);
    }
    let salt = to_hex(&random::bytes::<16>());
    let hash = hashed(console, password, salt.clone(), MEMORY_KIB, PASSES).await?;
    Ok(Password { salt, hash, memory_kib: MEMORY_KIB, passes: PASSES, changed_at: clock::now() })
}

/// Changes the password of a user who knows the present one; ends all their sessions but `keep`.
///
/// # Errors
///
/// [`Error::WrongPassword`], [`Error::TooManyTries`], or [`Error::WeakPassword`] for a bad new one.
pub async fn change(
    console: &Arc<Console>,
    email: &str,
    (present, new): (&str, &str),
    keep: &str,
    source: Option<std::net::IpAddr>,
) -> Result<(), Error> {
    console.tries.begin(email, source, clock::now())?;
    if !is_right(console, email, present).await? {
        return Err(Error::WrongPassword);
    }
    console.tries.forgive(email, source);
    let password = fresh(console, new).await?;
    let decide = || {
        let beside = super::audit_of(console, email, source, "password changed", "change_password", clock::now());
        let batch = Batch::beside(beside).put(SERVER, PASSWORD, email, &password, Expect::Any)?;
        Ok::<_, StoreError>(super::session::without(console, batch, email, Some(keep)))
    };
    Ok(console.records.change(&[SERVER], decide).await?)
}

async fn hashed(
    console: &Arc<Console>,
    password: &str,
    salt: String,
    memory_kib: u32,
    passes: u32,
) -> Result<String, Error> {
    // Queued in the order of arrival; the tries per address bound the queue.
    let permit = Arc::clone(&console.hashers).acquire_owned().await;
    let password: Vec<u8> = password.bytes().take(BYTES_MAX).collect();
    let hashing = tokio::task::spawn_blocking(move || {
        let _permit = permit;
        let params = Params::new(memory_kib, passes, 1, Some(HASH_BYTES)).map_err(|error| error.to_string())?;
        let mut hash = [0; HASH_BYTES];
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(&password, salt.as_bytes(), &mut hash)
            .map_err(|error| error.to_string())?;
        Ok::<_, String>(to_hex(&hash))
    });
    hashing.await.map_err(|error| Error::Fault(error.to_string()))?.map_err(Error::Fault)
}
