//! Calls that clients repeat when an answer was lost: each is carried out once, also over a restart.
//!
//! What a call does is stored in the same commit as the call itself, so that a server which
//! starts anew knows the calls that were carried out, and nothing is known that was not.
//!
//! Source: reference/rest-api.md sections 4 and 13 (`x-idempotent-key`).

use crate::clock;
use crate::records::{Kind, Records};
use muster_model::{Oid, Timestamp};
use muster_store::Write;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, VecDeque};
use std::time::Duration;
use tokio::sync::watch;
use uuid::Uuid;

/// Time for which a call is remembered: longer than any client repeats one.
const REMEMBERED: Duration = Duration::from_secs(600);

/// Calls of an organization that are remembered, of about 300 bytes each; beyond, the oldest are forgotten.
const CALLS_MAX: usize = 20_000;

/// Calls that are forgotten with a new one: more than one, so that they become fewer.
const FORGOTTEN_AT_ONCE: usize = 16;

/// Calls by when they began and their digest.
const CALL: Kind<Sent> = Kind::new("call");

/// What a call sent to a sensor. Sent again, it has no second effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    /// Id of the first task, from which those of the others follow.
    pub task_id: Uuid,
    /// From then on it is too late.
    pub until: Timestamp,
    /// Enrolment of the sensor: a later one does not know what it has run already.
    pub epoch: u64,
}

/// Remembers calls by a digest of credential, key and body.
#[derive(Default)]
pub struct Replays {
    organizations: Mutex<HashMap<Oid, Calls>>,
}

#[derive(Default)]
struct Calls {
    by_digest: HashMap<String, Call>,
    /// Those that may be stored, oldest first.
    stored: VecDeque<Place>,
}

/// When a call began, and its digest.
type Place = (Timestamp, String);

struct Call {
    began: Timestamp,
    state: State,
}

enum State {
    /// Ends with the claim.
    UnderWay(watch::Receiver<()>),
    Done,
    /// Done by an earlier server, which may have ended before it sent anything.
    Resumed(Sent),
}

/// What is to be done about a call.
pub enum Turn<'a> {
    /// It is to be carried out.
    First(Claim<'a>),
    /// Nothing: it was carried out.
    Done,
    /// An earlier server stored that it carries it out.
    Resumed(Sent),
}

/// A call that is being carried out. Dropping it forgets the call, which may then be repeated; what it
/// stores may be stored all the same.
pub struct Claim<'a> {
    replays: &'a Replays,
    oid: Oid,
    place: Place,
    forgotten: Vec<Place>,
    end: End,
    /// Dropped with the claim: whoever waits for its outcome looks again.
    _under_way: watch::Sender<()>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// Its caller went away.
    Dropped,
    Done,
    Failed,
}

impl Replays {
    /// Takes up the stored calls; also gives writes that forget those which are too old.
    #[must_use]
    pub fn load(records: &Records, now: Timestamp) -> (Self, Vec<Write>) {
        let replays = Self::default();
        let too_old = records.owners(CALL).into_iter().flat_map(|oid| replays.take_up(records, oid, now)).collect();
        (replays, too_old)
    }

    /// Takes up the stored calls of one organization, and knows no others of it; gives writes as [`Replays::load`] does.
    pub(crate) fn take_up(&self, records: &Records, oid: Oid, now: Timestamp) -> Vec<Write> {
        let (mut calls, mut too_old) = (Calls::default(), Vec::new());
        for (key, sent) in records.take(oid, CALL) {
            match place_of(&key).filter(|(began, _)| !is_over(*began, now)) {
                Some(place) => {
                    let call = Call { began: place.0, state: State::Resumed(sent) };
                    calls.by_digest.insert(place.1.clone(), call);
                    calls.stored.push_back(place);
                }
                None => too_old.push(CALL.removal(oid, &key)),
            }
        }
        self.organizations.lock().insert(oid, calls);
        too_old
    }

    /// Begins a call of an organization, unless it was carried out already. While it is being carried
    /// out, this waits for the outcome: a client that lost its connection and repeats the call must
    /// not be told of a failure when the call then succeeds.
    ///
    /// # Cancel safety
    ///
    /// Nothing was begun if this is dropped.
    pub async fn claim(&self, oid: Oid, digest: &str) -> Turn<'_> {
        loop {
            let mut under_way = match self.try_claim(oid, digest, clock::now()) {
                Ok(turn) => return turn,
                Err(under_way) => under_way,
            };
            // Nothing is ever sent: this ends with the claim of the other.
            let _ = under_way.changed().await;
        }
    }

    fn try_claim(&self, oid: Oid, digest: &str, now: Timestamp) -> Result<Turn<'_>, watch::Receiver<()>> {
        let mut organizations = self.organizations.lock();
        let calls = organizations.entry(oid).or_default();
        match calls.by_digest.get(digest) {
            Some(Call { state: State::UnderWay(under_way), .. }) => return Err(under_way.clone()),
            Some(call) if is_over(call.began, now) => {}
            Some(Call { state: State::Resumed(sent), .. }) => return Ok(Turn::Resumed(*sent)),
            Some(Call { state: State::Done, .. }) => return Ok(Turn::Done),
            None => {}
        }
        let (sender, receiver) = watch::channel(());
        calls.by_digest.insert(digest.to_owned(), Call { began: now, state: State::UnderWay(receiver) });
        let place = (now, digest.to_owned());
        let forgotten = calls.forgettable(now);
        Ok(Turn::First(Claim { replays: self, oid, place, forgotten, end: End::Dropped, _under_way: sender }))
    }
}

impl Calls {
    /// What is to be forgotten once one more is stored.
    fn forgettable(&self, now: Timestamp) -> Vec<Place> {
        let over = (self.stored.len() + 1).saturating_sub(CALLS_MAX);
        let old = self.stored.iter().enumerate().take_while(|(at, (began, _))| *at < over || is_over(*began, now));
        old.map(|(_, place)| place.clone()).take(FORGOTTEN_AT_ONCE).collect()
    }

    fn forget(&mut self, forgotten: &[Place]) {
        for place in forgotten {
            // Another claim may have forgotten it meanwhile.
            if self.stored.front() == Some(place) {
                self.stored.pop_front();
            }
            let (began, digest) = place;
            let is_it = |call: &Call| call.began == *began && !matches!(call.state, State::UnderWay(_));
            if self.by_digest.get(digest).is_some_and(is_it) {
                self.by_digest.remove(digest);
            }
        }
    }
}

impl Claim<'_> {
    /// What is to be stored in the commit of what the call does.
    #[must_use]
    pub fn writes(&self, sent: &Sent) -> Vec<Write> {
        let removals = self.forgotten.iter().map(|place| CALL.removal(self.oid, &key_of(place)));
        let stored = serde_json::to_string(sent).map(|body| CALL.write(self.oid, &key_of(&self.place), body));
        removals.chain(stored).collect()
    }

    /// The call was carried out, and its writes are stored.
    pub fn done(mut self) {
        self.end = End::Done;
    }

    /// Nothing was stored or done; the call may be repeated.
    pub fn failed(mut self) {
        self.end = End::Failed;
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        let mut organizations = self.replays.organizations.lock();
        let calls = organizations.entry(self.oid).or_default();
        let (_, digest) = &self.place;
        match calls.by_digest.get_mut(digest) {
            Some(call) if self.end == End::Done => call.state = State::Done,
            _ => drop(calls.by_digest.remove(digest)),
        }
        if self.end != End::Failed {
            calls.forget(&self.forgotten);
            calls.stored.push_back(self.place.clone());
        }
    }
}

fn is_over(began: Timestamp, now: Timestamp) -> bool {
    now >= began.saturating_add(REMEMBERED)
}

/// Keys sort by time; calls under one digest have one each, so that an old one never takes a new one with it.
fn key_of((began, digest): &Place) -> String {
    format!("{:020}/{digest}", began.as_micros())
}

fn place_of(key: &str) -> Option<Place> {
    let (began, digest) = key.split_once('/')?;
    Some((Timestamp::from_micros(began.parse().ok()?), digest.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::Detectors;
    use crate::intake::{Intake, Streams};
    use crate::output::Outputs;
    use crate::telemetry::Telemetry;
    use muster_store::Store;
    use std::collections::BTreeSet;
    use std::sync::Arc;

    const OID: Oid = Oid(Uuid::from_u128(1));

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_secs(1_700_000_000 + seconds)
    }

    fn sent(id: u128) -> Sent {
        Sent { task_id: Uuid::from_u128(id), until: at(60), epoch: 1 }
    }

    fn first<'a>(replays: &'a Replays, digest: &str, now: Timestamp) -> Claim<'a> {
        match replays.try_claim(OID, digest, now) {
            Ok(Turn::First(claim)) => claim,
            _ => panic!("{digest} was carried out already"),
        }
    }

    /// Carries a call out; does to the stored keys what its commit does.
    fn carry_out(replays: &Replays, digest: &str, now: Timestamp, stored: &mut BTreeSet<String>) {
        let claim = first(replays, digest, now);
        for write in claim.writes(&sent(1)) {
            match write {
                Write::PutRecord { record, .. } => drop(stored.insert(record.key)),
                Write::DeleteRecord { key, .. } => drop(stored.remove(&key)),
                _ => panic!("a call is a record"),
            }
        }
        claim.done();
    }

    #[test]
    fn calls_that_are_too_many_or_too_old_leave_memory_and_store() {
        let (replays, mut stored) = (Replays::default(), BTreeSet::new());
        for number in 0..CALLS_MAX + 10 {
            carry_out(&replays, &number.to_string(), at(0), &mut stored);
        }
        assert_eq!(stored.len(), CALLS_MAX);
        first(&replays, "9", at(1)).failed();
        assert!(matches!(replays.try_claim(OID, "10", at(1)), Ok(Turn::Done)));
        let later = 600;
        for number in 0..CALLS_MAX {
            carry_out(&replays, &number.to_string(), at(later), &mut stored);
        }
        assert_eq!(stored.len(), CALLS_MAX, "an old call does not take a new one under its digest with it");
        assert!(matches!(replays.try_claim(OID, "0", at(later)), Ok(Turn::Done)));
        let calls = &replays.organizations.lock()[&OID];
        assert_eq!((calls.by_digest.len(), calls.stored.len()), (CALLS_MAX, CALLS_MAX));
    }

    #[tokio::test]
    async fn a_server_takes_up_what_was_stored_last_and_forgets_what_is_too_old() {
        let (replays, store) = (Replays::default(), Store::memory());
        store.commit(first(&Replays::default(), "old", at(-600)).writes(&sent(1))).await.unwrap();
        // Its caller went away while it was being stored, and repeated it.
        store.commit(first(&replays, "twice", at(0)).writes(&sent(2))).await.unwrap();
        store.commit(first(&replays, "twice", at(1)).writes(&sent(3))).await.unwrap();
        let intake = Arc::new(Intake::new(
            store.clone(),
            Telemetry::default(),
            Streams::default(),
            Arc::new(Outputs::default()),
            Arc::new(Detectors::default()),
        ));
        let load = || {
            let records = Records::new(Arc::clone(&intake));
            records.load(&store, OID).unwrap();
            Replays::load(&records, at(1))
        };
        let (replays, too_old) = load();
        assert!(matches!(replays.try_claim(OID, "twice", at(1)), Ok(Turn::Resumed(call)) if call == sent(3)));
        first(&replays, "old", at(1)).failed();
        assert_eq!(too_old.len(), 1);
        store.commit(too_old).await.unwrap();
        assert!(load().1.is_empty());
    }
}
