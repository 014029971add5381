//! Users, their keys, and organizations that they make. Source: reference/rest-api.md sections 7.1 and 7.4.

use crate::{Client, ClientError};
use muster_api_types::{
    LinkPurpose, MadeOrganization, NewLink, NewUserKey, UserKeys, UserPermissions, UsersWithPassword,
};
use reqwest::Method;
use std::collections::BTreeMap;

impl Client {
    /// The users of the organization, with their permissions there.
    ///
    /// # Errors
    ///
    /// Whatever the server says.
    pub async fn users(&self) -> Result<BTreeMap<String, Vec<String>>, ClientError> {
        let path = ["orgs", self.oid(), "users", "permissions"];
        Ok(self.get::<UserPermissions>(&path, Vec::new()).await?.user_permissions)
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
    pub async fn user_keys(&self) -> Result<UserKeys, ClientError> {
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
        Ok(made.data.oid.to_string())
    }

    /// Users of the organization who have a password.
    ///
    /// # Errors
    ///
    /// Whatever the server says.
    pub async fn users_with_password(&self) -> Result<Vec<String>, ClientError> {
        Ok(self.get::<UsersWithPassword>(&["orgs", self.oid(), "users", "link"], Vec::new()).await?.can_sign_in)
    }

    /// A one-time link into the console: for a user to sign in or to choose a password,
    /// or, without a user, for a new owner of the organization.
    ///
    /// # Errors
    ///
    /// 404 for someone who is no user; 403 for one who may do more than the caller.
    pub async fn console_link(&self, user: Option<(&str, LinkPurpose)>) -> Result<NewLink, ClientError> {
        let form =
            user.map(|(email, purpose)| vec![("email", email.to_owned()), ("purpose", purpose.word().to_owned())]);
        self.call(Method::POST, &["orgs", self.oid(), "users", "link"], Vec::new(), form.unwrap_or_default()).await
    }
}
