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

/// Something that went wrong when nobody was there to be told.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OrgError {
    /// Of what: `outputs/NAME`, `sensors/SID`, `strangers` …
    pub component: String,
    /// What, and what to do.
    pub error: String,
    /// When it last did: Unix seconds.
    #[serde(default)]
    pub ts: i64,
}

#[derive(Deserialize)]
struct OrgErrors {
    errors: Vec<OrgError>,
}

impl Client {
    /// The last error of each component of the organization.
    ///
    /// # Errors
    ///
    /// Whatever the server says.
    pub async fn organization_errors(&self) -> Result<Vec<OrgError>, ClientError> {
        Ok(self.get::<OrgErrors>(&["errors", self.oid()], Vec::new()).await?.errors)
    }

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
