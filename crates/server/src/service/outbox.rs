//! The outbox: messages to programs of others, stored in the commit of what caused them.
//!
//! A [`Lane`] holds what waits for one target of one organization. Messages are begun in the order in which they
//! were put, several at once; one that has to be tried again steps aside until its time has come, and does not hold
//! up those behind it. What cannot be delivered is given up after a while, and kept to be looked at.
//!
//! In memory is where each message stands; bodies are in the store, but for some of the youngest.

use crate::clock;
use muster_model::{Oid, Timestamp};
use muster_store::{Delivery, Store, StoreError, Tries, Write};
use parking_lot::{Mutex, RwLock};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use uuid::Uuid;

/// Messages that wait in one lane; what comes beyond is dropped and told. A service that is away for an hour misses
/// nothing at two or three events a second.
pub const WAITING_MAX: usize = 10_000;

/// Bytes of the bodies of those messages.
pub const WAITING_BYTES_MAX: u64 = 64 << 20;

/// Messages that were given up and are kept, per lane; beyond, the oldest is forgotten.
pub const DEAD_MAX: usize = 1_000;

/// Bytes of bodies that a lane holds in memory, so that what is delivered at once is not read again.
const HELD_BYTES_MAX: u64 = 1 << 20;

/// A message that is to be sent.
#[derive(Clone, Debug)]
pub struct Message {
    /// To whom: the name of a lane.
    pub target: String,
    /// What it is about, in the words of the protocol.
    pub kind: String,
    /// Its id, the same at every try.
    pub id: Uuid,
    /// What it says: a JSON object as text.
    pub body: Vec<u8>,
    /// How long it waits before it is sent.
    pub delay: Duration,
}

/// Everything that waits.
#[derive(Default)]
pub struct Outbox {
    lanes: RwLock<BTreeMap<(Oid, String), Arc<Lane>>>,
    /// Position given out last, by organization.
    positions: Mutex<HashMap<Oid, u64>>,
    /// A lane has something to do and nobody who does it.
    ready: Notify,
}

/// What waits for one target of one organization.
pub struct Lane {
    /// The organization.
    pub oid: Oid,
    /// The target.
    pub target: String,
    state: Mutex<State>,
    /// Something changed for whoever delivers.
    pub(super) changed: Notify,
}

#[derive(Default)]
struct State {
    waiting: BTreeMap<u64, Waiting>,
    dead: BTreeMap<u64, Delivery>,
    /// Positions that are being delivered; they are among those that wait.
    under_way: BTreeSet<u64>,
    /// Of those that wait, and of those that are about to be stored.
    count: usize,
    bytes: u64,
    held_bytes: u64,
    /// Dropped since the server started, and how many of those were told.
    dropped: u64,
    told: u64,
    /// Someone delivers.
    is_served: bool,
}

struct Waiting {
    delivery: Delivery,
    body: Option<Vec<u8>>,
}

/// What there is to do in a lane.
pub enum Next {
    /// Deliver these now; a body that is not in memory has to be read.
    Deliver(Vec<(Delivery, Option<Vec<u8>>)>),
    /// Nothing before this instant, or before something changes.
    Wait(Timestamp),
    /// Nothing waits.
    Empty,
}

/// How a lane stands.
#[derive(Clone, Debug, Default)]
pub struct Standing {
    /// What waits, oldest first.
    pub waiting: Vec<Delivery>,
    /// What was given up, oldest first.
    pub dead: Vec<Delivery>,
    /// How many were dropped since the server started, because too many waited.
    pub dropped: u64,
}

/// Messages on their way into the outbox.
pub struct Posted {
    outbox: Arc<Outbox>,
    oid: Oid,
    entries: Vec<(Arc<Lane>, Delivery, Vec<u8>)>,
    /// Targets of which something had to be dropped.
    overflown: Vec<Arc<Lane>>,
    is_stored: bool,
}

impl Outbox {
    /// An outbox with everything that is stored.
    ///
    /// # Errors
    ///
    /// Whatever the store says.
    pub fn load(store: &Store) -> Result<Self, StoreError> {
        let outbox = Self::default();
        store.read_blocking(|read| {
            read.deliveries(&mut |oid, delivery| {
                let mut positions = outbox.positions.lock();
                let last = positions.entry(oid).or_default();
                *last = (*last).max(delivery.position);
                outbox.lane(oid, &delivery.target).state.lock().restore(delivery);
            })
        })?;
        Ok(outbox)
    }

    fn lane(&self, oid: Oid, target: &str) -> Arc<Lane> {
        let key = (oid, target.to_owned());
        if let Some(lane) = self.lanes.read().get(&key) {
            return Arc::clone(lane);
        }
        let new = || Arc::new(Lane { oid, target: key.1.clone(), state: Mutex::default(), changed: Notify::new() });
        Arc::clone(self.lanes.write().entry(key.clone()).or_insert_with(new))
    }

    /// Takes messages in, as far as there is room: what is given has to be stored, and then delivered.
    pub fn put(self: &Arc<Self>, oid: Oid, messages: Vec<Message>) -> Posted {
        let (now, mut entries, mut overflown) = (clock::now(), Vec::with_capacity(messages.len()), Vec::new());
        for Message { target, kind, id, body, delay } in messages {
            let lane = self.lane(oid, &target);
            let bytes = body.len() as u64;
            if !lane.state.lock().reserve(bytes) {
                overflown.push(lane);
                continue;
            }
            let position = {
                let mut positions = self.positions.lock();
                let last = positions.entry(oid).or_default();
                *last += 1;
                *last
            };
            let tries = Tries { due: now.saturating_add(delay), ..Tries::default() };
            entries.push((lane, Delivery { position, target, id, kind, at: now, bytes, tries }, body));
        }
        Posted { outbox: Arc::clone(self), oid, entries, overflown, is_stored: false }
    }

    /// How a lane stands, with at most so many messages of each kind.
    #[must_use]
    pub fn standing(&self, oid: Oid, target: &str, most: usize) -> Standing {
        let lane = self.lanes.read().get(&(oid, target.to_owned())).cloned();
        let Some(lane) = lane else { return Standing::default() };
        let state = lane.state.lock();
        Standing {
            waiting: state.waiting.values().take(most).map(|waiting| waiting.delivery.clone()).collect(),
            dead: state.dead.values().take(most).cloned().collect(),
            dropped: state.dropped,
        }
    }

    /// How many more messages a lane has room for.
    #[must_use]
    pub fn room(&self, oid: Oid, target: &str) -> usize {
        let lane = self.lanes.read().get(&(oid, target.to_owned())).cloned();
        lane.map_or(WAITING_MAX, |lane| WAITING_MAX.saturating_sub(lane.state.lock().count))
    }

    /// The lane in which a message of this id was given up, and its position.
    #[must_use]
    pub fn dead(&self, oid: Oid, id: Uuid) -> Option<(Arc<Lane>, u64)> {
        let lanes = self.lanes.read();
        let mut lanes = lanes.range((oid, String::new())..).take_while(|((of, _), _)| *of == oid);
        lanes.find_map(|(_, lane)| {
            let state = lane.state.lock();
            let found = state.dead.values().find(|delivery| delivery.id == id)?.position;
            Some((Arc::clone(lane), found))
        })
    }

    /// What takes everything that waits for a target, or was given up, out of the store.
    #[must_use]
    pub fn removal(&self, oid: Oid, target: &str) -> Write {
        let lane = self.lanes.read().get(&(oid, target.to_owned())).cloned();
        let positions = lane.map(|lane| lane.state.lock().positions()).unwrap_or_default();
        Write::DeleteDeliveries { oid, positions }
    }

    /// Forgets all of a target; it is out of the store.
    pub fn forget(&self, oid: Oid, target: &str) {
        let lane = self.lanes.write().remove(&(oid, target.to_owned()));
        lane.into_iter().for_each(|lane| lane.state.lock().clear());
    }

    /// Lanes with something to do that nobody serves yet; who gets one serves it.
    pub(super) fn take_unserved(&self) -> Vec<Arc<Lane>> {
        let lanes = self.lanes.read();
        let unserved = lanes.values().filter(|lane| {
            let mut state = lane.state.lock();
            let is_taken = !state.is_served && !state.waiting.is_empty();
            state.is_served |= is_taken;
            is_taken
        });
        unserved.cloned().collect()
    }

    /// Waits until a lane may have something to do.
    pub(super) async fn ready(&self) {
        self.ready.notified().await;
    }
}

impl Posted {
    /// What stores the messages; to be asked for once, and committed with what caused them.
    pub fn stored(&mut self) -> Write {
        let of = |(lane, delivery, body): &mut (Arc<Lane>, Delivery, Vec<u8>)| {
            // A copy is held if there is room: what is delivered at once need not be read.
            let held = lane.state.lock().hold(body);
            (delivery.clone(), std::mem::replace(body, held))
        };
        Write::PutDeliveries { oid: self.oid, deliveries: self.entries.iter_mut().map(of).collect() }
    }

    /// Targets of which messages were dropped, because too many wait for them.
    #[must_use]
    pub fn overflown(&self) -> BTreeSet<String> {
        self.overflown.iter().map(|lane| lane.target.clone()).collect()
    }

    /// The commit with these messages was answered: has them delivered.
    pub fn deliver(mut self) {
        self.is_stored = true;
        for lane in std::mem::take(&mut self.overflown) {
            lane.state.lock().dropped += 1;
        }
        for (lane, delivery, held) in std::mem::take(&mut self.entries) {
            let body = (!held.is_empty()).then_some(held);
            lane.state.lock().waiting.insert(delivery.position, Waiting { delivery, body });
            lane.changed.notify_one();
        }
        self.outbox.ready.notify_one();
    }
}

impl Drop for Posted {
    fn drop(&mut self) {
        for (lane, delivery, held) in &self.entries {
            let mut state = lane.state.lock();
            state.release(delivery.bytes);
            state.held_bytes = state.held_bytes.saturating_sub(held.len() as u64);
        }
    }
}

impl Lane {
    /// What there is to do now; at most so many messages.
    pub fn next(&self, now: Timestamp, most: usize) -> Next {
        let mut state = self.state.lock();
        let (mut found, mut earliest) = (Vec::new(), Timestamp::MAX);
        for (position, waiting) in &state.waiting {
            if found.len() == most {
                break;
            }
            if state.under_way.contains(position) {
                continue;
            }
            match waiting.delivery.tries.due {
                due if due <= now => found.push(*position),
                due => earliest = earliest.min(due),
            }
        }
        if found.is_empty() {
            return if state.waiting.is_empty() { Next::Empty } else { Next::Wait(earliest) };
        }
        let mut deliveries = Vec::with_capacity(found.len());
        for position in found {
            state.under_way.insert(position);
            let Some(waiting) = state.waiting.get_mut(&position) else { continue };
            let body = waiting.body.take();
            deliveries.push((waiting.delivery.clone(), body));
        }
        let released: u64 = deliveries.iter().filter_map(|(_, body)| body.as_ref()).map(|body| body.len() as u64).sum();
        state.held_bytes = state.held_bytes.saturating_sub(released);
        Next::Deliver(deliveries)
    }

    /// A message was delivered or dropped, and its removal is stored.
    pub fn done(&self, position: u64) {
        let mut state = self.state.lock();
        state.under_way.remove(&position);
        if let Some(gone) = state.waiting.remove(&position) {
            state.release(gone.delivery.bytes);
        }
    }

    /// A message stays, and it is stored (or does not matter) how it stands now. Gives the oldest of those that
    /// were given up, if they are too many now: it is forgotten here, and has to be in the store.
    pub fn stays(&self, position: u64, tries: Tries) -> Option<u64> {
        let mut state = self.state.lock();
        state.under_way.remove(&position);
        if !tries.is_dead {
            if let Some(waiting) = state.waiting.get_mut(&position) {
                waiting.delivery.tries = tries;
            }
            drop(state);
            self.changed.notify_one();
            return None;
        }
        let gone = state.waiting.remove(&position)?;
        state.release(gone.delivery.bytes);
        state.dead.insert(position, Delivery { tries, ..gone.delivery });
        let oldest = *state.dead.keys().next().filter(|_| state.dead.len() > DEAD_MAX)?;
        state.dead.remove(&oldest);
        Some(oldest)
    }

    /// A message that was given up is to be delivered again, and that is stored.
    pub fn revive(&self, outbox: &Outbox, position: u64, tries: Tries) {
        let mut state = self.state.lock();
        let Some(delivery) = state.dead.remove(&position) else { return };
        // A person asked for it: it may exceed the bound by one.
        state.count += 1;
        state.bytes += delivery.bytes;
        state.waiting.insert(position, Waiting { delivery: Delivery { tries, ..delivery }, body: None });
        drop(state);
        self.changed.notify_one();
        outbox.ready.notify_one();
    }

    /// Whether messages were dropped since this was asked last.
    pub(super) fn has_overflown(&self) -> bool {
        let mut state = self.state.lock();
        let dropped = state.dropped;
        std::mem::replace(&mut state.told, dropped) < dropped
    }

    /// Nobody delivers any more; tells whether that is so: something may have come meanwhile.
    pub(super) fn leave(&self) -> bool {
        let mut state = self.state.lock();
        state.is_served = !state.waiting.is_empty();
        !state.is_served
    }
}

impl State {
    fn restore(&mut self, delivery: Delivery) {
        if delivery.tries.is_dead {
            self.dead.insert(delivery.position, delivery);
        } else {
            self.count += 1;
            self.bytes += delivery.bytes;
            self.waiting.insert(delivery.position, Waiting { delivery, body: None });
        }
    }

    fn reserve(&mut self, bytes: u64) -> bool {
        if self.count >= WAITING_MAX || self.bytes + bytes > WAITING_BYTES_MAX {
            return false;
        }
        self.count += 1;
        self.bytes += bytes;
        true
    }

    fn release(&mut self, bytes: u64) {
        self.count = self.count.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes);
    }

    /// A copy of a body that stays in memory; empty if there is no room.
    fn hold(&mut self, body: &[u8]) -> Vec<u8> {
        let bytes = body.len() as u64;
        if self.held_bytes + bytes > HELD_BYTES_MAX {
            return Vec::new();
        }
        self.held_bytes += bytes;
        body.to_vec()
    }

    fn positions(&self) -> Vec<u64> {
        self.waiting.keys().chain(self.dead.keys()).copied().collect()
    }

    fn clear(&mut self) {
        let is_served = self.is_served;
        *self = Self { is_served, ..Self::default() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OID: Oid = Oid(Uuid::from_u128(1));

    fn message(target: &str, id: u128, body: &str) -> Message {
        let (target, kind, body) = (target.to_owned(), "detection".to_owned(), body.as_bytes().to_vec());
        Message { target, kind, id: Uuid::from_u128(id), body, delay: Duration::ZERO }
    }

    async fn stored(outbox: &Arc<Outbox>, store: &Store, messages: Vec<Message>) {
        let mut posted = outbox.put(OID, messages);
        store.commit(vec![posted.stored()]).await.expect("stored");
        posted.deliver();
    }

    fn positions(next: Next) -> Vec<u64> {
        let Next::Deliver(deliveries) = next else { return Vec::new() };
        deliveries.into_iter().map(|(delivery, _)| delivery.position).collect()
    }

    #[tokio::test]
    async fn messages_are_begun_in_order_and_one_that_waits_for_another_try_holds_nobody_up() {
        let (outbox, store) = (Arc::new(Outbox::default()), Store::memory());
        stored(&outbox, &store, (1..=4).map(|id| message("a", id, "{}")).collect()).await;
        let lane = outbox.lane(OID, "a");
        let now = clock::now();
        assert_eq!(positions(lane.next(now, 2)), [1, 2]);
        let later = Tries { made: 1, due: Timestamp::MAX, ..Tries::default() };
        assert_eq!(lane.stays(1, later), None);
        assert_eq!(
            positions(lane.next(now, 9)),
            [3, 4],
            "neither the one under way, nor the one whose time has not come"
        );
        for position in [2, 3, 4] {
            lane.done(position);
        }
        assert!(matches!(lane.next(now, 9), Next::Wait(Timestamp::MAX)));
        assert_eq!(positions(lane.next(Timestamp::MAX, 9)), [1]);
    }

    #[tokio::test]
    async fn what_waits_is_there_after_a_restart_under_the_same_id_and_positions_go_on() {
        let (outbox, store) = (Arc::new(Outbox::default()), Store::memory());
        stored(&outbox, &store, vec![message("a", 7, "{\"x\": 1}"), message("b", 8, "{}")]).await;
        let again = Arc::new(Outbox::load(&store).expect("loaded"));
        let standing = again.standing(OID, "a", 10);
        assert_eq!(standing.waiting.iter().map(|delivery| delivery.id.as_u128()).collect::<Vec<_>>(), [7]);
        stored(&again, &store, vec![message("a", 9, "{}")]).await;
        assert_eq!(positions(again.lane(OID, "a").next(clock::now(), 9)), [1, 3]);
    }

    #[tokio::test]
    async fn what_was_not_stored_takes_no_room_and_what_exceeds_the_room_is_counted() {
        let (outbox, store) = (Arc::new(Outbox::default()), Store::memory());
        drop(outbox.put(OID, vec![message("a", 1, "{}")]));
        assert_eq!(outbox.room(OID, "a"), WAITING_MAX);
        let posted = outbox.put(OID, (0..WAITING_MAX as u128 + 3).map(|id| message("a", id, "{}")).collect());
        assert_eq!(posted.overflown(), BTreeSet::from(["a".to_owned()]));
        posted.deliver();
        assert_eq!((outbox.room(OID, "a"), outbox.standing(OID, "a", 1).dropped), (0, 3));
        stored(&outbox, &store, vec![message("b", 1, "{}")]).await;
        assert_eq!(outbox.room(OID, "b"), WAITING_MAX - 1, "another target has a room of its own");
    }

    #[tokio::test]
    async fn what_was_given_up_can_be_revived_and_the_oldest_is_forgotten() {
        let outbox = Arc::new(Outbox::default());
        outbox.put(OID, (0..=DEAD_MAX as u128).map(|id| message("a", id, "{}")).collect()).deliver();
        let lane = outbox.lane(OID, "a");
        let dead = Tries { is_dead: true, ..Tries::default() };
        let forgotten: Vec<u64> = positions(lane.next(Timestamp::MAX, usize::MAX))
            .into_iter()
            .filter_map(|at| lane.stays(at, dead.clone()))
            .collect();
        assert_eq!(forgotten, [1]);
        let (found, position) = outbox.dead(OID, Uuid::from_u128(5)).expect("it is kept");
        found.revive(&outbox, position, Tries::default());
        assert_eq!(positions(lane.next(Timestamp::MAX, 9)), [6]);
        assert!(outbox.dead(Oid(Uuid::nil()), Uuid::from_u128(6)).is_none(), "another organization sees nothing of it");
    }
}
