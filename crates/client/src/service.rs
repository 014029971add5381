//! What services alone are asked for, and what waits for them. Source: reference/service-protocol.md sections 12 and 14.

use crate::{Client, ClientError, Rest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A message that waits for a service, or that was given up.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ServiceDelivery {
    /// Its id, the same at every try.
    pub mid: String,
    /// What it is about.
    pub etype: String,
    /// Since when it waits, in seconds since 1970.
    pub since: i64,
    /// Tries that ended.
    pub tries: u32,
    /// Whether it was given up.
    pub is_failed: bool,
    /// What the last try ended with.
    pub error: String,
    /// All else.
    #[serde(flatten)]
    pub rest: Rest,
}

/// Messages to one service.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ServiceDeliveries {
    /// Those that were given up first, then those that wait, oldest first.
    pub deliveries: Vec<ServiceDelivery>,
    /// Messages that were dropped since the server started, because too many waited.
    pub dropped: u64,
}

impl Client {
    /// Has a service asked how it is; gives what it says of itself.
    ///
    /// # Errors
    ///
    /// 502 with the reason if it is not well.
    pub async fn service_health(&self, name: &str) -> Result<Value, ClientError> {
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
    pub async fn service_deliveries(&self, name: &str, only_failed: bool) -> Result<ServiceDeliveries, ClientError> {
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
