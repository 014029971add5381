//! Extensions: registered, subscribed to, asked. Source: reference/rest-api.md sections 7.7 and 10.

use crate::{Client, ClientError, NewService, Rest};
use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// An extension of others that an organization sees.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RegisteredExtension {
    /// Its name.
    pub name: String,
    /// Whether the organization is subscribed.
    #[serde(default)]
    pub is_subscribed: bool,
    /// Whether it answered when it was asked last.
    #[serde(default)]
    pub is_well: bool,
    /// Whether every organization of the server sees it.
    #[serde(default)]
    pub is_public: bool,
    /// Why it is not well; empty if it is.
    #[serde(default)]
    pub error: String,
    /// Its actions.
    #[serde(default)]
    pub actions: Vec<String>,
    /// All else.
    #[serde(flatten)]
    pub rest: Rest,
}

impl Client {
    /// Extensions of others that the organization sees, by name.
    ///
    /// # Errors
    ///
    /// Whatever the server says.
    pub async fn extensions(&self) -> Result<BTreeMap<String, RegisteredExtension>, ClientError> {
        #[derive(Deserialize)]
        struct Answer {
            extensions: BTreeMap<String, RegisteredExtension>,
        }
        Ok(self.get::<Answer>(&["extensions", self.oid()], Vec::new()).await?.extensions)
    }

    /// One extension of others.
    ///
    /// # Errors
    ///
    /// 404 if the organization sees none of this name.
    pub async fn extension(&self, name: &str) -> Result<RegisteredExtension, ClientError> {
        self.get(&["extensions", self.oid(), name], Vec::new()).await
    }

    /// Registers an extension.
    ///
    /// # Errors
    ///
    /// 409 if the name is taken, 400 naming what is wrong.
    pub async fn register_extension(&self, name: &str, new: &NewService) -> Result<(), ClientError> {
        self.act(Method::POST, &["extensions", self.oid(), name], new.form()).await
    }

    /// Deletes a registration, with every subscription to it.
    ///
    /// # Errors
    ///
    /// 404 if the organization has registered none of this name.
    pub async fn delete_extension(&self, name: &str) -> Result<(), ClientError> {
        self.act(Method::DELETE, &["extensions", self.oid(), name], Vec::new()).await
    }

    /// What an extension takes and gives.
    ///
    /// # Errors
    ///
    /// 502 with the reason if the extension does not say.
    pub async fn extension_schema(&self, name: &str) -> Result<Value, ClientError> {
        self.get(&["extension", "schema", name], vec![("oid", self.oid().to_owned())]).await
    }

    /// Subscribes the organization to an extension.
    ///
    /// # Errors
    ///
    /// 403 naming a permission that it asks for and the caller has not.
    pub async fn subscribe_extension(&self, name: &str) -> Result<(), ClientError> {
        self.act(Method::POST, &["orgs", self.oid(), "subscription", "extension", name], Vec::new()).await
    }

    /// Ends a subscription.
    ///
    /// # Errors
    ///
    /// 403 if there is none.
    pub async fn unsubscribe_extension(&self, name: &str) -> Result<(), ClientError> {
        self.act(Method::DELETE, &["orgs", self.oid(), "subscription", "extension", name], Vec::new()).await
    }

    /// Gives a subscription another key; tokens that were handed out end.
    ///
    /// # Errors
    ///
    /// As [`Client::subscribe_extension`].
    pub async fn rekey_extension(&self, name: &str) -> Result<(), ClientError> {
        self.act(Method::PATCH, &["orgs", self.oid(), "subscription", "extension", name], Vec::new()).await
    }
}
