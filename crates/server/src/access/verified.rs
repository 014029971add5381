//! Tokens whose signature was found right lately.
//!
//! A client shows the same token with each call, and to read it once more would cost more than most calls do. What was
//! taken from its credential since is looked at each time all the same.

use super::token::{Caller, Refused};
use aws_lc_rs::digest::{SHA256, digest};
use muster_model::Timestamp;
use parking_lot::Mutex;
use std::collections::HashMap;

/// Tokens that are remembered; one more, and all are read anew.
const TOKENS_MAX: usize = 512;

/// Longer ones are read each time: they name many organizations.
const TOKEN_BYTES_MAX: usize = 8 * 1024;

/// By the digest of the token: how long a look-up takes tells nothing of tokens that others have.
#[derive(Default)]
pub(super) struct Verified(Mutex<HashMap<[u8; 32], (Caller, Timestamp)>>);

fn key(token: &str) -> Option<[u8; 32]> {
    digest(&SHA256, token.as_bytes()).as_ref().try_into().ok().filter(|_| token.len() <= TOKEN_BYTES_MAX)
}

impl Verified {
    /// Whose token this is, and until when it is valid, read by `read` if it is not remembered.
    ///
    /// # Errors
    ///
    /// Those of `read`: what is refused is not remembered.
    pub fn get_or(
        &self,
        token: &str,
        read: impl FnOnce() -> Result<(Caller, Timestamp), Refused>,
    ) -> Result<(Caller, Timestamp), Refused> {
        let Some(key) = key(token) else { return read() };
        if let Some(known) = self.0.lock().get(&key) {
            return Ok(known.clone());
        }
        let known = read()?;
        let mut all = self.0.lock();
        if all.len() >= TOKENS_MAX {
            all.clear();
        }
        all.insert(key, known.clone());
        Ok(known)
    }

    /// Has all tokens read anew.
    pub fn forget(&self) {
        self.0.lock().clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::Scope;

    fn caller(identity: &str) -> Caller {
        let (identity, scope) = (identity.to_owned(), Scope::default());
        Caller { identity, uid: String::new(), credential: String::new(), scope, in_console: false }
    }

    /// Whether a token had to be read.
    fn is_read(all: &Verified, token: &str) -> bool {
        let mut is_read = false;
        let got = all.get_or(token, || {
            is_read = true;
            if token.starts_with("wrong") { Err(Refused::Token) } else { Ok((caller(token), Timestamp::ZERO)) }
        });
        assert_eq!(
            got.map(|(caller, _)| caller.identity).ok(),
            (!token.starts_with("wrong")).then(|| token.to_owned())
        );
        is_read
    }

    #[test]
    fn a_right_token_is_read_once_and_again_after_it_was_forgotten() {
        let all = Verified::default();
        assert!(is_read(&all, "one") && is_read(&all, "two"));
        assert!(!is_read(&all, "one") && !is_read(&all, "two"));
        all.forget();
        assert!(is_read(&all, "one"));
    }

    #[test]
    fn wrong_and_long_tokens_are_read_each_time_and_only_so_many_are_remembered() {
        let all = Verified::default();
        let long = "x".repeat(TOKEN_BYTES_MAX + 1);
        for token in ["wrong", &long] {
            assert!(is_read(&all, token) && is_read(&all, token));
        }
        assert!(all.0.lock().is_empty());
        (0..2 * TOKENS_MAX).for_each(|number| assert!(is_read(&all, &number.to_string())));
        assert!(all.0.lock().len() <= TOKENS_MAX);
    }
}
