//! Outputs: where streams are sent. Source: reference/rest-api.md section 7.6.

use crate::{Client, ClientError};
use muster_api_types::{Output, Outputs};
use reqwest::Method;
use std::collections::BTreeMap;

impl Client {
    /// Outputs by their name.
    ///
    /// # Errors
    ///
    /// Whatever the server says.
    pub async fn outputs(&self) -> Result<BTreeMap<String, Output>, ClientError> {
        let by: Outputs = self.get(&["outputs", self.oid()], Vec::new()).await?;
        Ok(by.into_values().flatten().collect())
    }

    /// Makes or replaces an output.
    ///
    /// # Errors
    ///
    /// 400 naming the setting that is wrong; else whatever the server says.
    pub async fn create_output(
        &self,
        name: &str,
        module: &str,
        stream: &str,
        settings: &[(String, String)],
    ) -> Result<Output, ClientError> {
        let mut form = vec![("name", name.to_owned()), ("module", module.to_owned()), ("type", stream.to_owned())];
        form.extend(settings.iter().map(|(name, value)| (name.as_str(), value.clone())));
        self.call(Method::POST, &["outputs", self.oid()], Vec::new(), form).await
    }

    /// Deletes an output, with what it has not sent yet.
    ///
    /// # Errors
    ///
    /// Whatever the server says.
    pub async fn delete_output(&self, name: &str) -> Result<(), ClientError> {
        self.act(Method::DELETE, &["outputs", self.oid()], vec![("name", name.to_owned())]).await
    }
}
