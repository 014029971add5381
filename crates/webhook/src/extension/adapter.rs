//! Names around the sensor by which an extension feeds events into an organization.
//!
//! Source: reference/extension-protocol.md section 11.

use muster_model::{Oid, to_hex};
use sha2::{Digest as _, Sha256};

/// Tag of everything that belongs to an extension.
#[must_use]
pub fn adapter_tag(extension: &str) -> String {
    format!("ext:{extension}")
}

/// Secret part of the address to which an extension posts its events.
#[must_use]
pub fn hook_secret(shared_secret: &str, oid: Oid) -> String {
    to_hex(&Sha256::digest(format!("{shared_secret}{oid}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checklist_19_2_15_the_published_hook_secret_is_reproduced() {
        let oid = "8cbe27f4-bfa1-4afb-ba19-138cd51389cd".parse().expect("a UUID");
        let secret = hook_secret("extension-secret-0123456789abcdef", oid);
        assert_eq!(secret, "cbe384abe5d0b39da857be62a4cde0a7a0fe86193c6ce9df9cce4527b43b2b7f");
        assert_eq!(adapter_tag("scan"), "ext:scan");
    }
}
