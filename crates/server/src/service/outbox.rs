//! The outbox: messages to programs of others, stored in the commit of what caused them.
//!
//! A [`Lane`] holds what waits for one target of one organization. Messages are begun in the order in which they
//! were put, several at once; one that has to be tried again steps aside until its time has come, and does not hold
//! up those behind it. What cannot be delivered is given up after a while, and kept to be looked at. All that is
//! decided by [`Backlog`]; here are its locks, and who is woken.
//!
//! In memory is where each message stands; bodies are in the store, but for some of the youngest.

use super::backlog::{Backlog, Next, Standing, WAITING_MAX};
use super::fate::Fate;
use super::program::Program;
use muster_model::{Oid, Timestamp};
use muster_store::{Delivery, Store, StoreError, Tries, Write};
use parking_lot::{Mutex, RwLock};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use uuid::Uuid;

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
    /// Lanes that have something to do and nobody who does it.
    unserved: Mutex<Vec<Arc<Lane>>>,
    /// There is one.
    ready: Notify,
}

/// What waits for one target of one organization.
pub struct Lane {
    /// The organization.
    pub oid: Oid,
    /// The target.
    pub target: String,
    /// The program of this name.
    pub(super) program: Option<Program>,
    pub(super) backlog: Mutex<Backlog>,
    /// Something changed for whoever delivers.
    pub(super) changed: Notify,
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
        outbox.take_up(store, None)?;
        Ok(outbox)
    }

    /// Takes up what is stored of an organization, or of all, of which nothing is here. Blocks.
    pub(super) fn take_up(&self, store: &Store, of: Option<Oid>) -> Result<(), StoreError> {
        store.read_blocking(|read| {
            read.deliveries(of, &mut |oid, delivery| {
                let mut positions = self.positions.lock();
                let last = positions.entry(oid).or_default();
                *last = (*last).max(delivery.position);
                let lane = self.lane(oid, &delivery.target);
                lane.backlog.lock().restore(delivery);
                self.have_served(&lane);
            })
        })?;
        Ok(())
    }

    /// Has somebody serve a lane, if nobody does and something waits there.
    pub(super) fn have_served(&self, lane: &Arc<Lane>) {
        if lane.backlog.lock().is_taken_up() {
            self.unserved.lock().push(Arc::clone(lane));
            self.ready.notify_one();
        }
    }

    pub(super) fn lane(&self, oid: Oid, target: &str) -> Arc<Lane> {
        let key = (oid, target.to_owned());
        if let Some(lane) = self.lanes.read().get(&key) {
            return Arc::clone(lane);
        }
        let new = || {
            let (target, program) = (target.to_owned(), Program::of_target(target));
            Arc::new(Lane { oid, target, program, backlog: Mutex::default(), changed: Notify::new() })
        };
        Arc::clone(self.lanes.write().entry(key.clone()).or_insert_with(new))
    }

    /// Gives out so many positions; the first of them.
    pub(super) fn take_positions(&self, oid: Oid, count: u64) -> u64 {
        let mut positions = self.positions.lock();
        let last = positions.entry(oid).or_default();
        *last += count;
        *last - count + 1
    }

    /// Takes messages in, as far as there is room: what is given has to be stored, and then delivered.
    pub fn put(self: &Arc<Self>, oid: Oid, messages: Vec<Message>, now: Timestamp) -> Posted {
        let (mut entries, mut overflown) = (Vec::with_capacity(messages.len()), Vec::new());
        for Message { target, kind, id, body, delay } in messages {
            let lane = self.lane(oid, &target);
            let bytes = body.len() as u64;
            if !lane.backlog.lock().reserve(1, bytes) {
                overflown.push(lane);
                continue;
            }
            let position = self.take_positions(oid, 1);
            let tries = Tries { due: now.saturating_add(delay), ..Tries::default() };
            entries.push((lane, Delivery { position, target, id, kind, at: now, bytes, tries }, body));
        }
        Posted { outbox: Arc::clone(self), oid, entries, overflown, is_stored: false }
    }

    /// How a lane stands, with at most so many messages of each kind.
    #[must_use]
    pub fn standing(&self, oid: Oid, target: &str, most: usize) -> Standing {
        let lane = self.lanes.read().get(&(oid, target.to_owned())).cloned();
        lane.map(|lane| lane.backlog.lock().standing(most)).unwrap_or_default()
    }

    /// How many more messages a lane has room for.
    #[must_use]
    pub fn room(&self, oid: Oid, target: &str) -> usize {
        let lane = self.lanes.read().get(&(oid, target.to_owned())).cloned();
        lane.map_or(WAITING_MAX, |lane| lane.backlog.lock().room())
    }

    /// The lane in which a message of this id was given up, and its position.
    #[must_use]
    pub fn dead(&self, oid: Oid, id: Uuid) -> Option<(Arc<Lane>, u64)> {
        let lanes = self.lanes.read();
        let mut lanes = lanes.range((oid, String::new())..).take_while(|((of, _), _)| *of == oid);
        lanes.find_map(|(_, lane)| {
            let found = lane.backlog.lock().dead(id)?;
            Some((Arc::clone(lane), found))
        })
    }

    /// What takes everything that waits for a target, or was given up, out of the store.
    #[must_use]
    pub fn removal(&self, oid: Oid, target: &str) -> Write {
        let lane = self.lanes.read().get(&(oid, target.to_owned())).cloned();
        let positions = lane.map(|lane| lane.backlog.lock().positions()).unwrap_or_default();
        Write::DeleteDeliveries { oid, positions }
    }

    /// Forgets all of a target; it is out of the store.
    pub fn forget(&self, oid: Oid, target: &str) {
        let lane = self.lanes.write().remove(&(oid, target.to_owned()));
        lane.into_iter().for_each(|lane| lane.end());
    }

    /// Forgets all of an organization, which is someone else's by now, or gone.
    pub fn end(&self, oid: Oid) {
        let mut lanes = self.lanes.write();
        let of: Vec<(Oid, String)> = lanes
            .range((oid, String::new())..)
            .take_while(|((of, _), _)| *of == oid)
            .map(|(key, _)| key.clone())
            .collect();
        of.into_iter().filter_map(|key| lanes.remove(&key)).for_each(|lane| lane.end());
    }

    /// Has a target looked at that can be called again.
    pub(super) fn stir(&self, target: &str) {
        let lanes = self.lanes.read();
        lanes.values().filter(|lane| lane.target == target).for_each(|lane| lane.changed.notify_one());
    }

    /// Lanes with something to do that nobody serves yet, at most so many; who gets one serves it.
    pub fn take_unserved(&self, most: usize) -> Vec<Arc<Lane>> {
        let mut unserved = self.unserved.lock();
        let count = most.min(unserved.len());
        unserved.drain(..count).collect()
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
            let held = lane.backlog.lock().hold(body);
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
            lane.backlog.lock().drop_some(1);
        }
        for (lane, delivery, held) in std::mem::take(&mut self.entries) {
            let body = (!held.is_empty()).then_some(held);
            lane.backlog.lock().insert(delivery, body);
            lane.changed.notify_one();
            self.outbox.have_served(&lane);
        }
    }
}

impl Drop for Posted {
    fn drop(&mut self) {
        for (lane, delivery, held) in &self.entries {
            lane.backlog.lock().release(delivery.bytes, held.len() as u64);
        }
    }
}

impl Lane {
    /// Positions of those that are begun soon and whose bodies have to be read; they are to be filled in.
    #[must_use]
    pub fn unread(&self, most: usize) -> Vec<u64> {
        self.backlog.lock().unread(most)
    }

    /// Bodies that were read.
    pub fn fill(&self, bodies: Vec<(u64, Vec<u8>)>) {
        self.backlog.lock().fill(bodies);
    }

    /// What there is to do now; at most so many messages. `rest` is until when the program cannot be called.
    pub fn next(&self, now: Timestamp, most: usize, rest: Option<Timestamp>) -> Next {
        self.backlog.lock().next(now, most, rest)
    }

    /// It is decided what becomes of a message, and that is stored. Gives one that is forgotten for it, and has to be in
    /// the store.
    pub fn settle(&self, position: u64, fate: Fate) -> Option<u64> {
        let forgotten = self.backlog.lock().settle(position, fate);
        self.changed.notify_one();
        forgotten
    }

    /// A message that was given up is to be delivered again, and that is stored.
    pub fn revive(self: &Arc<Self>, outbox: &Outbox, position: u64, tries: Tries) {
        self.backlog.lock().revive(position, tries);
        self.changed.notify_one();
        outbox.have_served(self);
    }

    /// Whether messages were dropped since this was asked last.
    pub(super) fn has_overflown(&self) -> bool {
        self.backlog.lock().has_overflown()
    }

    /// Nobody delivers any more; tells whether that is so: something may have come meanwhile.
    pub fn leave(&self) -> bool {
        self.backlog.lock().leave()
    }

    fn end(&self) {
        self.backlog.lock().clear();
        self.changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const OID: Oid = Oid(Uuid::from_u128(1));
    const NOW: Timestamp = Timestamp::from_secs(1_000_000);

    fn message(target: &str, id: u128, body: &str) -> Message {
        let (target, kind, body) = (target.to_owned(), "detection".to_owned(), body.as_bytes().to_vec());
        Message { target, kind, id: Uuid::from_u128(id), body, delay: Duration::ZERO }
    }

    async fn stored(outbox: &Arc<Outbox>, store: &Store, messages: Vec<Message>) {
        let mut posted = outbox.put(OID, messages, NOW);
        store.commit(vec![posted.stored()]).await.expect("stored");
        posted.deliver();
    }

    fn positions(next: Next) -> Vec<u64> {
        let Next::Deliver(deliveries) = next else { return Vec::new() };
        deliveries.into_iter().map(|(delivery, _)| delivery.position).collect()
    }

    #[tokio::test]
    async fn what_waits_is_there_after_a_restart_under_the_same_id_and_positions_go_on() {
        let (outbox, store) = (Arc::new(Outbox::default()), Store::memory());
        stored(&outbox, &store, vec![message("a", 7, "{\"x\": 1}"), message("b", 8, "{}")]).await;
        let again = Arc::new(Outbox::load(&store).expect("loaded"));
        let standing = again.standing(OID, "a", 10);
        assert_eq!(standing.waiting.iter().map(|delivery| delivery.id.as_u128()).collect::<Vec<_>>(), [7]);
        stored(&again, &store, vec![message("a", 9, "{}")]).await;
        assert_eq!(positions(again.lane(OID, "a").next(NOW, 9, None)), [1, 3]);
    }

    #[tokio::test]
    async fn what_was_not_stored_takes_no_room_and_what_exceeds_the_room_is_counted() {
        let (outbox, store) = (Arc::new(Outbox::default()), Store::memory());
        drop(outbox.put(OID, vec![message("a", 1, "{}")], NOW));
        assert_eq!(outbox.room(OID, "a"), WAITING_MAX);
        let posted = outbox.put(OID, (0..WAITING_MAX as u128 + 3).map(|id| message("a", id, "{}")).collect(), NOW);
        assert_eq!(posted.overflown(), BTreeSet::from(["a".to_owned()]));
        posted.deliver();
        assert_eq!((outbox.room(OID, "a"), outbox.standing(OID, "a", 1).dropped), (0, 3));
        stored(&outbox, &store, vec![message("b", 1, "{}")]).await;
        assert_eq!(outbox.room(OID, "b"), WAITING_MAX - 1, "another target has a room of its own");
    }

    #[tokio::test]
    async fn of_an_organization_that_is_lost_nothing_is_begun_any_more() {
        let (outbox, store) = (Arc::new(Outbox::default()), Store::memory());
        stored(&outbox, &store, vec![message("a", 1, "{}"), message("b", 2, "{}")]).await;
        let lanes = outbox.take_unserved(9);
        outbox.end(OID);
        assert!(lanes.iter().all(|lane| matches!(lane.next(NOW, 9, None), Next::Empty)));
        assert!(outbox.take_unserved(9).is_empty() && outbox.standing(OID, "a", 9).waiting.is_empty());
    }

    #[tokio::test]
    async fn another_organization_sees_nothing_of_what_was_given_up() {
        let (outbox, store) = (Arc::new(Outbox::default()), Store::memory());
        stored(&outbox, &store, vec![message("a", 5, "{}")]).await;
        let lane = outbox.lane(OID, "a");
        assert_eq!(positions(lane.next(NOW, 9, None)), [1]);
        lane.settle(1, Fate::Kept(Tries { is_dead: true, ..Tries::default() }));
        assert!(outbox.dead(OID, Uuid::from_u128(5)).is_some());
        assert!(outbox.dead(Oid(Uuid::nil()), Uuid::from_u128(5)).is_none());
    }
}
