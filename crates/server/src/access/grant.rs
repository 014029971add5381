//! Giving permissions, and never locking everyone out.

use super::{API_KEY, Caller, Error, PASSWORD, USER, USER_KEY, is_known_permission};
use crate::records::{Records, SERVER};
use muster_model::Oid;
use std::collections::BTreeSet;

/// Permissions with which a locked organization can be opened again.
const KEEPING: [&str; 2] = ["apikey.ctrl", "user.ctrl"];

/// Checks that a caller may give these permissions to someone else: nobody gives what they do not have.
///
/// # Errors
///
/// [`Error::UnknownPermission`], or [`Error::NotGrantable`] for one that the caller has not.
pub fn require_grantable<'a>(
    caller: &Caller,
    oid: Oid,
    permissions: impl IntoIterator<Item = &'a String>,
) -> Result<(), Error> {
    for permission in permissions {
        if !is_known_permission(permission) {
            return Err(Error::UnknownPermission(permission.clone()));
        }
        if !caller.may(oid, permission) {
            return Err(Error::NotGrantable(permission.clone()));
        }
    }
    Ok(())
}

/// What is about to be taken away.
pub enum Without<'a> {
    /// An API key, by its hash.
    Key(&'a str),
    /// A user, or those permissions of hers that [`KEEPING`] names.
    User(&'a str),
    /// A key of a user, by its hash.
    UserKey(&'a str),
}

/// Checks that somebody can still manage the keys or users of an organization afterwards.
///
/// # Errors
///
/// [`Error::LastKeeper`].
pub fn require_keeper(records: &Records, oid: Oid, without: &Without<'_>) -> Result<(), Error> {
    let keeps = |permissions: &[String]| permissions.iter().any(|name| KEEPING.contains(&name.as_str()));
    let keys = records.list(oid, API_KEY).into_iter();
    let mut keys = keys.filter(|(hash, _)| !matches!(without, Without::Key(gone) if gone == hash));
    if keys.any(|(_, key)| keeps(&key.permissions)) {
        return Ok(());
    }
    // A user with neither key nor password cannot come in.
    let of_users = records.list(SERVER, USER_KEY).into_iter();
    let stays = |hash: &str| !matches!(without, Without::UserKey(gone) if *gone == hash);
    let of_users = of_users.filter(|(hash, key)| stays(hash) && key.organizations.contains(&oid));
    let with_key: BTreeSet<String> = of_users.map(|(_, key)| key.email).collect();
    let comes_in = |email: &String| with_key.contains(email) || records.has(SERVER, PASSWORD, email);
    let users = records.list(SERVER, USER).into_iter();
    let mut users = users.filter(|(email, _)| !matches!(without, Without::User(gone) if gone == email));
    let is_keeper = users.any(|(email, user)| {
        comes_in(&email) && user.organizations.get(&oid).is_some_and(|permissions| keeps(permissions))
    });
    if is_keeper {
        return Ok(());
    }
    Err(Error::LastKeeper)
}
