//! The caller and its organization. Source: reference/rest-api.md sections 5.4 and 7.1.

use crate::{Client, ClientError, Rest};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Who a token belongs to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Whoami {
    /// Name of the key, or e-mail address of the user.
    #[serde(default)]
    pub ident: String,
    /// Everything else: `orgs` and `perms` of a key, `user_perms` of a user.
    #[serde(flatten)]
    pub rest: Rest,
}

impl Client {
    /// Who calls, and what it may do.
    ///
    /// # Errors
    ///
    /// Whatever the server says.
    pub async fn whoami(&self) -> Result<Whoami, ClientError> {
        self.get(&["who"], Vec::new()).await
    }

    /// The organization, as the server describes it.
    ///
    /// # Errors
    ///
    /// Whatever the server says.
    pub async fn organization(&self) -> Result<Value, ClientError> {
        self.get(&["orgs", self.oid()], Vec::new()).await
    }
}
