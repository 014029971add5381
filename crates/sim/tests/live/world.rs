//! One run: chaos, in which one thing after the other happens by chance, and then calm until all is done.

use crate::endpoint::{Machine, Which};
use muster_live::{Command, Kind, SessionId, State, Timers};
use muster_model::Oid;
use muster_server::app::App;
use muster_server::config::Config;
use muster_server::intake::event::Actor;
use muster_server::live::LiveSession;
use muster_server::profile::Profile;
use muster_server::{Server, clock};
use muster_sim::rng::Rng;
use muster_store::{Faults, Gate, Store, StoreError, Write};
use parking_lot::Mutex;
use serde_json::json;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;
use uuid::Uuid;

const OID: Oid = Oid(Uuid::from_u128(0x11fe));

/// Turns of the scheduler after which everything that can go on without a commit has done so.
const TURNS: usize = 40;

/// Looks at the calm end of a run, after which it does not end.
const LOOKS_MAX: usize = 4_000;

/// Longer than a run takes: nothing idles out.
const TIMERS: Timers = Timers { check_in_s: 80_000, session_s: 80_000, wait_s: None, command_s: None };

/// How much happened.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    pub sessions: u64,
    pub commands: u64,
    pub effects: u64,
    pub cancelled: u64,
    /// Commands whose sensor died.
    pub lost: u64,
    pub server_crashes: u64,
    pub sensor_crashes: u64,
    pub full_disks: u64,
}

impl Counts {
    pub fn add(&mut self, other: Self) {
        self.sessions += other.sessions;
        self.commands += other.commands;
        self.effects += other.effects;
        self.cancelled += other.cancelled;
        self.lost += other.lost;
        self.server_crashes += other.server_crashes;
        self.sensor_crashes += other.sensor_crashes;
        self.full_disks += other.full_disks;
    }
}

/// What operators were told.
#[derive(Default)]
struct Told {
    /// Commands that were accepted.
    accepted: BTreeSet<Which>,
    /// Commands that are cancelled.
    cancelled: BTreeSet<Which>,
}

struct World {
    store: Store,
    faults: Faults,
    machines: Vec<Machine>,
    told: Arc<Mutex<Told>>,
    asked: Vec<JoinHandle<()>>,
    counts: Counts,
    rng: Rng,
    folder: TempDir,
    steps_left: u64,
    is_told: bool,
    found: Vec<String>,
}

enum End {
    Crash,
    Done,
}

/// Runs a seed; gives what happened, and what did not hold.
pub fn run(seed: u64, is_told: bool) -> (Counts, Vec<String>) {
    let mut rng = Rng::new(seed);
    let (store, faults) = Store::memory_with_faults();
    let machines = (0..1 + u32::try_from(rng.draw() % 3).unwrap()).map(Machine::new).collect();
    let steps_left = 150 + rng.draw() % 300;
    let mut world = World {
        store,
        faults,
        machines,
        told: Arc::default(),
        asked: Vec::new(),
        counts: Counts::default(),
        rng,
        folder: TempDir::new().unwrap(),
        steps_left,
        is_told,
        found: Vec::new(),
    };
    process(|runtime| runtime.block_on(world.set_up()));
    while let End::Crash = process(|runtime| runtime.block_on(world.serve())) {
        world.asked.clear();
        world.machines.iter_mut().for_each(Machine::forget_server);
    }
    (world.counts, world.found)
}

/// A server process: what it has not done when it ends is not done any more.
fn process<T>(live: impl FnOnce(&Runtime) -> T) -> T {
    let runtime = Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    let ended = live(&runtime);
    runtime.shutdown_background();
    ended
}

impl World {
    async fn start(&self) -> Server {
        let config = Config { http: None, proxy: None, ..Config::loopback(self.folder.path().to_owned()) };
        Server::start_on(config, self.store.clone()).await.unwrap()
    }

    async fn set_up(&self) {
        let server = self.start().await;
        let profile = Profile { name: "sim".into(), created_at: clock::now(), sensor_quota: 0 };
        server.app.create_organization(OID, &profile).await.unwrap();
        let rows = self.machines.iter().map(|machine| Write::PutSensor(Box::new(machine.row(OID, clock::now()))));
        server.app.store.commit(rows.collect()).await.unwrap();
        server.stop().await;
    }

    /// The life of one server.
    async fn serve(&mut self) -> End {
        let gate = self.faults.gate();
        let server = self.start().await;
        while self.steps_left > 0 {
            self.steps_left -= 1;
            if let Some(end) = self.step(&server.app, &gate).await {
                return end;
            }
            self.settle().await;
        }
        self.faults.open();
        self.faults.fail_all(None);
        gate.store(1 << 20);
        gate.answer(1 << 20);
        self.calm(&server.app).await;
        self.judge(&server.app).await;
        End::Done
    }

    fn tell(&self, step: impl FnOnce() -> String) {
        if self.is_told {
            println!("{}", step());
        }
    }

    async fn step(&mut self, app: &Arc<App>, gate: &Gate) -> Option<End> {
        let which = usize::try_from(self.rng.draw() % self.machines.len() as u64).unwrap();
        let (to_store, to_answer) = gate.waiting();
        match self.rng.draw() % 100 {
            0..20 => self.operate(app, which),
            20..28 => self.machines[which].connect(app, OID),
            28..40 => {
                self.machines[which].hear();
            }
            40..52 => {
                self.machines[which].tell(app, OID);
            }
            52..60 => {
                let draw = self.rng.draw();
                self.machines[which].finish(draw);
            }
            60..75 if to_store > 0 => gate.store(1 + usize::try_from(self.rng.draw() % to_store as u64).unwrap()),
            60..90 if to_answer > 0 => gate.answer(1 + usize::try_from(self.rng.draw() % to_answer as u64).unwrap()),
            90 => {
                self.tell(|| "the disk is full for a commit".to_owned());
                self.counts.full_disks += 1;
                self.faults.fail_next(StoreError::Full);
            }
            91..93 => {
                self.tell(|| format!("the link of {which} breaks"));
                self.machines[which].cut(app, OID);
            }
            93..95 => {
                self.tell(|| format!("sensor {which} dies"));
                self.counts.sensor_crashes += 1;
                self.machines[which].cut(app, OID);
                self.machines[which].die();
            }
            95..97 => {
                self.tell(|| format!("the server dies; {to_store} commits wait, {to_answer} are not answered"));
                self.counts.server_crashes += 1;
                return Some(End::Crash);
            }
            97.. => self.machines[which].tick(),
            _ => {}
        }
        None
    }

    /// The sessions that an operator finds with a sensor, the newest last.
    fn sessions(&self, app: &App, which: usize) -> Vec<Arc<LiveSession>> {
        let ordinal = self.machines[which].ordinal;
        app.live.list(OID).into_iter().filter(|live| live.place().ordinal == ordinal).collect()
    }

    /// An operator wants something.
    fn operate(&mut self, app: &Arc<App>, which: usize) {
        let (draw, command) = (self.rng.draw() % 20, self.rng.draw());
        let (app, told) = (Arc::clone(app), Arc::clone(&self.told));
        let Some(live) = self.sessions(&app, which).pop().filter(|live| live.state().ended_at().is_none()) else {
            self.tell(|| format!("an operator opens a session with {which}"));
            self.counts.sessions += 1;
            let place = self.machines[which].place(&app, OID);
            let open = async move { drop(app.live.open(&place, TIMERS, &Actor::system()).await) };
            return self.asked.push(tokio::spawn(open));
        };
        let id = live.id();
        match draw {
            0 => {
                self.tell(|| format!("{id} is closed"));
                self.asked.push(tokio::spawn(async move { drop(app.live.close(&live, &Actor::system()).await) }));
            }
            1..5 => {
                let count = live.state().commands().len() as u64;
                let number = u32::try_from(command % count.max(1)).unwrap();
                self.tell(|| format!("command {number} of {id} is cancelled"));
                self.asked.push(tokio::spawn(async move {
                    if app.live.cancel(&live, number, &Actor::system()).await.is_ok() {
                        told.lock().cancelled.insert((id.number, number));
                    }
                }));
            }
            _ => {
                self.counts.commands += 1;
                let request = match draw % 3 {
                    0 => json!({"name": "create process", "object": "x", "wait": true}),
                    _ => json!({"name": "process list"}),
                };
                let request = request.as_object().cloned().unwrap_or_default();
                self.tell(|| format!("a command is ordered in {id}"));
                self.asked.push(tokio::spawn(async move {
                    if let Ok(view) = app.live.issue(&live, request, None, &Actor::system()).await {
                        told.lock().accepted.insert((id.number, view.number));
                    }
                }));
            }
        }
    }

    /// Lets everything go on that does not need a commit.
    async fn settle(&mut self) {
        for _ in 0..TURNS {
            tokio::task::yield_now().await;
        }
        for machine in &mut self.machines {
            machine.settle().await;
        }
        self.asked.retain(|asked| !asked.is_finished());
    }

    /// Nothing breaks any more: everything is said, done and closed.
    async fn calm(&mut self, app: &Arc<App>) {
        let mut quiet = 0;
        for _ in 0..LOOKS_MAX {
            self.settle().await;
            let mut is_quiet = self.asked.is_empty();
            for machine in &mut self.machines {
                machine.connect(app, OID);
                is_quiet &= machine.hear() == 0 && machine.is_linked() && machine.is_quiet();
                machine.finish(0);
                machine.tick();
                machine.tell(app, OID);
            }
            app.live.tick(clock::now()).await;
            quiet = if is_quiet { quiet + 1 } else { 0 };
            if quiet < 3 {
                tokio::time::advance(Duration::from_millis(100)).await;
                continue;
            }
            let open: Vec<_> =
                app.live.list(OID).into_iter().filter(|live| live.state().ended_at().is_none()).collect();
            if open.is_empty() {
                return;
            }
            for live in open {
                if let Err(error) = app.live.close(&live, &Actor::system()).await {
                    self.found.push(format!("session {} cannot be closed: {error}", live.id()));
                }
            }
            quiet = 0;
        }
        self.found.push("the run does not come to its end".to_owned());
    }

    /// Looks at what is stored: it is what a server finds that starts now.
    async fn judge(&mut self, app: &App) {
        for machine in &mut self.machines {
            self.found.append(&mut machine.faults);
            self.counts.effects += machine.begun.len() as u64;
        }
        let (accepted, cancelled) = {
            let mut told = self.told.lock();
            (std::mem::take(&mut told.accepted), std::mem::take(&mut told.cancelled))
        };
        self.counts.cancelled += cancelled.len() as u64;
        for live in app.live.list(OID) {
            let id = live.id();
            let stored = match app.live.transcript(OID, id.number).await {
                Ok(transcript) => transcript.session,
                Err(error) => {
                    self.found.push(format!("session {id} is not stored: {error}"));
                    continue;
                }
            };
            if !stored.commands().eq(live.state().commands()) {
                self.found.push(format!("what is shown of session {id} is not what is stored"));
            }
            for (number, command) in (0..).zip(stored.commands()) {
                self.judge_command(id, number, command);
            }
        }
        let numbers: BTreeSet<Which> = app
            .live
            .list(OID)
            .iter()
            .flat_map(|live| {
                let (session, count) = (live.number(), live.state().commands().len());
                (0..count).map(move |number| (session, u32::try_from(number).unwrap_or(u32::MAX)))
            })
            .collect();
        self.found.extend(accepted.difference(&numbers).map(|which| format!("{which:?} was accepted, and is gone")));
        for (session, number) in cancelled {
            if self.machines.iter().any(|machine| machine.begun.contains_key(&(session, number))) {
                self.found.push(format!("command {number} of session {session} was cancelled, and ran"));
            }
        }
    }

    fn judge_command(&mut self, id: SessionId, number: u32, command: &Command) {
        let which = (id.number, number);
        let machine = &self.machines[usize::try_from(id.device - 1).unwrap()];
        let has_begun = machine.begun.contains_key(&which);
        let Some(ended) = &command.ended else {
            return self.found.push(format!("command {number} of {id} has no end"));
        };
        let is_lost = ended.kind == Kind::Server;
        self.counts.lost += u64::from(is_lost);
        if command.state() == State::Complete && !has_begun {
            self.found.push(format!("command {number} of {id} succeeded, and never began"));
        }
        if machine.stored.contains(&which) && command.state() == State::Cancelled && has_begun {
            self.found.push(format!("command {number} of {id} is said to be cancelled, and ran"));
        }
        if machine.stored.contains(&which) && is_lost {
            self.found.push(format!("the end of command {number} of {id} was taken, and is gone"));
        }
        if machine.ended.contains(&which) && command.state() != State::Complete {
            self.found.push(format!("command {number} of {id} ended on a sensor that lives, and that is not known"));
        }
    }
}
