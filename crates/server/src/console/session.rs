//! Sessions: a random number in a cookie, its digest in the store.

use super::Console;
use super::Error;
use crate::access::{Caller, PASSWORD, Scope, USER, to_hex};
use crate::clock;
use crate::random;
use crate::records::{Batch, Kind, SERVER};
use http::{HeaderMap, header};
use muster_model::Timestamp;
use muster_store::{Expect, StoreError};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// Sessions by the digest of what the cookie holds; owned by the server.
pub const SESSION: Kind<Session> = Kind::new("session");

/// The cookie. With this beginning, browsers take it only from this very host, and only as `Secure`.
pub const COOKIE: &str = "__Host-muster-session";

/// A session that nobody used for this long is over.
const IDLE_MAX: Duration = Duration::from_secs(30 * 60);

/// A session is over after this time, however much it is used.
const AGE_MAX: Duration = Duration::from_secs(12 * 3_600);

/// The time of the last use is stored no more often than this: it must not cost a commit per request.
const SEEN_EVERY: Duration = Duration::from_secs(60);

/// Sessions of one user; a further one ends the one that was used longest ago.
const PER_USER_MAX: usize = 20;

/// What is kept of the name of a browser, in bytes.
const AGENT_BYTES_MAX: usize = 256;

/// A session.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Session {
    /// E-mail address of the user.
    pub email: String,
    /// The user it was made for: one who is removed and made anew is somebody else.
    pub uid: String,
    /// When it was signed in.
    pub created_at: Timestamp,
    /// When it was last used, to within a minute.
    pub seen_at: Timestamp,
    /// From where it was signed in.
    pub source: Option<IpAddr>,
    /// The browser, as it calls itself.
    pub agent: String,
}

impl Session {
    fn is_over(&self, now: Timestamp) -> bool {
        now.since(self.created_at) >= AGE_MAX || now.since(self.seen_at) >= IDLE_MAX
    }
}

/// Where someone signs in from.
#[derive(Clone, Debug, Default)]
pub struct From {
    /// Address.
    pub source: Option<IpAddr>,
    /// What the browser calls itself.
    pub agent: String,
}

impl From {
    /// Of the headers of a request.
    #[must_use]
    pub fn new(source: Option<IpAddr>, headers: &HeaderMap) -> Self {
        let agent = headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or_default();
        Self { source, agent: agent.chars().take(AGENT_BYTES_MAX).collect() }
    }
}

/// A session that was just opened.
pub struct Opened {
    /// What the cookie must hold.
    pub token: String,
    /// Whose it is.
    pub email: String,
}

/// What is stored of a token.
#[must_use]
pub fn digest_of(console: &Console, token: &str) -> String {
    let is_known = |digest: &str| console.records.has(SERVER, SESSION, digest);
    console.secrets.stored_digest(format!("session {token}").as_bytes(), is_known)
}

/// `Set-Cookie` of a session. Without an age: the browser forgets it when it is closed.
#[must_use]
pub fn cookie(token: &str) -> String {
    format!("{COOKIE}={token}; Path=/; Secure; HttpOnly; SameSite=Strict")
}

/// `Set-Cookie` that takes the cookie away.
#[must_use]
pub fn clearing_cookie() -> String {
    format!("{COOKIE}=; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=0")
}

/// What the cookie of a request holds.
pub fn token_in(headers: &HeaderMap) -> Option<String> {
    let cookies = headers.get_all(header::COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == COOKIE).map(|(_, token)| token.to_owned())
}

/// Who shows this token.
///
/// # Errors
///
/// [`Error::SignedOut`] if the session is over, or its user is gone.
pub async fn caller(console: &Arc<Console>, token: &str, now: Timestamp) -> Result<Caller, Error> {
    let digest = digest_of(console, token);
    let (caller, session) = known(console, &digest, now)?;
    if now.since(session.seen_at) >= SEEN_EVERY {
        let seen = || {
            // It may have been ended meanwhile, and must not come back.
            let still = console.records.get(SERVER, SESSION, &digest);
            let Some(still) = still else { return Ok(Batch::default()) };
            Batch::default().put(SERVER, SESSION, &digest, &Session { seen_at: now, ..still }, Expect::Any)
        };
        if let Err(error) = console.records.change::<StoreError>(&[SERVER], seen).await {
            // On a full disk one must still be able to look.
            tracing::warn!(%error, "the use of a session could not be stored");
        }
    }
    Ok(caller)
}

/// Who a session belongs to, by its digest, with what they may do now.
///
/// # Errors
///
/// [`Error::SignedOut`] if the session is over, or its user is gone.
pub fn known(console: &Console, digest: &str, now: Timestamp) -> Result<(Caller, Session), Error> {
    let session =
        console.records.get(SERVER, SESSION, digest).filter(|session| !session.is_over(now)).ok_or(Error::SignedOut)?;
    let user = console
        .records
        .get(SERVER, USER, &session.email)
        .filter(|user| user.uid == session.uid)
        .ok_or(Error::SignedOut)?;
    let scope = Scope::new(user.organizations);
    let (identity, uid) = (session.email.clone(), session.uid.clone());
    Ok((Caller { identity, uid, credential: digest.to_owned(), scope, in_console: true }, session))
}

/// Opens a session for a user who proved to be one.
///
/// # Errors
///
/// [`Error::WrongLogin`] if there is no such user; else whatever the store says.
pub async fn open(console: &Arc<Console>, email: &str, from: &From, now: Timestamp) -> Result<Opened, Error> {
    let mut opened = None;
    let decide = || {
        let (batch, fresh) = opening(console, Batch::default(), email, from, now)?;
        opened = Some(fresh);
        Ok::<_, Error>(batch.about(super::audit_of(console, email, from.source, "signed in", "sign_in", now)))
    };
    console.records.change(&[SERVER], decide).await?;
    opened.ok_or_else(|| Error::Fault("a session that was stored is not known".into()))
}

/// Adds a session of a user that exists already to a commit.
///
/// # Errors
///
/// [`Error::WrongLogin`] if there is no such user.
pub fn opening(
    console: &Console,
    batch: Batch,
    email: &str,
    from: &From,
    now: Timestamp,
) -> Result<(Batch, Opened), Error> {
    let user = console.records.get(SERVER, USER, email);
    let user = user.ok_or(Error::WrongLogin)?;
    opening_as(console, batch, (email, user.uid), from, now)
}

/// Adds a session of a user who is stored in the same commit.
pub fn opening_as(
    console: &Console,
    batch: Batch,
    (email, uid): (&str, String),
    from: &From,
    now: Timestamp,
) -> Result<(Batch, Opened), Error> {
    let mut batch = batch;
    let all = console.records.list(SERVER, SESSION);
    let (over, alive): (Vec<_>, Vec<_>) = all.into_iter().partition(|(_, session)| session.is_over(now));
    let mut mine: Vec<_> = alive.into_iter().filter(|(_, session)| session.email == email).collect();
    mine.sort_by_key(|(_, session)| std::cmp::Reverse(session.seen_at));
    let surplus = mine.into_iter().skip(PER_USER_MAX - 1);
    for (digest, _) in over.into_iter().chain(surplus) {
        batch = batch.delete(SERVER, SESSION, &digest);
    }
    let token = to_hex(&random::bytes::<32>());
    let (source, agent) = (from.source, from.agent.clone());
    let session = Session { email: email.to_owned(), uid, created_at: now, seen_at: now, source, agent };
    let batch = batch.put(SERVER, SESSION, &digest_of(console, &token), &session, Expect::Absent)?;
    Ok((batch, Opened { token, email: email.to_owned() }))
}

/// Sessions of a user that are not over, by their digest.
#[must_use]
pub fn of_user(console: &Console, email: &str) -> Vec<(String, Session)> {
    let now = clock::now();
    let all = console.records.list(SERVER, SESSION).into_iter();
    all.filter(|(_, session)| session.email == email && !session.is_over(now)).collect()
}

/// Ends a session of a user.
///
/// # Errors
///
/// [`Error::NoSession`].
pub async fn end(console: &Arc<Console>, email: &str, digest: &str, source: Option<IpAddr>) -> Result<(), Error> {
    let decide = || {
        let session = console.records.get(SERVER, SESSION, digest).filter(|session| session.email == email);
        session.ok_or(Error::NoSession)?;
        let beside = super::audit_of(console, email, source, "signed out", "sign_out", clock::now());
        Ok::<_, Error>(Batch::beside(beside).delete(SERVER, SESSION, digest))
    };
    console.records.change(&[SERVER], decide).await
}

/// Ends all sessions of a user.
///
/// # Errors
///
/// Whatever the store says.
pub async fn end_all(console: &Arc<Console>, email: &str, source: Option<IpAddr>) -> Result<(), Error> {
    let decide = || {
        let beside = super::audit_of(console, email, source, "signed out everywhere", "sign_out", clock::now());
        Ok::<_, StoreError>(without(console, Batch::beside(beside), email, None))
    };
    Ok(console.records.change(&[SERVER], decide).await?)
}

/// Adds the end of all sessions of a user, but `keep`, to a commit.
pub fn without(console: &Console, batch: Batch, email: &str, keep: Option<&str>) -> Batch {
    let all = console.records.list(SERVER, SESSION).into_iter();
    let ended = all.filter(|(digest, session)| session.email == email && keep != Some(digest.as_str()));
    ended.fold(batch, |batch, (digest, _)| batch.delete(SERVER, SESSION, &digest))
}

/// Whether a user can sign in: has a password.
#[must_use]
pub fn can_sign_in(console: &Console, email: &str) -> bool {
    console.records.has(SERVER, PASSWORD, email)
}
