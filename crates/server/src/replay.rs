//! Calls that clients repeat when an answer was lost: each is carried out once.
//!
//! Source: reference/rest-api.md sections 4 and 13 (`x-idempotent-key`).

use parking_lot::Mutex;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Time for which a call is remembered: longer than any client repeats one.
const REMEMBERED: Duration = Duration::from_secs(600);

/// Calls remembered at once; beyond, the oldest are forgotten.
const CALLS_MAX: usize = 100_000;

/// Remembers calls by a digest of credential, key and body.
#[derive(Default)]
pub struct Replays {
    calls: Mutex<HashMap<String, Call>>,
}

#[derive(Clone, Copy)]
struct Call {
    began: Instant,
    is_done: bool,
}

/// What is known of a call.
pub enum Claimed<'a> {
    /// Nothing: carry it out, and say so.
    New(Claim<'a>),
    /// It is being carried out right now.
    UnderWay,
    /// It was carried out.
    Done,
}

/// A call that is being carried out; dropping it forgets the call, which may then be repeated.
pub struct Claim<'a> {
    replays: &'a Replays,
    digest: String,
    is_done: bool,
}

impl Replays {
    /// Begins a call.
    pub fn claim(&self, digest: String) -> Claimed<'_> {
        let now = Instant::now();
        let mut calls = self.calls.lock();
        match calls.get(&digest) {
            Some(call) if now.duration_since(call.began) < REMEMBERED => {
                return if call.is_done { Claimed::Done } else { Claimed::UnderWay };
            }
            _ => {}
        }
        if calls.len() >= CALLS_MAX {
            forget_oldest(&mut calls, now);
        }
        calls.insert(digest.clone(), Call { began: now, is_done: false });
        Claimed::New(Claim { replays: self, digest, is_done: false })
    }
}

/// Forgets what is over, and if that is not enough, the older half.
fn forget_oldest(calls: &mut HashMap<String, Call>, now: Instant) {
    calls.retain(|_, call| now.duration_since(call.began) < REMEMBERED);
    if calls.len() < CALLS_MAX {
        return;
    }
    let mut began: Vec<Instant> = calls.values().map(|call| call.began).collect();
    let middle = began.len() / 2;
    let (_, median, _) = began.select_nth_unstable(middle);
    let median = *median;
    calls.retain(|_, call| call.began > median);
}

impl Claim<'_> {
    /// The call was carried out.
    pub fn done(mut self) {
        self.is_done = true;
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        let mut calls = self.replays.calls.lock();
        if !self.is_done {
            calls.remove(&self.digest);
        } else if let Some(call) = calls.get_mut(&self.digest) {
            call.is_done = true;
        }
    }
}
