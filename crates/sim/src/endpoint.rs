//! An endpoint: its clocks, its disk, and the sensor process on it, which is the
//! real agent; as `sensor.rs` of `muster-sensor` drives it.

pub mod disk;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use muster_model::{Platform, Sid, TaskId};
use muster_sensor::agent::{
    Agent, Answer, Effect, Lane, Look, Now, OWED_MAX, RUNNING_MAX, Setup, Verdict, event, task_id,
};
use muster_wire::{Claim, Enrol, Hello, Resume, SensorState, Step, from_sensor, from_server};
use serde_json::json;
use uuid::Uuid;

use crate::kernel::{Event, Kernel, LinkId, MS, Micros, SECOND};
use crate::net::Net;
use crate::oracle::SharedTruth;
use crate::server::{EPOCH_MICROS, OID};
use crate::world::Sabotage;
use disk::{Death, Disk, Half};

/// Interval at which a sensor reports and sends again what was not acknowledged.
const SYNC_EVERY: Micros = 600 * SECOND;

/// Wait before the sensor begins anew after its disk failed.
const DISK_WAIT: Micros = 5 * SECOND;

/// A command that every sensor runs.
pub const COMMAND_GOOD: &str = "os_version";
/// A command that runs and fails.
pub const COMMAND_FAILING: &str = "file_get /nowhere";
/// A command that ends only if it is cancelled.
pub const COMMAND_ENDLESS: &str = "run --shell-command endless";
/// A command that the sensors do not know, though the server does.
pub const COMMAND_UNKNOWN: &str = "os_drivers";

/// One endpoint.
pub struct Endpoint {
    /// Its number.
    pub number: usize,
    hostname: String,
    /// Tasks at most of which something is owed there.
    pub owed_max: usize,
    kernel: Rc<Kernel>,
    net: Rc<RefCell<Net>>,
    truth: SharedTruth,
    /// What outlives its processes.
    pub disk: RefCell<Disk>,
    /// Its identity, once enrolled.
    pub sid: Option<Sid>,
    /// The server does not know that identity: the next claim asks for it again.
    reclaims: bool,
    /// Microseconds that its wall clock is ahead of true time.
    pub wall_micros: i64,
    boot_id: String,
    booted_at: Micros,
    /// Counts its processes.
    pub incarnation: u32,
    /// Commands of earlier processes are dead; those of later ones may outlive a failure of the disk.
    killed_before: u32,
    /// Commands that were asked to end, by the process that they belong to.
    stopped: BTreeSet<(u32, TaskId)>,
    sabotage: Option<Sabotage>,
    /// The process that runs.
    process: Option<Process>,
    /// It is switched off, and nothing starts it.
    pub is_off: bool,
}

struct Process {
    agent: Agent,
    link: Option<LinkId>,
    connect_at: Option<Micros>,
    failures: u32,
    sync_at: Micros,
}

fn look(line: &str) -> Look {
    let refusal = (line == COMMAND_UNKNOWN).then(|| (50, "unknown command".to_owned()));
    Look { request: "REQ".to_owned(), reply: "REP".to_owned(), refusal, is_silent: false, lane: Lane::Long }
}

impl Endpoint {
    /// An endpoint that was never switched on.
    #[must_use]
    pub fn new(
        number: usize,
        kernel: &Rc<Kernel>,
        net: &Rc<RefCell<Net>>,
        truth: &SharedTruth,
        sabotage: Option<Sabotage>,
    ) -> Self {
        let skew = if kernel.chance(40) { kernel.below(7_200) } else { kernel.below(3) };
        let skew = i64::try_from(skew * SECOND).unwrap_or(0);
        Self {
            number,
            hostname: format!("host-{number}"),
            owed_max: OWED_MAX,
            kernel: Rc::clone(kernel),
            net: Rc::clone(net),
            truth: Rc::clone(truth),
            disk: RefCell::new(Disk::new(Rc::clone(kernel), Rc::clone(truth), number, sabotage)),
            sid: None,
            reclaims: false,
            wall_micros: if kernel.chance(50) { skew } else { -skew },
            boot_id: String::new(),
            booted_at: 0,
            incarnation: 0,
            killed_before: 0,
            stopped: BTreeSet::new(),
            sabotage,
            process: None,
            is_off: false,
        }
    }

    /// Another machine with all that this one has on its disk, so also its identity; under the same name or another.
    #[must_use]
    pub fn copied(&self, number: usize, is_namesake: bool) -> Self {
        let fresh = Self::new(number, &self.kernel, &self.net, &self.truth, self.sabotage);
        let disk = RefCell::new(self.disk.borrow().copied(number));
        let hostname = if is_namesake { self.hostname.clone() } else { fresh.hostname };
        Self { disk, hostname, sid: self.sid, owed_max: self.owed_max, ..fresh }
    }

    /// Takes its identity and all that belongs to it off the disk, so that it enrols as a machine of its own.
    pub fn part(&mut self) {
        self.die(Death::Killed);
        self.kernel.note(|| format!("host {}: is a machine of its own from now on", self.number));
        self.sid = None;
        self.disk.borrow_mut().wipe(true);
    }

    fn now(&self) -> Now {
        let true_micros = i64::try_from(self.kernel.now()).unwrap_or(i64::MAX);
        Now {
            wall_ms: (EPOCH_MICROS + true_micros + self.wall_micros).div_euclid(1_000),
            boot_ms: (self.kernel.now() - self.booted_at) / MS,
            utc_offset_s: 0,
        }
    }

    /// Whether a process runs.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.process.is_some()
    }

    /// The link of the process.
    #[must_use]
    pub fn link(&self) -> Option<LinkId> {
        self.process.as_ref()?.link
    }

    /// Whether the server has welcomed it on a link that it believes to live.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.process.as_ref().is_some_and(|process| process.agent.is_connected())
    }

    /// Starts the sensor process; after the power was lost also the endpoint.
    pub fn start(&mut self) {
        if self.process.is_some() || self.is_off {
            return;
        }
        if self.boot_id.is_empty() {
            self.boot_id = Uuid::from_bytes(self.kernel.id()).to_string();
            self.booted_at = self.kernel.now();
        }
        self.incarnation += 1;
        self.disk.borrow_mut().open();
        let owed_max = if self.sabotage == Some(Sabotage::TakeTooMany) { OWED_MAX } else { self.owed_max };
        let setup = Setup { oid: OID, sid: self.sid, boot_id: self.boot_id.clone(), owed_max, look };
        let mut agent = Agent::new(setup, self.disk.borrow().ledger(), self.now());
        agent.observed(event("STARTING_UP", json!({}), None, self.now()));
        self.kernel.note(|| format!("host {}: process {} starts", self.number, self.incarnation));
        let connect_at = Some(self.kernel.now() + self.kernel.below(SECOND));
        let sync_at = self.kernel.now() + SYNC_EVERY;
        self.process = Some(Process { agent, link: None, connect_at, failures: 0, sync_at });
        self.kernel.after(SECOND, Event::Look(self.number, self.incarnation));
        self.settle();
    }

    /// Ends the process from outside.
    pub fn die(&mut self, death: Death) {
        let Some(process) = self.process.take() else { return };
        self.kernel.note(|| format!("host {}: process {} dies ({death:?})", self.number, self.incarnation));
        self.truth.borrow_mut().counts.sensor_crashes += 1;
        if let Some(link) = process.link {
            self.net.borrow_mut().close_up(link);
        }
        self.disk.borrow_mut().settle_death(death);
        if death == Death::PowerLost {
            self.boot_id.clear();
        }
        // Commands are children of the process: they end with it.
        self.killed_before = self.incarnation + 1;
        self.kernel.after(self.kernel.between(SECOND, 20 * SECOND), Event::HostUp(self.number));
    }

    /// A server took the connection, or none did.
    pub fn connected(&mut self, link: Option<LinkId>) {
        let Some(process) = self.process.as_mut() else { return };
        process.link = link;
        if link.is_none() {
            self.hang_up(0);
        }
    }

    /// Whether it is time to connect.
    #[must_use]
    pub fn wants_link(&self) -> bool {
        let now = self.kernel.now();
        self.process
            .as_ref()
            .is_some_and(|process| process.link.is_none() && process.connect_at.is_some_and(|at| at <= now))
    }

    fn hang_up(&mut self, wait: Micros) {
        let Some(process) = self.process.as_mut() else { return };
        if process.agent.is_connected() {
            process.failures = 0;
        }
        process.agent.disconnected();
        if let Some(link) = process.link.take() {
            self.net.borrow_mut().close_up(link);
        }
        let longest = (SECOND << process.failures.min(6)).min(60 * SECOND);
        process.failures += 1;
        let at = self.kernel.now() + wait.max(self.kernel.between(longest / 5, longest));
        process.connect_at = Some(at);
        self.kernel.at(at, Event::Look(self.number, self.incarnation));
    }

    /// A message of the server, or the end of the link.
    pub fn hear(&mut self, link: LinkId, message: Option<from_server::Message>) {
        let now = self.now();
        let Some(process) = self.process.as_mut().filter(|process| process.link == Some(link)) else { return };
        match message {
            Some(message) => {
                if let from_server::Message::Deliver(deliver) = &message {
                    let task = task_id(&deliver.task_id);
                    self.kernel.note(|| format!("host {}: gets {task:?} of epoch {}", self.number, deliver.epoch));
                }
                if let (from_server::Message::Deliver(deliver), Some(sid), true) =
                    (&message, self.sid, process.agent.is_connected())
                {
                    let mut truth = self.truth.borrow_mut();
                    truth.delivered(sid, deliver, self.kernel.now());
                }
                process.agent.hear(message, now);
            }
            None => self.hang_up(0),
        }
        // Several things that are heard may share one flush.
        if self.kernel.chance(30) {
            self.kernel.after(self.kernel.below(20 * MS), Event::Look(self.number, self.incarnation));
        } else {
            self.settle();
        }
    }

    /// Time passed.
    pub fn look(&mut self, incarnation: u32) {
        let now = self.now();
        if incarnation != self.incarnation {
            return;
        }
        let Some(process) = self.process.as_mut() else { return };
        process.agent.tick(now);
        if process.agent.is_connected() && process.sync_at <= self.kernel.now() {
            process.sync_at = self.kernel.now() + SYNC_EVERY;
            process.agent.resend();
        }
        self.settle();
    }

    /// Something happens that the sensor observes.
    pub fn observe(&mut self) {
        let now = self.now();
        let Some(process) = self.process.as_mut() else { return };
        process.agent.observed(event("NEW_PROCESS", json!({"PROCESS_ID": 1}), None, now));
        self.settle();
    }

    /// A command has its effect, if its process still lives.
    pub fn happen(&mut self, incarnation: u32, task: TaskId) {
        if incarnation >= self.killed_before && !self.stopped.contains(&(incarnation, task)) {
            self.kernel.note(|| format!("host {}: effect of {task}", self.number));
            self.truth.borrow_mut().happened(self.number, task);
        }
    }

    /// A command ends.
    pub fn end(&mut self, incarnation: u32, task: TaskId) {
        let now = self.now();
        if incarnation != self.incarnation {
            return;
        }
        if self.stopped.contains(&(incarnation, task)) {
            return;
        }
        let Some(process) = self.process.as_mut() else { return };
        let fails = self.truth.borrow().command_of(task) == Some(COMMAND_FAILING);
        let code = if fails { 2 } else { 0 };
        let events = vec![event("REP", json!({"ERROR": code}), Some((task, "case")), now)];
        let verdict = Verdict::Finished(code, if fails { "not found".to_owned() } else { String::new() });
        process.agent.answered(Answer { task, verdict, events, afterwards: None }, now);
        self.settle();
    }

    /// A command that was asked to end has ended.
    pub fn stopped(&mut self, incarnation: u32, task: TaskId) {
        let now = self.now();
        let Some(process) = self.process.as_mut().filter(|_| incarnation == self.incarnation) else { return };
        let events = vec![event("REP", json!({"ERROR": 1_223}), Some((task, "case")), now)];
        let verdict = Verdict::Cancelled("stopped while it ran".to_owned());
        process.agent.answered(Answer { task, verdict, events, afterwards: None }, now);
        self.settle();
    }

    fn stop(&mut self, task: TaskId) {
        let kernel = &self.kernel;
        kernel.note(|| format!("host {}: is to stop {task}", self.number));
        kernel.after(1 + kernel.below(SECOND), Event::Stopped(self.number, self.incarnation, task));
        if self.sabotage != Some(Sabotage::TellCancelOnly) {
            self.stopped.insert((self.incarnation, task));
        }
    }

    /// Makes durable what the agent decided and carries it out; as `Sensor::settle`.
    pub fn settle(&mut self) {
        loop {
            let Some(process) = self.process.as_mut() else { return };
            let settled = process.agent.settle(&mut Half(&self.disk), &mut Half(&self.disk));
            if process.agent.running() > RUNNING_MAX {
                self.truth.borrow_mut().fault(format!("host {}: more than {RUNNING_MAX} commands run", self.number));
            }
            if process.agent.ledger().owed() > self.owed_max {
                self.truth
                    .borrow_mut()
                    .fault(format!("host {}: more than {} tasks are owed", self.number, self.owed_max));
            }
            match settled {
                Err(_) => return self.disk_failed(),
                Ok(effects) if effects.is_empty() => break,
                Ok(effects) => effects.into_iter().for_each(|effect| self.act(effect)),
            }
        }
        if let Some(boot_ms) = self.process.as_ref().and_then(|process| process.agent.deadline()) {
            let at = self.booted_at + boot_ms * MS;
            self.kernel.at(at, Event::Look(self.number, self.incarnation));
        }
    }

    fn disk_failed(&mut self) {
        let death = self.disk.borrow().death;
        if let Some(death) = death {
            return self.die(death);
        }
        // The real sensor drops everything and begins anew; commands that run go on by themselves.
        self.kernel.note(|| format!("host {}: the disk fails", self.number));
        if let Some(link) = self.process.take().and_then(|process| process.link) {
            self.net.borrow_mut().close_up(link);
        }
        self.kernel.after(DISK_WAIT, Event::HostUp(self.number));
    }

    fn act(&mut self, effect: Effect) {
        match effect {
            Effect::Hello(_) => {
                let hello = Hello { claim: Some(self.claim()), state: Some(self.state()), ..Hello::default() };
                self.say(from_sensor::Message::Hello(Box::new(hello)));
            }
            Effect::Send(message) => self.say(message),
            Effect::Connected => {
                let now = self.now();
                let sync_at = self.kernel.now() + SYNC_EVERY;
                if let Some(process) = self.process.as_mut() {
                    process.agent.observed(event("CONNECTED", json!({}), None, now));
                    process.sync_at = sync_at;
                }
                self.kernel.at(sync_at, Event::Look(self.number, self.incarnation));
            }
            Effect::Run(run) => {
                let (task, kernel) = (run.task, &self.kernel);
                kernel.note(|| format!("host {}: begins {task}", self.number));
                let sid = self.sid.unwrap_or(Sid(Uuid::nil()));
                self.truth.borrow_mut().begun(self.number, sid, task, kernel.now());
                let happens = kernel.below(2 * SECOND);
                let ends = happens + kernel.below(if kernel.chance(10) { 20 * SECOND } else { 2 * SECOND });
                kernel.after(happens, Event::Happen(self.number, self.incarnation, task));
                if self.truth.borrow().command_of(task) != Some(COMMAND_ENDLESS) {
                    kernel.after(ends + 1, Event::End(self.number, self.incarnation, task));
                }
            }
            Effect::Stop(task) => self.stop(task),
            Effect::Enrolled(sid) => {
                self.kernel.note(|| format!("host {}: enrolled as {sid}", self.number));
                (self.sid, self.reclaims) = (Some(sid), false);
                self.truth.borrow_mut().enrolled(self.number, sid);
                if let Some(process) = self.process.as_mut() {
                    process.agent.rename(Some(sid));
                }
                self.hang_up(0);
            }
            Effect::Renew => {
                self.kernel.note(|| format!("host {}: its spool is an earlier one", self.number));
                self.disk.borrow_mut().renew_spool();
                self.hang_up(0);
            }
            Effect::Away(within) => {
                self.hang_up(self.kernel.between(0, u64::try_from(within.as_micros()).unwrap_or(SECOND)))
            }
            Effect::Unknown(wait, _) => {
                self.reclaims = !self.reclaims && self.sabotage != Some(Sabotage::StayUnknown);
                self.hang_up(if self.reclaims { 0 } else { micros(wait) });
            }
            Effect::Close(wait, _) => self.hang_up(micros(wait)),
            Effect::Report => {
                let state = self.state();
                self.say(from_sensor::Message::Sync(state));
            }
            Effect::Enforce(_) | Effect::Sleep(_) | Effect::Granted(_) | Effect::Live(_) | Effect::Afterwards(_) => {}
        }
    }

    fn say(&mut self, message: from_sensor::Message) {
        if let from_sensor::Message::Receipts(told) = &message {
            let declined = told.receipts.iter().filter(|receipt| receipt.step() == Step::Full).count();
            self.truth.borrow_mut().counts.declined += declined as u64;
        }
        if let Some(link) = self.link() {
            self.net.borrow_mut().send_up(link, message);
        }
    }

    fn claim(&self) -> Claim {
        let oid = OID.0.as_bytes().to_vec();
        let sid = self.sid.map(|sid| sid.0.as_bytes().to_vec());
        match sid {
            Some(sid) if !self.reclaims => Claim::Resume(Resume { oid, sid, signature: Vec::new() }),
            own => Claim::Enrol(Enrol { oid, sid: own.unwrap_or_default(), ..Enrol::default() }),
        }
    }

    fn state(&self) -> SensorState {
        let disk = self.disk.borrow();
        SensorState {
            boot_id: self.boot_id.clone(),
            hostname: self.hostname.clone(),
            platform: Platform::LINUX.0,
            journal_id: disk.journal_id.to_vec(),
            spool_id: disk.spool_id.to_vec(),
            now_ms: self.now().wall_ms,
            ..SensorState::default()
        }
    }
}

fn micros(wait: Duration) -> Micros {
    u64::try_from(wait.as_micros()).unwrap_or(SECOND)
}
