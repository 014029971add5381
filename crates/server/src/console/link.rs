//! One-time links: how the first user comes in, and anyone whose password is gone.
//!
//! What proves the link is in the part of the address that browsers keep to themselves (after `#`), so no
//! log and no `Referer` has it. It is spent in the same commit as what it brings about.

use super::Console;
use super::Error;
use super::password;
use super::session::{self, From, Opened};
use crate::access::{Caller, PASSWORD, USER, User, checked_email, require_grantable, to_hex};
use crate::intake::Beside;
use crate::records::{Batch, Kind, SERVER};
use crate::{clock, random};
use muster_api_types::LinkPurpose;
use muster_model::{Oid, Timestamp};
use muster_store::{Expect, StoreError};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;

/// Links by their digest; owned by the server.
const LINK: Kind<Kept> = Kind::new("one_time_link");

/// How long a link may be used.
pub const LINK_TTL: Duration = Duration::from_secs(15 * 60);

/// Links that wait at once; a further one takes the place of the oldest.
const LINKS_MAX: usize = 1_000;

/// What is kept of a link.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Kept {
    /// What it does.
    pub purpose: LinkPurpose,
    /// Whom it is for; empty for a new user.
    pub email: String,
    /// What a new user may do.
    grants: Option<(Oid, Vec<String>)>,
    /// Until when it may be used.
    pub expires_at: Timestamp,
}

/// Whom a link is for.
pub enum For<'a> {
    /// Someone new with these permissions.
    New(Vec<String>),
    /// A user.
    User(&'a str, LinkPurpose),
}

/// Makes a link; gives its secret.
///
/// # Errors
///
/// [`Error::NoUser`], or [`Error::StrongerUser`] if they may do something that the caller may not.
pub async fn create(
    console: &Arc<Console>,
    caller: &Caller,
    oid: Oid,
    whom: For<'_>,
    beside: impl Into<Beside>,
) -> Result<(String, Kept), Error> {
    let kept = match whom {
        For::New(permissions) => {
            require_grantable(caller, oid, &permissions)?;
            let grants = Some((oid, permissions));
            Kept { purpose: LinkPurpose::NewUser, email: String::new(), grants, expires_at: expiry() }
        }
        For::User(email, purpose) => {
            require_ruler(console, caller, oid, email)?;
            Kept { purpose, email: email.to_owned(), grants: None, expires_at: expiry() }
        }
    };
    let token = store(console, &kept, beside).await?;
    Ok((token, kept))
}

/// Makes a link for whoever started the server: for a new user who may do everything in an organization.
///
/// # Errors
///
/// Whatever the store says.
pub async fn create_for_owner(console: &Arc<Console>, oid: Oid) -> Result<String, StoreError> {
    let grants = Some((oid, crate::access::owner_permissions()));
    let kept = Kept { purpose: LinkPurpose::NewUser, email: String::new(), grants, expires_at: expiry() };
    store(console, &kept, Vec::new()).await
}

fn expiry() -> Timestamp {
    clock::now().saturating_add(LINK_TTL)
}

async fn store(console: &Arc<Console>, kept: &Kept, beside: impl Into<Beside>) -> Result<String, StoreError> {
    let token = to_hex(&random::bytes::<32>());
    let digest = digest_of(console, &token);
    let now = clock::now();
    let decide = || {
        let mut waiting = console.records.list(SERVER, LINK);
        waiting.sort_by_key(|(_, link)| std::cmp::Reverse(link.expires_at));
        let gone = waiting.iter().enumerate().filter(|(at, (_, link))| *at >= LINKS_MAX - 1 || link.expires_at <= now);
        let batch = gone.fold(Batch::beside(beside), |batch, (_, (digest, _))| batch.delete(SERVER, LINK, digest));
        batch.put(SERVER, LINK, &digest, kept, Expect::Absent)
    };
    console.records.change::<StoreError>(&[SERVER], decide).await?;
    Ok(token)
}

fn digest_of(console: &Console, token: &str) -> String {
    let is_known = |digest: &str| console.records.has(SERVER, LINK, digest);
    console.secrets.stored_digest(format!("link {token}").as_bytes(), is_known)
}

/// A link for a user makes one be that user: only who may do all that they may, wherever they may, makes one.
fn require_ruler(console: &Console, caller: &Caller, oid: Oid, email: &str) -> Result<(), Error> {
    let user = console.records.get(SERVER, USER, email).filter(|user| user.organizations.contains_key(&oid));
    let user = user.ok_or(Error::NoUser)?;
    let rules = |(oid, names): (&Oid, &Vec<String>)| names.iter().all(|name| caller.may(*oid, name));
    // Where else the user belongs is nobody's business here.
    if user.organizations.iter().all(rules) {
        return Ok(());
    }
    Err(Error::StrongerUser)
}

/// What a link is for, without using it.
///
/// # Errors
///
/// [`Error::LinkSpent`] if it is spent, expired or none.
pub fn look(console: &Console, token: &str) -> Result<Kept, Error> {
    let kept = console.records.get(SERVER, LINK, &digest_of(console, token));
    let kept = kept.filter(|kept| clock::now() < kept.expires_at);
    kept.ok_or(Error::LinkSpent)
}

/// Uses a link: makes a user or sets a password, and opens a session.
///
/// # Errors
///
/// [`Error::LinkSpent`]; [`Error::WeakPassword`] or another for a bad name or password; [`Error::NameTaken`].
pub async fn redeem(
    console: &Arc<Console>,
    token: &str,
    (user, password): (&str, &str),
    from: &From,
) -> Result<Opened, Error> {
    let seen = look(console, token)?;
    let email = match seen.purpose {
        LinkPurpose::NewUser => checked_email(Some(user))?,
        LinkPurpose::Password | LinkPurpose::SignIn => seen.email,
    };
    let hashed = match seen.purpose {
        LinkPurpose::SignIn => None,
        LinkPurpose::NewUser | LinkPurpose::Password => Some(password::fresh(console, password).await?),
    };
    let now = clock::now();
    let mut opened = None;
    let decide = || {
        // Once more: somebody else may have used it meanwhile.
        let kept = look(console, token)?;
        let mut batch = Batch::default().delete(SERVER, LINK, &digest_of(console, token));
        if let Some(hashed) = &hashed {
            batch = batch.put(SERVER, PASSWORD, &email, hashed, Expect::Any)?;
            batch = session::without(console, batch, &email, None);
        }
        let (batch, fresh) = match kept.grants {
            None => {
                let used = super::audit_of(console, &email, from.source, "one-time link used", "sign_in", now);
                session::opening(console, batch.about(used), &email, from, now)?
            }
            Some(grants) => {
                let made =
                    super::audit_in([grants.0], &email, from.source, ("user made by a one-time link", "add_user"), now);
                let batch = batch.about(made);
                let user = new_user(console, &email, grants)?;
                let batch = batch.put(SERVER, USER, &email, &user, Expect::Absent)?;
                session::opening_as(console, batch, (&email, user.uid), from, now)?
            }
        };
        opened = Some(fresh);
        Ok::<_, Error>(batch)
    };
    console.records.change(&[SERVER], decide).await?;
    opened.ok_or_else(|| Error::Fault("a session that was stored is not known".into()))
}

fn new_user(console: &Console, email: &str, (oid, permissions): (Oid, Vec<String>)) -> Result<User, Error> {
    if console.records.has(SERVER, USER, email) {
        return Err(Error::NameTaken);
    }
    if console.organizations.get(oid).is_none() {
        return Err(Error::OrganizationGone);
    }
    Ok(User { uid: random::uuid().to_string(), organizations: [(oid, permissions)].into() })
}
