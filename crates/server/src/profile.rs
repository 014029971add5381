//! What is stored of an organization itself.

use crate::records::{Kind, SERVER};
use muster_model::{Oid, Timestamp};
use serde::{Deserialize, Serialize};

/// Organizations, by oid; owned by the server.
pub const ORGANIZATION: Kind<Profile> = Kind::new("organization");

/// Where organization records are kept.
pub const ORGANIZATION_OWNER: Oid = SERVER;

/// What is stored of an organization.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Profile {
    /// For people.
    pub name: String,
    /// When.
    pub created_at: Timestamp,
    /// Online sensors allowed; 0 is as many as the server allows.
    #[serde(default)]
    pub sensor_quota: u32,
}
