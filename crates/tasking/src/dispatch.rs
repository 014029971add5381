//! Where an order's next step is decided: the sensors, tasks and links of one organization.
//!
//! The machine is told what happened (a task is asked for, a sensor connects or reports, an operator changes
//! something, time passes, a commit is stored) and answers with the [`Effect`]s that must follow. It never waits:
//! what has to be stored first is a [`Commit`], and what rests on it follows when [`Dispatch::stored`] is told.
//! Any number of commits can be under way at once.
//!
//! The server drives it over its store and its links, the simulation over its own, so that what the simulation
//! proves is what runs.
//!
//! # Invariants (numbers of the design, section 3)
//!
//! 1. An answer, a message or a fact that rests on a change is an effect only of the call of [`Dispatch::stored`]
//!    for the commit of that change. A commit that fails changes nothing: what was reserved for it is given back,
//!    and who is owed something is asked for again.
//! 2. Whoever is online and owed something either has it in an offer, or waits for a retry, a pace, an operator or
//!    a job that is named in its line: no step rests on being lucky.
//! 3. A task is stored as `sent` before it is sent (ADR 2), and is made for the epoch that the sensor has when it
//!    is sent. A record change that begins an epoch ends, in the same commit, what the one before was owed.
//! 4. What expired or was taken back while its offer was stored is not sent.
//! 5. Of one sensor, one change at a time: it is decided, stored and applied before the next is decided, in the
//!    order of arrival ([`turns`]). Of tasks' controls, one change at a time: what is stored last is what holds.
//! 5. Every state ends: at each connection the sensor is asked about every task that it is said to have and that
//!    has not ended, and says what it remembers; what neither side knows any more is interrupted.
//! 7. What waits in the machine is bounded by who asks: a link asks one thing at a time, a call one, and of the
//!    machine's own (a retry, a roll-out of one task, fading tags) there is one of each kind.
//!
//! # What is not here
//!
//! No clock, no store, no socket. Time is an argument; the one random thing, the order of roll-outs that ask for
//! it, follows from the seed.

mod control;
mod create;
mod edit;
mod effect;
mod known;
mod offer;
mod receipt;
mod sensors;
#[cfg(test)]
mod tests;
mod turns;

pub use control::Choice;
pub use create::Order;
pub use edit::{Edit, Flag, Reported};
pub use effect::{
    Answer, Commit, CommitId, Delivery, Effect, Fact, Flags, Happening, LinkId, Message, NewTask, RequestId, Untasked,
    Welcome, Write,
};
pub use known::{Known, wanted_flags};
pub use sensors::{Arrival, Enrolment, SpoolSeen};

use crate::queue::{ControlChange, Offer, Report};
use crate::sensor::SensorRow;
use crate::target::Target;
use crate::task::Task;
use control::Control;
use create::Follower;
use muster_model::{Sid, Timestamp};
use offer::FanOut;
use sensors::{Arriving, Change, Editing};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::ops::Deref;
use std::time::Duration;
use turns::{JobId, Turns};

/// Tasks in one [`Message::Recall`]: 16 bytes each, far below what a message may have.
pub const RECALLED_MAX: usize = 1_024;

/// Fading tags are looked at this often.
const FADE_EVERY: Duration = Duration::from_secs(1);

/// One organization: what is known, and what is under way.
#[derive(Default)]
pub struct Dispatch {
    known: Known,
    links: HashMap<u32, Presence>,
    /// Links whose sensor is being taken in; one that ends meanwhile is taken out.
    arriving: HashSet<LinkId>,
    turns: Turns<Work>,
    flights: HashMap<CommitId, Flight>,
    controls: VecDeque<Control>,
    /// A change of a control is under way.
    is_controlling: bool,
    /// Roll-outs under way, by number of the task.
    fanning: HashMap<u64, u32>,
    /// Someone else owns the organization by now.
    is_deposed: bool,
    is_retrying: bool,
    is_fading: bool,
    /// What the store does not know yet of by how much the clock was set.
    clock_is_unsaved: bool,
    is_saving_clock: bool,
    fade_at: Timestamp,
    /// Of sensors whose machine changed, the one before: a digest of its name and its boot.
    machines: HashMap<u32, u64>,
    /// Identities that are asked for and not stored yet.
    enrolling: HashSet<Sid>,
    /// What dynamic tasks follow, read once.
    followers: BTreeMap<u64, Follower>,
    last_commit: u64,
    seed: u64,
    out: Vec<Effect>,
}

/// The current link of a sensor.
#[derive(Clone, Copy, Debug)]
struct Presence {
    link: LinkId,
    /// Its spool, and the highest number of it that is stored.
    spool: Option<([u8; 16], u64)>,
}

/// What a job does once it is its turn.
enum Work {
    Offer(Box<FanOut>),
    Receipts(RequestId, u32, Vec<(u64, Report)>),
    Edit(Box<Editing>),
    Enrol(RequestId, Box<SensorRow>, bool),
    Arrive(Box<Arriving>),
    /// Dynamic tasks look at these sensors again.
    Follow,
}

/// A commit that is under way, and what follows from it.
enum Flight {
    Create(RequestId, Box<NewTask>),
    Control(Control, Vec<ControlChange>),
    FanOut(JobId, Box<FanOut>, Vec<Offer>),
    Offers(JobId, Vec<Offer>),
    Receipts(JobId, RequestId, Vec<(u64, u32, Target)>),
    Change(JobId, Box<Change>),
    Follow(JobId, Box<Change>, Vec<(u64, u32, Target)>),
    Denied(JobId, RequestId, Box<SensorRow>),
    Clock,
}

impl Deref for Dispatch {
    type Target = Known;
    fn deref(&self) -> &Known {
        &self.known
    }
}

impl Dispatch {
    /// An organization with nothing in it; `seed` gives the order of roll-outs that ask for a random one.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { seed, ..Self::default() }
    }

    /// Takes in a sensor that is stored: at start, before anything else.
    pub fn restore_sensor(&mut self, row: SensorRow) {
        self.known.fleet.put(row);
    }

    /// Leaves out a sensor that is stored and cannot be read: at start. No one else gets its ordinal.
    pub fn set_sensor_aside(&mut self, ordinal: u32) {
        self.known.fleet.set_aside(ordinal);
    }

    /// Takes in a task that is stored, with its targets: at start, before anything else.
    pub fn restore_task(&mut self, task: Task) {
        self.follow(task.number, &task.spec);
        self.known.queue.insert(task);
    }

    /// Keeps the number of a stored task that cannot be read from being given again.
    pub fn set_task_aside(&mut self, number: u64) {
        self.known.queue.reserve(number);
    }

    /// Forgets a task that the store has forgotten (retention).
    pub fn forget(&mut self, number: u64) {
        self.followers.remove(&number);
        self.known.queue.forget(number);
    }

    /// The current link of a sensor.
    #[must_use]
    pub fn link(&self, ordinal: u32) -> Option<LinkId> {
        self.links.get(&ordinal).map(|presence| presence.link)
    }

    /// The spool of a sensor and its highest stored number, by what its current link told; `None` if this link is
    /// not the current one, the inner `None` if it told of no spool.
    #[must_use]
    pub fn spool(&self, ordinal: u32, link: LinkId) -> Option<Option<([u8; 16], u64)>> {
        self.links.get(&ordinal).filter(|presence| presence.link == link).map(|presence| presence.spool)
    }

    /// Events of a sensor's spool are stored, up to this number.
    pub fn spooled(&mut self, ordinal: u32, spool_id: [u8; 16], seq: u64) {
        let spool = self.links.get_mut(&ordinal).and_then(|presence| presence.spool.as_mut());
        if let Some((_, stored)) = spool.filter(|(id, _)| *id == spool_id) {
            *stored = seq.max(*stored);
        }
    }

    /// A commit is durable: what rested on it follows.
    pub fn stored(&mut self, id: CommitId, now: Timestamp) -> Vec<Effect> {
        match self.flights.remove(&id) {
            None => {}
            Some(Flight::Create(request, new)) => self.created(request, *new, now),
            Some(Flight::Control(control, changes)) => self.controlled(control, &changes, now),
            Some(Flight::FanOut(job, fan, offers)) => self.fanned_out(job, fan, &offers, now),
            Some(Flight::Offers(job, offers)) => self.offered(job, &offers, now),
            Some(Flight::Receipts(job, request, targets)) => self.received(job, request, targets, now),
            Some(Flight::Change(job, change)) => self.changed(job, change, now),
            Some(Flight::Follow(job, change, targets)) => self.followed(job, *change, targets, now),
            Some(Flight::Denied(job, request, row)) => self.denied(job, request, *row),
            Some(Flight::Clock) => self.is_saving_clock = false,
        }
        self.settle(now)
    }

    /// A commit is known not to be stored: it changed nothing. `is_conflict` tells that it never can be, since
    /// another change came first.
    pub fn failed(&mut self, id: CommitId, is_conflict: bool, now: Timestamp) -> Vec<Effect> {
        match self.flights.remove(&id) {
            None => {}
            Some(Flight::Create(request, _)) if is_conflict => self.answer(request, Answer::Taken),
            Some(Flight::Create(request, _)) => self.answer(request, Answer::Failed),
            Some(Flight::Control(control, changes)) => self.control_failed(control, &changes, now),
            Some(Flight::FanOut(job, fan, offers)) => self.fan_out_failed(job, *fan, offers, now),
            Some(Flight::Offers(job, offers)) => {
                self.revert(offers, now);
                self.turns.leave(job);
            }
            Some(Flight::Receipts(job, request, _)) => {
                self.turns.leave(job);
                self.answer(request, Answer::Failed);
            }
            Some(Flight::Change(job, change)) => self.change_failed(job, *change),
            // The change itself is stored; the next one of these sensors mends it.
            Some(Flight::Follow(job, change, _)) => self.finish_change(job, *change, false, now),
            Some(Flight::Denied(job, request, _)) => {
                self.turns.leave(job);
                self.answer(request, Answer::Denied);
            }
            // The next tick tries again.
            Some(Flight::Clock) => (self.is_saving_clock, self.clock_is_unsaved) = (false, true),
        }
        self.settle(now)
    }

    /// Takes in by how much the clock was set, as it is stored: at start, before anything else.
    pub fn restore_clock(&mut self, set_us: i64) {
        self.known.queue.clock.restore(set_us);
    }

    /// Takes a reading of the clock and of one that nobody can set (the time since boot, suspension included):
    /// before anything else is told of that instant. A clock that was set meanwhile changes no time to live.
    pub fn read_clocks(&mut self, now: Timestamp, passed: Duration) {
        self.clock_is_unsaved |= self.known.queue.clock.read(now, passed);
    }

    fn save_clock(&mut self) {
        if self.clock_is_unsaved && !self.is_saving_clock {
            (self.is_saving_clock, self.clock_is_unsaved) = (true, false);
            let writes = vec![Write::ClockSet(self.known.queue.clock.set_us())];
            self.commit(None, writes, Vec::new(), Flight::Clock);
        }
    }

    /// The organization is someone else's by now, or it is not known what is stored: ends all links, and from then on
    /// nothing follows from anything, whatever it is told. Who asked something and was not answered does not know what
    /// became of it; the next owner does.
    pub fn deposed(&mut self) -> Vec<Effect> {
        self.is_deposed = true;
        self.out.clear();
        self.flights.clear();
        let links = self.links.values().map(|presence| presence.link).chain(self.arriving.iter().copied());
        // In an order that does not depend on chance.
        links.collect::<BTreeSet<_>>().into_iter().map(Effect::Close).collect()
    }

    /// Whether [`Dispatch::deposed`] was told.
    #[must_use]
    pub const fn is_deposed(&self) -> bool {
        self.is_deposed
    }

    /// Time passed: retries, paced roll-outs, expiry, fading tags. To be told after [`Dispatch::due_in`].
    pub fn tick(&mut self, now: Timestamp) -> Vec<Effect> {
        self.save_clock();
        self.expire(now);
        self.retry(now);
        for number in self.known.queue.paced(now) {
            if !self.fanning.contains_key(&number) {
                self.fan_out(number, now);
            }
        }
        self.fade(now);
        self.settle(now)
    }

    /// How long [`Dispatch::tick`] would change nothing; `None` if time changes nothing here. Short of that, only if
    /// nothing is told of and the clock is not set meanwhile.
    #[must_use]
    pub fn due_in(&self, now: Timestamp) -> Option<Duration> {
        if self.is_deposed {
            return None;
        }
        let unsaved = (self.clock_is_unsaved && !self.is_saving_clock).then_some(Duration::ZERO);
        let retry = if self.is_retrying { None } else { self.known.queue.retry_in(now) };
        let is_fading = !self.is_fading && !self.known.fleet.fading().is_empty();
        let fade = is_fading.then(|| self.fade_at.since(now).min(FADE_EVERY));
        [unsaved, retry, self.known.queue.expiry_in(now), self.known.queue.pace_in(now), fade]
            .into_iter()
            .flatten()
            .min()
    }

    /// Closes what has run out of time, so that what is read next is true.
    pub fn expire(&mut self, now: Timestamp) {
        self.known.queue.expire(now);
    }

    /// Begins what waits for its turn, and gives the effects.
    fn settle(&mut self, now: Timestamp) -> Vec<Effect> {
        if self.is_deposed {
            self.out.clear();
            return Vec::new();
        }
        self.next_control(now);
        while let Some((job, work)) = self.turns.next() {
            match work {
                Work::Offer(fan) => self.offer_some(job, fan, now),
                Work::Receipts(request, ordinal, reports) => self.receive(job, request, ordinal, reports, now),
                Work::Edit(editing) => self.edit_some(job, editing, now),
                Work::Enrol(request, row, returns) => self.enrol_one(job, request, *row, returns),
                Work::Arrive(arriving) => self.arrive(job, arriving, now),
                Work::Follow => self.catch_up(job, now),
            }
        }
        std::mem::take(&mut self.out)
    }

    fn commit(&mut self, request: Option<RequestId>, writes: Vec<Write>, facts: Vec<Fact>, flight: Flight) {
        self.last_commit += 1;
        let id = CommitId(self.last_commit);
        self.flights.insert(id, flight);
        self.out.push(Effect::Commit(Commit { id, request, writes, facts }));
    }

    fn answer(&mut self, request: RequestId, answer: Answer) {
        self.out.push(Effect::Answer(request, answer));
    }

    fn tell(&mut self, facts: Vec<Fact>) {
        if !facts.is_empty() {
            self.out.push(Effect::Tell(facts));
        }
    }

    /// Takes in targets that are stored; a task that holds itself back from now on is stored so.
    fn apply(&mut self, targets: Vec<(u64, u32, Target)>) {
        for (number, ordinal, target) in targets {
            if self.known.queue.apply(number, ordinal, target) {
                self.controls.push_back(Control::Stopped(number));
            }
            // It was cancelled before the sensor was known to have it.
            let task = self.known.queue.task(number).filter(|task| task.is_cancelling(ordinal));
            if let (Some(task), Some(presence)) = (task, self.links.get(&ordinal)) {
                self.out.push(Effect::Send(presence.link, Message::Cancel(vec![task.spec.task_id])));
            }
        }
    }
}

/// The next number of a sequence that is even over all 64 bits (splitmix64).
/// Source: <https://prng.di.unimi.it/>.
fn random(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*seed ^ (*seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
