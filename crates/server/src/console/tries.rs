//! How often someone may try to sign in.
//!
//! Counted per user and per address in windows that slide; nobody is locked out for good. Counts are in
//! memory alone: a restart of the server forgets them, which costs an attacker more than it gives.

use super::Error;
use muster_model::Timestamp;
use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

/// Tries are counted over this time.
const WINDOW: Duration = Duration::from_secs(600);

/// Wrong passwords of one user in a window.
const PER_USER: usize = 5;

/// Tries from one address in a window: several people may be behind it.
const PER_ADDRESS: usize = 20;

/// Users and addresses remembered at once, some 200 bytes each; beyond, all counts start over.
const REMEMBERED_MAX: usize = 20_000;

/// Longest user name that is remembered; a longer one is nobody's.
const NAME_BYTES_MAX: usize = 254;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Who {
    User(String),
    Address(IpAddr),
}

/// Recent tries.
#[derive(Default)]
pub struct Tries(Mutex<HashMap<Who, VecDeque<Timestamp>>>);

impl Tries {
    /// Counts a try; it counts until it is forgiven, so that tries side by side are counted too.
    ///
    /// # Errors
    ///
    /// [`Error::TooManyTries`] with the seconds until the next try.
    pub fn begin(&self, user: &str, source: Option<IpAddr>, now: Timestamp) -> Result<(), Error> {
        let mut tries = self.0.lock();
        if tries.len() >= REMEMBERED_MAX {
            tries.retain(|_, times| times.back().is_some_and(|last| now.since(*last) < WINDOW));
        }
        if tries.len() >= REMEMBERED_MAX {
            tries.clear();
        }
        let counted = whom(user, source);
        for (who, most) in &counted {
            let Some(times) = tries.get_mut(who) else { continue };
            while times.front().is_some_and(|first| now.since(*first) >= WINDOW) {
                times.pop_front();
            }
            if let Some(first) = times.front().filter(|_| times.len() >= *most) {
                return Err(too_many(WINDOW.saturating_sub(now.since(*first))));
            }
        }
        for (who, _) in counted {
            tries.entry(who).or_default().push_back(now);
        }
        Ok(())
    }

    /// Takes back a try that was right.
    pub fn forgive(&self, user: &str, source: Option<IpAddr>) {
        let mut tries = self.0.lock();
        for (who, _) in whom(user, source) {
            if let Some(times) = tries.get_mut(&who) {
                times.pop_back();
                if times.is_empty() {
                    tries.remove(&who);
                }
            }
        }
    }
}

fn whom(user: &str, source: Option<IpAddr>) -> Vec<(Who, usize)> {
    let user = (!user.is_empty() && user.len() <= NAME_BYTES_MAX).then(|| (Who::User(user.to_owned()), PER_USER));
    user.into_iter().chain(source.map(|ip| (Who::Address(ip), PER_ADDRESS))).collect()
}

fn too_many(left: Duration) -> Error {
    let seconds = u32::try_from(left.as_secs()).unwrap_or(u32::MAX).max(1);
    Error::TooManyTries(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_secs(1_000_000 + seconds)
    }

    #[test]
    fn the_sixth_try_of_a_user_waits_until_the_first_is_forgotten() {
        let tries = Tries::default();
        for second in 0..5 {
            tries.begin("ana@example.org", None, at(second)).unwrap();
        }
        let error = tries.begin("ana@example.org", None, at(10)).unwrap_err();
        assert!(matches!(error, Error::TooManyTries(590)), "{error}");
        tries.begin("bo@example.org", None, at(10)).unwrap();
        tries.begin("ana@example.org", None, at(600)).unwrap();
        tries.begin("ana@example.org", None, at(600)).unwrap_err();
    }

    #[test]
    fn an_address_that_tries_many_users_waits_too_and_right_tries_do_not_count() {
        let tries = Tries::default();
        let source = Some(IpAddr::from([192, 0, 2, 1]));
        for user in 0..PER_ADDRESS {
            tries.begin("right@example.org", source, at(0)).unwrap();
            tries.forgive("right@example.org", source);
            tries.begin(&format!("{user}@example.org"), source, at(0)).unwrap();
        }
        tries.begin("another@example.org", source, at(0)).unwrap_err();
        tries.begin("another@example.org", Some(IpAddr::from([192, 0, 2, 2])), at(0)).unwrap();
    }
}
