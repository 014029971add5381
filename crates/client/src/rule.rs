//! Rules by the older endpoint, which services use. Source: reference/service-protocol.md section 15.

use crate::{Client, ClientError};
use muster_api_types::Rules;
use reqwest::Method;
use serde_json::Value;

impl Client {
    /// Rules of a namespace (`general`, `managed`, `service`) by name, each with `detect` and `respond`.
    ///
    /// # Errors
    ///
    /// 401 `missing_permission` if the token may not list them.
    pub async fn rules(&self, namespace: &str) -> Result<Rules, ClientError> {
        self.get(&["rules", self.oid()], vec![("namespace", namespace.to_owned())]).await
    }

    /// Creates or replaces a rule, which is in force at once.
    ///
    /// # Errors
    ///
    /// 400 saying what is wrong with it.
    pub async fn set_rule(
        &self,
        namespace: &str,
        name: &str,
        detect: &Value,
        respond: &Value,
    ) -> Result<(), ClientError> {
        let form = vec![
            ("name", name.to_owned()),
            ("is_replace", "true".to_owned()),
            ("is_enabled", "true".to_owned()),
            ("namespace", namespace.to_owned()),
            ("detection", detect.to_string()),
            ("response", respond.to_string()),
        ];
        self.act(Method::POST, &["rules", self.oid()], form).await
    }

    /// Deletes a rule.
    ///
    /// # Errors
    ///
    /// 404 if there is none of that name.
    pub async fn delete_rule(&self, namespace: &str, name: &str) -> Result<(), ClientError> {
        let form = vec![("name", name.to_owned()), ("namespace", namespace.to_owned())];
        self.act(Method::DELETE, &["rules", self.oid()], form).await
    }
}
