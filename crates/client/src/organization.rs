//! The caller and its organization. Source: reference/rest-api.md sections 5.4 and 7.1.

use crate::{Client, ClientError};
use muster_api_types::{OrgError, OrgErrors, Organization, Whoami};

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
    pub async fn organization(&self) -> Result<Organization, ClientError> {
        self.get(&["orgs", self.oid()], Vec::new()).await
    }
}
