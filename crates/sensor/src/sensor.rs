//! The running sensor: one loop that hears, decides, makes durable, and acts.
//!
//! Everything happens on one thread; only commands that block have threads of
//! their own. The loop sleeps until there is something to do.

mod status;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use muster_model::Sid;
use muster_wire::{Event, Flags, Hello, InstallationKey, SensorState, from_sensor};
use serde_json::json;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::Instant;
use uuid::Uuid;

use crate::agent::{Afterwards, Agent, Effect, Setup, StorageError, event};
use crate::executor::{self, ToSensor, Toolbox};
use crate::identity::{self, Identity, IdentityError};
use crate::journal::Journal;
use crate::link::{self, Backoff, FromLink};
use crate::platform::host;
use crate::spool::{Bounds, Spool};
use crate::state_dir::StateDir;
use crate::{clock, commands};

/// Interval of `SYNC`. Source: reference/sensor.md section 4.
const SYNC_EVERY: Duration = Duration::from_secs(600);
/// Messages on their way between the loop and its link or its commands. The
/// event window and the number of receipts per message keep far below it.
const CHANNEL_MESSAGES: usize = 1_024;
/// Things heard that share one flush of the journal.
const BATCH_MAX: usize = 256;
/// Wait before the sensor begins anew after its disk failed.
const DISK_WAIT: Duration = Duration::from_secs(5);

/// How a sensor is started.
#[derive(Clone, Debug)]
pub struct Config {
    /// Key for the first enrolment.
    pub key: Option<InstallationKey>,
    /// Directory for everything that must survive.
    pub state_dir: PathBuf,
    /// First wait before connecting again.
    pub backoff: Duration,
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
pub async fn run(config: Config) -> Result<(), SensorError> {
    let dir = StateDir::open(&config.state_dir).map_err(|error| SensorError::StateDir(config.state_dir.clone(), error))?;
    loop {
        let mut sensor = Sensor::open(&config, &dir)?;
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
    begun: Instant,
    sync_at: Instant,
    end: Option<Afterwards>,
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
        let opened = Journal::open(&dir.file("journal"), fresh_id())?;
        if let Some(repair) = opened.repair {
            tracing::warn!("{repair}");
        }
        let spool = Spool::open(&dir.file("spool"), fresh_id(), Bounds::default())?;
        let boot_id = host::boot_id();
        let setup =
            Setup { oid: identity.oid(), sid: identity.sid(), boot_id: boot_id.clone(), look: commands::look };
        let now = clock::now();
        let mut agent = Agent::new(setup, opened.ledger, now);
        agent.observed(event("STARTING_UP", json!({}), None, now));
        let (to_sensor, told) = mpsc::channel(CHANNEL_MESSAGES);
        let tools = Toolbox {
            state_dir: dir.path().to_owned(),
            is_sealed: AtomicBool::new(false),
            to_sensor,
            sid: Mutex::new(identity.sid()),
            boot_id: boot_id.clone(),
        };
        let link = Link {
            number: 0,
            say: None,
            connect_at: Some(Instant::now()),
            backoff: Backoff::new(config.backoff),
        };
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
            begun: Instant::now(),
            sync_at: Instant::now() + SYNC_EVERY,
            end: None,
        })
    }

    async fn live(&mut self) -> Result<End, StorageError> {
        let mut terminate = Signals::new();
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
                () = terminate.recv() => {
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
        let agent = self.agent.deadline().map(|boot_ms| {
            Instant::now() + Duration::from_millis(boot_ms.saturating_sub(host::boot_ms()))
        });
        let sync = self.agent.is_connected().then_some(self.sync_at);
        [agent, sync, self.link.connect_at].into_iter().flatten().min()
    }

    fn wake_up(&mut self) {
        let instant = Instant::now();
        self.agent.tick(clock::now());
        if self.link.connect_at.is_some_and(|at| at <= instant) {
            self.connect();
        }
        if self.agent.is_connected() && self.sync_at <= instant {
            self.sync("SYNC");
            self.agent.resend();
        }
    }

    fn connect(&mut self) {
        self.link.connect_at = None;
        self.link.number += 1;
        let (say, said) = mpsc::channel(CHANNEL_MESSAGES);
        self.link.say = Some(say);
        let (key, heard) = (self.identity.key().clone(), self.heard.0.clone());
        tokio::spawn(link::run(key, self.link.number, heard, said));
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
        if self.link.say.take().is_none() && self.link.connect_at.is_some() {
            return;
        }
        let back_off = self.link.backoff.next_wait(dice());
        self.link.connect_at = Some(Instant::now() + wait.map_or(back_off, |wait| wait.max(back_off)));
        self.write_status();
    }

    fn take(&mut self, told: ToSensor) {
        match told {
            ToSensor::Answered(answer) => self.agent.answered(answer, clock::now()),
            ToSensor::Observed(event) => self.agent.observed(event),
        }
    }

    fn settle(&mut self) -> Result<(), StorageError> {
        // Effects may decide more: a connection is followed by its events.
        loop {
            let effects = self.agent.settle(&mut self.journal, &mut self.spool, clock::now())?;
            if effects.is_empty() {
                return Ok(());
            }
            effects.into_iter().for_each(|effect| self.act(effect));
        }
    }

    fn act(&mut self, effect: Effect) {
        match effect {
            Effect::Hello(nonce) => {
                let claim = self.identity.claim(&nonce, &self.fingerprint);
                let hello = Hello { claim: Some(claim), state: Some(self.state()) };
                self.say(from_sensor::Message::Hello(Box::new(hello)));
            }
            Effect::Send(message) => self.say(message),
            Effect::Connected => {
                tracing::info!("the link is up");
                self.sync("CONNECTED");
                self.write_status();
            }
            Effect::Run(run) => {
                tracing::info!(task = ?run.task, "a task begins");
                tokio::spawn(executor::carry_out(run, Arc::clone(&self.tools)));
            }
            Effect::Enforce(flags) => self.enforce(flags),
            Effect::Sleep(_) | Effect::Granted(_) => {}
            Effect::Enrolled(sid) => self.enrolled(sid),
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

    fn enrolled(&mut self, sid: Sid) {
        tracing::info!(%sid, "enrolled");
        self.identity.enrolled(sid, &self.dir.file(identity::FILE));
        self.agent.rename(Some(sid));
        *self.tools.sid.lock().unwrap_or_else(PoisonError::into_inner) = Some(sid);
        self.agent.disconnected();
        self.link.say = None;
        self.link.connect_at = Some(Instant::now());
    }

    fn enforce(&mut self, _flags: Flags) {}

    fn state(&self) -> SensorState {
        SensorState {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            boot_id: self.boot_id.clone(),
            hostname: host::hostname(),
            int_ip: host::internal_ip(),
            mac_addr: host::mac_address(),
            platform: host::PLATFORM.0,
            architecture: u32::from(host::ARCHITECTURE.0),
            kernel: false,
            isolated: false,
            sealed: self.tools.is_sealed.load(Ordering::Relaxed),
            journal_id: self.journal.id().to_vec(),
            spool_id: self.spool.id().to_vec(),
            now_ms: clock::now().wall_ms,
            fingerprint: self.fingerprint.clone(),
        }
    }

    /// Tells the server and the rules how the sensor stands.
    fn sync(&mut self, event_type: &str) {
        self.sync_at = Instant::now() + SYNC_EVERY;
        let state = self.state();
        self.agent.observed(state_event(event_type, &state));
        self.say(from_sensor::Message::Sync(state));
    }

    /// Waits until the server has stored what it was sent, or a few seconds.
    async fn flush(&mut self) -> Result<(), StorageError> {
        const FLUSH_MAX: Duration = Duration::from_secs(3);
        let until = Instant::now() + FLUSH_MAX;
        while self.agent.is_connected() && !self.is_flushed() {
            tokio::select! {
                Some(heard) = self.heard.1.recv() => self.hear(heard),
                Some(told) = self.told.recv() => self.take(told),
                () = tokio::time::sleep_until(until) => break,
            }
            self.take_more();
            self.settle()?;
        }
        self.link.say = None;
        // The link's last frames leave while it closes.
        if let Ok(Some(FromLink::Down(..))) = tokio::time::timeout(Duration::from_millis(500), self.heard.1.recv()).await {
            tracing::debug!("the link is closed");
        }
        Ok(())
    }

    fn is_flushed(&self) -> bool {
        self.spool.queued().0 == 0 && self.agent.ledger().unacknowledged().is_empty()
    }

    async fn conclude(&mut self, afterwards: Afterwards) -> Result<End, StorageError> {
        self.flush().await?;
        match afterwards {
            Afterwards::Restart => Ok(End::Again),
            Afterwards::Uninstall | Afterwards::Shutdown | Afterwards::Reboot => Ok(End::Stopped),
        }
    }
}

/// `CONNECTED` and `SYNC`. Source: reference/events.md section 5.6.
fn state_event(event_type: &str, state: &SensorState) -> Event {
    let body = json!({
        "HOST_NAME": state.hostname,
        "IS_SEGREGATED": u8::from(state.isolated),
        "KERNEL_ACQ_AVAILABLE": u8::from(state.kernel),
        "MAC_ADDRESS": state.mac_addr,
        "SEAL_STATUS": {"ERROR": 0, "IS_DISABLED": u8::from(!state.sealed)},
    });
    event(event_type, body, None, clock::now())
}

/// The signals that end a sensor.
struct Signals(Vec<Signal>);

impl Signals {
    fn new() -> Self {
        Self([SignalKind::terminate(), SignalKind::interrupt()].into_iter().filter_map(|kind| signal(kind).ok()).collect())
    }

    async fn recv(&mut self) {
        let each = self.0.iter_mut().map(|signal| Box::pin(signal.recv()));
        futures_util::future::select_all(each).await;
    }
}

fn fresh_id() -> [u8; 16] {
    *Uuid::new_v4().as_bytes()
}

fn dice() -> f64 {
    f64::from(u16::from_be_bytes([Uuid::new_v4().as_bytes()[0], Uuid::new_v4().as_bytes()[1]])) / f64::from(u16::MAX)
}

/// Path of the status file in a state directory.
#[must_use]
pub fn status_file(state_dir: &Path) -> PathBuf {
    state_dir.join("hcp_hbs_status.json")
}
