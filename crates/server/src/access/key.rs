//! Records of keys and users.

use super::Error;
use crate::records::Kind;
use muster_model::{Oid, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// API keys of organizations, by the digest of the key.
pub const API_KEY: Kind<ApiKey> = Kind::new("api_key");
/// Users of the server, by e-mail address; owned by the server.
pub const USER: Kind<User> = Kind::new("user");
/// Passwords of users, by e-mail address; owned by the server.
pub const PASSWORD: Kind<Password> = Kind::new("password");
/// Keys of users, by the digest of the key; owned by the server.
pub const USER_KEY: Kind<UserKey> = Kind::new("user_key");
/// Installation keys of organizations, by iid.
pub const INSTALLATION_KEY: Kind<InstallationKeyRecord> = Kind::new("installation_key");

/// What is kept of a password.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Password {
    /// Random, hex.
    pub salt: String,
    /// Argon2id of the password, hex.
    pub hash: String,
    /// Memory in KiB with which it was made.
    pub memory_kib: u32,
    /// Passes with which it was made.
    pub passes: u32,
    /// When it was chosen.
    pub changed_at: Timestamp,
}

/// An API key of an organization.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ApiKey {
    /// For people.
    pub name: String,
    /// Permission names.
    pub permissions: Vec<String>,
    /// Who made it.
    pub by: String,
    /// When.
    pub created_at: Timestamp,
    /// CIDR from which it may be used; empty is anywhere.
    #[serde(default)]
    pub allowed_ip_range: String,
}

/// A user: permissions in each organization.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct User {
    /// Published user id.
    pub uid: String,
    /// Permission names by organization.
    pub organizations: BTreeMap<Oid, Vec<String>>,
}

/// A key of a user; it carries whatever the user may do in the organizations for which it was made.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct UserKey {
    /// E-mail address of the user.
    pub email: String,
    /// For people.
    pub name: String,
    /// When.
    pub created_at: Timestamp,
    /// Where it holds: the organization in which it was made, and those that were made with it.
    pub organizations: BTreeSet<Oid>,
}

/// An installation key.
#[derive(Clone, Serialize, Deserialize)]
pub struct InstallationKeyRecord {
    /// For people.
    pub description: String,
    /// Put on every sensor that enrols with it.
    pub tags: Vec<String>,
    /// When.
    pub created_at: Timestamp,
    /// Secret part, hex. It is handed out again with the key, so that operators can
    /// read the key at any time, as the published API lets them.
    pub secret: String,
    /// Sensors that may be enrolled with it at once; 0 is no limit but the organization's.
    #[serde(default)]
    pub quota: u32,
    /// Asked for by the client; kept and given back.
    #[serde(default)]
    pub use_public_root_ca: bool,
}

/// Keys with which log shippers upload artifacts, by name.
pub const INGESTION_KEY: Kind<IngestionKey> = Kind::new("ingestion_key");

/// A key of a log shipper. Source: reference/rest-api.md section 7.3.
#[derive(Clone, Serialize, Deserialize)]
pub struct IngestionKey {
    /// For people.
    pub name: String,
    /// A UUID; kept as it is, because the published API hands it out again.
    pub key: String,
}

/// Longest e-mail address, in bytes. Source: RFC 5321 section 4.5.3.1.
const EMAIL_BYTES_MAX: usize = 254;

/// An e-mail address in the form in which users are stored: in lower case, so that nobody is there twice.
///
/// # Errors
///
/// [`Error::Invalid`].
pub fn checked_email(text: Option<&str>) -> Result<String, Error> {
    let email = text.map(|text| text.trim().to_lowercase()).filter(|email| !email.is_empty());
    let email = email.ok_or_else(|| Error::Invalid("email is required".into()))?;
    let has_parts = email.split_once('@').is_some_and(|(name, host)| !name.is_empty() && !host.is_empty());
    if !has_parts || email.len() > EMAIL_BYTES_MAX || email.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(Error::Invalid("email is not an e-mail address".into()));
    }
    Ok(email)
}
