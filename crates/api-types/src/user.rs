//! Users of organizations, and their sessions in the console. Source: reference/rest-api.md section 7.4,
//! reference/console.md sections 7 and 8.

use crate::{Role, schema};
use muster_model::Oid;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// Users of an organization.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Users {
    /// E-mail addresses.
    pub users: Vec<String>,
}

/// Users of an organization with their permissions there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UserPermissions {
    /// E-mail addresses.
    pub direct_users: Vec<String>,
    /// Always empty: there are no groups.
    #[schemars(with = "schema::Open")]
    pub from_groups: BTreeMap<String, Value>,
    /// Always empty: there are no groups.
    #[schemars(with = "schema::Open")]
    pub group_info: BTreeMap<String, Value>,
    /// What each role that can be given may do.
    pub roles: BTreeMap<String, Vec<String>>,
    /// Permissions by e-mail address.
    pub user_permissions: BTreeMap<String, Vec<String>>,
}

/// A role that was given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RoleGiven {
    /// What the user may do now.
    pub permissions: Vec<String>,
    /// The role.
    pub role: Role,
    /// Always true.
    pub success: bool,
}

/// Somebody signed in to the console; the cookie comes beside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SignedIn {
    /// E-mail address.
    pub user: String,
}

/// What a one-time link is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LinkPurpose {
    /// To become a user.
    NewUser,
    /// To choose a password.
    Password,
    /// To sign in.
    SignIn,
}

impl LinkPurpose {
    /// As on the wire.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::NewUser => "new-user",
            Self::Password => "password",
            Self::SignIn => "sign-in",
        }
    }
}

/// A one-time link that somebody has opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Link {
    /// Until when it can be used.
    #[schemars(with = "schema::UnixSeconds")]
    pub expires: i64,
    /// What for.
    pub purpose: LinkPurpose,
    /// Whom it is for; empty for a new user.
    pub user: String,
}

/// A one-time link that was made. It is shown this once.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NewLink {
    /// Until when it can be used.
    #[schemars(with = "schema::UnixSeconds")]
    pub expires: i64,
    /// What the link holds after `#once=`.
    pub once: String,
    /// Path and fragment below the address of the server.
    pub path: String,
    /// What for.
    pub purpose: LinkPurpose,
    /// Whom it is for; empty for a new user.
    pub user: String,
}

/// Who the caller is, and what they may do where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Session {
    /// Organizations of the caller.
    pub organizations: Vec<SessionOrganization>,
    /// Now.
    #[schemars(with = "schema::UnixMilliseconds")]
    pub time: i64,
    /// E-mail address, or name of the key.
    pub user: String,
    /// Version of the server.
    pub version: String,
}

/// An organization of the caller.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SessionOrganization {
    /// For people.
    pub name: String,
    /// Its id.
    #[schemars(with = "schema::Oid")]
    pub oid: Oid,
    /// What the caller may do there.
    pub permissions: Vec<String>,
}

/// Sessions of the caller.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OwnSessions {
    /// Those that have not ended.
    pub sessions: Vec<OwnSession>,
}

/// A session of the caller.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OwnSession {
    /// Browser, as it calls itself.
    pub agent: String,
    /// When it began.
    #[schemars(with = "schema::UnixSeconds")]
    pub created: i64,
    /// Its id.
    pub id: String,
    /// Whether it is that of this call.
    pub is_this: bool,
    /// When it was used last.
    #[schemars(with = "schema::UnixSeconds")]
    pub seen: i64,
    /// Address from which it began.
    pub source: Option<String>,
}

/// Users who have a password.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UsersWithPassword {
    /// E-mail addresses.
    pub can_sign_in: Vec<String>,
}
