//! The running sensor: one loop that hears, decides, makes durable, and acts.
//!
//! Everything happens on one thread; only commands that block have threads of
//! their own. The loop sleeps until there is something to do.

mod account;
pub mod delay;
mod ending;
mod live;
mod running;
mod status;
mod transfers;

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use muster_model::{Sid, TaskId};
use muster_wire::{Event, Flags, Hello, InstallationKey, Step, from_sensor};
use serde_json::json;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::agent::{self, Afterwards, Agent, Effect, Ledger, OWED_MAX, Setup, StorageError, event};
use crate::executor::{ToSensor, Toolbox};
use crate::history::History;
use crate::identity::{self, Identity, IdentityError};
use crate::journal::Journal;
use crate::link::{self, Backoff, FromLink, Route};
use crate::platform::service_manager::Stopping;
use crate::platform::{children, host, service_manager};
use crate::protection::{self, Remembered};
use crate::spool::{Bounds, Losses, Spool};
use crate::state_dir::StateDir;
use crate::{clock, collector, commands, image};
pub(crate) use ending::remove_state;
use running::Running;
pub use status::status_file;
use transfers::Transfers;

/// Interval of `SYNC`. Source: reference/sensor.md section 4.
const SYNC_EVERY: Duration = Duration::from_secs(600);
/// Messages on their way between the loop and its link or its commands. The
/// event window and the number of receipts per message keep far below it.
const CHANNEL_MESSAGES: usize = 1_024;
/// Things heard that share one flush of the journal.
const BATCH_MAX: usize = 256;
/// Length from which a journal is compacted at a start.
const COMPACTION_BYTES_MIN: u64 = 256 * 1024;
/// Wait before the sensor begins anew after its disk failed.
const DISK_WAIT: Duration = Duration::from_secs(5);

/// Wait before the first attempt to connect again.
const BACKOFF_FIRST: Duration = Duration::from_secs(1);
/// Bytes of local history on disk.
const HISTORY_BYTES: u64 = 60 * 1024 * 1024;

/// How a sensor is started.
#[derive(Clone, Debug)]
pub struct Config {
    /// Key for the first enrolment.
    pub key: Option<InstallationKey>,
    /// Directory for everything that must survive.
    pub state_dir: PathBuf,
    /// First wait before connecting again.
    pub backoff: Duration,
    /// Bytes of the history on disk; 0 keeps none.
    pub history_bytes: u64,
    /// `host:port` of an HTTP proxy to go through.
    pub proxy: Option<String>,
    /// Step after which the program dies; for tests of the whole program.
    pub crash_at: Option<i32>,
}

impl Config {
    /// How an ordinary sensor is started: history as on any endpoint
    /// (reference/sensor.md section 3), quick first reconnection.
    #[must_use]
    pub fn new(key: Option<InstallationKey>, state_dir: PathBuf) -> Self {
        Self { key, state_dir, backoff: BACKOFF_FIRST, history_bytes: HISTORY_BYTES, crash_at: None, proxy: None }
    }
}

/// Why a sensor cannot run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SensorError {
    /// The state directory cannot be used, most likely because another sensor does.
    #[error("the state directory {0} cannot be used (does another sensor run on it?)")]
    StateDir(PathBuf, #[source] io::Error),
    /// There is no identity to run with.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The file system failed.
    #[error("the sensor's files cannot be used")]
    Io(#[from] io::Error),
}

/// What a run of the sensor ended with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Stopped,
    Again,
}

/// Runs until a signal or a command ends it.
///
/// # Errors
///
/// Any [`SensorError`] that trying again cannot mend.
pub async fn run(mut config: Config) -> Result<(), SensorError> {
    let dir =
        StateDir::open(&config.state_dir).map_err(|error| SensorError::StateDir(config.state_dir.clone(), error))?;
    delay::wait(&dir).await?;
    let mut has_run = false;
    loop {
        let mut sensor = match Sensor::open(&config, &dir) {
            Err(SensorError::Io(error)) if has_run => {
                tracing::error!(%error, "the disk still fails");
                tokio::time::sleep(DISK_WAIT).await;
                continue;
            }
            opened => opened?,
        };
        if !std::mem::replace(&mut has_run, true) {
            service_manager::ready();
        }
        // A sensor whose identity is removed enrols again with the key it had.
        config.key.get_or_insert_with(|| sensor.identity.key().clone());
        match sensor.live().await {
            Ok(End::Stopped) => return Ok(()),
            Ok(End::Again) => tracing::info!("the sensor begins anew"),
            Err(error) => {
                tracing::error!(%error, "the disk failed; the sensor begins anew with what is on it");
                drop(sensor);
                tokio::time::sleep(DISK_WAIT).await;
            }
        }
    }
}

struct Sensor<'a> {
    dir: &'a StateDir,
    identity: Identity,
    agent: Agent,
    journal: Journal,
    spool: Spool,
    tools: Arc<Toolbox>,
    told: mpsc::Receiver<ToSensor>,
    heard: (mpsc::Sender<FromLink>, mpsc::Receiver<FromLink>),
    link: Link,
    boot_id: String,
    fingerprint: String,
    sync_at: Instant,
    end: Option<Afterwards>,
    transfers: Transfers,
    live: live::Sessions,
    /// Who waits until what was said is durable.
    unsettled: Vec<oneshot::Sender<()>>,
    history: History,
    remembered: Remembered,
    is_collecting: bool,
    /// Tasks being carried out; they end with the sensor, and are then interrupted.
    running: Running,
    crash_at: Option<i32>,
    /// Losses that were reported, and when.
    reported: (Losses, Option<Instant>),
    /// Damage of the spool that was not reported yet.
    damage: Option<String>,
    /// What the endpoint's clock was ahead of its time since boot when the server was last told of it.
    told_ahead_ms: i64,
}

/// The link as the loop sees it.
struct Link {
    number: u64,
    say: Option<mpsc::Sender<from_sensor::Message>>,
    connect_at: Option<Instant>,
    backoff: Backoff,
}

impl<'a> Sensor<'a> {
    fn open(config: &Config, dir: &'a StateDir) -> Result<Self, SensorError> {
        let identity = Identity::load(&dir.file(identity::FILE), config.key.clone())?;
        if identity.sid().is_none() {
            // What was ordered from an earlier identity of this endpoint must not run, nor be reported.
            forget_tasks(dir)?;
        }
        let mut opened = Journal::open(&dir.file("journal"), fresh_id())?;
        if let Some(repair) = opened.repair {
            tracing::warn!("{repair}");
        }
        end_leftovers(dir, &opened.ledger);
        let is_missing = identity.sid().is_some() && !dir.file("spool").exists();
        let damage = is_missing.then(|| "it was missing; it is not known what waited in it".to_owned());
        let spool = Spool::open(&dir.file("spool"), fresh_id(), Bounds::default())?;
        let boot_id = host::boot_id();
        let setup = Setup {
            oid: identity.oid(),
            sid: identity.sid(),
            boot_id: boot_id.clone(),
            owed_max: OWED_MAX,
            look: commands::look,
        };
        let now = clock::now();
        if opened.journal.bytes() > COMPACTION_BYTES_MIN {
            let records = opened.ledger.compact();
            agent::Journal::replace(&mut opened.journal, &records).map_err(io::Error::other)?;
        }
        let mut agent = Agent::new(setup, opened.ledger, now);
        agent.observed(event("STARTING_UP", json!({}), None, now));
        let (to_sensor, told) = mpsc::channel(CHANNEL_MESSAGES);
        let who = (identity.sid(), boot_id.clone());
        let route = Arc::new(Route::new(config.proxy.clone()));
        let tools = Toolbox::new(dir.path().to_owned(), who, identity.key().clone(), route, to_sensor);
        let remembered = Remembered::load(&dir.file(protection::FILE))?;
        protect_again(&tools, &remembered);
        let link =
            Link { number: 0, say: None, connect_at: Some(Instant::now()), backoff: Backoff::new(config.backoff) };
        Ok(Self {
            dir,
            identity,
            agent,
            journal: opened.journal,
            spool,
            tools: Arc::new(tools),
            told,
            heard: mpsc::channel(CHANNEL_MESSAGES),
            link,
            boot_id,
            fingerprint: host::fingerprint(),
            sync_at: Instant::now() + SYNC_EVERY,
            end: None,
            transfers: Transfers::default(),
            live: live::Sessions::default(),
            unsettled: Vec::new(),
            history: History::open(&dir.file("history"), config.history_bytes)?,
            remembered,
            is_collecting: false,
            running: Running::default(),
            crash_at: config.crash_at,
            reported: (Losses::default(), None),
            damage,
            told_ahead_ms: now.ahead_ms(),
        })
    }

    async fn live(&mut self) -> Result<End, StorageError> {
        let mut stopping = Stopping::listen();
        self.collect();
        self.settle()?;
        loop {
            if let Some(end) = self.end.take() {
                return self.conclude(end).await;
            }
            let wake = self.wake();
            tokio::select! {
                Some(heard) = self.heard.1.recv() => self.hear(heard),
                Some(told) = self.told.recv() => self.take(told),
                () = link::wait_until(wake) => self.wake_up(),
                () = stopping.told() => {
                    self.agent.observed(event("SHUTTING_DOWN", json!({}), None, clock::now()));
                    self.settle()?;
                    self.flush().await?;
                    return Ok(End::Stopped);
                }
            }
            self.take_more();
            self.settle()?;
        }
    }

    /// What arrived in the meantime shares the flush of what is settled next.
    fn take_more(&mut self) {
        for _ in 0..BATCH_MAX {
            if let Ok(heard) = self.heard.1.try_recv() {
                self.hear(heard);
            } else if let Ok(told) = self.told.try_recv() {
                self.take(told);
            } else {
                return;
            }
        }
    }

    fn wake(&self) -> Option<Instant> {
        let agent = self
            .agent
            .deadline()
            .map(|boot_ms| Instant::now() + Duration::from_millis(boot_ms.saturating_sub(host::boot_ms())));
        let sync = self.agent.is_connected().then_some(self.sync_at);
        [agent, sync, self.live.wakes_at(), self.link.connect_at].into_iter().flatten().min()
    }

    fn wake_up(&mut self) {
        let instant = Instant::now();
        self.agent.tick(clock::now());
        self.live_tick();
        if self.link.connect_at.is_some_and(|at| at <= instant) {
            self.connect();
        }
        if self.agent.is_connected() && self.sync_at <= instant {
            self.sync("SYNC");
            self.agent.resend();
            self.write_status();
        }
    }

    fn connect(&mut self) {
        self.link.connect_at = None;
        self.link.number += 1;
        let (say, said) = mpsc::channel(CHANNEL_MESSAGES);
        self.link.say = Some(say);
        let (key, heard) = (self.identity.key().clone(), self.heard.0.clone());
        tokio::spawn(link::run(key, Arc::clone(&self.tools.route), self.link.number, heard, said));
    }

    fn hear(&mut self, heard: FromLink) {
        match heard {
            FromLink::Heard(number, message) if number == self.link.number && self.link.say.is_some() => {
                self.agent.hear(message, clock::now());
            }
            FromLink::Down(number, reason) if number == self.link.number => {
                if self.link.say.is_some() {
                    tracing::info!(%reason, "the link is down");
                }
                self.hang_up(None);
            }
            // Of a link that was given up.
            _ => {}
        }
    }

    /// Gives the link up and plans the next attempt.
    fn hang_up(&mut self, wait: Option<Duration>) {
        if self.agent.is_connected() {
            self.link.backoff.reset();
        }
        self.agent.disconnected();
        self.live.lost();
        if self.link.say.take().is_none() && self.link.connect_at.is_some() {
            return;
        }
        let back_off = self.link.backoff.next_wait(dice());
        self.link.connect_at = Some(Instant::now() + wait.map_or(back_off, |wait| wait.max(back_off)));
        self.write_status();
    }

    fn take(&mut self, told: ToSensor) {
        match told {
            ToSensor::Answered(answer) => {
                self.running.ended(answer.task);
                self.agent.answered(answer, clock::now());
            }
            ToSensor::Observed(event) => self.observe(event),
            ToSensor::Reported(event) => self.agent.observed(event),
            ToSensor::Said(events, waiting) => {
                self.agent.said(events);
                self.unsettled.push(waiting);
            }
            ToSensor::Transfer(wanted, grant) => {
                let request = self.transfers.begin(wanted, grant);
                if self.agent.is_connected() {
                    self.say(from_sensor::Message::Transfer(request));
                }
            }
            ToSensor::LiveEnded(session, ended) => self.live_ended(session, ended),
            ToSensor::LiveProgress(session, progress) => self.live_progress(session, progress),
            ToSensor::ProtectionChanged => {
                self.remember_protection();
                if self.agent.is_connected() {
                    self.sync("SYNC");
                }
            }
        }
    }

    /// Puts an event into the history, and on its way if the collection wants it.
    fn observe(&mut self, event: Event) {
        if let Err(error) = self.history.push(&event) {
            tracing::debug!(%error, "an event is not in the history");
        }
        let is_wanted = lock(&self.tools.added).sends(&event.event_type, host::boot_ms());
        if is_wanted {
            self.agent.observed(event);
        }
    }

    fn remember_protection(&mut self) {
        self.remembered.is_isolated = self.tools.is_isolated.load(Ordering::Relaxed);
        self.remembered.is_sealed = self.tools.is_sealed.load(Ordering::Relaxed);
        self.remembered.boot_id.clone_from(&self.boot_id);
        if self.remembered.is_isolated {
            self.remembered.servers = self.tools.route.pinned();
        }
        if let Err(error) = self.remembered.save(&self.dir.file(protection::FILE)) {
            tracing::error!(%error, "isolation and seal are in force but cannot be remembered");
        }
    }

    fn collect(&mut self) {
        // Atoms are made from the sensor's id, so collection begins when it has one.
        if self.is_collecting || self.identity.sid().is_none() {
            return;
        }
        match collector::start(Arc::clone(&self.tools)) {
            Ok(()) => self.is_collecting = true,
            Err(error) => tracing::error!(%error, "nothing is collected"),
        }
    }

    fn settle(&mut self) -> Result<(), StorageError> {
        self.account();
        self.mind_clock();
        // Effects may decide more: a connection is followed by its events.
        loop {
            let effects = self.agent.settle(&mut self.journal, &mut self.spool)?;
            if effects.is_empty() {
                for waiting in self.unsettled.drain(..) {
                    // Who is gone does not mind.
                    let _ = waiting.send(());
                }
                return Ok(());
            }
            self.crash_if_told(&effects);
            effects.into_iter().for_each(|effect| self.act(effect));
        }
    }

    /// Dies between a durable step and everything that follows from it, when a test
    /// says at which step (`MUSTER_TEST_CRASH_AT`, a number of the wire's steps).
    fn crash_if_told(&self, effects: &[Effect]) {
        let Some(step) = self.crash_at else { return };
        let is_at_step = effects.iter().any(|effect| match effect {
            Effect::Send(from_sensor::Message::Receipts(sent)) => {
                sent.receipts.iter().any(|receipt| receipt.step == step)
            }
            _ => false,
        });
        if is_at_step {
            std::process::abort();
        }
    }

    fn act(&mut self, effect: Effect) {
        match effect {
            Effect::Hello(nonce) => {
                let claim = self.identity.claim(&nonce, &self.fingerprint);
                let hello =
                    Hello { claim: Some(claim), state: Some(self.state()), cell_hint: self.agent.cell_hint().to_vec() };
                self.say(from_sensor::Message::Hello(Box::new(hello)));
            }
            Effect::Send(message) => self.say(message),
            Effect::Connected => {
                tracing::info!("the link is up");
                self.sync("CONNECTED");
                self.write_status();
                self.collect();
                for request in self.transfers.again() {
                    self.say(from_sensor::Message::Transfer(request));
                }
            }
            Effect::Run(run) => {
                tracing::info!(task = ?run.task, "a task begins");
                self.running.begin(run, &self.tools);
            }
            Effect::Stop(task) => {
                tracing::info!(?task, "a task is to stop");
                self.running.stop(task);
            }
            Effect::Report => self.sync("SYNC"),
            Effect::Enforce(flags) => self.enforce(flags),
            Effect::Sleep(is_asleep) => self.tools.is_asleep.store(is_asleep, Ordering::Relaxed),
            Effect::Granted(grant) => self.transfers.granted(grant),
            Effect::Live(order) => self.live_order(order),
            Effect::Enrolled(sid) => self.enrolled(sid),
            Effect::Renew => self.renew_spool(),
            Effect::Unknown(wait, reason) => {
                tracing::warn!(%reason, "the server does not know this sensor");
                let wait = if self.identity.reclaim() { Duration::ZERO } else { wait };
                self.hang_up(Some(wait));
            }
            Effect::Away(within) => {
                tracing::info!(within_s = within.as_secs(), "the server sends this sensor away: it connects again");
                self.hang_up(Some(within.mul_f64(dice())));
            }
            Effect::Close(wait, reason) => {
                tracing::warn!(%reason, wait_s = wait.as_secs(), "the link is closed");
                self.hang_up(Some(wait));
            }
            Effect::Afterwards(afterwards) => self.end = Some(afterwards),
        }
    }

    fn say(&mut self, message: from_sensor::Message) {
        let Some(say) = &self.link.say else { return };
        if say.try_send(message).is_err() {
            // Everything unacknowledged is sent again on the next link.
            self.hang_up(None);
        }
    }

    fn renew_spool(&mut self) {
        let renewed = self.spool.renew(fresh_id());
        tracing::warn!(?renewed, "the spool is an earlier state of itself: what waits in it is sent under another id");
        self.hang_up(Some(Duration::ZERO));
    }

    fn enrolled(&mut self, sid: Sid) {
        tracing::info!(%sid, "enrolled");
        self.identity.enrolled(sid, &self.dir.file(identity::FILE));
        self.agent.rename(Some(sid));
        *lock(&self.tools.sid) = Some(sid);
        self.agent.disconnected();
        self.link.say = None;
        self.link.connect_at = Some(Instant::now());
    }

    fn enforce(&mut self, flags: Flags) {
        let wanted = (flags.isolate.or(self.remembered.isolate), flags.seal.or(self.remembered.seal));
        if wanted != (self.remembered.isolate, self.remembered.seal) {
            (self.remembered.isolate, self.remembered.seal) = wanted;
            self.remember_protection();
        }
        *lock(&self.tools.wanted) = flags;
        let tools = Arc::clone(&self.tools);
        tokio::task::spawn_blocking(move || protection::enforce(&tools));
    }
}

/// Ends what an earlier sensor started and could not end: it must not have its effect after it was told as interrupted.
fn end_leftovers(dir: &StateDir, ledger: &Ledger) {
    let interrupted: Vec<TaskId> =
        ledger.open().filter(|(_, task)| task.has(Step::Started)).map(|(id, _)| id).collect();
    let (ended, is_more) = children::end_leftovers(&dir.file("tmp"), &interrupted);
    if ended > 0 {
        tracing::warn!(ended, "processes of an earlier sensor were ended");
    }
    if is_more {
        tracing::error!("some processes of an earlier sensor cannot be killed; they may go on");
    }
}

/// Brings back into force what a restart must not end.
fn protect_again(tools: &Toolbox, remembered: &Remembered) {
    if remembered.must_seal(&tools.boot_id) {
        protection::set_sealed(tools, true);
    }
    if remembered.must_isolate(&tools.boot_id) {
        tools.route.pin(remembered.servers.clone());
        if let Err(failure) = protection::set_isolated(tools, true) {
            tracing::error!(error = failure.message, "the endpoint should be isolated and is not");
        }
    }
}

fn forget_tasks(dir: &StateDir) -> io::Result<()> {
    let files = ["journal", image::FILE, collector::USERS].map(|name| fs::remove_file(dir.file(name)));
    let removed = files.into_iter().chain([fs::remove_dir_all(dir.file("spool"))]);
    let failed = removed.filter_map(Result::err).find(|error| error.kind() != io::ErrorKind::NotFound);
    failed.map_or(Ok(()), Err)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn fresh_id() -> [u8; 16] {
    *crate::random::uuid().as_bytes()
}

fn dice() -> f64 {
    let [high, low, ..] = fresh_id();
    f64::from(u16::from_be_bytes([high, low])) / f64::from(u16::MAX)
}
