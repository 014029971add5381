//! API keys and installation keys. Source: reference/rest-api.md section 7.3.

use crate::{Client, ClientError};
use muster_api_types::{ApiKey, ApiKeys, InstallationKey, InstallationKeys, NewApiKey, PutInstallationKey};
use reqwest::Method;
use std::collections::BTreeMap;

impl Client {
    /// API keys by their hash.
    ///
    /// # Errors
    ///
    /// Whatever the server says.
    pub async fn api_keys(&self) -> Result<BTreeMap<String, ApiKey>, ClientError> {
        Ok(self.get::<ApiKeys>(&["orgs", self.oid(), "keys"], Vec::new()).await?.api_keys)
    }

    /// Makes an API key with these permissions.
    ///
    /// # Errors
    ///
    /// 400 for an unknown permission; else whatever the server says.
    pub async fn create_api_key(
        &self,
        name: &str,
        permissions: &[String],
        allowed_ip_range: Option<&str>,
    ) -> Result<NewApiKey, ClientError> {
        let mut form = vec![("key_name", name.to_owned()), ("perms", permissions.join(","))];
        form.extend(allowed_ip_range.map(|range| ("allowed_ip_range", range.to_owned())));
        self.call(Method::POST, &["orgs", self.oid(), "keys"], Vec::new(), form).await
    }

    /// Deletes an API key; its tokens end with it.
    ///
    /// # Errors
    ///
    /// Whatever the server says.
    pub async fn delete_api_key(&self, key_hash: &str) -> Result<(), ClientError> {
        self.act(Method::DELETE, &["orgs", self.oid(), "keys"], vec![("key_hash", key_hash.to_owned())]).await
    }

    /// Installation keys by their id.
    ///
    /// # Errors
    ///
    /// Whatever the server says.
    pub async fn installation_keys(&self) -> Result<BTreeMap<String, InstallationKey>, ClientError> {
        let by_organization: InstallationKeys = self.get(&["installationkeys", self.oid()], Vec::new()).await?;
        Ok(by_organization.into_values().flatten().collect())
    }

    /// One installation key.
    ///
    /// # Errors
    ///
    /// 404 if there is none; else whatever the server says.
    pub async fn installation_key(&self, iid: &str) -> Result<InstallationKey, ClientError> {
        self.get(&["installationkeys", self.oid(), iid], Vec::new()).await
    }

    /// Makes an installation key.
    ///
    /// # Errors
    ///
    /// Whatever the server says.
    pub async fn create_installation_key(&self, desc: &str, tags: &[String]) -> Result<InstallationKey, ClientError> {
        let form = vec![("desc", desc.to_owned()), ("tags", tags.join(","))];
        let path = ["installationkeys", self.oid()];
        let created: PutInstallationKey = self.call(Method::POST, &path, Vec::new(), form).await?;
        self.installation_key(&created.iid.to_string()).await
    }

    /// Deletes an installation key; sensors that enrolled with it stay.
    ///
    /// # Errors
    ///
    /// Whatever the server says.
    pub async fn delete_installation_key(&self, iid: &str) -> Result<(), ClientError> {
        self.act(Method::DELETE, &["installationkeys", self.oid()], vec![("iid", iid.to_owned())]).await
    }
}
