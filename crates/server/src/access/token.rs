//! Tokens: what a caller proved to be, for about an hour.

use super::{API_KEY, BULK_CALLS, Error, Flair, Secrets, USER, USER_KEY, permission, without_flair};
use crate::intake::event::{Actor, CONSOLE};
use crate::profile::{ORGANIZATION, ORGANIZATION_OWNER};
use crate::records::{Records, SERVER};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use muster_model::{Oid, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

/// Validity of a token when the client names none. Source: reference/rest-api.md section 5.1.
pub const TOKEN_TTL_S: i64 = 3_600;

/// Longest validity that a client may ask for: a month.
pub(super) const TOKEN_TTL_S_MAX: i64 = 31 * 24 * 3_600;

const AUDIENCE: &str = "lce_control_plane";

/// Claims of a token. Source: reference/rest-api.md section 5.2.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the fields are those of the published token")]
pub struct Claims {
    pub aud: String,
    pub exp: i64,
    /// Identity shown in audit records.
    pub email: String,
    pub uid: String,
    pub kid: String,
    pub sip: String,
    pub oid: ClaimedOrganizations,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub perms: Vec<String>,
}

/// Scope as the published token writes it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ClaimedOrganizations {
    /// Of an API key: organizations; the permissions stand beside.
    Listed(Vec<Oid>),
    /// Of a user: permissions by organization.
    ByOrganization(BTreeMap<Oid, Vec<String>>),
}

/// What a caller may do where.
#[derive(Clone, Debug, Default)]
pub struct Scope(pub BTreeMap<Oid, Arc<BTreeSet<String>>>);

impl Scope {
    /// These permissions in these organizations.
    pub fn new<P: IntoIterator<Item = String>>(organizations: impl IntoIterator<Item = (Oid, P)>) -> Self {
        let set = |permissions: P| Arc::new(permissions.into_iter().collect());
        Self(organizations.into_iter().map(|(oid, permissions)| (oid, set(permissions))).collect())
    }
}

/// Leaves of permissions only those that are there `still`.
fn keep(have: &mut Arc<BTreeSet<String>>, still: &[String]) {
    // Each call comes here, and nearly always nothing was taken: what a key may do is stored in this order.
    if have.iter().eq(still) {
        return;
    }
    let still: HashSet<&str> = still.iter().map(String::as_str).collect();
    if !have.iter().all(|name| still.contains(name.as_str())) {
        Arc::make_mut(have).retain(|name| still.contains(name.as_str()));
    }
}

/// Someone with a valid token.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Shown in audit records: an e-mail address, or the name of a key.
    pub identity: String,
    /// Empty for API keys of organizations.
    pub uid: String,
    /// Digest of the credential; quotas are counted by it.
    pub credential: String,
    /// What it may do where.
    pub scope: Scope,
    /// Signed in to the console; the credential is the digest of the session.
    pub in_console: bool,
}

impl Caller {
    /// Whether the caller has a permission in an organization.
    #[must_use]
    pub fn may(&self, oid: Oid, permission: &str) -> bool {
        self.scope.0.get(&oid).is_some_and(|permissions| permissions.contains(permission))
    }

    /// Refuses a caller without a permission.
    ///
    /// # Errors
    ///
    /// [`Error::MissingPermission`].
    pub fn require(&self, oid: Oid, permission: &str) -> Result<(), Error> {
        if self.may(oid, permission) { Ok(()) } else { Err(Error::MissingPermission(permission.to_owned())) }
    }

    /// Who calls, for audit records.
    #[must_use]
    pub fn actor(&self, source: Option<IpAddr>) -> Actor {
        let origin = if self.in_console { CONSOLE } else { "api" };
        Actor { identity: self.identity.clone(), origin, source, called_by: None }
    }

    /// Whether the caller belongs to the organization at all.
    #[must_use]
    pub fn is_in(&self, oid: Oid) -> bool {
        self.scope.0.contains_key(&oid)
    }

    /// How often the caller may call in a minute, where others may this often.
    #[must_use]
    pub fn calls_max(&self, calls: u32) -> u32 {
        let is_bulk = !self.is_user() && without_flair(&self.identity).1.contains(&Flair::Bulk);
        if is_bulk { calls.saturating_mul(BULK_CALLS) } else { calls }
    }

    /// Whether this is a user and not a key of an organization.
    #[must_use]
    pub fn is_user(&self) -> bool {
        !self.uid.is_empty()
    }
}

/// What a client sends to get a token. It prints nothing: it holds a key.
#[derive(Clone, Default)]
pub struct Exchange<'a> {
    /// The API key.
    pub secret: &'a str,
    /// An organization, `-` for none, or empty for all of the user's.
    pub oid: &'a str,
    /// Only for user keys.
    pub uid: &'a str,
    /// Absolute seconds, or a duration below 10⁹.
    pub expiry: Option<i64>,
    /// Restricts the permissions.
    pub permissions: Option<Vec<&'a str>>,
    /// Where the request came from.
    pub source: Option<IpAddr>,
}

/// Why there is no token; the text is for the client, and names no secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// Unknown key, wrong organization, wrong user: which one is not told.
    #[error("invalid API key or organization")]
    Credential,
    /// The key may not be used from there.
    #[error("this API key may not be used from this address")]
    Address,
    /// Not one of ours, or tampered with.
    #[error("invalid token")]
    Token,
    /// Its time is over.
    #[error("token has expired")]
    Expired,
}

impl Secrets {
    /// Makes a token for a credential.
    ///
    /// # Errors
    ///
    /// [`Refused`] without telling whether the key or the organization was wrong.
    pub fn exchange(&self, records: &Records, exchange: &Exchange<'_>, now: Timestamp) -> Result<String, Refused> {
        let caller = self.identify(records, exchange)?;
        let now_s = now.as_secs();
        let ttl = match exchange.expiry {
            None | Some(..=0) => TOKEN_TTL_S,
            Some(duration @ 1..1_000_000_000) => duration,
            Some(absolute) => absolute - now_s,
        };
        self.token(caller, ttl, exchange.source, now)
    }

    /// Makes a token for someone whose credential is known already, valid for so many seconds.
    ///
    /// # Errors
    ///
    /// [`Refused::Token`] if it cannot be signed.
    pub fn token(&self, caller: Caller, ttl_s: i64, source: Option<IpAddr>, now: Timestamp) -> Result<String, Refused> {
        let is_user = caller.is_user();
        let permissions = caller.scope.0.values().next().into_iter().flat_map(|set| set.iter().cloned()).collect();
        let claims = Claims {
            aud: AUDIENCE.into(),
            exp: now.as_secs().saturating_add(ttl_s.clamp(1, TOKEN_TTL_S_MAX)),
            email: caller.identity,
            uid: caller.uid,
            kid: caller.credential,
            sip: source.map(|ip| ip.to_string()).unwrap_or_default(),
            perms: if is_user { Vec::new() } else { permissions },
            oid: if is_user {
                let sorted = |set: Arc<BTreeSet<String>>| set.iter().cloned().collect();
                ClaimedOrganizations::ByOrganization(
                    caller.scope.0.into_iter().map(|(oid, set)| (oid, sorted(set))).collect(),
                )
            } else {
                ClaimedOrganizations::Listed(caller.scope.0.into_keys().collect())
            },
        };
        let key = EncodingKey::from_secret(self.token_key().as_bytes());
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &key).map_err(|_| Refused::Token)
    }

    /// Finds out whose credential this is, and what it may do.
    ///
    /// # Errors
    ///
    /// [`Refused`], as for [`Secrets::exchange`].
    pub fn identify(&self, records: &Records, exchange: &Exchange<'_>) -> Result<Caller, Refused> {
        let one = exchange.oid.parse::<Oid>();
        let owners = one.as_ref().map_or_else(|_| records.owners(API_KEY), |oid| vec![*oid]);
        let is_known = |digest: &str| {
            records.has(SERVER, USER_KEY, digest) || owners.iter().any(|oid| records.has(*oid, API_KEY, digest))
        };
        let credential = self.stored_digest(exchange.secret.as_bytes(), is_known);
        let caller = match one {
            Ok(oid) if exchange.uid.is_empty() => organization_caller(records, oid, credential, exchange)?,
            // A client that asks for its organizations names none; the key of one still says which.
            Err(_) if !chosen_one(exchange.oid) && !records.has(SERVER, USER_KEY, &credential) => {
                let organizations = records.list(ORGANIZATION_OWNER, ORGANIZATION).into_iter();
                let mut oids = organizations.filter_map(|(oid, _)| oid.parse::<Oid>().ok());
                let oid = oids.find(|oid| records.has(*oid, API_KEY, &credential)).ok_or(Refused::Credential)?;
                organization_caller(records, oid, credential, exchange)?
            }
            chosen => {
                let key = records.get(SERVER, USER_KEY, &credential).ok_or(Refused::Credential)?;
                let user = records.get(SERVER, USER, &key.email).ok_or(Refused::Credential)?;
                if user.uid != exchange.uid && !exchange.uid.is_empty() {
                    return Err(Refused::Credential);
                }
                let mut scope = Scope::new(user.organizations);
                scope.0.retain(|oid, _| key.organizations.contains(oid));
                match (chosen, exchange.oid) {
                    (Ok(oid), _) => scope.0.retain(|have, _| *have == oid),
                    (Err(_), "-" | "") => {}
                    (Err(_), _) => return Err(Refused::Credential),
                }
                if scope.0.is_empty() && chosen_one(exchange.oid) {
                    return Err(Refused::Credential);
                }
                Caller { identity: key.email, uid: user.uid, credential, scope, in_console: false }
            }
        };
        Ok(restricted(caller, exchange.permissions.as_deref()))
    }

    /// Reads a token.
    ///
    /// # Errors
    ///
    /// [`Refused::Token`] or [`Refused::Expired`].
    pub fn verify(&self, token: &str, now: Timestamp) -> Result<Caller, Refused> {
        self.verify_until(token, now).map(|(caller, _)| caller)
    }

    /// Reads a token; also tells when it expires.
    ///
    /// # Errors
    ///
    /// As [`Secrets::verify`].
    pub fn verify_until(&self, token: &str, now: Timestamp) -> Result<(Caller, Timestamp), Refused> {
        let (caller, expires_at) = self.verified(token, now, |keys| read(token, keys))?;
        if expires_at.as_secs() <= now.as_secs() {
            return Err(Refused::Expired);
        }
        Ok((caller, expires_at))
    }

    /// Takes from a caller what was taken from the credential or the user since the token was made.
    /// `None` if the credential is gone: a deleted key ends its tokens.
    #[must_use]
    pub fn without_what_was_taken(&self, records: &Records, mut caller: Caller) -> Option<Caller> {
        if caller.is_user() {
            let key = records.shared(SERVER, USER_KEY, &caller.credential)?;
            let user = records.shared(SERVER, USER, &key.email).filter(|user| user.uid == caller.uid)?;
            caller.scope.0.retain(|oid, have| {
                let present = user.organizations.get(oid).filter(|_| key.organizations.contains(oid));
                present.inspect(|present| keep(have, present)).is_some()
            });
            return Some(caller);
        }
        for (oid, have) in &mut caller.scope.0 {
            let key = records.shared(*oid, API_KEY, &caller.credential)?;
            keep(have, &key.permissions);
        }
        Some(caller)
    }

    /// The caller behind a token.
    ///
    /// # Errors
    ///
    /// If the token is not valid, or the key behind it is gone or may not be used from there.
    pub fn caller(
        &self,
        records: &Records,
        token: &str,
        source: Option<IpAddr>,
        now: Timestamp,
    ) -> Result<Caller, Error> {
        let caller = self.verify(token, now)?;
        self.require_address(records, &caller, source)?;
        self.without_what_was_taken(records, caller).ok_or(Error::KeyDeleted)
    }

    /// Checks that a caller who was let in before may still do something.
    ///
    /// # Errors
    ///
    /// If the key, the user or the permission is gone.
    pub fn still(&self, records: &Records, caller: Caller, oid: Oid, permission: &str) -> Result<(), Error> {
        self.without_what_was_taken(records, caller).ok_or(Error::KeyDeleted)?.require(oid, permission)
    }

    /// Checks that the key of a token may be used from this address: what it may not, its tokens may not either.
    ///
    /// # Errors
    ///
    /// [`Refused::Address`].
    pub fn require_address(&self, records: &Records, caller: &Caller, source: Option<IpAddr>) -> Result<(), Refused> {
        let mut keys = caller.scope.0.keys().filter_map(|oid| records.shared(*oid, API_KEY, &caller.credential));
        if keys.all(|key| allows(&key.allowed_ip_range, source)) { Ok(()) } else { Err(Refused::Address) }
    }
}

/// Whoever holds a key of this organization.
fn organization_caller(
    records: &Records,
    oid: Oid,
    credential: String,
    exchange: &Exchange<'_>,
) -> Result<Caller, Refused> {
    let key = records.get(oid, API_KEY, &credential).ok_or(Refused::Credential)?;
    if !allows(&key.allowed_ip_range, exchange.source) {
        return Err(Refused::Address);
    }
    let scope = Scope::new([(oid, key.permissions)]);
    Ok(Caller { identity: key.name, uid: String::new(), credential, scope, in_console: false })
}

/// What a token says, if one of these keys signed it.
fn read(token: &str, keys: &[String]) -> Result<(Caller, Timestamp), Refused> {
    let mut validation = Validation::new(Algorithm::HS256);
    validation.set_audience(&[AUDIENCE]);
    validation.validate_exp = false; // The clock is an argument here.
    let mut read = keys
        .iter()
        .map(|key| jsonwebtoken::decode::<Claims>(token, &DecodingKey::from_secret(key.as_bytes()), &validation));
    let claims = read.find_map(Result::ok).ok_or(Refused::Token)?.claims;
    let scope = match claims.oid {
        ClaimedOrganizations::Listed(oids) => Scope::new(oids.into_iter().map(|oid| (oid, claims.perms.clone()))),
        ClaimedOrganizations::ByOrganization(by) => Scope::new(by),
    };
    let (identity, uid, credential) = (claims.email, claims.uid, claims.kid);
    Ok((Caller { identity, uid, credential, scope, in_console: false }, Timestamp::from_secs(claims.exp)))
}

fn chosen_one(oid: &str) -> bool {
    !matches!(oid, "-" | "")
}

fn restricted(mut caller: Caller, permissions: Option<&[&str]>) -> Caller {
    if let Some(only) = permissions {
        for have in caller.scope.0.values_mut() {
            Arc::make_mut(have).retain(|name| only.contains(&name.as_str()));
        }
    }
    caller
}

fn allows(range: &str, source: Option<IpAddr>) -> bool {
    if range.is_empty() {
        return true;
    }
    let network = range.parse::<ipnet::IpNet>();
    matches!((network, source), (Ok(network), Some(source)) if network.contains(&source))
}

/// Every permission, for owners.
#[must_use]
pub fn owner_permissions() -> Vec<String> {
    permission::all()
}
