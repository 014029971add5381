//! One run: a server, endpoints, operators, and what breaks; first chaos, then calm.

mod chaos;
mod operator;

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use muster_model::TaskId;
use muster_sensor::agent::OWED_MAX;
use muster_store::{Faults, Store};

use crate::endpoint::Endpoint;
use crate::kernel::{Event, Kernel, LinkId, MS, Micros, SECOND, Way};
use crate::net::Net;
use crate::oracle::{Counts, Promises, SharedTruth, Truth};
use crate::server::{NewTask, Server, Site};
use crate::verify::verify;

/// Time without faults before the end is looked at: longer than the longest wait for
/// a confirmation, a clock that was set back, and the interval of `SYNC`.
const CALM: Micros = 60 * 60 * SECOND;

/// Time in which a copy of an endpoint tells what it did, before the original goes on.
const PARTING: Micros = 10 * 60 * SECOND;

/// Interval of the server's ticker while things break, and in the calm after.
const TICK: Micros = 250 * MS;
const TICK_CALM: Micros = 2 * SECOND;

/// A durable step that is left out on purpose, to prove that the oracles see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sabotage {
    /// The server answers before its commits are on disk.
    AnswerBeforeStore,
    /// The server hands tasks to links before they are stored as sent.
    SendBeforeStore,
    /// A server that was deposed goes on as if its commits were stored.
    OutliveClaim,
    /// The server does not store what was taken back.
    ForgetRemoval,
    /// The sensor runs commands before its journal is flushed.
    RunBeforeJournal,
    /// The server does not ask what became of tasks that a sensor confirmed on an earlier link.
    ForgetRecall,
    /// The server does not store what was cancelled.
    ForgetCancel,
    /// The sensor tells that a command was cancelled, and lets it go on.
    TellCancelOnly,
    /// The server judges times to live by a clock that can be set.
    TrustClock,
    /// The sensor takes a journal that was cut for one with a torn last write.
    BelieveCutJournal,
    /// A sensor whose spool was set back goes on with it as if it were the one that it was.
    TrustCopiedSpool,
    /// A sensor that the server does not know any more does not ask for its identity again.
    StayUnknown,
    /// A sensor without room takes tasks all the same.
    TakeTooMany,
    /// Steps are told without the instant at which they were journalled, which tells two machines apart.
    TellNoInstant,
}

/// What may happen to state in a run, beside losses: one of these, so that each is seen clearly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mishap {
    /// Journals are lost, cut, and set back with their spools.
    Journals,
    /// Those, and the server's store is set back to a backup.
    Restore,
    /// One endpoint is copied to another, which has its identity then.
    Clone,
}

/// How a run is made.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Decides everything.
    pub seed: u64,
    /// Leaves something out.
    pub sabotage: Option<Sabotage>,
    /// Keeps a readable trace.
    pub keeps_lines: bool,
}

/// What a run came to.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The first thing that did not hold.
    pub fault: Option<String>,
    /// How much happened.
    pub counts: Counts,
    /// Hash of the trace.
    pub hash: u64,
    /// The readable trace, if it was kept.
    pub lines: Vec<String>,
}

struct World {
    site: Site,
    kernel: Rc<Kernel>,
    truth: SharedTruth,
    faults: Faults,
    server: Option<Server>,
    server_starts: u32,
    endpoints: Vec<Endpoint>,
    asked: Vec<NewTask>,
    is_calm: bool,
    mishap: Mishap,
    /// The store at an earlier time, and what was promised by then.
    backup: Option<(Store, Promises)>,
    /// An endpoint and its copy, until they are parted.
    pair: Option<(usize, usize)>,
}

/// Runs one seed to its end, or to the first thing that does not hold.
#[must_use]
pub fn run(options: Options) -> Outcome {
    let mut world = World::new(options);
    let chaos_ends = world.kernel.between(4 * 60, 12 * 60) * SECOND;
    let mut fault = world.play(chaos_ends);
    if fault.is_none() {
        let calm_since = world.calm();
        fault = world.play(chaos_ends + CALM);
        if fault.is_none() {
            fault = world.judge(calm_since);
        }
    }
    let mut counts = world.truth.borrow().counts;
    counts.cuts = world.site.net.borrow().cuts;
    let kernel = &world.kernel;
    kernel.note(|| format!("end: {counts:?} {fault:?}"));
    Outcome { fault, counts, hash: kernel.trace_hash(), lines: kernel.lines() }
}

impl World {
    fn new(options: Options) -> Self {
        let kernel = Rc::new(Kernel::new(options.seed, options.keeps_lines));
        let mut net = Net::new(Rc::clone(&kernel));
        net.hostile_percent = if kernel.chance(50) { 30 } else { 0 };
        let net = Rc::new(RefCell::new(net));
        let truth = SharedTruth::new(RefCell::new(Truth::default()));
        let (store, faults) = Store::memory_with_faults();
        let site = Site {
            kernel: Rc::clone(&kernel),
            net: Rc::clone(&net),
            store,
            clock_micros: Rc::new(Cell::new(0)),
            truth: Rc::clone(&truth),
            sabotage: options.sabotage,
        };
        let count = 3 + kernel.index(6);
        let mishap = match kernel.below(100) {
            0..50 => Mishap::Journals,
            50..80 => Mishap::Restore,
            _ => Mishap::Clone,
        };
        let owed_max = if kernel.chance(25) { 2 + kernel.index(4) } else { OWED_MAX };
        let new = |number| Endpoint::new(number, &kernel, &net, &truth, options.sabotage);
        let mut endpoints: Vec<Endpoint> = (0..count).map(new).collect();
        endpoints.iter_mut().for_each(|endpoint| endpoint.owed_max = owed_max);
        kernel.after(0, Event::ServerUp);
        for number in 0..count {
            let first = if kernel.chance(70) { 10 * SECOND } else { 300 * SECOND };
            kernel.after(kernel.below(first), Event::HostUp(number));
        }
        kernel.after(15 * SECOND, Event::Operate);
        kernel.after(20 * SECOND, Event::Break);
        Self {
            site,
            kernel,
            truth,
            faults,
            server: None,
            server_starts: 0,
            endpoints,
            asked: Vec::new(),
            is_calm: false,
            mishap,
            backup: None,
            pair: None,
        }
    }

    /// Lets happen what is on the agenda; gives the first thing that does not hold.
    fn play(&mut self, until: Micros) -> Option<String> {
        while let Some(event) = self.kernel.next(until) {
            self.happen(event);
            if let Some(fault) = self.truth.borrow().first_fault() {
                return Some(fault.to_owned());
            }
        }
        None
    }

    fn happen(&mut self, event: Event) {
        match event {
            event @ (Event::Commit(_)
            | Event::Stored(_)
            | Event::Answered(_)
            | Event::Flush(_)
            | Event::Hear(_)
            | Event::SpoolRead(_)) => {
                if let Some(server) = self.server.as_mut() {
                    server.happen(event);
                }
            }
            Event::Tick(incarnation) => self.tick(incarnation),
            Event::Replaced(incarnation) => self.replace(incarnation),
            Event::ServerUp => self.start_server(),
            Event::Arrive(link, way) => self.arrive(link, way, false),
            Event::Gone(link, way) => self.arrive(link, way, true),
            Event::Look(host, incarnation) => {
                self.endpoints[host].look(incarnation);
                self.connect(host);
            }
            Event::Happen(host, incarnation, task) => self.endpoints[host].happen(incarnation, task),
            Event::End(host, incarnation, task) => self.endpoints[host].end(incarnation, task),
            Event::Stopped(host, incarnation, task) => self.endpoints[host].stopped(incarnation, task),
            Event::HostUp(host) => self.endpoints[host].start(),
            Event::Operate if !self.is_calm => self.operate(),
            Event::Break if !self.is_calm => self.break_something(),
            Event::Room => self.make_room(),
            Event::Operate => self.end_the_endless(),
            Event::Part => self.part(),
            Event::Break => {}
        }
    }

    fn tick(&mut self, incarnation: u32) {
        let Some(server) = self.server.as_mut().filter(|server| server.incarnation == incarnation) else { return };
        server.tick();
        let interval = if self.is_calm { TICK_CALM } else { TICK };
        self.kernel.after(interval, Event::Tick(incarnation));
    }

    fn start_server(&mut self) {
        if self.server.is_some() {
            return;
        }
        self.server_starts += 1;
        match Server::start(self.site.clone(), self.server_starts) {
            Ok(server) => self.server = Some(server),
            Err(error) => self.truth.borrow_mut().fault(format!("the server cannot start: {error}")),
        }
        self.kernel.after(0, Event::Tick(self.server_starts));
    }

    fn connect(&mut self, host: usize) {
        let endpoint = &mut self.endpoints[host];
        if !endpoint.wants_link() {
            return;
        }
        let link = self.server.as_mut().map(|server| {
            let link = self.site.net.borrow_mut().open(host, server.incarnation);
            server.accept(link);
            link
        });
        endpoint.connected(link);
    }

    fn arrive(&mut self, link: LinkId, way: Way, is_end: bool) {
        let Some((host, incarnation)) = self.site.net.borrow().ends(link) else { return };
        match way {
            Way::Up => {
                if let Some(server) = self.server.as_mut().filter(|server| server.incarnation == incarnation) {
                    server.arrive(link, is_end);
                }
            }
            Way::Down if is_end => self.endpoints[host].hear(link, None),
            Way::Down => {
                let message = self.site.net.borrow_mut().take_down(link);
                if let Some(message) = message {
                    self.endpoints[host].hear(link, Some(message));
                }
            }
        }
    }

    /// Ends all faults and brings everything up. Gives the time.
    fn calm(&mut self) -> Micros {
        self.kernel.note(|| "calm".to_owned());
        self.is_calm = true;
        self.make_room();
        self.site.net.borrow_mut().hostile_percent = 0;
        self.start_server();
        self.kernel.after(SECOND, Event::Operate);
        for host in 0..self.endpoints.len() {
            self.endpoints[host].disk.borrow_mut().dies_in = None;
            if self.pair.is_some_and(|(original, _)| original == host) {
                // It waits until its copy has told what it did, and is a machine of its own.
                self.rest(host);
                self.kernel.after(PARTING, Event::Part);
                continue;
            }
            let endpoint = &mut self.endpoints[host];
            endpoint.is_off = false;
            endpoint.start();
        }
        self.kernel.now()
    }

    fn judge(&self, calm_since: Micros) -> Option<String> {
        let server = self.server.as_ref()?;
        let mut truth = self.truth.borrow_mut();
        verify(server, &self.endpoints, &mut truth, calm_since);
        truth.first_fault().map(str::to_owned)
    }

    fn fresh_task_id(&self) -> TaskId {
        TaskId(uuid::Uuid::from_bytes(self.kernel.id()))
    }
}
