//! Who this sensor is: its installation key, its own key pair, its id.
//!
//! The key pair is made and stored before the first enrolment, so that a sensor
//! whose enrolment answer was lost comes back with the same public key.

use std::io;
use std::path::Path;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use muster_model::{Oid, Sid};
use muster_wire::{Claim, Enrol, InstallationKey, Resume, proof_bytes};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::state_dir::{read_optional, write_atomically};

/// Name of the file in the state directory.
pub const FILE: &str = "identity.json";
/// Name of the file that holds the key of an installed sensor, which enrols with it once.
pub const KEY_FILE: &str = "installation_key";

/// The sensor's identity.
pub struct Identity {
    key: InstallationKey,
    sid: Option<Sid>,
    pair: Ed25519KeyPair,
    pkcs8: Vec<u8>,
    /// It enrols with the id that it has: the server does not know it.
    reclaims: bool,
}

/// Why there is no identity.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// Nothing is stored and no key was given.
    #[error("this sensor is not enrolled: give it an installation key with --key")]
    NoKey,
    /// The stored identity cannot be read.
    #[error("the stored identity is damaged: remove {FILE} from the state directory to enrol anew")]
    Damaged,
    /// The file system refused.
    #[error("the identity cannot be read")]
    Io(#[from] io::Error),
}

#[derive(Serialize, Deserialize)]
struct Stored {
    key: String,
    sid: Option<Sid>,
    private_key: String,
}

/// Whether the stored identity, if there is one, has an id.
#[must_use]
pub fn is_enrolled(path: &Path) -> bool {
    let stored = read_optional(path).ok().flatten().and_then(|bytes| serde_json::from_slice::<Stored>(&bytes).ok());
    stored.is_some_and(|stored| stored.sid.is_some())
}

impl Identity {
    /// Reads the stored identity, or makes one from the key. A stored identity
    /// wins over the key, except that a key of the same organization and
    /// authority may bring a new address of the server.
    ///
    /// # Errors
    ///
    /// Any [`IdentityError`].
    pub fn load(path: &Path, key: Option<InstallationKey>) -> Result<Self, IdentityError> {
        let Some(bytes) = read_optional(path)? else {
            return Self::make(key.ok_or(IdentityError::NoKey)?, path);
        };
        let stored: Stored = serde_json::from_slice(&bytes).map_err(|_| IdentityError::Damaged)?;
        let pkcs8 = STANDARD.decode(&stored.private_key).map_err(|_| IdentityError::Damaged)?;
        let pair = Ed25519KeyPair::from_pkcs8(&pkcs8).map_err(|_| IdentityError::Damaged)?;
        let old = InstallationKey::from_text(&stored.key).map_err(|_| IdentityError::Damaged)?;
        let mut identity = Self { key: old, sid: stored.sid, pair, pkcs8, reclaims: false };
        if let Some(key) = key.filter(|key| *key != identity.key) {
            let is_same_server = key.oid == identity.key.oid && key.ca_der == identity.key.ca_der;
            if is_same_server || identity.sid.is_none() {
                identity.key = key;
                identity.save(path);
            } else {
                tracing::warn!("this sensor is enrolled elsewhere; the key it was started with is ignored");
            }
        }
        Ok(identity)
    }

    fn make(key: InstallationKey, path: &Path) -> Result<Self, IdentityError> {
        let pair = Ed25519KeyPair::generate().map_err(|_| io::Error::other("no randomness"))?;
        let pkcs8 = pair.to_pkcs8().map_err(|_| io::Error::other("the key pair cannot be encoded"))?.as_ref().to_vec();
        let identity = Self { key, sid: None, pair, pkcs8, reclaims: false };
        identity.save(path);
        Ok(identity)
    }

    fn save(&self, path: &Path) {
        let stored = Stored { key: self.key.to_text(), sid: self.sid, private_key: STANDARD.encode(&self.pkcs8) };
        let written =
            serde_json::to_vec(&stored).map_err(io::Error::other).and_then(|bytes| write_atomically(path, &bytes));
        if let Err(error) = written {
            // Source: reference/sensor.md section 2.
            tracing::error!(%error, "the identity cannot be stored; it lives in memory only and is lost at the next restart");
        }
    }

    /// Takes the id that the server gave, and stores it.
    pub fn enrolled(&mut self, sid: Sid, path: &Path) {
        (self.sid, self.reclaims) = (Some(sid), false);
        self.save(path);
    }

    /// The server does not know this sensor, as one that was restored from an older backup: the next claim asks for
    /// the same id again. Tells whether there is such a claim to make; it was made already if not.
    pub fn reclaim(&mut self) -> bool {
        self.reclaims = !self.reclaims && self.sid.is_some();
        self.reclaims
    }

    /// Key that this sensor enrolled with.
    #[must_use]
    pub fn key(&self) -> &InstallationKey {
        &self.key
    }

    /// Organization.
    #[must_use]
    pub fn oid(&self) -> Oid {
        self.key.oid
    }

    /// `None` before enrolment.
    #[must_use]
    pub fn sid(&self) -> Option<Sid> {
        self.sid
    }

    /// What to say to a challenge.
    #[must_use]
    pub fn claim(&self, nonce: &[u8], fingerprint: &str) -> Claim {
        let bytes = |id: Uuid| id.as_bytes().to_vec();
        match self.sid.filter(|_| !self.reclaims) {
            None => Claim::Enrol(Enrol {
                oid: bytes(self.key.oid.0),
                iid: bytes(self.key.iid.0),
                secret: self.key.secret.clone(),
                public_key: self.pair.public_key().as_ref().to_vec(),
                fingerprint: fingerprint.to_owned(),
                sid: self.sid.map(|sid| bytes(sid.0)).unwrap_or_default(),
            }),
            Some(sid) => Claim::Resume(Resume {
                oid: bytes(self.key.oid.0),
                sid: bytes(sid.0),
                signature: self.pair.sign(&proof_bytes(nonce, self.key.oid, sid)).as_ref().to_vec(),
            }),
        }
    }
}
