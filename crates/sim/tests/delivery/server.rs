//! A server as far as it delivers: the product's outbox and decisions, driven over virtual time. What stands here is only
//! what `service/deliver.rs` and `service/change.rs` of the server do around them.

use crate::world::{OID, RATES, Sabotage, Site, TARGETS, name_of};
use crate::{truth::number_of, world::Event};
use muster_model::Timestamp;
use muster_server::service::{
    Alike, Fate, GivenUp, LANE_CALLS_MAX, Lane, Message, Next, Outbox, Outcome, Pace, Patience, Posted, PostedRuns,
    Protocol, READ_AHEAD, State, Subscribed, busy_for, fate, is_farewell, is_heard, writes,
};
use muster_sim::kernel::{MS, Micros, SECOND};
use muster_store::{Delivery, Expect, Record, Store, StoreError, Tries, Write};
use muster_webhook::service::{DEADLINE_S, Verdict, judge};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// The kind of the records of subscriptions.
pub const SUBSCRIPTION: &str = "service_subscription";

/// A list of writes on its way to the disk, and what follows.
struct Commit {
    writes: Vec<Write>,
    then: Then,
}

/// What follows from a commit.
enum Then {
    /// Messages are delivered, somebody hears that they are stored, and a subscription is as it was asked for.
    Put(Option<Posted>, u64, Option<(usize, Option<bool>)>),
    /// The same of messages that were put together.
    PutRuns(Option<PostedRuns>, Vec<u64>),
    /// It is decided what becomes of a message.
    Settle(usize, u64, Fate),
    /// A message is delivered again that was given up.
    Revive(usize, u64, Tries),
}

/// A call that a server makes.
pub struct Call {
    pub server: u32,
    pub target: usize,
    pub number: u64,
    pub id: Uuid,
    delivery: Delivery,
}

/// One server process. Dropping it is its crash.
pub struct Server {
    number: u32,
    store: Store,
    outbox: Arc<Outbox>,
    /// Who is subscribed; whether that ends.
    subscriptions: BTreeMap<usize, bool>,
    /// Targets whose subscription is being changed.
    changing: BTreeSet<usize>,
    lanes: Vec<(Arc<Lane>, usize)>,
    states: Vec<State>,
    paces: Vec<Pace>,
    commits: BTreeMap<u64, Commit>,
    results: BTreeMap<u64, (Commit, Result<(), StoreError>)>,
    last_commit: u64,
    next_look: Micros,
    pub is_deposed: bool,
}

fn target_of(name: &str) -> usize {
    (0..TARGETS).find(|target| name_of(*target) == name).expect("a target")
}

impl Server {
    /// Starts on what the store holds, and owns it from now on.
    pub fn start(site: &Site, number: u32) -> Self {
        let store = site.store.owning();
        while let Err(error) = store.claim(&[OID]) {
            assert!(matches!(error, StoreError::Unknown(_) | StoreError::Busy), "{error}");
        }
        let outbox = Arc::new(Outbox::load(&store).expect("loaded"));
        let records = store.read_blocking(|read| read.records(Some(OID), Some(SUBSCRIPTION))).expect("read");
        let subscribed = |record: &Record| {
            let subscribed: Subscribed = serde_json::from_str(&record.body).expect("JSON");
            (target_of(&record.key), subscribed.is_ending)
        };
        Self {
            number,
            outbox,
            subscriptions: records.iter().map(subscribed).collect(),
            store,
            changing: BTreeSet::new(),
            lanes: Vec::new(),
            states: vec![State::default(); TARGETS],
            paces: vec![Pace::default(); TARGETS],
            commits: BTreeMap::new(),
            results: BTreeMap::new(),
            last_commit: 0,
            next_look: Micros::MAX,
            is_deposed: false,
        }
    }

    /// Of the commits that wait, some reach the disk, in order; nobody learns of them.
    pub fn crash(self, site: &Site) {
        let reached = site.kernel.index(self.commits.len() + 1);
        for (_, commit) in self.commits.into_iter().take(reached) {
            // A full disk is no news to anyone any more.
            let _ = self.store.commit_blocking(commit.writes);
        }
    }

    pub fn is_subscribed(&self, target: usize) -> bool {
        self.subscriptions.get(&target) == Some(&false)
    }

    pub fn can_change(&self, target: usize) -> bool {
        !self.changing.contains(&target)
    }

    /// Whether what follows from a call can be decided: subscriptions are changed one after the other.
    pub fn can_conclude(&self, call: &Call) -> bool {
        !is_farewell(&call.delivery.kind) || self.can_change(call.target)
    }

    /// A target said that it is well.
    pub fn is_well(&mut self, site: &Site, target: usize) {
        self.states[target].is_well(site.now(), site.now());
    }

    fn commit(&mut self, site: &Site, writes: Vec<Write>, then: Then) {
        self.last_commit += 1;
        let kernel = &site.kernel;
        let stall = if kernel.chance(3) { kernel.below(3 * SECOND) } else { kernel.below(4 * MS) };
        self.commits.insert(self.last_commit, Commit { writes, then });
        kernel.after(stall, Event::Commit(self.number));
    }

    /// Puts a message into the outbox, in the commit of what caused it, which may change a subscription.
    pub fn put(&mut self, site: &Site, target: usize, kind: &str, change: Option<Option<bool>>) {
        let number = site.truth.borrow_mut().said(target, kind);
        site.kernel.note(|| format!("server {}: message {number}, {kind}, to {target}", self.number));
        let (id, body) = (Uuid::from_bytes(site.kernel.id()), json!({"n": number}).to_string().into_bytes());
        let message = Message { target: name_of(target), kind: kind.to_owned(), id, body, delay: Duration::ZERO };
        let mut posted = self.outbox.put(OID, vec![message], site.now());
        let cause = record("cause", &number.to_string(), "{}".into());
        let mut writes = vec![posted.stored(), Write::PutRecord { record: cause, expect: Expect::Any }];
        writes.extend(change.map(|is_ending| subscription(target, is_ending)));
        let mut posted = Some(posted);
        if site.sabotage == Some(Sabotage::DeliverBeforeStore) {
            posted.take().into_iter().for_each(Posted::deliver);
        }
        if change.is_some() {
            self.changing.insert(target);
        }
        self.commit(site, writes, Then::Put(posted, number, change.map(|is_ending| (target, is_ending))));
    }

    /// Puts so many messages of one kind together into the outbox, in the commit of what caused them.
    pub fn put_alike(&mut self, site: &Site, target: usize, count: u64) {
        let kind = "sensor_per_1h";
        let numbers: Vec<u64> = (0..count).map(|_| site.truth.borrow_mut().said(target, kind)).collect();
        site.kernel.note(|| format!("server {}: messages {numbers:?}, {kind}, to {target}", self.number));
        let bodies = numbers.iter().map(|number| json!({"n": number}).to_string().into_bytes()).collect();
        let (name, new_id) = (name_of(target), || Uuid::from_bytes(site.kernel.id()));
        let mut posted = self.outbox.put_alike(OID, Alike { target: &name, kind, bodies }, site.now(), new_id);
        let cause = |number: &u64| Write::PutRecord {
            record: record("cause", &number.to_string(), "{}".into()),
            expect: Expect::Any,
        };
        let writes = [posted.stored()].into_iter().chain(numbers.iter().map(cause)).collect();
        let mut posted = Some(posted);
        if site.sabotage == Some(Sabotage::DeliverBeforeStore) {
            posted.take().into_iter().for_each(PostedRuns::deliver);
        }
        self.commit(site, writes, Then::PutRuns(posted, numbers));
    }

    /// Delivers one again that was given up, if there is one.
    pub fn redeliver(&mut self, site: &Site, target: usize) {
        let dead = self.outbox.standing(OID, &name_of(target), 100).dead;
        let dead: Vec<&Delivery> = dead.iter().filter(|delivery| !delivery.kind.starts_with("org_")).collect();
        let Some(delivery) = dead.get(site.kernel.index(dead.len())) else { return };
        let Some((_, position)) = self.outbox.dead(OID, delivery.id) else { return };
        let tries = Tries { due: site.now(), ..Tries::default() };
        let write = Write::PutTries { oid: OID, tries: vec![(position, tries.clone())] };
        self.commit(site, vec![write], Then::Revive(target, position, tries));
    }

    /// The store's writer reaches the next commit.
    pub fn reach(&mut self, site: &Site) {
        let Some((id, commit)) = self.commits.pop_first() else { return };
        let result = self.store.commit_blocking(commit.writes.clone());
        if let Err(error) = &result {
            site.kernel.note(|| format!("server {}: a commit fails: {error}", self.number));
        }
        self.results.insert(id, (commit, result));
        site.kernel.after(2 * MS, Event::Stored(self.number));
    }

    /// What became of the oldest commit is known. Tells whether the server can go on.
    pub fn stored(&mut self, site: &Site) -> bool {
        let Some((_, (commit, result))) = self.results.pop_first() else { return true };
        match result {
            Err(StoreError::Unknown(_)) => return false,
            Err(StoreError::Deposed(_)) => {
                site.truth.borrow_mut().knows_that_it_is_deposed(self.number);
                if site.sabotage != Some(Sabotage::OutliveClaim) {
                    self.is_deposed = true;
                    self.outbox.end(OID);
                }
            }
            Err(_) => match commit.then {
                // Whoever asked for it hears that it failed.
                Then::Put(_, _, change) => {
                    if let Some((target, _)) = change {
                        self.changing.remove(&target);
                    }
                }
                Then::PutRuns(..) => {}
                then => {
                    self.last_commit += 1;
                    self.commits.insert(self.last_commit, Commit { writes: commit.writes, then });
                    site.kernel.after(SECOND, Event::Commit(self.number));
                }
            },
            Ok(()) => self.follow(site, commit.then),
        }
        true
    }

    fn follow(&mut self, site: &Site, then: Then) {
        match then {
            Then::Put(posted, number, change) => {
                if let Some((target, is_ending)) = change {
                    self.changing.remove(&target);
                    self.subscriptions.remove(&target);
                    self.subscriptions.extend(is_ending.map(|is_ending| (target, is_ending)));
                }
                posted.into_iter().for_each(Posted::deliver);
                site.truth.borrow_mut().acknowledged(number);
            }
            Then::PutRuns(posted, numbers) => {
                posted.into_iter().for_each(PostedRuns::deliver);
                let mut truth = site.truth.borrow_mut();
                numbers.into_iter().for_each(|number| truth.acknowledged(number));
            }
            Then::Settle(target, position, fate) => {
                if fate == Fate::Ended {
                    self.changing.remove(&target);
                    if self.subscriptions.get(&target) == Some(&true) {
                        self.subscriptions.remove(&target);
                        site.truth.borrow_mut().counts.ended += 1;
                    }
                }
                let lane = self.lanes.iter().find(|(lane, _)| lane.target == name_of(target));
                if let Some((lane, _)) = lane {
                    lane.settle(position, fate);
                }
            }
            Then::Revive(target, position, tries) => {
                let dead = self.outbox.standing(OID, &name_of(target), 2_000).dead;
                let Some(delivery) = dead.iter().find(|delivery| delivery.position == position) else { return };
                let bodies = self.store.read_blocking(|read| read.delivery_bodies(OID, &[position])).expect("read");
                let Some((_, body)) = bodies.first() else { return };
                site.truth.borrow_mut().revived(number_of(body));
                if let Some((lane, position)) = self.outbox.dead(OID, delivery.id) {
                    lane.revive(&self.outbox, position, tries);
                }
            }
        }
    }

    /// Begins what can be begun, in every lane.
    pub fn look(&mut self, site: &Site, calls: &mut Vec<(Micros, Call)>) {
        if site.kernel.now() >= self.next_look {
            self.next_look = Micros::MAX;
        }
        self.lanes.extend(self.outbox.take_unserved(usize::MAX).into_iter().map(|lane| (lane, 0)));
        let mut at = 0;
        while at < self.lanes.len() {
            if self.serve(site, at, calls) { at += 1 } else { drop(self.lanes.remove(at)) }
        }
    }

    /// Serves a lane for now; tells whether something is left there.
    fn serve(&mut self, site: &Site, at: usize, calls: &mut Vec<(Micros, Call)>) -> bool {
        let (lane, target) = (Arc::clone(&self.lanes[at].0), target_of(&self.lanes[at].0.target));
        loop {
            let (now, under_way) = (site.now(), self.lanes[at].1);
            if self.states[target].rest(now).is_none() {
                let unread = lane.unread(READ_AHEAD);
                if !unread.is_empty() {
                    lane.fill(self.store.read_blocking(|read| read.delivery_bodies(OID, &unread)).expect("read"));
                }
            }
            let calls_max = self.states[target].calls_max(LANE_CALLS_MAX);
            let due = match lane.next(now, calls_max.saturating_sub(under_way), self.states[target].rest(now)) {
                Next::Deliver(deliveries) => {
                    for (delivery, body) in deliveries {
                        self.lanes[at].1 += 1;
                        self.begin(site, target, delivery, body, calls);
                    }
                    continue;
                }
                Next::Expire(deliveries) => {
                    for delivery in deliveries {
                        self.lanes[at].1 += 1;
                        // Subscriptions are changed one after the other, also by the end of one whose farewell is too old.
                        let must_wait = is_farewell(&delivery.kind) && !self.can_change(target);
                        let outcome = match must_wait {
                            true => Outcome::Later(now.saturating_add(Duration::from_secs(1))),
                            false => Outcome::Failed("too old".into()),
                        };
                        self.conclude(site, target, delivery, None, outcome);
                    }
                    continue;
                }
                Next::Wait(due) => due,
                Next::Empty if under_way == 0 && lane.leave() => return false,
                Next::Empty => return true,
            };
            let wait = due.since(now).min(Duration::from_secs(60));
            let look = site.kernel.now() + u64::try_from(wait.as_micros()).unwrap_or(Micros::MAX).max(MS);
            if look < self.next_look {
                self.next_look = look;
                site.kernel.at(look, Event::Look);
            }
            return true;
        }
    }

    fn begin(
        &mut self,
        site: &Site,
        target: usize,
        delivery: Delivery,
        body: Option<Vec<u8>>,
        calls: &mut Vec<(Micros, Call)>,
    ) {
        let position = delivery.position;
        let stored = || {
            let bodies = self.store.read_blocking(|read| read.delivery_bodies(OID, &[position])).expect("read");
            bodies.into_iter().next().map(|(_, body)| body)
        };
        // A server that was deposed, and does not know it, may find nothing more.
        let Some(body) = body.or_else(stored) else {
            return self.conclude(site, target, delivery, None, Outcome::Done);
        };
        let number = number_of(&body);
        if !is_heard(&delivery.kind, self.subscriptions.get(&target).copied()) {
            site.truth.borrow_mut().unheard(number);
            return self.conclude(site, target, delivery, None, Outcome::Done);
        }
        let now = Duration::from_micros(site.kernel.now());
        let rate = RATES[target].filter(|_| site.sabotage != Some(Sabotage::IgnoreRate));
        let wait = self.paces[target].turn(now, rate) - now;
        site.truth.borrow_mut().counts.waited += u64::from(!wait.is_zero());
        let id = match site.sabotage {
            Some(Sabotage::RenewId) => Uuid::from_bytes(site.kernel.id()),
            _ => delivery.id,
        };
        if site.sabotage == Some(Sabotage::ForgetBeforeAnswer) {
            self.commit(site, writes(OID, [(position, &Fate::Forgotten)]), Then::Put(None, number, None));
        }
        let call = Call { server: self.number, target, number, id, delivery };
        calls.push((u64::try_from(wait.as_micros()).unwrap_or(Micros::MAX), call));
    }

    /// It is the turn of a call; tells whether it is made.
    pub fn turn(&mut self, site: &Site, call: &Call) -> bool {
        let Call { target, number, ref delivery, .. } = *call;
        if self.is_deposed {
            return false;
        }
        if let Some(until) = self.states[target].rest(site.now()) {
            site.truth.borrow_mut().put_off(self.number, number);
            self.conclude(site, target, delivery.clone(), None, Outcome::Later(until));
            return false;
        }
        let mut truth = site.truth.borrow_mut();
        truth.begins(self.number, number, delivery.position, delivery.tries.made == 0);
        let step = RATES[target].map_or(0, |rate| SECOND / u64::from(rate));
        truth.calls((self.number, target), site.kernel.now(), step);
        true
    }

    /// A call is over.
    pub fn answered(&mut self, site: &Site, call: Call, answer: Option<(u16, &'static str)>) {
        let Call { target, number, delivery, .. } = call;
        let now = site.now();
        let done = if is_farewell(&delivery.kind) { Outcome::Ended } else { Outcome::Done };
        let outcome = match answer.map(|(status, body)| judge(status, body.as_bytes())) {
            None => {
                self.states[target].missed(now, "nobody answers");
                Outcome::Again("nobody answers".into())
            }
            Some(verdict) => {
                self.states[target].reached();
                match verdict {
                    Verdict::Done(_) | Verdict::NotImplemented => done,
                    Verdict::Again(reason) => Outcome::Again(reason),
                    Verdict::Failed(reason) => Outcome::Failed(reason),
                    Verdict::Busy => {
                        let said = answer.map(|(_, said)| said);
                        let pause = busy_for(said);
                        let micros = u64::try_from(pause.as_micros()).unwrap_or(Micros::MAX);
                        site.truth.borrow_mut().asks_for_rest((self.number, target), site.kernel.now() + micros);
                        if site.sabotage != Some(Sabotage::IgnoreBusy) {
                            self.states[target].is_busy(now, pause);
                        }
                        Outcome::Later(now.saturating_add(pause))
                    }
                    Verdict::WrongSecret => {
                        self.states[target].refuses_signature(now);
                        Outcome::Later(now)
                    }
                }
            }
        };
        site.truth.borrow_mut().ends(self.number, number);
        self.conclude(site, target, delivery, Some(number), outcome);
    }

    fn conclude(&mut self, site: &Site, target: usize, delivery: Delivery, number: Option<u64>, outcome: Outcome) {
        let lane = self.lanes.iter_mut().find(|(lane, _)| lane.target == name_of(target));
        // It is gone if the organization is someone else's by now.
        let Some((_, under_way)) = lane else { return };
        *under_way = under_way.saturating_sub(1);
        let patience = Patience::with(Protocol::Service);
        let position = delivery.position;
        let (fate, given_up) = fate(&delivery, patience, outcome, site.now(), site.kernel.random());
        self.note(site, &fate, given_up.as_ref(), (number, position));
        let stored = |fate: &Fate| writes(OID, [(position, fate)]);
        let mut writes = stored(&fate);
        match (site.sabotage, &fate) {
            (Some(Sabotage::ForgetFailed), Fate::Kept(_)) => writes = stored(&Fate::Forgotten),
            (Some(Sabotage::ForgetTries), Fate::Retried(_)) => writes.clear(),
            _ => {}
        }
        if fate == Fate::Ended && self.subscriptions.get(&target) == Some(&true) {
            self.changing.insert(target);
            writes.push(subscription(target, None));
        }
        self.commit(site, writes, Then::Settle(target, position, fate));
        if given_up.is_some() && delivery.kind != "service_error" {
            self.put(site, target, "service_error", None);
        }
    }

    fn note(&self, site: &Site, fate: &Fate, given_up: Option<&GivenUp>, (number, position): (Option<u64>, u64)) {
        let mut truth = site.truth.borrow_mut();
        truth.counts.retried += u64::from(matches!(fate, Fate::Retried(_)));
        if given_up.is_none() {
            return;
        }
        let number = number.or_else(|| {
            let bodies = self.store.read_blocking(|read| read.delivery_bodies(OID, &[position])).ok()?;
            bodies.first().map(|(_, body)| number_of(body))
        });
        match (number, fate) {
            (Some(number), Fate::Kept(_)) => truth.kept(number),
            (Some(number), _) => truth.over(number),
            (None, _) => {}
        }
    }
}

fn record(kind: &str, key: &str, body: String) -> Record {
    Record { oid: OID, kind: kind.into(), key: key.into(), body, revision: 0 }
}

/// What stores that a subscription is there, that it ends, or that it is gone.
fn subscription(target: usize, is_ending: Option<bool>) -> Write {
    let key = name_of(target);
    let Some(is_ending) = is_ending else { return Write::DeleteRecord { oid: OID, kind: SUBSCRIPTION, key } };
    let subscribed =
        Subscribed { owner: OID, key: String::new(), created_at: Timestamp::ZERO, by: "sim".into(), is_ending };
    let body = serde_json::to_string(&subscribed).expect("JSON");
    Write::PutRecord { record: record(SUBSCRIPTION, &key, body), expect: Expect::Any }
}

/// How long a server waits for an answer.
pub const CALL_MAX: Micros = DEADLINE_S.unsigned_abs() * SECOND;
