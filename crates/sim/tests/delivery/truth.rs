//! What really happened, and what must have come of it.

use crate::server::SUBSCRIPTION;
use crate::world::name_of;
use muster_model::Oid;
use muster_sim::kernel::Micros;
use muster_store::Store;
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// How much happened.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    pub messages: u64,
    pub calls: u64,
    pub crashes: u64,
    pub deposed: u64,
    pub full_disks: u64,
    pub clock_jumps: u64,
    /// Answers that asked for rest.
    pub busy: u64,
    /// Calls that waited for their turn.
    pub waited: u64,
    pub retried: u64,
    /// Given up and kept.
    pub kept: u64,
    pub revived: u64,
    /// Subscriptions whose end was told.
    pub ended: u64,
}

impl Counts {
    pub fn add(&mut self, other: Self) {
        self.messages += other.messages;
        self.calls += other.calls;
        self.crashes += other.crashes;
        self.deposed += other.deposed;
        self.full_disks += other.full_disks;
        self.clock_jumps += other.clock_jumps;
        self.busy += other.busy;
        self.waited += other.waited;
        self.retried += other.retried;
        self.kept += other.kept;
        self.revived += other.revived;
        self.ended += other.ended;
    }
}

/// A message that somebody wanted to be told, by its number.
struct Said {
    target: usize,
    kind: String,
    is_acknowledged: bool,
}

/// One run as nobody in it sees it.
#[derive(Default)]
pub struct Truth {
    pub counts: Counts,
    pub faults: Vec<String>,
    said: BTreeMap<u64, Said>,
    /// Ids under which targets got them.
    ids: BTreeMap<u64, Uuid>,
    done: BTreeSet<u64>,
    /// Given up for good.
    over: BTreeSet<u64>,
    /// Nobody was subscribed any more.
    unheard: BTreeSet<u64>,
    /// The end of a subscription that a target was told last.
    turns: BTreeMap<usize, u64>,
    /// Given up, and to be found in the store.
    kept: BTreeSet<u64>,
    revived: BTreeMap<u64, u64>,
    calls: BTreeMap<u64, u64>,
    /// Restarts and depositions up to now: after each, one more call of a message may not have been noted.
    lives: u64,
    under_way: BTreeSet<(u32, u64)>,
    /// Messages that a server has begun before, and the position that it began last in a lane.
    begun: BTreeSet<(u32, u64)>,
    reached: BTreeMap<(u32, usize), u64>,
    /// Messages that were about to be sent when their target began to rest.
    put_off: BTreeSet<(u32, u64)>,
    /// Servers that know that they were deposed.
    deposed: BTreeSet<u32>,
    /// Before which instant a server may not call a target, because of its rate or because the target asked for it.
    free_at: BTreeMap<(u32, usize), Micros>,
}

fn is_turn(kind: &str) -> bool {
    kind.starts_with("org_") && kind.ends_with("install")
}

impl Truth {
    pub fn fault(&mut self, fault: String) {
        self.faults.push(fault);
    }

    /// Somebody wants a target to be told something; gives its number.
    pub fn said(&mut self, target: usize, kind: &str) -> u64 {
        let number = self.said.len() as u64;
        self.counts.messages += 1;
        self.said.insert(number, Said { target, kind: kind.to_owned(), is_acknowledged: false });
        number
    }

    pub fn acknowledged(&mut self, number: u64) {
        if let Some(said) = self.said.get_mut(&number) {
            said.is_acknowledged = true;
        }
    }

    pub fn new_life(&mut self) {
        self.lives += 1;
    }

    pub fn knows_that_it_is_deposed(&mut self, server: u32) {
        self.deposed.insert(server);
    }

    /// A server begins to deliver a message for which nothing was tried before, as far as `is_first` says.
    pub fn begins(&mut self, server: u32, number: u64, position: u64, is_first: bool) {
        let Some(said) = self.said.get(&number) else {
            return self.fault(format!("message {number} was made up"));
        };
        let (target, is_turn) = (said.target, is_turn(&said.kind));
        if self.deposed.contains(&server) {
            self.fault(format!("server {server} begins message {number}, and knows that it was deposed"));
        }
        if !self.under_way.insert((server, number)) {
            self.fault(format!("server {server} sends message {number} twice at once"));
        }
        // That one was revived is not known if its server died before it heard that this was stored.
        let may_be_revived = self.revived.contains_key(&number) || self.kept.contains(&number);
        let is_new = self.begun.insert((server, number))
            && is_first
            && !may_be_revived
            && !self.put_off.contains(&(server, number));
        // A turn waits for the one before it.
        if is_new && !is_turn {
            let last = self.reached.entry((server, target)).or_default();
            if position < *last {
                let last = *last;
                self.fault(format!("message {number} at {position} is begun after that at {last}"));
            } else {
                *last = position;
            }
        }
    }

    /// A message was about to be sent, and its target is to be left alone.
    pub fn put_off(&mut self, server: u32, number: u64) {
        self.put_off.insert((server, number));
    }

    /// A server calls a target, which it may every `step`.
    pub fn calls(&mut self, (server, target): (u32, usize), now: Micros, step: Micros) {
        let free_at = self.free_at.entry((server, target)).or_default();
        let early = free_at.saturating_sub(now);
        *free_at = (*free_at).max(now + step);
        if early > 0 {
            self.fault(format!("server {server} calls target {target} {early} us too early"));
        }
    }

    /// A server hears from a target that it is to be left alone until then.
    pub fn asks_for_rest(&mut self, (server, target): (u32, usize), until: Micros) {
        self.counts.busy += 1;
        let free_at = self.free_at.entry((server, target)).or_default();
        *free_at = until.max(*free_at);
    }

    /// By their clocks servers do not know how much time has passed.
    pub fn clocks_jump(&mut self) {
        self.counts.clock_jumps += 1;
        self.free_at.clear();
    }

    /// What a server began is over, for now.
    pub fn ends(&mut self, server: u32, number: u64) {
        self.under_way.remove(&(server, number));
    }

    /// A call arrives at a target. It counts as a try unless the signature is refused.
    pub fn arrives(&mut self, number: u64, id: Uuid, is_try: bool, tries_max: u64) {
        self.counts.calls += 1;
        let known = *self.ids.entry(number).or_insert(id);
        if known != id {
            self.fault(format!("message {number} comes as {known} and as {id}"));
        }
        let calls = self.calls.entry(number).or_default();
        *calls += u64::from(is_try);
        let (calls, revived) = (*calls, self.revived.get(&number).copied().unwrap_or(0));
        if calls > tries_max * (1 + revived) + self.lives {
            self.fault(format!("message {number} is sent for the {calls}th time"));
        }
    }

    /// A target has done what a message told.
    pub fn done(&mut self, number: u64) {
        let is_first = self.done.insert(number);
        let Some(said) = self.said.get(&number).filter(|said| is_first && is_turn(&said.kind)) else { return };
        let target = said.target;
        let last = self.turns.entry(target).or_default();
        *last = number.max(*last);
        let is_open = |(of, said): &(&u64, &Said)| {
            said.target == target
                && is_turn(&said.kind)
                && said.is_acknowledged
                && !self.done.contains(of)
                && !self.over.contains(of)
                && !self.unheard.contains(of)
                && !self.kept.contains(of)
        };
        if let Some((before, _)) = self.said.range(..number).find(is_open) {
            let fault = format!("the end {before} of a subscription is not told yet, and the next, {number}, is");
            self.fault(fault);
        }
    }

    /// A message is not tried any more.
    pub fn over(&mut self, number: u64) {
        self.over.insert(number);
    }

    /// A message was given up, and is kept.
    pub fn kept(&mut self, number: u64) {
        self.counts.kept += 1;
        self.kept.insert(number);
    }

    /// Nobody is subscribed any more who would hear a message.
    pub fn unheard(&mut self, number: u64) {
        self.unheard.insert(number);
    }

    pub fn revived(&mut self, number: u64) {
        self.counts.revived += 1;
        self.kept.remove(&number);
        *self.revived.entry(number).or_default() += 1;
    }

    /// Looks at what is stored in the end.
    pub fn judge(&mut self, store: &Store, oid: Oid) {
        let mut stored: BTreeMap<u64, bool> = BTreeMap::new();
        let rows = store.read_blocking(|read| {
            let mut rows = Vec::new();
            read.deliveries(None, &mut |_, delivery| rows.push((delivery.position, delivery.tries.is_dead)))?;
            let positions: Vec<u64> = rows.iter().map(|(position, _)| *position).collect();
            let bodies = read.delivery_bodies(oid, &positions)?;
            let causes = read.records(Some(oid), Some("cause"))?;
            let subscriptions = read.records(Some(oid), Some(SUBSCRIPTION))?;
            Ok((rows, bodies, causes, subscriptions))
        });
        let (rows, bodies, causes, subscriptions) = rows.expect("the store can be read");
        let numbers: BTreeMap<u64, u64> = bodies.iter().map(|(position, body)| (*position, number_of(body))).collect();
        for (position, is_dead) in rows {
            if let Some(number) = numbers.get(&position) {
                stored.insert(*number, is_dead);
            }
        }
        let causes: BTreeSet<u64> = causes.iter().filter_map(|record| record.key.parse().ok()).collect();
        let mut faults = Vec::new();
        for (number, said) in &self.said {
            let sets = [&self.done, &self.over, &self.unheard];
            let is_there = sets.iter().any(|set| set.contains(number)) || stored.contains_key(number);
            if said.is_acknowledged && !is_there {
                faults.push(format!("message {number}, {}, was acknowledged, and is lost", said.kind));
            }
            if stored.get(number) == Some(&false) {
                faults.push(format!("message {number}, {}, waits for ever", said.kind));
            }
            if self.ids.contains_key(number) && !causes.contains(number) {
                faults.push(format!("message {number}, {}, was told, and its cause is not stored", said.kind));
            }
        }
        let subscribed: BTreeSet<String> = subscriptions.into_iter().map(|record| record.key).collect();
        let is_end = |(_, said): &(&u64, &Said)| said.kind == "org_uninstall";
        for (target, last) in &self.turns {
            let is_begin = self.said[last].kind == "org_install";
            let mut after = self.said.range(last..).filter(|(_, said)| said.target == *target).filter(is_end);
            let is_given_up = after.any(|(number, _)| self.over.contains(number));
            if is_begin && !is_given_up && !subscribed.contains(&name_of(*target)) {
                faults
                    .push(format!("target {target} was told that a subscription began, {last}, and never of its end"));
            }
        }
        self.faults.extend(faults);
    }
}

/// The number of a message, which is what it says.
pub fn number_of(body: &[u8]) -> u64 {
    let said: serde_json::Value = serde_json::from_slice(body).expect("JSON");
    said["n"].as_u64().expect("a number")
}
