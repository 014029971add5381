//! Randomness of the server: on a machine always from the cryptographic generator.

use crate::nature;
use muster_model::Timestamp;
use uuid::Uuid;

/// An array of random bytes.
#[must_use]
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    nature::ask(|nature| nature.fill(&mut bytes));
    bytes
}

/// A random UUID (version 4).
#[must_use]
pub fn uuid() -> Uuid {
    uuid::Builder::from_random_bytes(bytes()).into_uuid()
}

/// A UUID that is greater than those of earlier milliseconds (version 7), else random: rows that come
/// together lie together in an index over it, instead of each on a page of its own.
#[must_use]
pub fn uuid_in_order(now: Timestamp) -> Uuid {
    let millis = u64::try_from(now.as_millis()).unwrap_or_default();
    uuid::Builder::from_unix_timestamp_millis(millis, &bytes()).into_uuid()
}

/// A random number.
#[must_use]
pub fn number() -> u64 {
    u64::from_le_bytes(bytes())
}
