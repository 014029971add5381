//! What services alone are asked for, and what waits for them. Source: reference/service-protocol.md sections 12 and 14.

use crate::{Client, ClientError};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use muster_api_types::{Deliveries, ServiceMetadata};
use reqwest::Method;
use serde_json::{Map, Value};

impl Client {
    /// Has a service asked how it is; gives what it says of itself.
    ///
    /// # Errors
    ///
    /// 502 with the reason if it is not well.
    pub async fn service_health(&self, name: &str) -> Result<ServiceMetadata, ClientError> {
        self.call(Method::POST, &["services", self.oid(), name, "health"], Vec::new(), Vec::new()).await
    }

    /// Asks a service for something, and gives its data; with `is_async`, gives the id of the message at once.
    ///
    /// # Errors
    ///
    /// 502 with the reason if the service does not do it.
    pub async fn request_service(
        &self,
        name: &str,
        data: &Map<String, Value>,
        is_async: bool,
    ) -> Result<Value, ClientError> {
        let packed = STANDARD.encode(Value::Object(data.clone()).to_string());
        let form = vec![("request_data", packed), ("is_async", is_async.to_string())];
        self.call(Method::POST, &["service", self.oid(), name], Vec::new(), form).await
    }

    /// Messages that wait for a service, or were given up.
    ///
    /// # Errors
    ///
    /// 404 if the organization sees none of this name.
    pub async fn service_deliveries(&self, name: &str, only_failed: bool) -> Result<Deliveries, ClientError> {
        let query = vec![("failed", only_failed.to_string())];
        self.get(&["services", self.oid(), name, "deliveries"], query).await
    }

    /// Has a message delivered again that was given up.
    ///
    /// # Errors
    ///
    /// 404 if no message of this id was given up.
    pub async fn redeliver(&self, mid: &str) -> Result<(), ClientError> {
        self.act(Method::POST, &["deliveries", self.oid(), mid], Vec::new()).await
    }
}
