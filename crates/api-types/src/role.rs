//! Roles: names of lists of permissions. Source: reference/rest-api.md section 7.4.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// What someone is in an organization; each role may do what those before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum Role {
    /// Sees the organization and its sensors.
    Basic,
    /// Sees what happens, and no secrets.
    Viewer,
    /// Works with endpoints, rules and what they need.
    Operator,
    /// Sets the organization up, and says who may do what in it.
    Administrator,
    /// Everything.
    Owner,
}

/// A word that is no role; the text says which ones there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownRole(String);

impl fmt::Display for UnknownRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unknown role: {}; one of {}", self.0, Role::ALL.map(Role::name).join(", "))
    }
}

impl std::error::Error for UnknownRole {}

impl Role {
    /// All roles, from the one that may do most.
    pub const ALL: [Self; 5] = [Self::Owner, Self::Administrator, Self::Operator, Self::Viewer, Self::Basic];

    /// As on the wire, in the same order.
    pub const NAMES: &'static [&'static str] = &["Owner", "Administrator", "Operator", "Viewer", "Basic"];

    /// As on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Basic => "Basic",
            Self::Viewer => "Viewer",
            Self::Operator => "Operator",
            Self::Administrator => "Administrator",
            Self::Owner => "Owner",
        }
    }
}

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(name: &str) -> Result<Self, UnknownRole> {
        Self::ALL.into_iter().find(|role| role.name() == name).ok_or_else(|| UnknownRole(name.to_owned()))
    }
}
