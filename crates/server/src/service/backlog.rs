//! What waits for one target of one organization, and which message is begun when. Pure: it neither waits nor stores,
//! and the clock is the caller's.

use super::fate::{Fate, is_too_old, is_turn};
use muster_model::Timestamp;
use muster_store::{Delivery, Tries, messages_of};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Messages that wait in one lane; what comes beyond is dropped and told. A service that is away for an hour misses
/// nothing at two or three events a second.
pub const WAITING_MAX: usize = 10_000;

/// Bytes of the bodies of those messages.
pub const WAITING_BYTES_MAX: u64 = 64 << 20;

/// Messages that were given up and are kept, per lane; beyond, the oldest is forgotten.
pub const DEAD_MAX: usize = 1_000;

/// Bytes of bodies that a lane holds in memory, so that what is delivered at once is not read again.
const HELD_BYTES_MAX: u64 = 1 << 20;

/// No message is left alone for longer: pauses between tries, delays and rests are shorter. What is to wait for longer
/// was told so by a clock that has been set back since.
const WAIT_MAX: Duration = Duration::from_secs(6 * 60);

/// What waits for one target of one organization.
#[derive(Default)]
pub struct Backlog {
    waiting: BTreeMap<u64, Waiting>,
    /// Runs by the position of their first message, and how many they are: of these none was begun. Each takes its place among those
    /// that wait when it is about to be, so that as many as a lane has room for cost little until then.
    folded: BTreeMap<u64, (Delivery, usize)>,
    /// Positions of those that can be begun.
    ready: BTreeSet<u64>,
    /// Positions of those that cannot be yet, by when they can. What is in neither is under way.
    later: BTreeSet<(Timestamp, u64)>,
    /// Positions of those that tell of an end of the subscription.
    turns: BTreeSet<u64>,
    dead: BTreeMap<u64, Delivery>,
    /// Of those that wait, and of those that are about to be stored.
    count: usize,
    bytes: u64,
    /// Bodies in memory, and their bytes.
    held: usize,
    held_bytes: u64,
    /// Somebody reads bodies.
    is_reading: bool,
    /// Dropped since the server started, and how many of those were told.
    dropped: u64,
    told: u64,
    /// Someone delivers.
    is_served: bool,
}

struct Waiting {
    delivery: Delivery,
    body: Option<Vec<u8>>,
    /// Its body was asked for, to be read with others. If it did not come with them, it is read by itself.
    is_asked: bool,
}

/// What there is to do.
pub enum Next {
    /// Deliver these now; a body that is not in memory has to be read.
    Deliver(Vec<(Delivery, Option<Vec<u8>>)>),
    /// Give these up: they have waited for too long, and the program cannot be called.
    Expire(Vec<Delivery>),
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

impl Backlog {
    /// Takes in what was stored by a server before.
    pub fn restore(&mut self, delivery: Delivery) {
        if delivery.tries.is_dead {
            self.dead.insert(delivery.position, delivery);
        } else {
            self.count += 1;
            self.bytes += delivery.bytes;
            self.insert(delivery, None);
        }
    }

    /// Keeps room for so many messages of so many bytes each, if there is some for all.
    pub fn reserve(&mut self, count: usize, bytes: u64) -> bool {
        let all = bytes.saturating_mul(count as u64);
        if self.count + count > WAITING_MAX || self.bytes + all > WAITING_BYTES_MAX {
            return false;
        }
        self.count += count;
        self.bytes += all;
        true
    }

    /// Gives back the room of a message, and that of the copy of its body.
    pub fn release(&mut self, bytes: u64, held: u64) {
        self.count = self.count.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes);
        self.let_go(held);
    }

    /// A body of so many bytes is not in memory any more; none has no bytes.
    fn let_go(&mut self, bytes: u64) {
        self.held = self.held.saturating_sub(usize::from(bytes > 0));
        self.held_bytes = self.held_bytes.saturating_sub(bytes);
    }

    /// Messages that there is room for.
    #[must_use]
    pub fn room(&self) -> usize {
        WAITING_MAX.saturating_sub(self.count)
    }

    /// So many messages were dropped for want of room.
    pub fn drop_some(&mut self, count: u64) {
        self.dropped += count;
    }

    /// Whether messages were dropped since this was asked last.
    pub fn has_overflown(&mut self) -> bool {
        let dropped = self.dropped;
        std::mem::replace(&mut self.told, dropped) < dropped
    }

    /// A copy of a body that stays in memory; empty if there is no room.
    pub fn hold(&mut self, body: &[u8]) -> Vec<u8> {
        let bytes = body.len() as u64;
        if self.held_bytes + bytes > HELD_BYTES_MAX {
            return Vec::new();
        }
        self.held += 1;
        self.held_bytes += bytes;
        body.to_vec()
    }

    /// A message is stored, for which room was kept.
    pub fn insert(&mut self, delivery: Delivery, body: Option<Vec<u8>>) {
        if is_turn(&delivery.kind) {
            self.turns.insert(delivery.position);
        }
        self.wait(delivery, body);
    }

    /// A run of so many messages is stored, for which room was kept; none is an end of a subscription.
    pub fn insert_run(&mut self, first: Delivery, count: usize) {
        self.folded.insert(first.position, (first, count));
    }

    /// Has messages of runs take their places, so that as many are ready as are asked for, if there are as many. Ends of a subscription
    /// do not count: one may have to wait for another.
    fn unfold(&mut self, most: usize) {
        while let Some(next) = self.folded.first_entry() {
            let sooner = self.ready.range(..*next.key()).filter(|position| !self.turns.contains(position));
            if sooner.take(most).count() >= most {
                return;
            }
            let (first, count) = next.remove();
            messages_of(&first, count).for_each(|message| self.wait(message, None));
        }
    }

    fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.folded.is_empty()
    }

    fn wait(&mut self, delivery: Delivery, body: Option<Vec<u8>>) {
        let position = delivery.position;
        self.place(position, delivery.tries.due, delivery.at);
        self.waiting.insert(position, Waiting { delivery, body, is_asked: false });
    }

    /// What was to be tried when it was put is, whatever the clock says.
    fn place(&mut self, position: u64, due: Timestamp, at: Timestamp) {
        if due <= at {
            self.ready.insert(position);
        } else {
            self.later.insert((due, position));
        }
    }

    /// Positions of those that are begun soon and whose bodies are not in memory, when few are: together they cost little more
    /// to read than one. As many as there is room for, and no more than `most`. Until they are [filled in](Self::fill), none
    /// that is asked for is begun.
    #[must_use]
    pub fn unread(&mut self, most: usize) -> Vec<u64> {
        self.unfold(most);
        let is_next_there = || {
            let next = self.ready.first().and_then(|position| self.waiting.get(position));
            next.is_none_or(|waiting| waiting.body.is_some() || waiting.is_asked)
        };
        if self.is_reading || (self.held >= most / 2 && is_next_there()) {
            return Vec::new();
        }
        let (mut unread, mut room) = (Vec::new(), HELD_BYTES_MAX.saturating_sub(self.held_bytes));
        for position in self.ready.iter().take(most) {
            let Some(waiting) = self.waiting.get_mut(position).filter(|waiting| waiting.body.is_none()) else {
                continue;
            };
            if waiting.delivery.bytes > room {
                break;
            }
            if !std::mem::replace(&mut waiting.is_asked, true) {
                room -= waiting.delivery.bytes;
                unread.push(*position);
            }
        }
        self.is_reading = !unread.is_empty();
        unread
    }

    /// Bodies that were read of those that were asked for.
    pub fn fill(&mut self, bodies: Vec<(u64, Vec<u8>)>) {
        self.is_reading = false;
        for (position, body) in bodies {
            // It is under way by now, if it was asked for before and came late.
            let is_idle = self.ready.contains(&position);
            let waiting = self.waiting.get_mut(&position).filter(|waiting| is_idle && waiting.body.is_none());
            let Some(waiting) = waiting else { continue };
            self.held += 1;
            self.held_bytes += body.len() as u64;
            waiting.body = Some(body);
        }
    }

    /// What there is to do now; at most so many messages. `rest` is until when the program cannot be called.
    pub fn next(&mut self, now: Timestamp, most: usize, rest: Option<Timestamp>) -> Next {
        self.look_at_clock(now);
        if let Some(until) = rest {
            let expired = self.expire(now, most);
            return match (expired.is_empty(), self.is_empty()) {
                (false, _) => Next::Expire(expired),
                (true, false) => Next::Wait(until),
                (true, true) => Next::Empty,
            };
        }
        self.unfold(most.max(1));
        let turn = self.turns.first().copied();
        let is_next = |position: &&u64| !self.turns.contains(position) || turn == Some(**position);
        let is_there = |position: &&u64| {
            let is_awaited = |waiting: &Waiting| self.is_reading && waiting.is_asked && waiting.body.is_none();
            !self.waiting.get(*position).is_some_and(is_awaited)
        };
        let ready = self.ready.iter().take_while(is_there);
        let found: Vec<u64> = ready.filter(is_next).take(most).copied().collect();
        if found.is_empty() {
            let earliest = self.later.first().map_or(Timestamp::MAX, |(due, _)| *due);
            return if self.waiting.is_empty() { Next::Empty } else { Next::Wait(earliest) };
        }
        let mut deliveries = Vec::with_capacity(found.len());
        for position in found {
            self.ready.remove(&position);
            let Some(waiting) = self.waiting.get_mut(&position) else { continue };
            waiting.is_asked = false;
            let (delivery, body) = (waiting.delivery.clone(), waiting.body.take());
            self.let_go(body.as_ref().map_or(0, |body| body.len() as u64));
            deliveries.push((delivery, body));
        }
        Next::Deliver(deliveries)
    }

    /// Finds those whose time has come, and lets none wait for longer than it was told to.
    fn look_at_clock(&mut self, now: Timestamp) {
        while let Some((due, position)) = self.later.first().copied().filter(|(due, _)| *due <= now) {
            self.later.remove(&(due, position));
            self.ready.insert(position);
        }
        let latest = now.saturating_add(WAIT_MAX);
        while let Some((due, position)) = self.later.last().copied().filter(|(due, _)| *due > latest) {
            self.later.remove(&(due, position));
            self.later.insert((latest, position));
            if let Some(waiting) = self.waiting.get_mut(&position) {
                waiting.delivery.tries.due = latest;
            }
        }
    }

    /// Takes some of those that have waited for too long; they are under way then.
    fn expire(&mut self, now: Timestamp, most: usize) -> Vec<Delivery> {
        if self.folded.values().next().is_some_and(|(first, _)| is_too_old(first.at, now)) {
            self.unfold(most.max(1));
        }
        let oldest = self.waiting.values().map(|waiting| &waiting.delivery);
        let is_idle = |delivery: &&Delivery| {
            self.ready.contains(&delivery.position) || self.later.contains(&(delivery.tries.due, delivery.position))
        };
        let old = oldest.take_while(|delivery| is_too_old(delivery.at, now)).filter(is_idle).take(most);
        let old: Vec<Delivery> = old.cloned().collect();
        for delivery in &old {
            self.ready.remove(&delivery.position);
            self.later.remove(&(delivery.tries.due, delivery.position));
        }
        old
    }

    /// It is decided what becomes of a message that was under way, and that is stored. Gives the oldest of those that were
    /// given up, if they are too many now: it is forgotten here, and has to be in the store.
    pub fn settle(&mut self, position: u64, fate: Fate) -> Option<u64> {
        let again = match fate {
            Fate::Forgotten | Fate::Ended => {
                self.take(position);
                return None;
            }
            Fate::Kept(tries) => return self.keep(position, tries),
            Fate::Postponed(due) => (due, None),
            Fate::Retried(tries) => (tries.due, Some(tries)),
        };
        let (due, tries) = again;
        let waiting = self.waiting.get_mut(&position)?;
        waiting.delivery.tries = Tries { due, ..tries.unwrap_or_else(|| waiting.delivery.tries.clone()) };
        self.later.insert((due, position));
        None
    }

    fn keep(&mut self, position: u64, tries: Tries) -> Option<u64> {
        let gone = self.take(position)?;
        self.dead.insert(position, Delivery { tries, ..gone });
        let oldest = *self.dead.keys().next().filter(|_| self.dead.len() > DEAD_MAX)?;
        self.dead.remove(&oldest);
        Some(oldest)
    }

    /// Takes out a message that is under way.
    fn take(&mut self, position: u64) -> Option<Delivery> {
        let Waiting { delivery, body, .. } = self.waiting.remove(&position)?;
        self.turns.remove(&position);
        self.release(delivery.bytes, body.map_or(0, |body| body.len() as u64));
        Some(delivery)
    }

    /// A message that was given up is to be delivered again, and that is stored.
    pub fn revive(&mut self, position: u64, tries: Tries) {
        let Some(delivery) = self.dead.remove(&position) else { return };
        // A person asked for it: it may exceed the bound by one.
        self.restore(Delivery { tries, ..delivery });
    }

    /// The position of a message of this id that was given up.
    #[must_use]
    pub fn dead(&self, id: uuid::Uuid) -> Option<u64> {
        self.dead.values().find(|delivery| delivery.id == id).map(|delivery| delivery.position)
    }

    /// How it stands, with at most so many messages of each kind.
    #[must_use]
    pub fn standing(&self, most: usize) -> Standing {
        let folded = self.folded.values().flat_map(|(first, count)| messages_of(first, *count));
        let apart = self.waiting.values().take(most).map(|waiting| waiting.delivery.clone());
        let mut waiting: Vec<Delivery> = apart.chain(folded.take(most)).collect();
        waiting.sort_by_key(|delivery| delivery.position);
        waiting.truncate(most);
        Standing { waiting, dead: self.dead.values().take(most).cloned().collect(), dropped: self.dropped }
    }

    /// Whether something waits and nobody delivers; whoever asks sees to it that somebody does.
    pub fn is_taken_up(&mut self) -> bool {
        let is_taken_up = !self.is_served && !self.is_empty();
        self.is_served |= is_taken_up;
        is_taken_up
    }

    /// Nobody delivers any more; tells whether that is so: something may have come meanwhile.
    pub fn leave(&mut self) -> bool {
        self.is_served = !self.is_empty();
        !self.is_served
    }

    /// Where everything stands that is stored.
    #[must_use]
    pub fn positions(&self) -> Vec<u64> {
        let folded = self.folded.iter().flat_map(|(first, (_, count))| *first..*first + *count as u64);
        self.waiting.keys().chain(self.dead.keys()).copied().chain(folded).collect()
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        let (is_served, is_reading) = (self.is_served, self.is_reading);
        *self = Self { is_served, is_reading, ..Self::default() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    const NOW: Timestamp = Timestamp::from_secs(1_000_000);

    fn backlog(kinds: &[&str]) -> Backlog {
        let mut backlog = Backlog::default();
        for (position, kind) in (1..).zip(kinds) {
            assert!(backlog.reserve(1, 2));
            let tries = Tries { due: NOW, ..Tries::default() };
            let id = Uuid::from_u128(position.into());
            let (target, kind) = ("service/a".to_owned(), (*kind).to_owned());
            backlog.insert(Delivery { position, target, id, kind, at: NOW, bytes: 2, tries }, None);
        }
        backlog
    }

    fn begun(backlog: &mut Backlog, now: Timestamp, most: usize) -> Vec<u64> {
        let Next::Deliver(deliveries) = backlog.next(now, most, None) else { return Vec::new() };
        deliveries.into_iter().map(|(delivery, _)| delivery.position).collect()
    }

    fn after(seconds: u64) -> Timestamp {
        NOW.saturating_add(Duration::from_secs(seconds))
    }

    #[test]
    fn messages_are_begun_in_order_and_one_that_waits_for_another_try_holds_nobody_up() {
        let mut backlog = backlog(&["detection"; 4]);
        assert_eq!(begun(&mut backlog, NOW, 2), [1, 2]);
        let later = Tries { made: 1, due: after(5), ..Tries::default() };
        assert_eq!(backlog.settle(1, Fate::Retried(later)), None);
        assert_eq!(
            begun(&mut backlog, NOW, 9),
            [3, 4],
            "neither the one under way, nor the one whose time has not come"
        );
        for position in [2, 3, 4] {
            backlog.settle(position, Fate::Forgotten);
        }
        assert!(matches!(backlog.next(NOW, 9, None), Next::Wait(due) if due == after(5)));
        assert_eq!(begun(&mut backlog, after(5), 9), [1]);
    }

    fn of_next(backlog: &mut Backlog, most: usize) -> Vec<(u64, bool)> {
        let Next::Deliver(deliveries) = backlog.next(NOW, most, None) else { return Vec::new() };
        deliveries.iter().map(|(delivery, body)| (delivery.position, body.is_some())).collect()
    }

    #[test]
    fn bodies_of_what_is_begun_next_are_read_together_as_far_as_there_is_room() {
        let mut backlog = backlog(&["detection"; 4]);
        assert_eq!(backlog.unread(3), [1, 2, 3]);
        assert!(backlog.unread(3).is_empty(), "they are being read");
        assert!(of_next(&mut backlog, 9).is_empty(), "they come at once");
        backlog.fill(vec![(1, b"{}".to_vec()), (2, b"{}".to_vec())]);
        assert_eq!(of_next(&mut backlog, 3), [(1, true), (2, true), (3, false)], "the third is read by itself");
        assert_eq!((backlog.held, backlog.held_bytes), (0, 0));
        assert_eq!(backlog.unread(9), [4]);
        backlog.fill(Vec::new());
        assert!(backlog.unread(9).is_empty(), "it did not come with the others, and is read by itself");
        assert_eq!(of_next(&mut backlog, 9), [(4, false)]);
    }

    #[test]
    fn bodies_are_read_while_others_are_sent_and_memory_for_them_is_bounded() {
        let mut backlog = backlog(&["detection"; 12]);
        let read = |positions: &[u64]| positions.iter().map(|position| (*position, b"{}".to_vec())).collect::<Vec<_>>();
        let first = backlog.unread(8);
        backlog.fill(read(&first));
        assert_eq!(begun(&mut backlog, NOW, 4).len(), 4);
        assert!(backlog.unread(8).is_empty(), "half of what is read at once is there");
        assert_eq!(begun(&mut backlog, NOW, 1), [5]);
        assert_eq!(backlog.unread(8), [9, 10, 11, 12]);
        assert_eq!(begun(&mut backlog, NOW, 9), [6, 7, 8], "what is there is begun meanwhile");
        backlog.fill(Vec::new());
        assert_eq!(begun(&mut backlog, NOW, 9), [9, 10, 11, 12]);
        backlog.settle(1, Fate::Postponed(NOW));
        assert_eq!(of_next(&mut backlog, 0), []);
        backlog.held_bytes = HELD_BYTES_MAX;
        assert!(backlog.unread(8).is_empty(), "it is read by itself");
    }

    #[test]
    fn a_clock_that_is_set_back_holds_nothing_back() {
        let mut backlog = backlog(&["detection"; 2]);
        let long_ago = Timestamp::from_secs(1_000);
        assert_eq!(begun(&mut backlog, long_ago, 1), [1], "what waits for nothing is begun");
        backlog.settle(1, Fate::Postponed(after(5)));
        backlog.settle(2, Fate::Forgotten);
        assert!(begun(&mut backlog, long_ago, 9).is_empty());
        assert_eq!(begun(&mut backlog, long_ago.saturating_add(WAIT_MAX), 9), [1]);
    }

    #[test]
    fn both_ends_of_a_subscription_are_told_one_after_the_other() {
        let mut backlog = backlog(&["org_install", "detection", "org_uninstall", "org_install"]);
        assert_eq!(begun(&mut backlog, NOW, 9), [1, 2]);
        let again = Tries { made: 1, due: after(5), ..Tries::default() };
        backlog.settle(1, Fate::Retried(again));
        assert!(begun(&mut backlog, NOW, 9).is_empty(), "the second does not overtake the first");
        assert_eq!(begun(&mut backlog, after(5), 9), [1]);
        backlog.settle(1, Fate::Kept(Tries { is_dead: true, ..Tries::default() }));
        assert_eq!(begun(&mut backlog, after(5), 9), [3]);
        backlog.settle(3, Fate::Ended);
        assert_eq!(begun(&mut backlog, after(5), 9), [4]);
    }

    #[test]
    fn messages_of_a_run_take_their_places_when_their_turn_comes_and_are_seen_before() {
        let mut backlog = backlog(&["detection"; 2]);
        let one = |position: u64| Delivery { position, ..backlog_of_one().standing(1).waiting[0].clone() };
        for begin in [3, 103] {
            assert!(backlog.reserve(64, 2));
            backlog.insert_run(one(begin), 64);
        }
        assert!(backlog.reserve(1, 2));
        backlog.insert(one(80), None);
        let all: Vec<u64> = (1..67).chain([80]).chain(103..167).collect();
        let standing: Vec<u64> = backlog.standing(usize::MAX).waiting.iter().map(|one| one.position).collect();
        assert_eq!(standing, all);
        assert_eq!(backlog.standing(3).waiting.iter().map(|one| one.position).collect::<Vec<_>>(), [1, 2, 3]);
        let mut positions = backlog.positions();
        positions.sort_unstable();
        assert_eq!((positions, backlog.room()), (all.clone(), WAITING_MAX - all.len()));

        assert_eq!((begun(&mut backlog, NOW, 2), backlog.waiting.len()), (vec![1, 2], 3));
        assert!(begun(&mut backlog, NOW, 0).is_empty() && !backlog.leave(), "something waits");
        assert_eq!((begun(&mut backlog, NOW, 1), backlog.folded.len()), (vec![3], 1));
        backlog.settle(3, Fate::Forgotten);
        assert_eq!(begun(&mut backlog, NOW, 64), all[3..67], "those of the later run come after the one between");
        assert_eq!(begun(&mut backlog, NOW, 99), all[67..]);
        for position in &all {
            backlog.settle(*position, Fate::Forgotten);
        }
        assert!(matches!(backlog.next(NOW, 9, None), Next::Empty));
        assert_eq!((backlog.room(), backlog.bytes), (WAITING_MAX, 0));
    }

    fn backlog_of_one() -> Backlog {
        backlog(&["sensor_per_1h"])
    }

    #[test]
    fn what_is_too_old_in_a_run_expires_while_a_program_rests() {
        let mut backlog = Backlog::default();
        let first = backlog_of_one().standing(1).waiting[0].clone();
        assert!(backlog.reserve(2, 2));
        backlog.insert_run(first, 2);
        let until = after(30);
        assert!(matches!(backlog.next(NOW, 9, Some(until)), Next::Wait(at) if at == until));
        let Next::Expire(old) = backlog.next(after(24 * 3_600), 1, Some(until)) else { panic!("they are too old") };
        assert_eq!(old.iter().map(|delivery| delivery.position).collect::<Vec<_>>(), [1]);
    }

    #[test]
    fn while_a_program_rests_nothing_is_begun_and_what_is_too_old_expires() {
        let mut backlog = backlog(&["detection"; 2]);
        let until = after(30);
        assert!(matches!(backlog.next(NOW, 9, Some(until)), Next::Wait(at) if at == until));
        let Next::Expire(old) = backlog.next(after(24 * 3_600), 1, Some(until)) else { panic!("they are too old") };
        assert_eq!(old.iter().map(|delivery| delivery.position).collect::<Vec<_>>(), [1]);
        assert_eq!(begun(&mut backlog, NOW, 9), [2], "that one is under way");
    }

    #[test]
    fn what_was_given_up_can_be_revived_and_the_oldest_is_forgotten() {
        let mut backlog = backlog(&vec!["detection"; DEAD_MAX + 1]);
        let dead = Tries { is_dead: true, ..Tries::default() };
        let forgotten: Vec<u64> = begun(&mut backlog, NOW, usize::MAX)
            .into_iter()
            .filter_map(|position| backlog.settle(position, Fate::Kept(dead.clone())))
            .collect();
        assert_eq!((forgotten, backlog.room()), (vec![1], WAITING_MAX));
        let position = backlog.dead(Uuid::from_u128(6)).expect("it is kept");
        backlog.revive(position, Tries { due: NOW, ..Tries::default() });
        assert_eq!(begun(&mut backlog, NOW, 9), [6]);
        assert_eq!(backlog.dead(Uuid::from_u128(6)), None);
    }
}
