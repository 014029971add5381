//! One run: chaos, in which one thing after the other happens by chance, and then calm until nothing waits.

use crate::server::{CALL_MAX, Call, Server};
use crate::target::Mood;
use crate::truth::{Counts, Truth};
use muster_model::{Oid, Timestamp};
use muster_server::service::{Patience, Program, Protocol};
use muster_sim::kernel::{self, MS, Micros, SECOND};
use muster_store::{Faults, Store, StoreError};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use uuid::Uuid;

pub type Kernel = kernel::Kernel<Event>;

pub const OID: Oid = Oid(Uuid::from_u128(0x0de1));

/// Targets of a run.
pub const TARGETS: usize = 4;

/// Calls in a second that each of them gets at most.
pub const RATES: [Option<u32>; TARGETS] = [None, Some(1), Some(4), Some(50)];

/// Server time at the start of a run: 2025-06-01T00:00:00Z.
const EPOCH_MICROS: i64 = 1_748_736_000_000_000;

/// How long things break, and the longest time until nothing waits after that: a call that is never answered, the
/// tries of a message with their pauses, and the rest of a target.
const CHAOS: Micros = 1_800 * SECOND;
const CALM_MAX: Micros = 4 * 3_600 * SECOND;

/// How often a target is asked how it is.
const HEALTH_EVERY: Micros = 30 * SECOND;

pub fn name_of(target: usize) -> String {
    Program::service(&format!("target-{target}")).target()
}

/// Something that happens at an instant; numbers are those of servers and calls.
#[derive(Clone, Debug)]
pub enum Event {
    /// The store's writer reaches the next commit of a server.
    Commit(u32),
    /// A server learns what became of its oldest commit.
    Stored(u32),
    /// Servers look what is due.
    Look,
    /// It is the turn of a call.
    Turn(u64),
    /// A call reaches its target.
    Arrive(u64),
    /// A server hears the answer to a call.
    Answered(u64, Option<(u16, &'static str)>),
    /// Targets are asked how they are.
    Health,
    /// Something happens that targets want to hear of, or somebody changes something.
    Operate,
    /// Something breaks.
    Break,
    /// The store has room again.
    Room,
    /// A server starts.
    Start,
    /// A server that was deposed is gone.
    Gone(u32),
}

/// A step that is left out on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sabotage {
    /// A message is sent before it is stored.
    DeliverBeforeStore,
    /// A message is forgotten when it is sent.
    ForgetBeforeAnswer,
    /// What was given up is not kept.
    ForgetFailed,
    /// Tries are not stored.
    ForgetTries,
    /// Each try has an id of its own.
    RenewId,
    /// A server that was deposed goes on.
    OutliveClaim,
    /// A subscription is gone before its end was told.
    EndAtOnce,
    /// Calls are made as fast as they can be.
    IgnoreRate,
    /// Those that ask for rest get none.
    IgnoreBusy,
}

impl Sabotage {
    pub const ALL: [Self; 9] = [
        Self::DeliverBeforeStore,
        Self::ForgetBeforeAnswer,
        Self::ForgetFailed,
        Self::ForgetTries,
        Self::RenewId,
        Self::OutliveClaim,
        Self::EndAtOnce,
        Self::IgnoreRate,
        Self::IgnoreBusy,
    ];
}

/// What outlives a server process.
pub struct Site {
    pub kernel: Kernel,
    pub store: Store,
    pub truth: RefCell<Truth>,
    pub sabotage: Option<Sabotage>,
    /// By how much the clock of servers is ahead of true time.
    clock_micros: Cell<i64>,
}

impl Site {
    /// The clock of servers.
    pub fn now(&self) -> Timestamp {
        let passed = i64::try_from(self.kernel.now()).unwrap_or(i64::MAX);
        Timestamp::from_micros(EPOCH_MICROS + passed + self.clock_micros.get())
    }
}

/// How a run ended.
pub struct Ended {
    pub counts: Counts,
    pub faults: Vec<String>,
    pub hash: u64,
}

pub struct World {
    site: Rc<Site>,
    faults: Faults,
    servers: BTreeMap<u32, Server>,
    started: u32,
    calls: BTreeMap<u64, Call>,
    last_call: u64,
    moods: [Mood; TARGETS],
    is_full: bool,
    is_calm: bool,
}

impl World {
    /// Runs a seed.
    pub fn run(seed: u64, is_told: bool, sabotage: Option<Sabotage>) -> Ended {
        let (store, faults) = Store::memory_with_faults();
        let kernel = Kernel::new(seed, is_told);
        let (truth, clock_micros) = (RefCell::default(), Cell::new(0));
        let site = Rc::new(Site { kernel, store, truth, sabotage, clock_micros });
        let mut world = Self {
            site,
            faults,
            servers: BTreeMap::new(),
            started: 0,
            calls: BTreeMap::new(),
            last_call: 0,
            moods: [Mood::Well; TARGETS],
            is_full: false,
            is_calm: false,
        };
        for event in [Event::Start, Event::Operate, Event::Break, Event::Health] {
            world.site.kernel.after(0, event);
        }
        world.go_on(CHAOS);
        world.calm_down();
        world.go_on(CHAOS + CALM_MAX);
        let site = world.site;
        site.truth.borrow_mut().judge(&site.store, OID);
        site.kernel.lines().iter().for_each(|line| println!("{line}"));
        let (truth, hash) = (site.truth.take(), site.kernel.trace_hash());
        Ended { counts: truth.counts, faults: truth.faults, hash }
    }

    fn go_on(&mut self, until: Micros) {
        while let Some(event) = self.site.kernel.next(until) {
            self.happen(event);
            let mut calls = Vec::new();
            for server in self.servers.values_mut().filter(|server| !server.is_deposed) {
                server.look(&self.site, &mut calls);
            }
            for (wait, call) in calls {
                self.last_call += 1;
                self.site.kernel.after(wait, Event::Turn(self.last_call));
                self.calls.insert(self.last_call, call);
            }
        }
    }

    fn happen(&mut self, event: Event) {
        let site = Rc::clone(&self.site);
        match event {
            Event::Commit(number) => {
                self.servers.get_mut(&number).into_iter().for_each(|server| server.reach(&site));
            }
            Event::Stored(number) => {
                let Some(server) = self.servers.get_mut(&number) else { return };
                if !server.stored(&site) {
                    site.kernel.note(|| format!("server {number} does not know what is stored, and ends"));
                    self.crash(number);
                } else if server.is_deposed {
                    site.kernel.after(10 * SECOND, Event::Gone(number));
                }
            }
            Event::Look => {}
            Event::Turn(id) => self.turn(id),
            Event::Arrive(id) => self.arrive(id),
            Event::Answered(id, answer) => {
                let Some(call) = self.calls.remove(&id) else { return };
                let Some(server) = self.servers.get_mut(&call.server) else { return };
                if server.can_conclude(&call) {
                    server.answered(&site, call, answer);
                } else {
                    self.calls.insert(id, call);
                    site.kernel.after(50 * MS, Event::Answered(id, answer));
                }
            }
            Event::Health => {
                site.kernel.after(HEALTH_EVERY, Event::Health);
                for server in self.servers.values_mut() {
                    let well = (0..TARGETS).filter(|target| self.moods[*target].is_well());
                    well.for_each(|target| server.is_well(&site, target));
                }
            }
            Event::Operate if !self.is_calm => self.operate(),
            Event::Break if !self.is_calm => self.break_something(),
            Event::Operate | Event::Break => {}
            Event::Room => self.fill(false),
            Event::Start if !self.servers.contains_key(&self.started) => self.start(),
            Event::Start => {}
            Event::Gone(number) => drop(self.servers.remove(&number)),
        }
    }

    fn start(&mut self) {
        self.started += 1;
        let number = self.started;
        self.site.kernel.note(|| format!("server {number} starts"));
        self.servers.insert(number, Server::start(&self.site, number));
    }

    fn crash(&mut self, number: u32) {
        let Some(server) = self.servers.remove(&number) else { return };
        server.crash(&self.site);
        let mut truth = self.site.truth.borrow_mut();
        truth.counts.crashes += 1;
        truth.new_life();
        drop(truth);
        // Of what it sent, some is still on its way.
        let kernel = &self.site.kernel;
        self.calls.retain(|_, call| call.server != number || kernel.chance(50));
        if number == self.started {
            kernel.after(kernel.between(SECOND / 10, 15 * SECOND), Event::Start);
        }
    }

    fn turn(&mut self, id: u64) {
        let Some(call) = self.calls.get(&id) else { return };
        let is_made = self.servers.get_mut(&call.server).is_some_and(|server| server.turn(&self.site, call));
        if is_made {
            let kernel = &self.site.kernel;
            kernel.after(kernel.between(MS / 2, 30 * MS), Event::Arrive(id));
        } else {
            self.calls.remove(&id);
        }
    }

    fn arrive(&mut self, id: u64) {
        let Some(call) = self.calls.get(&id) else { return };
        let (kernel, mut truth) = (&self.site.kernel, self.site.truth.borrow_mut());
        let reaction = self.moods[call.target].react(kernel, CALL_MAX);
        kernel.note(|| format!("target {} gets message {}: {:?}", call.target, call.number, reaction.answer));
        let is_try = reaction.answer.is_none_or(|(status, _)| ![401, 429].contains(&status));
        truth.arrives(call.number, call.id, is_try, Patience::with(Protocol::Service).tries_max.into());
        if reaction.is_done {
            truth.done(call.number);
        }
        kernel.after(reaction.after, Event::Answered(id, reaction.answer));
    }

    /// Something happens on one of the servers that think that they own it.
    fn operate(&mut self) {
        let site = Rc::clone(&self.site);
        let kernel = &site.kernel;
        kernel.after(kernel.between(SECOND / 20, 4 * SECOND), Event::Operate);
        let running: Vec<u32> =
            self.servers.iter().filter(|(_, server)| !server.is_deposed).map(|(number, _)| *number).collect();
        let Some(server) = running.get(kernel.index(running.len())).and_then(|number| self.servers.get_mut(number))
        else {
            return;
        };
        let target = kernel.index(TARGETS);
        let is_subscribed = server.is_subscribed(target);
        match kernel.below(100) {
            0..8 if !server.can_change(target) => {}
            0..5 if is_subscribed && site.sabotage == Some(Sabotage::EndAtOnce) => {
                server.put(&site, target, "org_uninstall", Some(None));
            }
            0..4 if is_subscribed => server.put(&site, target, "org_uninstall", Some(Some(true))),
            0..8 if !is_subscribed => server.put(&site, target, "org_install", Some(Some(false))),
            8..18 => server.redeliver(&site, target),
            18..23 if is_subscribed => server.put(&site, target, "org_per_1h", None),
            // Now and then more than one run holds.
            23..28 if is_subscribed => {
                server.put_alike(&site, target, if kernel.chance(10) { 70 } else { 1 + kernel.below(9) });
            }
            28..40 if is_subscribed => server.put(&site, target, "request", None),
            40.. if is_subscribed => {
                (0..1 + kernel.below(5)).for_each(|_| server.put(&site, target, "detection", None));
            }
            _ => {}
        }
    }

    fn break_something(&mut self) {
        let site = Rc::clone(&self.site);
        let kernel = &site.kernel;
        kernel.after(kernel.between(SECOND, 30 * SECOND), Event::Break);
        match kernel.below(100) {
            0..50 => self.moods[kernel.index(TARGETS)] = Mood::any(kernel),
            50..66 => {
                kernel.note(|| "the server dies".to_owned());
                self.crash(self.started);
            }
            // On a full disk nobody can take over.
            66..72 if self.servers.contains_key(&self.started) && !self.is_full => {
                kernel.note(|| "the server is deposed, and does not know it".to_owned());
                let mut truth = site.truth.borrow_mut();
                truth.counts.deposed += 1;
                truth.new_life();
                drop(truth);
                self.start();
            }
            72..80 => {
                kernel.note(|| "the disk is full".to_owned());
                site.truth.borrow_mut().counts.full_disks += 1;
                self.fill(true);
                kernel.after(kernel.between(SECOND, 40 * SECOND), Event::Room);
            }
            80..83 => self.faults.lose_next_answer(),
            83..92 => {
                let span = if kernel.chance(10) { 48 * 3_600 } else { 3 * 3_600 };
                let micros = i64::try_from(kernel.below(2 * span * SECOND)).unwrap_or(0);
                let jump = micros - i64::try_from(span * SECOND).unwrap_or(0);
                kernel.note(|| format!("clocks jump by {} s", jump / 1_000_000));
                site.truth.borrow_mut().clocks_jump();
                site.clock_micros.set(site.clock_micros.get() + jump);
            }
            _ => {}
        }
    }

    fn fill(&mut self, is_full: bool) {
        self.is_full = is_full;
        self.faults.fail_all(is_full.then_some(StoreError::Full));
    }

    /// Nothing breaks any more.
    fn calm_down(&mut self) {
        self.site.kernel.note(|| "all is well from now on".to_owned());
        self.is_calm = true;
        self.moods = [Mood::Well; TARGETS];
        self.fill(false);
        if !self.servers.contains_key(&self.started) {
            self.start();
        }
    }
}
