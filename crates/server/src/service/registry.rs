//! Who is registered, and which organization is subscribed to whom.
//!
//! A registration belongs to the organization that made it. It is offered to that organization alone, or to every
//! organization of the server. Where names clash, an organization's own registration comes first.
//!
//! A subscription is an identity of its own: an API key whose secret nobody has, with the permissions that the
//! registration asked for when the organization subscribed. Tokens of it are handed to the service with each message,
//! and end with the subscription.

use super::Error;
use super::pace::RATE_MAX;
use super::program::{Program, Protocol};
use crate::access::{API_KEY, ApiKey, Caller, Flair, Scope, Secrets, is_known_permission, with_flair};
use crate::random;
use crate::records::{Batch, Records};
use muster_model::{Oid, Timestamp};
use muster_store::Expect;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use url::Url;

/// Registrations of one protocol that an organization may have: each is asked how it is all the time.
pub const REGISTRATIONS_MAX: usize = 64;

/// Longest name: it is part of rule names and investigation ids.
const NAME_BYTES_MAX: usize = 64;

/// Longest address, and longest secret.
const TEXT_BYTES_MAX: usize = 2_048;

/// Detections that a registration may name besides those that the service names itself.
const DETECTS_MAX: usize = 256;

/// A program that is registered. It prints nothing: it holds a secret.
#[derive(Clone, Serialize, Deserialize)]
pub struct Registration {
    /// Where it listens.
    pub url: String,
    /// Key of the signatures; it is never shown. `None` signs with an empty key.
    pub secret: Option<String>,
    /// What its identity may do in an organization that subscribes.
    pub permissions: Vec<String>,
    /// How its identity stands to what others made, and others to what it made.
    #[serde(default)]
    pub flair: Vec<Flair>,
    /// Names of detections that it gets besides those that it asks for itself.
    pub detects: Vec<String>,
    /// Offered to every organization of the server.
    pub is_public: bool,
    /// It may be at a private or loopback address.
    pub allow_private: bool,
    /// Calls in a second that it gets at most, over all organizations; `None` bounds only those under way at once.
    #[serde(default)]
    pub rate: Option<u32>,
    /// When.
    pub created_at: Timestamp,
    /// Who.
    pub by: String,
}

/// A subscription.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Subscribed {
    /// The organization whose registration it is.
    pub owner: Oid,
    /// The identity: its place among the API keys.
    pub key: String,
    /// When.
    pub created_at: Timestamp,
    /// Who.
    pub by: String,
    /// It has ended; the identity is there until the service was told.
    #[serde(default)]
    pub is_ending: bool,
}

/// A registration that an organization may see.
#[derive(Clone)]
pub struct Found {
    /// Whose it is.
    pub owner: Oid,
    /// What it says.
    pub registration: Arc<Registration>,
}

/// Names of what is built in.
const RESERVED: &[&str] = &["reliable-tasking", "infrastructure-service", "ext-reliable-tasking", "ext-infrastructure"];

impl Registration {
    /// Checks what someone wants to register.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] naming what is wrong.
    pub fn check(&self, program: &Program) -> Result<(), Error> {
        let Program { protocol, name } = program;
        let invalid = |text: String| Err(Error::Invalid(text));
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.bytes().all(is_plain) {
            let most = NAME_BYTES_MAX;
            return invalid(format!("the name of a program has 1 to {most} letters, digits, and - _ ."));
        }
        if RESERVED.contains(&name.as_str()) {
            return invalid(format!("{name} is built in; choose another name"));
        }
        let url = Url::parse(&self.url).ok();
        let is_url = |url: &Url| matches!(url.scheme(), "http" | "https") && url.has_host() && url.query().is_none();
        if self.url.len() > TEXT_BYTES_MAX || !url.is_some_and(|url| is_url(&url) && url.username().is_empty()) {
            return invalid("url must be an http or https address, without a query and without a user".into());
        }
        if self.secret.as_ref().is_some_and(|secret| secret.is_empty() || secret.len() > TEXT_BYTES_MAX) {
            return invalid(format!("a secret has 1 to {TEXT_BYTES_MAX} bytes"));
        }
        if let Some(unknown) = self.permissions.iter().find(|name| !is_known_permission(name)) {
            return invalid(format!("unknown permission: {unknown}"));
        }
        if self.flair.contains(&Flair::Root) {
            return invalid("a program has no flair root; there are lock, secret, segment and bulk".into());
        }
        let is_name = |name: &String| !name.is_empty() && name.len() <= TEXT_BYTES_MAX;
        if self.detects.len() > DETECTS_MAX || !self.detects.iter().all(is_name) {
            return invalid(format!("a registration names at most {DETECTS_MAX} detections"));
        }
        if self.rate.is_some_and(|rate| !(1..=RATE_MAX).contains(&rate)) {
            return invalid(format!(
                "rate is 1 to {RATE_MAX} calls in a second; leave it out for no bound but that of calls at once"
            ));
        }
        if *protocol == Protocol::Extension && !self.detects.is_empty() {
            return invalid("extensions are not told of detections; a rule can ask one for something".into());
        }
        Ok(())
    }
}

/// The registration of a program, as an organization sees it: its own, that to which it is subscribed, or one that is
/// offered to all.
#[must_use]
pub fn find(records: &Records, oid: Oid, program: &Program) -> Option<Found> {
    let registrations = program.protocol.registrations();
    let of = |owner: Oid| {
        records.shared(owner, registrations, &program.name).map(|registration| Found { owner, registration })
    };
    let subscribed = || of(records.get(oid, program.protocol.subscriptions(), &program.name)?.owner);
    let is_public = |owner: &Oid| of(*owner).is_some_and(|found| found.registration.is_public);
    let offered = || of(records.owners(registrations).into_iter().find(is_public)?);
    of(oid).or_else(subscribed).or_else(offered)
}

/// Every registration of a protocol that an organization sees.
#[must_use]
pub fn visible(records: &Records, oid: Oid, protocol: Protocol) -> Vec<(Program, Found)> {
    let owners = records.owners(protocol.registrations()).into_iter();
    let mut names: Vec<String> = owners
        .flat_map(|owner| {
            let sees = move |registration: &Registration| owner == oid || registration.is_public;
            let of_owner = records.list(owner, protocol.registrations()).into_iter();
            of_owner.filter(move |(_, one)| sees(one)).map(|(name, _)| name)
        })
        .chain(records.list(oid, protocol.subscriptions()).into_iter().map(|(name, _)| name))
        .collect();
    names.sort_unstable();
    names.dedup();
    let programs = names.into_iter().map(|name| Program { protocol, name });
    programs.filter_map(|program| find(records, oid, &program).map(|found| (program, found))).collect()
}

/// Programs of a protocol to which an organization is subscribed.
#[must_use]
pub fn subscriptions(records: &Records, oid: Oid, protocol: Protocol) -> Vec<Program> {
    let all = records.list(oid, protocol.subscriptions()).into_iter().map(|(name, _)| Program { protocol, name });
    all.filter(|program| subscribed(records, oid, program).is_some()).collect()
}

/// A subscription that is in force.
#[must_use]
pub fn subscription(records: &Records, oid: Oid, program: &Program) -> Option<Subscribed> {
    let subscribed = records.get(oid, program.protocol.subscriptions(), &program.name);
    subscribed.filter(|subscribed| !subscribed.is_ending)
}

/// The registration to which an organization is subscribed, if it is.
#[must_use]
pub fn subscribed(records: &Records, oid: Oid, program: &Program) -> Option<Found> {
    let owner = subscription(records, oid, program)?.owner;
    records
        .shared(owner, program.protocol.registrations(), &program.name)
        .map(|registration| Found { owner, registration })
}

/// Organizations that are subscribed to a registration, ending ones too.
#[must_use]
pub fn subscribers(records: &Records, owner: Oid, program: &Program) -> Vec<(Oid, Subscribed)> {
    let subscriptions = program.protocol.subscriptions();
    let of = |oid: Oid| records.get(oid, subscriptions, &program.name).filter(|one| one.owner == owner);
    records.owners(subscriptions).into_iter().filter_map(|oid| Some((oid, of(oid)?))).collect()
}

/// Adds an identity, with the permissions and the flair of a registration, to a batch; gives its place among the API keys.
///
/// # Errors
///
/// Whatever the store says.
pub fn add_identity(
    batch: Batch,
    secrets: &Secrets,
    oid: Oid,
    (program, registration): (&Program, &Registration),
    (by, now): (&str, Timestamp),
) -> Result<(Batch, String), Error> {
    // Nobody has the secret: tokens are made by the server alone.
    let key = secrets.digest(&random::bytes::<32>());
    let identity = ApiKey {
        name: with_flair(&program.target(), &registration.flair),
        permissions: registration.permissions.clone(),
        by: by.to_owned(),
        created_at: now,
        allowed_ip_range: String::new(),
    };
    Ok((batch.put(oid, API_KEY, &key, &identity, Expect::Absent)?, key))
}

/// The identity of a subscription; `None` if someone deleted its key.
#[must_use]
pub fn identity(records: &Records, oid: Oid, subscribed: &Subscribed) -> Option<Caller> {
    let key = records.get(oid, API_KEY, &subscribed.key)?;
    let scope = Scope::new([(oid, key.permissions)]);
    Some(Caller {
        identity: key.name,
        uid: String::new(),
        credential: subscribed.key.clone(),
        scope,
        in_console: false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registration(url: &str) -> Registration {
        Registration {
            url: url.into(),
            secret: None,
            permissions: Vec::new(),
            flair: Vec::new(),
            detects: Vec::new(),
            is_public: false,
            allow_private: false,
            rate: None,
            created_at: Timestamp::ZERO,
            by: String::new(),
        }
    }

    #[test]
    fn refusals_name_what_is_wrong() {
        let good = registration("https://example.org/hook");
        let check = |name: &str| good.check(&Program::service(name));
        assert!(check("a-b_c.1").is_ok());
        for name in ["", "a b", "a/b", "ä", &"x".repeat(65), "reliable-tasking"] {
            assert!(matches!(check(name), Err(Error::Invalid(_))), "{name}");
        }
        for url in ["", "ftp://h", "https://", "h:80", "https://h/?q=1", "https://user@h/"] {
            let refused = registration(url).check(&Program::service("a")).expect_err(url).to_string();
            assert!(refused.contains("url must be"), "{refused}");
        }
        let unknown =
            Registration { permissions: vec!["sensor.fly".into()], ..good.clone() }.check(&Program::service("a"));
        assert!(unknown.expect_err("unknown").to_string().contains("sensor.fly"));
        for rate in [0, RATE_MAX + 1] {
            let refused = Registration { rate: Some(rate), ..good.clone() }.check(&Program::service("a"));
            assert!(refused.is_err_and(|error| error.to_string().contains("1 to 1000")), "{rate}");
        }
        let rooted = Registration { flair: vec![Flair::Root], ..good.clone() }.check(&Program::service("a"));
        assert!(rooted.is_err_and(|error| error.to_string().contains("root")));
        let told = Registration { detects: vec!["bad".into()], ..good.clone() };
        assert!(told.check(&Program::service("a")).is_ok() && told.check(&Program::extension("a")).is_err());
        let empty = Registration { secret: Some(String::new()), ..good }.check(&Program::service("a"));
        assert!(empty.is_err(), "empty is no secret");
    }
}
