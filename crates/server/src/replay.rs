//! Calls that clients repeat when an answer was lost: each is carried out once.
//!
//! Source: reference/rest-api.md sections 4 and 13 (`x-idempotent-key`).

use parking_lot::Mutex;
use std::collections::HashMap;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// Time for which a call is remembered: longer than any client repeats one.
const REMEMBERED: Duration = Duration::from_secs(600);

/// Calls remembered at once; beyond, the oldest are forgotten.
const CALLS_MAX: usize = 100_000;

/// Remembers calls by a digest of credential, key and body.
#[derive(Default)]
pub struct Replays {
    calls: Mutex<HashMap<String, Call>>,
}

struct Call {
    began: Instant,
    /// Ends with the claim; `None` once the call was carried out.
    under_way: Option<watch::Receiver<()>>,
}

/// A call that is being carried out; dropping it forgets the call, which may then be repeated.
pub struct Claim<'a> {
    replays: &'a Replays,
    digest: String,
    is_done: bool,
    /// Dropped with the claim: whoever waits for its outcome looks again.
    _under_way: watch::Sender<()>,
}

impl Replays {
    /// Begins a call; `None` if it was carried out already. While it is being carried out, this
    /// waits for the outcome: a client that lost its connection and repeats the call must
    /// not be told of a failure when the call then succeeds.
    ///
    /// # Cancel safety
    ///
    /// Nothing was begun if this is dropped.
    pub async fn claim(&self, digest: &str) -> Option<Claim<'_>> {
        loop {
            let mut under_way = match self.try_claim(digest) {
                Ok(claimed) => return claimed,
                Err(under_way) => under_way,
            };
            // Nothing is ever sent: this ends with the claim of the other.
            let _ = under_way.changed().await;
        }
    }

    fn try_claim(&self, digest: &str) -> Result<Option<Claim<'_>>, watch::Receiver<()>> {
        let now = Instant::now();
        let mut calls = self.calls.lock();
        match calls.get(digest).map(|call| (now.duration_since(call.began) < REMEMBERED, &call.under_way)) {
            Some((_, Some(under_way))) => return Err(under_way.clone()),
            Some((true, None)) => return Ok(None),
            _ => {}
        }
        if calls.len() >= CALLS_MAX {
            forget_oldest(&mut calls, now);
        }
        let (sender, receiver) = watch::channel(());
        calls.insert(digest.to_owned(), Call { began: now, under_way: Some(receiver) });
        let claim = Claim { replays: self, digest: digest.to_owned(), is_done: false, _under_way: sender };
        Ok(Some(claim))
    }
}

/// Forgets what is over, and if that is not enough, the older half of what was carried out.
fn forget_oldest(calls: &mut HashMap<String, Call>, now: Instant) {
    calls.retain(|_, call| call.under_way.is_some() || now.duration_since(call.began) < REMEMBERED);
    if calls.len() < CALLS_MAX {
        return;
    }
    let mut began: Vec<Instant> = calls.values().map(|call| call.began).collect();
    let middle = began.len() / 2;
    let (_, median, _) = began.select_nth_unstable(middle);
    let median = *median;
    calls.retain(|_, call| call.under_way.is_some() || call.began > median);
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
            call.under_way = None;
        }
    }
}
