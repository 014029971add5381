//! Sealing: secrets are not in the clear in the database, nor in a backup of it.
//!
//! AES-256-GCM with random nonces; what is sealed is bound to its place, so that it opens nowhere else.
//! Sealed text is `sealed1:` and, in base64, the nonce and what it seals.

use crate::row::Record;
use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::fmt;
use std::sync::Arc;

/// Bytes of a key.
pub const SEAL_KEY_BYTES: usize = 32;

/// Begins everything that is sealed; the number is that of the form.
const PREFIX: &str = "sealed1:";

/// Bytes that name a key without telling it.
const NAME_BYTES: usize = 8;

/// What stands in the place of a record that cannot be opened: it is no JSON, so that it is set aside as damaged.
const CLOSED: &str = "sealed by another key, or changed by others";

/// A key that seals and opens. It prints its name alone.
#[derive(Clone)]
pub struct Seal {
    key: Arc<RandomizedNonceKey>,
    name: [u8; NAME_BYTES],
}

impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Seal({})", self.name())
    }
}

impl Seal {
    /// Of these bytes; `None` unless they are [`SEAL_KEY_BYTES`].
    #[must_use]
    pub fn of_bytes(bytes: &[u8]) -> Option<Self> {
        let key = RandomizedNonceKey::new(&AES_256_GCM, bytes).ok()?;
        let told = digest(&SHA256, &[b"name of a sealing key ".as_slice(), bytes].concat());
        Some(Self { key: Arc::new(key), name: *told.as_ref().first_chunk()? })
    }

    /// Of a text that is the key in base64; what stands around it does not count.
    #[must_use]
    pub fn of_text(text: &str) -> Option<Self> {
        Self::of_bytes(&STANDARD.decode(text.trim()).ok()?)
    }

    /// Its name, hex: the same key has the same name, and nobody learns the key from it.
    #[must_use]
    pub fn name(&self) -> String {
        self.name.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Seals a text for a place.
    ///
    /// # Panics
    ///
    /// If the operating system gives no randomness, without which nothing is sealed.
    #[must_use]
    pub fn seal(&self, place: &str, text: &str) -> String {
        let mut sealed = text.as_bytes().to_vec();
        let nonce = self.key.seal_in_place_append_tag(Aad::from(place), &mut sealed);
        let nonce = nonce.expect("the operating system gives randomness, and no text has 64 GiB");
        let mut bytes = nonce.as_ref().to_vec();
        bytes.append(&mut sealed);
        format!("{PREFIX}{}", STANDARD.encode(bytes))
    }

    /// Opens what was sealed for this place; `None` if it was sealed by another key or for another place, was changed,
    /// or is not sealed.
    #[must_use]
    pub fn open(&self, place: &str, sealed: &str) -> Option<String> {
        let mut bytes = STANDARD.decode(sealed.strip_prefix(PREFIX)?).ok()?;
        let (nonce, sealed) = bytes.split_at_mut_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let text = self.key.open_in_place(nonce, Aad::from(place), sealed).ok()?;
        String::from_utf8(text.to_vec()).ok()
    }

    /// The body of a record as it is stored.
    pub(crate) fn seal_record(&self, record: &Record) -> String {
        self.seal(&place_of(record), &record.body)
    }

    /// A stored record as it was written.
    pub(crate) fn opened(&self, record: Record) -> Record {
        let body = self.open(&place_of(&record), &record.body).unwrap_or_else(|| CLOSED.to_owned());
        Record { body, ..record }
    }
}

/// Whether a text is sealed.
#[must_use]
pub fn is_sealed(text: &str) -> bool {
    text.starts_with(PREFIX)
}

/// Kinds hold no space, so that no two records share a place.
fn place_of(record: &Record) -> String {
    format!("record {} {} {}", record.oid, record.kind, record.key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_with_its_key_at_its_place_alone() {
        let (mine, other) = (Seal::of_bytes(&[1; 32]).unwrap(), Seal::of_bytes(&[2; 32]).unwrap());
        let sealed = mine.seal("here", "a secret");
        assert!(is_sealed(&sealed) && !sealed.contains("secret"));
        assert_ne!(sealed, mine.seal("here", "a secret"), "equal texts do not look equal");
        assert_eq!(mine.open("here", &sealed).as_deref(), Some("a secret"));
        assert_eq!((mine.open("there", &sealed), other.open("here", &sealed)), (None, None));
        for cut in 0..sealed.len() {
            assert_eq!(mine.open("here", &sealed[..cut]), None);
        }
        assert_eq!(mine.open("here", "a secret"), None, "what is not sealed was put there by others");
        assert_ne!(mine.name(), other.name());
        assert!(Seal::of_bytes(&[1; 31]).is_none() && Seal::of_text("no key").is_none());
    }
}
