//! Who may do what: keys, tokens, permissions.
//!
//! A client exchanges an API key for a short token; the token carries the
//! organizations and permissions. Secrets are stored as HMAC-SHA-256 under a key
//! of this server ([`Secrets`]): API keys have 122 bits of entropy, so a slow hash would only
//! help who wants to keep the server busy.
//!
//! Source: reference/rest-api.md section 5.

mod error;
mod flair;
mod grant;
mod installation;
mod key;
mod permission;
mod secrets;
mod token;
mod verified;

pub use error::Error;
pub use flair::{BULK_CALLS, Flair, Reach, Sight, with_flair, without_flair};
pub use grant::{Without, require_grantable, require_keeper};
pub use installation::{INSTALLATION_KEYS_MAX, check_installation_key, fresh_installation_key};
pub use key::{
    API_KEY, ApiKey, INGESTION_KEY, INSTALLATION_KEY, IngestionKey, InstallationKeyRecord, PASSWORD, Password, USER,
    USER_KEY, User, UserKey, checked_email,
};
pub use muster_model::to_hex;
pub use permission::{PERMISSIONS, is_known_permission, role_permissions};
pub use secrets::{Rotated, Secrets};
use token::TOKEN_TTL_S_MAX;
pub use token::{Caller, Claims, Exchange, Refused, Scope, TOKEN_TTL_S, owner_permissions};

/// Reads hex; `None` if it is none.
#[must_use]
pub fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pairs = text.as_bytes().chunks(2);
    pairs.map(|pair| Some(digit(*pair.first()?)? << 4 | digit(*pair.get(1)?)?)).collect()
}
