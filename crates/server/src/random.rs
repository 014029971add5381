//! Randomness of the server: always from the cryptographic generator.

use muster_model::Timestamp;
use uuid::Uuid;

/// Fills an array with random bytes.
///
/// # Panics
///
/// If the operating system gives no randomness, without which no secret is safe.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the one place")]
#[allow(clippy::expect_used, reason = "nothing goes without randomness")]
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).expect("the operating system gives randomness");
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
