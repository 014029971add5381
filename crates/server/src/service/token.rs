//! Tokens of the identities of subscriptions, which are handed to programs with each message.
//!
//! One is used for some messages: to sign one for each costs as much as to read the message.

use super::program::Program;
use super::{Error, Services, registry};
use crate::access::{API_KEY, TOKEN_TTL_S};
use crate::clock;
use muster_model::{Oid, Timestamp};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::time::Duration;

/// For how long a token is handed out: what is left of its time is many times what a program may take for a message.
const HANDED_OUT_MAX: Duration = Duration::from_secs(60);

/// Tokens in memory, some 1 kB each; beyond, all are made anew.
const TOKENS_MAX: usize = 10_000;

/// Tokens that were made lately, by whose they are.
#[derive(Default)]
pub(super) struct Tokens(Mutex<HashMap<(Oid, Program), Made>>);

struct Made {
    at: Timestamp,
    by: Basis,
    token: String,
}

/// What a token was made of: it is of no use after one of these changed.
#[derive(PartialEq, Eq)]
struct Basis {
    credential: String,
    revision: u64,
    signed_by: String,
}

impl Tokens {
    fn get(&self, of: &(Oid, Program), by: &Basis, now: Timestamp) -> Option<String> {
        let made = self.0.lock();
        let is_young = |made: &&Made| made.by == *by && made.at <= now && now.since(made.at) < HANDED_OUT_MAX;
        made.get(of).filter(is_young).map(|made| made.token.clone())
    }

    fn put(&self, of: (Oid, Program), made: Made) {
        let mut all = self.0.lock();
        if all.len() >= TOKENS_MAX {
            all.clear();
        }
        all.insert(of, made);
    }
}

impl Services {
    /// A token of the identity of a subscription, made within the last minute.
    pub(super) fn token(&self, oid: Oid, program: &Program) -> Result<String, Error> {
        let subscribed = self.records.shared(oid, program.protocol.subscriptions(), &program.name);
        let identity = subscribed.and_then(|subscribed| {
            let revision = self.records.revision(oid, API_KEY.word(), &subscribed.key);
            (revision > 0).then_some((subscribed, revision))
        });
        let (subscribed, revision) = identity.ok_or_else(|| no_identity(program))?;
        let by = Basis { credential: subscribed.key.clone(), revision, signed_by: self.secrets.token_key() };
        let (of, at) = ((oid, program.clone()), clock::now());
        if let Some(token) = self.tokens.get(&of, &by, at) {
            return Ok(token);
        }
        let identity = registry::identity(&self.records, oid, &subscribed).ok_or_else(|| no_identity(program))?;
        let token = self.secrets.token(identity, TOKEN_TTL_S, None, at);
        let token = token.map_err(|_| Error::failed(program, "no token could be made"))?;
        self.tokens.put(of, Made { at, by, token: token.clone() });
        Ok(token)
    }
}

fn no_identity(program: &Program) -> Error {
    let word = program.protocol;
    let text = format!("the API key of its subscription was deleted; make another with: muster {word} rekey");
    Error::failed(program, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_handed_out_for_a_minute_and_while_nothing_changes_that_it_says() {
        let (tokens, at) = (Tokens::default(), Timestamp::from_secs(1_000));
        let basis = |credential: &str, revision: u64, signed_by: &str| Basis {
            credential: credential.into(),
            revision,
            signed_by: signed_by.into(),
        };
        let of = || (Oid(uuid::Uuid::nil()), Program::service("a"));
        tokens.put(of(), Made { at, by: basis("key", 1, "k"), token: "token".into() });
        let get = |by: &Basis, now: u64| tokens.get(&of(), by, Timestamp::from_secs(now as i64)).is_some();
        assert!(get(&basis("key", 1, "k"), 1_000) && get(&basis("key", 1, "k"), 1_059));
        assert!(!get(&basis("key", 1, "k"), 1_060), "it is a minute old");
        assert!(!get(&basis("key", 1, "k"), 999), "the clock was set back: nobody knows how old it is");
        assert!(!get(&basis("other", 1, "k"), 1_000), "the identity has another key");
        assert!(!get(&basis("key", 2, "k"), 1_000), "it may do something else");
        assert!(!get(&basis("key", 1, "l"), 1_000), "the server signs with another key");
        assert!(tokens.get(&(Oid(uuid::Uuid::max()), Program::service("a")), &basis("key", 1, "k"), at).is_none());
    }
}
