//! The keys of this server, and how new ones take over while it serves.

use super::token::{Caller, Refused};
use super::verified::Verified;
use super::{TOKEN_TTL_S_MAX, to_hex};
use crate::random;
use crate::records::{Batch, Kind, Records, SERVER};
use aws_lc_rs::hmac;
use muster_model::{Oid, Timestamp};
use muster_store::{Expect, StoreError};
use parking_lot::RwLock;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;

/// The keys of the server; owned by the server itself.
const SECRETS: Kind<Keys> = Kind::new("secrets");

/// The key of their record.
const OURS: &str = "server";

/// Older keys that are kept: each costs whoever shows an unknown credential one digest more. With one more rotation
/// credentials that were made under the oldest are not known any more.
const OLDER_MAX: usize = 15;

/// Keys of this server, made at its first start. All clones are the same.
#[derive(Clone)]
pub struct Secrets {
    keys: Arc<RwLock<Keys>>,
    /// Changed only while `keys` is held: what was read with keys of before is gone with them.
    verified: Arc<Verified>,
}

#[derive(Clone, Serialize, Deserialize)]
struct Keys {
    /// Key under which credentials are digested that are made now, hex.
    digest_key: String,
    /// Key that signs tokens that are made now, hex.
    token_key: String,
    /// Key of what must stay as it is when the others are new, hex; the first `digest_key`, until that is an older one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    lasting_key: String,
    /// Those of before, newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    older: Vec<Older>,
}

#[derive(Clone, Serialize, Deserialize)]
struct Older {
    digest_key: String,
    /// None once the tokens of before were ended.
    token_key: Option<String>,
    retired_at: Timestamp,
}

impl Older {
    /// No token that was made with it is valid from then on.
    fn ends_at(&self) -> Timestamp {
        self.retired_at.saturating_add(Duration::from_secs(TOKEN_TTL_S_MAX.unsigned_abs()))
    }
}

/// What a rotation left of the keys of before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotated {
    /// Tokens of before are valid until then at most; `None` if they ended with it.
    pub tokens_until: Option<Timestamp>,
    /// Credentials that were made before that are not known any more.
    pub unknown_before: Option<Timestamp>,
}

fn fresh() -> String {
    to_hex(&random::bytes::<32>())
}

fn digest_under(key: &str, text: &[u8]) -> String {
    to_hex(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes()), text).as_ref())
}

impl Keys {
    fn generate() -> Self {
        Self { digest_key: fresh(), token_key: fresh(), lasting_key: fresh(), older: Vec::new() }
    }

    fn lasting(&self) -> &str {
        if self.lasting_key.is_empty() { &self.digest_key } else { &self.lasting_key }
    }

    /// Keys by which a token that is shown now may have been signed, newest first.
    fn of_tokens(&self, now: Timestamp) -> Vec<String> {
        let older = self.older.iter().filter(|keys| now < keys.ends_at()).filter_map(|keys| keys.token_key.clone());
        std::iter::once(self.token_key.clone()).chain(older).collect()
    }

    fn rotated(&self, ends_tokens: bool, now: Timestamp) -> (Self, Rotated) {
        let retired =
            Older { digest_key: self.digest_key.clone(), token_key: Some(self.token_key.clone()), retired_at: now };
        let tokens_until = Some(retired.ends_at()).filter(|_| !ends_tokens);
        let mut older: Vec<Older> = std::iter::once(retired).chain(self.older.iter().cloned()).collect();
        let unknown_before = older.get(OLDER_MAX).map(|oldest| oldest.retired_at);
        older.truncate(OLDER_MAX);
        for keys in &mut older {
            let is_over = ends_tokens || keys.ends_at() <= now;
            keys.token_key = keys.token_key.take().filter(|_| !is_over);
        }
        let keys = Self { digest_key: fresh(), token_key: fresh(), lasting_key: self.lasting().to_owned(), older };
        (keys, Rotated { tokens_until, unknown_before })
    }
}

impl Secrets {
    /// Those of a store, made at its first start.
    ///
    /// # Errors
    ///
    /// Whatever the store says.
    pub async fn load(records: &Records) -> Result<Self, StoreError> {
        let keys = match records.get(SERVER, SECRETS, OURS) {
            Some(keys) => keys,
            None => {
                let keys = Keys::generate();
                records.put(SERVER, SECRETS, OURS, &keys, Expect::Absent, Vec::new()).await?;
                keys
            }
        };
        Ok(Self::of(keys))
    }

    fn of(keys: Keys) -> Self {
        Self { keys: Arc::new(RwLock::new(keys)), verified: Arc::default() }
    }

    /// Makes new keys for tokens and credentials. What was made with those of before stays valid: tokens until they
    /// expire, unless they are ended, and credentials.
    ///
    /// # Errors
    ///
    /// Whatever the store says; nothing has changed then.
    pub async fn rotate(&self, records: &Records, ends_tokens: bool, now: Timestamp) -> Result<Rotated, StoreError> {
        let mut next = None;
        let decide = || {
            let (keys, rotated) = self.keys.read().rotated(ends_tokens, now);
            let batch = Batch::default().put(SERVER, SECRETS, OURS, &keys, Expect::Any)?;
            next = Some((keys, rotated));
            Ok::<_, StoreError>(batch)
        };
        records.change(&[SERVER], decide).await?;
        let (keys, rotated) = next.ok_or_else(|| StoreError::Failed("nothing was decided".into()))?;
        let mut held = self.keys.write();
        *held = keys;
        self.verified.forget();
        Ok(rotated)
    }

    /// The private seed of an organization's template function `anon`.
    #[must_use]
    pub fn anon_seed(&self, oid: Oid) -> String {
        self.lasting_digest(format!("anon {oid}").as_bytes())
    }

    /// A digest that is the same whatever keys the server has by then.
    #[must_use]
    pub fn lasting_digest(&self, text: &[u8]) -> String {
        digest_under(self.keys.read().lasting(), text)
    }

    /// What is stored of a new credential, hex; equal credentials give equal digests.
    #[must_use]
    pub fn digest(&self, credential: &[u8]) -> String {
        digest_under(&self.keys.read().digest_key, credential)
    }

    /// What is stored of a credential, by whichever key it was made: the newest digest that `is_known`, or that of now.
    #[must_use]
    pub fn stored_digest(&self, credential: &[u8], is_known: impl Fn(&str) -> bool) -> String {
        let now = self.digest(credential);
        if is_known(&now) {
            return now;
        }
        let keys = self.keys.read();
        let older = keys.older.iter().map(|keys| digest_under(&keys.digest_key, credential));
        older.into_iter().find(|digest| is_known(digest)).unwrap_or(now)
    }

    /// The key that signs tokens.
    pub(crate) fn token_key(&self) -> String {
        self.keys.read().token_key.clone()
    }

    /// Whose token this is, and until when it is valid; read by `read` with the keys by which it may have been signed,
    /// newest first, unless it was shown before.
    ///
    /// # Errors
    ///
    /// Those of `read`.
    pub(super) fn verified(
        &self,
        token: &str,
        now: Timestamp,
        read: impl FnOnce(&[String]) -> Result<(Caller, Timestamp), Refused>,
    ) -> Result<(Caller, Timestamp), Refused> {
        let keys = self.keys.read();
        self.verified.get_or(token, || read(&keys.of_tokens(now)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(days: i64) -> Timestamp {
        Timestamp::from_secs(days * 24 * 3_600)
    }

    #[test]
    fn two_5_older_keys_verify_until_the_longest_token_is_over_and_what_must_last_lasts() {
        let keys = Keys::generate();
        let first = Secrets::of(keys.clone());
        let (next, rotated) = keys.rotated(false, day(100));
        let second = Secrets::of(next.clone());
        assert_eq!(rotated, Rotated { tokens_until: Some(day(131)), unknown_before: None });
        assert_eq!(next.of_tokens(day(130)), [second.token_key(), first.token_key()]);
        assert_eq!(next.of_tokens(day(131)), [second.token_key()]);
        assert_eq!(second.lasting_digest(b"x"), first.lasting_digest(b"x"));
        let made_before = first.digest(b"key");
        assert_eq!(second.stored_digest(b"key", |digest| digest == made_before), made_before);
        assert_eq!(second.stored_digest(b"key", |_| false), second.digest(b"key"));
        let (ended, rotated) = next.rotated(true, day(101));
        assert_eq!(rotated.tokens_until, None);
        assert!(ended.older.iter().all(|keys| keys.token_key.is_none()) && ended.older.len() == 2);
    }

    #[test]
    fn two_5_older_keys_are_bounded_and_what_ends_is_told() {
        let mut keys = Keys::generate();
        for number in 0..OLDER_MAX {
            let (next, rotated) = keys.rotated(false, day(number as i64));
            assert_eq!(rotated.unknown_before, None);
            keys = next;
        }
        let (keys, rotated) = keys.rotated(false, day(100));
        assert_eq!((keys.older.len(), rotated.unknown_before), (OLDER_MAX, Some(day(0))));
    }

    /// Of a server of before there was rotation.
    #[test]
    fn what_was_derived_from_the_first_key_stays() {
        let old: Keys = serde_json::from_str(r#"{"digest_key":"aa","token_key":"bb"}"#).unwrap();
        let before = Secrets::of(old.clone()).lasting_digest(b"x");
        assert_eq!(before, digest_under("aa", b"x"));
        let after = Secrets::of(old.rotated(false, day(1)).0);
        assert_eq!(after.lasting_digest(b"x"), before);
    }
}
