//! The web console: its files, who signs in to it, and what it is told live.
//!
//! The console calls the same REST API as every client. A browser shows a cookie instead of a token:
//! [`caller`] makes the same [`Caller`] of it, with whatever the user may do at that moment. What only a
//! browser needs is here: files and their headers (`site`), checks against foreign pages (`origin`),
//! passwords, one-time links, sessions, and one WebSocket per tab (`socket`).
//!
//! Source: reference/console.md sections 6, 7 and 9.

mod error;
mod link;
mod origin;
mod password;
mod session;
mod site;
mod socket;
mod tries;

pub use error::Error;
pub use link::{
    For as LinkFor, Kept as KeptLink, LINK_TTL, create as create_link, create_for_owner, look as look_at_link, redeem,
};
pub use origin::require_own_page;
pub use password::change as change_password;
pub use session::{
    From as SessionFrom, can_sign_in, clearing_cookie, cookie, end as end_session, end_all as end_sessions,
    of_user as sessions_of,
};
pub use site::harden;

use crate::access::{Caller, PASSWORD, Secrets};
use crate::address::Address;
use crate::clock;
use crate::intake::event::{self, Actor};
use crate::intake::{Record, Streams};
use crate::jobs::Jobs;
use crate::organization::Organizations;
use crate::records::Records;
use bytes::Bytes;
use http::{Request, Response, request};
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;
use muster_model::{Oid, Timestamp};
use serde_json::json;
use std::net::IpAddr;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Passwords hashed at once; each takes 19 MiB and some 30 ms of a processor.
const HASHERS: usize = 2;

/// Live connections of the whole server; each holds up to some 200 KiB.
const SOCKETS_MAX: usize = 512;

/// Body of an answer.
pub type Body = UnsyncBoxBody<Bytes, std::io::Error>;

/// What the console needs of the server.
pub struct Ports {
    /// Users, passwords, sessions, links.
    pub records: Arc<Records>,
    /// Digests what is secret.
    pub secrets: Secrets,
    /// What is shown live.
    pub organizations: Arc<Organizations>,
    /// What is told live.
    pub streams: Streams,
    /// Serves open tabs.
    pub jobs: Jobs,
    /// By what names browsers may come.
    pub address: Arc<Address>,
}

/// The console: what it needs, and what it keeps in memory.
pub struct Console {
    records: Arc<Records>,
    secrets: Secrets,
    organizations: Arc<Organizations>,
    streams: Streams,
    jobs: Jobs,
    address: Arc<Address>,
    tries: tries::Tries,
    hashers: Arc<Semaphore>,
    sockets: Arc<Semaphore>,
}

impl Console {
    /// A console that nobody uses yet.
    #[must_use]
    pub fn new(ports: Ports) -> Self {
        let Ports { records, secrets, organizations, streams, jobs, address } = ports;
        let (hashers, sockets) = (Arc::new(Semaphore::new(HASHERS)), Arc::new(Semaphore::new(SOCKETS_MAX)));
        let tries = tries::Tries::default();
        Self { records, secrets, organizations, streams, jobs, address, tries, hashers, sockets }
    }
}

/// Answers a request for the console itself; `None` if it is one for the API.
pub async fn serve(
    console: &Arc<Console>,
    request: &mut Request<Incoming>,
    source: Option<IpAddr>,
) -> Option<Result<Response<Body>, Error>> {
    if request.uri().path() == "/console/live" {
        return Some(socket::accept(console, request, source).await);
    }
    site::answer(console, request).map(Ok)
}

/// The caller of a request that shows the cookie of a session and no token; `None` if it shows none.
///
/// # Errors
///
/// If the session is over, or the request comes from another site's page.
pub async fn caller(console: &Arc<Console>, parts: &request::Parts) -> Result<Option<Caller>, Error> {
    if parts.headers.contains_key(http::header::AUTHORIZATION) {
        return Ok(None);
    }
    let Some(token) = session::token_in(&parts.headers) else { return Ok(None) };
    origin::require_own_request(console, parts)?;
    session::caller(console, &token, clock::now()).await.map(Some)
}

/// Whether someone who asked in the console may still do something: the session goes on, and so does the permission.
#[must_use]
pub fn may_still(console: &Console, caller: &Caller, oid: Oid, permission: &str) -> bool {
    session::known(console, &caller.credential, clock::now()).is_ok_and(|(caller, _)| caller.may(oid, permission))
}

/// Signs a user in with a password.
///
/// # Errors
///
/// [`Error::WrongLogin`], or [`Error::TooManyTries`].
pub async fn sign_in(
    console: &Arc<Console>,
    user: &str,
    password: &str,
    from: &session::From,
) -> Result<session::Opened, Error> {
    let now = clock::now();
    let email = user.trim().to_lowercase();
    console.tries.begin(&email, from.source, now)?;
    if !password::is_right(console, &email, password).await? {
        return Err(Error::WrongLogin);
    }
    console.tries.forgive(&email, from.source);
    session::open(console, &email, from, now).await
}

/// Whether anyone can sign in.
#[must_use]
pub fn has_users(console: &Console) -> bool {
    console.records.count(crate::records::SERVER, PASSWORD) > 0
}

/// Counts a try with a one-time link against its address.
///
/// # Errors
///
/// [`Error::TooManyTries`].
pub fn count_link_try(console: &Console, source: Option<IpAddr>) -> Result<(), Error> {
    console.tries.begin("", source, clock::now())
}

/// Takes back a try with a one-time link that was right.
pub fn forgive_link_try(console: &Console, source: Option<IpAddr>) {
    console.tries.forgive("", source);
}

/// Audit records of something that a user did about their own access, one for each of their organizations.
fn audit_of(
    console: &Console,
    email: &str,
    source: Option<IpAddr>,
    message: &str,
    action: &str,
    now: Timestamp,
) -> Vec<Record> {
    let user = console.records.get(crate::records::SERVER, crate::access::USER, email);
    let oids = user.into_iter().flat_map(|user| user.organizations.into_keys());
    audit_in(oids, email, source, (message, action), now)
}

/// What somebody did with an account of these organizations.
fn audit_in(
    oids: impl IntoIterator<Item = Oid>,
    email: &str,
    source: Option<IpAddr>,
    (message, action): (&str, &str),
    now: Timestamp,
) -> Vec<Record> {
    let actor = Actor { identity: email.to_owned(), origin: event::CONSOLE, source, called_by: None };
    let entity = json!({"type": "user", "name": email});
    oids.into_iter().map(|oid| event::audit(oid, &actor, message, &entity, action, &json!({}), now)).collect()
}
