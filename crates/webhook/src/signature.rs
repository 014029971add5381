//! The signature of a message: lower-case hexadecimal HMAC-SHA256 under the shared secret.
//!
//! Source: reference/service-protocol.md section 3, reference/extension-protocol.md section 3.

use hmac::{Hmac, KeyInit as _, Mac as _};
use muster_model::to_hex;
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

/// Header of the service protocol: signs the exact bytes of the body.
pub const SERVICE_HEADER: &str = "lc-svc-sig";

/// Header of the extension protocol: signs the JSON text, also where the body carries it compressed.
pub const EXTENSION_HEADER: &str = "lc-ext-sig";

/// The signature of a text under a secret. An empty secret is a key like any other.
#[must_use]
pub fn sign(secret: &str, text: &[u8]) -> String {
    let mut incremental = Incremental::new(secret);
    incremental.update(text);
    incremental.finish()
}

/// Whether a signature is that of a text under a secret; takes equally long wherever they differ.
///
/// Upper-case digits are refused: no sender writes them, and the frameworks in use refuse them too.
#[must_use]
pub fn is_signed(secret: &str, text: &[u8], signature: &str) -> bool {
    let mut incremental = Incremental::new(secret);
    incremental.update(text);
    incremental.is_signed(signature)
}

/// A signature over a text that comes in pieces.
#[derive(Clone)]
pub struct Incremental(Hmac<Sha256>);

impl std::fmt::Debug for Incremental {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Incremental")
    }
}

impl Incremental {
    /// Begins.
    ///
    /// # Panics
    ///
    /// Never: a key of any length will do.
    #[must_use]
    #[allow(clippy::expect_used, reason = "it cannot happen, and the type cannot say so")]
    pub fn new(secret: &str) -> Self {
        Self(Hmac::new_from_slice(secret.as_bytes()).expect("a key of any length will do"))
    }

    /// The next piece of the text.
    pub fn update(&mut self, piece: &[u8]) {
        self.0.update(piece);
    }

    /// Whether this is the signature of all pieces; takes equally long wherever it differs.
    #[must_use]
    pub fn is_signed(self, signature: &str) -> bool {
        self.finish().as_bytes().ct_eq(signature.as_bytes()).into()
    }

    fn finish(self) -> String {
        to_hex(&self.0.finalize().into_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &[u8] = br#"{"etype":"health"}"#;

    /// Source: reference/service-protocol.md section 3.3, vector S3.
    #[test]
    fn the_published_vector_is_reproduced_with_and_without_a_secret() {
        let signature = sign("shared-secret-123", TEXT);
        assert_eq!(signature, "e44c3918720267b79f29470b4666edf4c4fc94acb23cca22341d142b410f87ce");
        assert_eq!(sign("", TEXT), "dc0f356fd256f8ae6cc5020505bf23ff0ff79aec3e6365f26123c18fd24b393e");
    }

    #[test]
    fn a_signature_holds_for_its_text_and_secret_only() {
        let signature = sign("a", TEXT);
        assert!(is_signed("a", TEXT, &signature));
        assert!(!is_signed("b", TEXT, &signature), "another secret");
        assert!(!is_signed("a", b"{}", &signature), "another text");
        assert!(!is_signed("a", TEXT, &signature.to_uppercase()), "upper-case digits");
        assert!(!is_signed("a", TEXT, &signature[..63]), "a shorter one");
        assert!(!is_signed("a", TEXT, ""), "none");
    }

    #[test]
    fn pieces_are_signed_like_the_whole() {
        let mut incremental = Incremental::new("a");
        TEXT.chunks(5).for_each(|piece| incremental.update(piece));
        assert!(incremental.is_signed(&sign("a", TEXT)));
    }
}
