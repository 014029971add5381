//! Services and extensions of others: registered and subscribed to.
//!
//! Source: reference/service-protocol.md sections 12 and 14; reference/rest-api.md sections 7.7 and 10.

use crate::{Client, ClientError};
use muster_api_types::{
    RegisteredExtension, RegisteredExtensions, RegisteredProgram, RegisteredService, RegisteredServices,
};
use reqwest::Method;
use serde::Serialize;
use std::collections::BTreeMap;

/// Which protocol a program of others speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// That of services.
    Service,
    /// That of extensions.
    Extension,
}

impl Protocol {
    /// What one is called.
    #[must_use]
    pub const fn noun(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Extension => "extension",
        }
    }

    const fn collection(self) -> &'static str {
        match self {
            Self::Service => "services",
            Self::Extension => "extensions",
        }
    }
}

/// A program of others that an organization sees.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum Program {
    /// A service.
    Service(RegisteredService),
    /// An extension.
    Extension(RegisteredExtension),
}

impl Program {
    /// What is said of either.
    #[must_use]
    pub fn registered(&self) -> &RegisteredProgram {
        match self {
            Self::Service(service) => &service.registered,
            Self::Extension(extension) => &extension.registered,
        }
    }
}

/// What is to be registered.
#[derive(Clone, Default)]
pub struct NewProgram {
    /// Where it listens.
    pub url: String,
    /// Key of the signatures; `None` signs with an empty key.
    pub secret: Option<String>,
    /// Permissions of its identity where it is subscribed.
    pub permissions: Vec<String>,
    /// How its identity stands to what others made, and others to what it made: `lock`, `secret`, `segment`, `bulk`.
    pub flair: Vec<String>,
    /// Detections that it gets besides those that it asks for; extensions get none.
    pub detects: Vec<String>,
    /// Offer it to every organization of the server.
    pub is_public: bool,
    /// It may be at a private address.
    pub allow_private: bool,
    /// Calls in a second that it gets at most.
    pub rate: Option<u32>,
}

impl NewProgram {
    fn form(&self, protocol: Protocol) -> Vec<(&'static str, String)> {
        let mut form = vec![("url", self.url.clone())];
        form.extend(self.secret.iter().map(|secret| ("secret", secret.clone())));
        form.push(("perms", self.permissions.join(",")));
        form.push(("flair", self.flair.join(",")));
        form.push(("is_public", self.is_public.to_string()));
        form.push(("allow_private", self.allow_private.to_string()));
        form.extend(self.rate.map(|rate| ("rate", rate.to_string())));
        if protocol == Protocol::Service {
            form.push(("detects", self.detects.join(",")));
        }
        form
    }
}

impl Client {
    /// Programs of others that the organization sees, by name.
    ///
    /// # Errors
    ///
    /// Whatever the server says.
    pub async fn programs(&self, protocol: Protocol) -> Result<BTreeMap<String, Program>, ClientError> {
        let path = [protocol.collection(), self.oid()];
        Ok(match protocol {
            Protocol::Service => {
                let found: RegisteredServices = self.get(&path, Vec::new()).await?;
                found.services.into_iter().map(|(name, one)| (name, Program::Service(one))).collect()
            }
            Protocol::Extension => {
                let found: RegisteredExtensions = self.get(&path, Vec::new()).await?;
                found.extensions.into_iter().map(|(name, one)| (name, Program::Extension(one))).collect()
            }
        })
    }

    /// One of them.
    ///
    /// # Errors
    ///
    /// 404 if the organization sees none of this name.
    pub async fn program(&self, protocol: Protocol, name: &str) -> Result<Program, ClientError> {
        let path = [protocol.collection(), self.oid(), name];
        Ok(match protocol {
            Protocol::Service => Program::Service(self.get(&path, Vec::new()).await?),
            Protocol::Extension => Program::Extension(self.get(&path, Vec::new()).await?),
        })
    }

    /// Registers one.
    ///
    /// # Errors
    ///
    /// 409 if the name is taken, 400 naming what is wrong.
    pub async fn register_program(&self, protocol: Protocol, name: &str, new: &NewProgram) -> Result<(), ClientError> {
        self.act(Method::POST, &[protocol.collection(), self.oid(), name], new.form(protocol)).await
    }

    /// Deletes a registration, with every subscription to it.
    ///
    /// # Errors
    ///
    /// 404 if the organization has registered none of this name.
    pub async fn delete_program(&self, protocol: Protocol, name: &str) -> Result<(), ClientError> {
        self.act(Method::DELETE, &[protocol.collection(), self.oid(), name], Vec::new()).await
    }

    /// Subscribes the organization.
    ///
    /// # Errors
    ///
    /// 403 naming a permission that the program asks for and the caller has not.
    pub async fn subscribe(&self, protocol: Protocol, name: &str) -> Result<(), ClientError> {
        self.act(Method::POST, &self.subscription(protocol, name), Vec::new()).await
    }

    /// Ends a subscription.
    ///
    /// # Errors
    ///
    /// 403 if there is none.
    pub async fn unsubscribe(&self, protocol: Protocol, name: &str) -> Result<(), ClientError> {
        self.act(Method::DELETE, &self.subscription(protocol, name), Vec::new()).await
    }

    /// Gives a subscription another key; tokens that were handed out end.
    ///
    /// # Errors
    ///
    /// As [`Client::subscribe`].
    pub async fn rekey(&self, protocol: Protocol, name: &str) -> Result<(), ClientError> {
        self.act(Method::PATCH, &self.subscription(protocol, name), Vec::new()).await
    }

    /// Subscriptions to extensions have their published address.
    fn subscription<'a>(&'a self, protocol: Protocol, name: &'a str) -> Vec<&'a str> {
        match protocol {
            Protocol::Service => vec!["services", self.oid(), name, "subscription"],
            Protocol::Extension => vec!["orgs", self.oid(), "subscription", "extension", name],
        }
    }
}
