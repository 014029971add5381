//! One run: chaos, in which one thing after the other happens by chance, and then calm until all is done.

use crate::nature::Seeded;
use crate::sensors::{Endpoint, row};
use crate::{oracle, rules};
use muster_model::Oid;
use muster_server::Server;
use muster_server::config::Config;
use muster_server::extension::{SUBSCRIPTION, Subscription};
use muster_server::intake::event::Actor;
use muster_server::nature::Nature as _;
use muster_server::profile::Profile;
use muster_server::{clock, detect, hive, nature, tasking};
use muster_sim::rng::Rng;
use muster_store::{Expect, Faults, Gate, Store, StoreError, Write};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use uuid::Uuid;

pub const OID: Oid = Oid(Uuid::from_u128(0x0d37));

/// Turns of the scheduler after which everything that can go on without a commit or time has done so.
const TURNS: usize = 40;

/// Looks at the calm end of a run, half a second apart, after which it does not end.
const LOOKS_MAX: usize = 2_000;

/// Time that passes in chaos at most: with the pause before a last try, less than a `wait` may hold events.
const CHAOS_MS_MAX: u64 = 20_000;

/// How much happened.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    pub events: u64,
    /// Of those, stored before all became calm.
    pub events_in_chaos: u64,
    pub crashes: u64,
    pub full_disks: u64,
    /// Events that were sent again.
    pub repeated: u64,
    /// Actions that waited when a server started.
    pub resumed: u64,
}

impl Counts {
    pub fn add(&mut self, other: Self) {
        self.events += other.events;
        self.events_in_chaos += other.events_in_chaos;
        self.crashes += other.crashes;
        self.full_disks += other.full_disks;
        self.repeated += other.repeated;
        self.resumed += other.resumed;
    }
}

pub struct World {
    pub store: Store,
    pub endpoints: Vec<Endpoint>,
    pub counts: Counts,
    /// Events that were stored when a server ended, for each that did.
    pub restarts: Vec<usize>,
    pub faults_found: Vec<String>,
    faults: Faults,
    rng: Rng,
    folder: TempDir,
    steps_left: u64,
    chaos_ms_left: u64,
    /// The steps so far.
    trace: Vec<String>,
    is_told: bool,
}

enum End {
    Crash,
    Done,
}

/// Runs a seed; gives what happened, and what did not hold.
pub fn run(seed: u64, is_told: bool) -> (Counts, Vec<String>) {
    let mut world = World::of(seed, is_told);
    world.live(seed);
    oracle::judge(&mut world);
    (world.counts, world.faults_found)
}

/// Runs a seed; gives each step, and then all that is stored.
pub fn trace(seed: u64) -> Vec<String> {
    let mut world = World::of(seed, false);
    world.live(seed);
    world.trace.extend(oracle::everything(&world.store));
    world.trace
}

/// A server process: what it has not done when it ends is not done any more.
fn process<T>(nature: &Arc<Seeded>, live: impl FnOnce(&Runtime) -> T) -> T {
    let given = Arc::clone(nature);
    let on_thread_start = move || drop(nature::give(Some(Arc::<Seeded>::clone(&given))));
    let mut builder = Builder::new_current_thread();
    let runtime = builder.enable_all().start_paused(true).on_thread_start(on_thread_start).build().unwrap();
    let before = nature::give(Some(Arc::<Seeded>::clone(nature)));
    runtime.block_on(async { nature.begin() });
    let ended = live(&runtime);
    runtime.block_on(async { nature.end() });
    runtime.shutdown_background();
    nature::give(before);
    ended
}

impl World {
    fn of(seed: u64, is_told: bool) -> Self {
        let mut rng = Rng::new(seed);
        let (store, faults) = Store::memory_with_faults();
        let at = Seeded::new(seed).now();
        let endpoints = (0..2 + (rng.draw() % 3) as u32).map(|ordinal| Endpoint::new(ordinal, at, &mut rng)).collect();
        let steps_left = 120 + rng.draw() % 240;
        Self {
            store,
            endpoints,
            counts: Counts::default(),
            restarts: Vec::new(),
            faults_found: Vec::new(),
            faults,
            rng,
            folder: TempDir::new().unwrap(),
            steps_left,
            chaos_ms_left: CHAOS_MS_MAX,
            trace: Vec::new(),
            is_told,
        }
    }

    /// From the first server to the last.
    fn live(&mut self, seed: u64) {
        let nature = Arc::new(Seeded::new(seed));
        process(&nature, |runtime| runtime.block_on(self.set_up()));
        while let End::Crash = process(&nature, |runtime| runtime.block_on(self.serve())) {
            self.restarts.push(oracle::stored(&self.store).len());
            self.endpoints.iter_mut().for_each(Endpoint::cut);
        }
    }

    fn tell(&mut self, step: impl Into<String>) {
        let step = step.into();
        if self.is_told {
            println!("{step}");
        }
        self.trace.push(step);
    }

    async fn start(&self) -> Server {
        let config = Config { http: None, proxy: None, ..Config::loopback(self.folder.path().to_owned()) };
        Server::start_on(config, self.store.clone()).await.unwrap()
    }

    /// Makes organization, rules and sensors.
    async fn set_up(&self) {
        let server = self.start().await;
        let app = &server.app;
        let profile = Profile { name: "sim".into(), created_at: clock::now(), sensor_quota: 0 };
        app.create_organization(OID, &profile).await.unwrap();
        let subscription = Subscription { created_at: clock::now(), by: "sim".into() };
        app.records.put(OID, SUBSCRIPTION, tasking::EXTENSION, &subscription, Expect::Any, Vec::new()).await.unwrap();
        for (name, rule) in rules::all() {
            let metadata = json!({"enabled": true});
            let usr_mtd = hive::UserMetadata::read(metadata.as_object().unwrap()).unwrap();
            let change = hive::Change { data: Some(rule), usr_mtd: Some(usr_mtd), etag: None };
            hive::set(&app.hives, &hive::DR_GENERAL, OID, name, change, &Actor::system()).await.unwrap();
        }
        let rows = self.endpoints.iter().map(|endpoint| Write::PutSensor(Box::new(row(endpoint, OID))));
        app.store.commit(rows.collect()).await.unwrap();
        server.stop().await;
    }

    /// The life of one server.
    async fn serve(&mut self) -> End {
        self.counts.resumed += oracle::waiting_actions(&self.store) as u64;
        let gate = self.faults.gate();
        let server = self.start().await;
        while self.steps_left > 0 {
            self.steps_left -= 1;
            if let Some(end) = self.step(&server, &gate).await {
                return end;
            }
            self.settle().await;
        }
        self.counts.events_in_chaos += oracle::stored(&self.store).len() as u64;
        self.faults.open();
        self.faults.fail_all(None);
        gate.store(1 << 20);
        gate.answer(1 << 20);
        self.calm(&server).await
    }

    async fn step(&mut self, server: &Server, gate: &Gate) -> Option<End> {
        let which = (self.rng.draw() % self.endpoints.len() as u64) as usize;
        let (to_store, to_answer) = gate.waiting();
        match self.rng.draw() % 100 {
            0..26 if self.endpoints[which].is_connected() => {
                self.tell(format!("sensor {which} sends"));
                let is_repeated = self.endpoints[which].send(server, OID, &mut self.rng);
                self.counts.repeated += u64::from(is_repeated);
            }
            0..29 => {
                self.tell(format!("sensor {which} connects"));
                self.endpoints[which].connect(&server.app, OID);
            }
            29..60 if to_store > 0 => {
                let some = 1 + self.rng.draw() % to_store as u64;
                self.tell(format!("{some} commits are stored"));
                gate.store(some as usize);
            }
            29..86 if to_answer > 0 => {
                let some = 1 + self.rng.draw() % to_answer as u64;
                self.tell(format!("{some} commits are answered"));
                gate.answer(some as usize);
            }
            86..88 => {
                self.tell("the disk is full for a commit");
                self.counts.full_disks += 1;
                self.faults.fail_next(StoreError::Full);
            }
            88 => {
                self.tell("the disk is full");
                self.counts.full_disks += 1;
                self.faults.fail_all(Some(StoreError::Full));
            }
            89..91 => self.faults.fail_all(None),
            91..95 => {
                let passed = (self.rng.draw() % 1_500).min(self.chaos_ms_left);
                self.chaos_ms_left -= passed;
                self.tell(format!("{passed} ms pass"));
                tokio::time::advance(Duration::from_millis(passed)).await;
            }
            95 if (to_store, to_answer) == (0, 0) => {
                self.tell("the rules are compiled anew");
                let app = Arc::clone(&server.app);
                for (name, _) in rules::all() {
                    app.hives.touch(OID, &hive::DR_GENERAL, name);
                }
                let reload = tokio::spawn(async move { detect::reload(&app.detect, OID).await });
                // Until it is done, or waits for a commit that only a step lets through.
                while !reload.is_finished() && gate.waiting() == (0, 0) {
                    tokio::task::yield_now().await;
                }
            }
            96..98 => {
                self.tell(format!("the server dies; {to_store} commits wait, {to_answer} are not answered"));
                self.counts.crashes += 1;
                return Some(End::Crash);
            }
            _ => {}
        }
        None
    }

    /// Lets everything go on that needs neither a commit nor time.
    async fn settle(&mut self) {
        for _ in 0..TURNS {
            tokio::task::yield_now().await;
        }
        for endpoint in &mut self.endpoints {
            endpoint.settle().await;
        }
    }

    /// Nothing breaks any more: all events arrive, and all actions are carried out.
    async fn calm(&mut self, server: &Server) -> End {
        for _ in 0..LOOKS_MAX {
            self.settle().await;
            let is_done = self.endpoints.iter().all(Endpoint::is_done);
            if is_done && oracle::waiting_actions(&self.store) == 0 {
                return End::Done;
            }
            for endpoint in &mut self.endpoints {
                if endpoint.is_connected() {
                    endpoint.send(server, OID, &mut self.rng);
                } else {
                    endpoint.connect(&server.app, OID);
                }
            }
            tokio::time::advance(Duration::from_millis(500)).await;
        }
        self.faults_found.push("the run does not come to its end".to_owned());
        End::Done
    }
}
