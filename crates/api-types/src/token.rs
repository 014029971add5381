//! Tokens, and whose they are. Source: reference/rest-api.md section 5.

use crate::schema;
use muster_model::Oid;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A token in exchange for a key.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Token {
    /// To be sent as `Authorization: Bearer`.
    pub jwt: String,
}

/// Who calls, and what they may do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Whoami {
    /// A user.
    User {
        /// E-mail address.
        ident: String,
        /// Id of the user.
        uid: String,
        /// Permissions by organization.
        #[schemars(with = "BTreeMap<String, Vec<String>>")]
        user_perms: BTreeMap<Oid, Vec<String>>,
    },
    /// A key of an organization.
    Key {
        /// Name of the key.
        ident: String,
        /// Organizations in which it holds.
        #[schemars(with = "Vec<schema::Oid>")]
        orgs: Vec<Oid>,
        /// Permissions; none if the key is for no organization.
        perms: Option<Vec<String>>,
    },
}

/// What the root of the server answers: published clients call it for tokens and, with JSON, for replays.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum TokenOrReplay {
    /// Of a key.
    Token(Token),
    /// Of a rule.
    Replay(Box<crate::Replay>),
}
