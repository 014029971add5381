//! Services of others: registered, subscribed to, asked. Source: reference/service-protocol.md sections 12 and 14.

use crate::{Client, ClientError, Rest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// A service that an organization sees.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RegisteredService {
    /// Its name.
    pub name: String,
    /// Whether the organization is subscribed.
    #[serde(default)]
    pub is_subscribed: bool,
    /// Whether it accepted the last health check.
    #[serde(default)]
    pub is_well: bool,
    /// Whether every organization of the server sees it.
    #[serde(default)]
    pub is_public: bool,
    /// Why it is not well; empty if it is.
    #[serde(default)]
    pub error: String,
    /// Events that it wants to be told of.
    #[serde(default)]
    pub callbacks: Vec<String>,
    /// All else.
    #[serde(flatten)]
    pub rest: Rest,
}

/// What is to be registered.
#[derive(Clone, Debug, Default)]
pub struct NewService {
    /// Where it listens.
    pub url: String,
    /// Key of the signatures; `None` signs with an empty key.
    pub secret: Option<String>,
    /// Permissions of its identity where it is subscribed.
    pub permissions: Vec<String>,
    /// Detections that it gets besides those that it asks for; extensions get none.
    pub detects: Vec<String>,
    /// Offer it to every organization of the server.
    pub is_public: bool,
    /// It may be at a private address.
    pub allow_private: bool,
}

impl NewService {
    /// What services and extensions have in common.
    pub(crate) fn form(&self) -> Vec<(&'static str, String)> {
        let mut form = vec![("url", self.url.clone())];
        form.extend(self.secret.iter().map(|secret| ("secret", secret.clone())));
        form.push(("perms", self.permissions.join(",")));
        form.push(("is_public", self.is_public.to_string()));
        form.push(("allow_private", self.allow_private.to_string()));
        form
    }
}

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
    /// Services of others that the organization sees, by name.
    ///
    /// # Errors
    ///
    /// Whatever the server says.
    pub async fn services(&self) -> Result<BTreeMap<String, RegisteredService>, ClientError> {
        #[derive(Deserialize)]
        struct Answer {
            services: BTreeMap<String, RegisteredService>,
        }
        Ok(self.get::<Answer>(&["services", self.oid()], Vec::new()).await?.services)
    }

    /// One service.
    ///
    /// # Errors
    ///
    /// 404 if the organization sees none of this name.
    pub async fn service(&self, name: &str) -> Result<RegisteredService, ClientError> {
        self.get(&["services", self.oid(), name], Vec::new()).await
    }

    /// Registers a service.
    ///
    /// # Errors
    ///
    /// 409 if the name is taken, 400 naming what is wrong.
    pub async fn register_service(&self, name: &str, new: &NewService) -> Result<(), ClientError> {
        let mut form = new.form();
        form.push(("detects", new.detects.join(",")));
        self.act(Method::POST, &["services", self.oid(), name], form).await
    }

    /// Deletes a registration, with every subscription to it.
    ///
    /// # Errors
    ///
    /// 404 if the organization has registered none of this name.
    pub async fn delete_service(&self, name: &str) -> Result<(), ClientError> {
        self.act(Method::DELETE, &["services", self.oid(), name], Vec::new()).await
    }

    /// Has a service asked how it is; gives what it says of itself.
    ///
    /// # Errors
    ///
    /// 502 with the reason if it is not well.
    pub async fn service_health(&self, name: &str) -> Result<Value, ClientError> {
        self.call(Method::POST, &["services", self.oid(), name, "health"], Vec::new(), Vec::new()).await
    }

    /// Subscribes the organization to a service.
    ///
    /// # Errors
    ///
    /// 403 naming a permission that it asks for and the caller has not.
    pub async fn subscribe_service(&self, name: &str) -> Result<(), ClientError> {
        self.act(Method::POST, &["services", self.oid(), name, "subscription"], Vec::new()).await
    }

    /// Ends a subscription.
    ///
    /// # Errors
    ///
    /// 403 if there is none.
    pub async fn unsubscribe_service(&self, name: &str) -> Result<(), ClientError> {
        self.act(Method::DELETE, &["services", self.oid(), name, "subscription"], Vec::new()).await
    }

    /// Gives a subscription another key; tokens that were handed out end.
    ///
    /// # Errors
    ///
    /// As [`Client::subscribe_service`].
    pub async fn rekey_service(&self, name: &str) -> Result<(), ClientError> {
        self.act(Method::PATCH, &["services", self.oid(), name, "subscription"], Vec::new()).await
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
