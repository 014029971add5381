//! Users, their keys, and organizations that they make. Source: reference/rest-api.md sections 7.1 and 7.4.

use crate::{Client, ClientError, Rest};
use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// A key of a user that was made just now.
#[derive(Clone, Serialize, Deserialize)]
pub struct NewUserKey {
    /// The key: whoever has it may do what the user may.
    pub api_key: String,
    /// By which it is listed and deleted.
    pub key_hash: String,
    /// Which clients send beside the key.
    pub uid: String,
}

/// A link that signs someone in once.
#[derive(Clone, Serialize, Deserialize)]
pub struct ConsoleLink {
    /// Path and fragment below the address of the server.
    pub path: String,
    /// `new-user`, `password` or `sign-in`.
    pub purpose: String,
    /// Whom it is for; empty for a new user.
    pub user: String,
    /// Everything else.
    #[serde(flatten)]
    pub rest: Rest,
}

#[derive(Deserialize)]
struct Passwords {
    #[serde(default)]
    can_sign_in: Vec<String>,
}

#[derive(Deserialize)]
struct Permissions {
    user_permissions: BTreeMap<String, Vec<String>>,
}

#[derive(Deserialize)]
struct MadeOrganization {
    data: Oid,
}

#[derive(Deserialize)]
struct Oid {
    oid: String,
}

impl Client {
    /// The users of the organization, with their permissions there.
    ///
    /// # Errors
    ///
    /// Whatever the server says.
    pub async fn users(&self) -> Result<BTreeMap<String, Vec<String>>, ClientError> {
        let path = ["orgs", self.oid(), "users", "permissions"];
        Ok(self.get::<Permissions>(&path, Vec::new()).await?.user_permissions)
    }

    /// Makes someone a user of the organization, with the permissions of a role.
    ///
    /// # Errors
    ///
    /// 403 for permissions that the caller does not have.
    pub async fn add_user(&self, email: &str, role: &str) -> Result<(), ClientError> {
        let form = vec![("email", email.to_owned()), ("role", role.to_owned())];
        self.act(Method::POST, &["orgs", self.oid(), "users"], form).await
    }

    /// Gives a user the permissions of a role, in place of those that she had.
    ///
    /// # Errors
    ///
    /// As [`Client::add_user`], 404 for an unknown user.
    pub async fn set_role(&self, email: &str, role: &str) -> Result<(), ClientError> {
        let form = vec![("email", email.to_owned()), ("role", role.to_owned())];
        self.act(Method::PUT, &["orgs", self.oid(), "users", "role"], form).await
    }

    /// Removes a user from the organization.
    ///
    /// # Errors
    ///
    /// 404 for an unknown user, 409 if nobody could manage the organization any more.
    pub async fn remove_user(&self, email: &str) -> Result<(), ClientError> {
        self.act(Method::DELETE, &["orgs", self.oid(), "users"], vec![("email", email.to_owned())]).await
    }

    /// Makes a key for a user; it is shown this once.
    ///
    /// # Errors
    ///
    /// 404 for an unknown user, 403 if she may do more than the caller.
    pub async fn create_user_key(&self, email: &str, name: &str) -> Result<NewUserKey, ClientError> {
        let form = vec![("email", email.to_owned()), ("key_name", name.to_owned())];
        self.call(Method::POST, &["orgs", self.oid(), "users", "keys"], Vec::new(), form).await
    }

    /// Ends a key of a user for this organization.
    ///
    /// # Errors
    ///
    /// 404 for an unknown key.
    pub async fn delete_user_key(&self, key_hash: &str) -> Result<(), ClientError> {
        let form = vec![("key_hash", key_hash.to_owned())];
        self.act(Method::DELETE, &["orgs", self.oid(), "users", "keys"], form).await
    }

    /// Keys of users for this organization, by their hash.
    ///
    /// # Errors
    ///
    /// Whatever the server says.
    pub async fn user_keys(&self) -> Result<Value, ClientError> {
        self.get(&["orgs", self.oid(), "users", "keys"], Vec::new()).await
    }

    /// Makes an organization, in which the caller may do everything; gives its id.
    ///
    /// # Errors
    ///
    /// 403 unless the caller is a user.
    pub async fn create_organization(&self, name: &str) -> Result<String, ClientError> {
        let form = vec![("name", name.to_owned())];
        let made: MadeOrganization = self.call(Method::POST, &["orgs", "new"], Vec::new(), form).await?;
        Ok(made.data.oid)
    }

    /// Users of the organization who have a password.
    ///
    /// # Errors
    ///
    /// Whatever the server says.
    pub async fn users_with_password(&self) -> Result<Vec<String>, ClientError> {
        Ok(self.get::<Passwords>(&["orgs", self.oid(), "users", "link"], Vec::new()).await?.can_sign_in)
    }

    /// A one-time link into the console: for a user to sign in (`sign-in`) or to choose a password (`password`),
    /// or, without a user, for a new owner of the organization.
    ///
    /// # Errors
    ///
    /// 404 for someone who is no user; 403 for one who may do more than the caller.
    pub async fn console_link(&self, user: Option<(&str, &str)>) -> Result<ConsoleLink, ClientError> {
        let form = user.map(|(email, purpose)| vec![("email", email.to_owned()), ("purpose", purpose.to_owned())]);
        self.call(Method::POST, &["orgs", self.oid(), "users", "link"], Vec::new(), form.unwrap_or_default()).await
    }
}
