//! All live sessions of a server.

use super::error::Error;
use super::file::{FileRecord, Filed};
use super::session::{CommandView, LiveSession};
use super::{device_of, stored};
use crate::clock;
use crate::config::LiveLimits;
use crate::intake::event::{self, Actor};
use crate::intake::{Beside, Intake, Record};
use crate::organization::{Organization, Place};
use muster_live::{Cancel, Issued, Order, Refusal, Say, Session, SessionId, State, Step, Timers};
use muster_model::{Oid, Timestamp};
use muster_store::{LivePart, LiveRow, Store, StoreError, Write};
use muster_wire::{LiveClose, LiveFile, LiveOpen, LiveRun, live_order};
use parking_lot::{Mutex, RwLock};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;
use tokio::time::Instant;

/// How often it is looked which time is over. Clients count in seconds.
const TICK: Duration = Duration::from_millis(250);

/// How long a sensor that has a command is waited for when the command is cancelled.
const CANCEL_MAX: Duration = Duration::from_secs(5);

/// Sessions that ended and are still shown, per organization: a client that opens and closes in a loop must not fill
/// the memory.
const SHOWN_MAX: usize = 10_000;

/// A file with the session that it belongs to.
type OfSession = (Arc<LiveSession>, Arc<Filed>);

/// All live sessions.
pub struct Live {
    pub(super) store: Store,
    pub(super) intake: Arc<Intake>,
    pub(super) data_dir: PathBuf,
    pub(super) limits: LiveLimits,
    rooms: RwLock<HashMap<Oid, Arc<Room>>>,
    /// Whose file a token is good for.
    pub(super) tokens: Mutex<HashMap<String, OfSession>>,
}

/// Sessions of one organization.
#[derive(Default)]
pub(super) struct Room {
    /// Held while a session is opened, so that no two get a number or a device.
    opening: tokio::sync::Mutex<()>,
    /// Held while a whole file gets or loses its name.
    pub(super) placing: tokio::sync::Mutex<()>,
    sessions: RwLock<Sessions>,
    /// Bytes of all files.
    pub(super) bytes: AtomicU64,
}

#[derive(Default)]
struct Sessions {
    last: u64,
    by_number: BTreeMap<u64, Arc<LiveSession>>,
    by_device: HashMap<u32, u64>,
}

impl Room {
    fn live_of(&self, device: u32) -> Option<Arc<LiveSession>> {
        let sessions = self.sessions.read();
        let live = sessions.by_number.get(sessions.by_device.get(&device)?)?;
        live.state().ended_at().is_none().then(|| Arc::clone(live))
    }

    fn insert(&self, live: &Arc<LiveSession>) {
        let id = live.id();
        let mut sessions = self.sessions.write();
        sessions.last = sessions.last.max(id.number);
        sessions.by_number.insert(id.number, Arc::clone(live));
        sessions.by_device.insert(id.device, id.number);
    }

    pub(super) fn all(&self) -> Vec<Arc<LiveSession>> {
        self.sessions.read().by_number.values().cloned().collect()
    }

    fn remove(&self, id: SessionId) {
        let mut sessions = self.sessions.write();
        sessions.by_number.remove(&id.number);
        if sessions.by_device.get(&id.device) == Some(&id.number) {
            sessions.by_device.remove(&id.device);
        }
    }
}

impl Live {
    /// No sessions yet: [`Live::restore`] brings them.
    #[must_use]
    pub fn new(store: Store, intake: Arc<Intake>, data_dir: &Path, limits: LiveLimits) -> Self {
        let (rooms, tokens) = (RwLock::default(), Mutex::default());
        Self { store, intake, data_dir: data_dir.to_owned(), limits, rooms, tokens }
    }

    /// Loads what is stored of an organization, or of all, of which nothing is here. Sensors are to come back to the
    /// sessions that they were in. Blocks.
    ///
    /// # Errors
    ///
    /// Whatever the store says.
    pub fn restore(
        &self,
        of: Option<Oid>,
        organization: impl Fn(Oid) -> Option<Arc<Organization>>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.store.read_blocking(|read| {
            let mut headers = Vec::new();
            read.live_sessions(of, &mut |row| headers.push(row))?;
            for header in headers {
                let Some(organization) = organization(header.oid) else { continue };
                let room = self.room(header.oid);
                {
                    let mut sessions = room.sessions.write();
                    sessions.last = sessions.last.max(header.session);
                }
                let stored = stored::header(&header)?;
                let Some(ordinal) = super::ordinal_of(stored.device).filter(|_| !self.is_past(&stored, now)) else {
                    continue;
                };
                let session = stored::session(read, header.oid, stored, now)?;
                let loaded = Arc::new(LiveSession::new(Place { organization, ordinal }, session));
                self.restore_files(&room, &loaded, stored::files(read, &loaded)?);
                room.insert(&loaded);
            }
            Ok(())
        })?;
        if of.is_none() {
            self.tidy();
        }
        Ok(())
    }

    /// Ends what is here of an organization that is someone else's by now; what is stored of it, that one goes on with.
    pub(crate) fn end(&self, oid: Oid) {
        self.tokens.lock().retain(|_, (live, _)| live.oid() != oid);
        self.rooms.write().remove(&oid);
    }

    pub(super) fn room(&self, oid: Oid) -> Arc<Room> {
        if let Some(room) = self.rooms.read().get(&oid) {
            return Arc::clone(room);
        }
        Arc::clone(self.rooms.write().entry(oid).or_default())
    }

    pub(super) fn all_rooms(&self) -> Vec<(Oid, Arc<Room>)> {
        self.rooms.read().iter().map(|(oid, room)| (*oid, Arc::clone(room))).collect()
    }

    /// Whether a session ended so long ago that it is not shown any more.
    fn is_past(&self, session: &Session, now: Timestamp) -> bool {
        session.is_over() && session.ended_at().is_some_and(|at| now.since(at) >= self.limits.shown)
    }

    /// The times of a session whose client says these, or nothing.
    #[must_use]
    pub fn timers(&self, check_in_s: Option<u32>, session_s: Option<u32>) -> Timers {
        let check_in_s = check_in_s.unwrap_or(self.limits.check_in_s);
        Timers { check_in_s, session_s: session_s.unwrap_or(self.limits.session_s), wait_s: None, command_s: None }
    }

    /// Opens a session with a sensor, or gives the one that is live already.
    ///
    /// # Errors
    ///
    /// [`Error::NoDevice`], [`Error::TooManySessions`], [`Error::Store`].
    pub async fn open(&self, place: &Place, timers: Timers, actor: &Actor) -> Result<Arc<LiveSession>, Error> {
        let sensor = super::sensor_at(place).filter(|sensor| !sensor.deleted).ok_or(Error::NoDevice)?;
        let (oid, device) = (place.organization.oid, device_of(place.ordinal));
        let room = self.room(oid);
        let _opening = room.opening.lock().await;
        if let Some(live) = room.live_of(device) {
            return Ok(live);
        }
        let is_live = |live: &Arc<LiveSession>| live.state().ended_at().is_none();
        if room.all().iter().filter(|live| is_live(live)).count() >= self.limits.sessions {
            return Err(Error::TooManySessions(self.limits.sessions));
        }
        let now = clock::now();
        let number = room.sessions.read().last + 1;
        let session = Session::new(SessionId { number, device }, timers, actor.identity.clone(), now);
        let step = Step { header: true, ..Step::default() };
        let told =
            told(oid, actor, "live session opened", "live_open", &sensor.sid.to_string(), session.id(), &json!({}));
        let rows = stored::rows(oid, &session, &step)?;
        self.intake.commit(Beside::from(told).and([Write::PutLive(rows)])).await?;
        let live = Arc::new(LiveSession::new(place.clone(), session));
        room.insert(&live);
        self.speak(&live, &live.state().arrived().say);
        Ok(live)
    }

    /// A session that is shown.
    ///
    /// # Errors
    ///
    /// [`Error::NoSession`].
    pub fn get(&self, oid: Oid, id: SessionId) -> Result<Arc<LiveSession>, Error> {
        let found = self.room(oid).sessions.read().by_number.get(&id.number).cloned();
        found.filter(|live| live.id() == id).ok_or(Error::NoSession)
    }

    /// All sessions that are shown, by their number.
    #[must_use]
    pub fn list(&self, oid: Oid) -> Vec<Arc<LiveSession>> {
        self.room(oid).all()
    }

    /// Asks the machine, stores what it decided with what is beside it, and only then lets it be known.
    pub(super) async fn turn<T>(
        &self,
        live: &LiveSession,
        decide: impl FnOnce(&mut Session, Timestamp) -> Result<(T, Step, Beside), Error>,
    ) -> Result<T, Error> {
        let _turn = live.turn.lock().await;
        self.turn_held(live, decide).await
    }

    /// The same, for who holds the turn already.
    pub(super) async fn turn_held<T>(
        &self,
        live: &LiveSession,
        decide: impl FnOnce(&mut Session, Timestamp) -> Result<(T, Step, Beside), Error>,
    ) -> Result<T, Error> {
        let mut session = Session::clone(&live.state());
        let (given, step, beside) = decide(&mut session, clock::now())?;
        if step.is_durable() {
            let rows = stored::rows(live.oid(), &session, &step)?;
            self.intake.commit(beside.and([Write::PutLive(rows)])).await?;
        }
        *live.state.write() = Arc::new(session);
        self.speak(live, &step.say);
        live.changed.send_modify(|changes| *changes += 1);
        if !step.say.is_empty() {
            // The sensor hears it while the answer is made, and not after that.
            tokio::task::yield_now().await;
        }
        Ok(given)
    }

    /// Says to the sensor what was decided.
    pub(super) fn speak(&self, live: &LiveSession, say: &[Say]) {
        let state = live.state();
        for what in say {
            live.say(match *what {
                Say::Open => {
                    let idle_ms = u64::try_from(state.timers.session().as_millis()).unwrap_or(u64::MAX);
                    live_order::What::Open(LiveOpen { idle_ms })
                }
                Say::Run(number) => match self.run(live, &state, number) {
                    Some(run) => live_order::What::Run(run),
                    None => continue,
                },
                Say::Cancel(number) => live_order::What::Cancel(number),
                Say::Close => live_order::What::Close(LiveClose {}),
                Say::Stored(number) => {
                    live.acknowledge(number);
                    continue;
                }
            });
        }
    }

    fn run(&self, live: &LiveSession, state: &Session, number: u32) -> Option<LiveRun> {
        let issued = &state.command(number)?.issued;
        let file = issued.file.as_deref().and_then(|id| live.files.find(id)).map(|filed| {
            let record = filed.record();
            let sha256 = crate::access::from_hex(&record.sha256).unwrap_or_default();
            LiveFile { token: record.token, size: record.size, sha256 }
        });
        let order = serde_json::to_vec(&issued.order).ok()?;
        Some(LiveRun { command: number, order, timeout_ms: u64::from(issued.timeout_s) * 1_000, file })
    }

    /// Takes a command in.
    ///
    /// # Errors
    ///
    /// [`Error`] says what is wrong with it, or with the session.
    pub async fn issue(
        &self,
        live: &Arc<LiveSession>,
        request: Map<String, Value>,
        asked_timeout_s: Option<u32>,
        actor: &Actor,
    ) -> Result<CommandView, Error> {
        live.state().require_open()?;
        let order = Order::parse(&request)?;
        let _turn = live.turn.lock().await;
        let (file, fresh) = match &order {
            Order::PutFile { file_id, .. } => {
                let whole = live.files.find(file_id).filter(|filed| filed.record().is_whole);
                (Some(whole.ok_or(Error::NoSuchUpload)?.record().id), None)
            }
            Order::GetFile { path, .. } => {
                let fresh = self.fresh_file(live, path, false)?;
                (Some(fresh.1.id.clone()), Some(fresh))
            }
            _ => (None, None),
        };
        let sid = live.sid();
        let oid = live.oid();
        let filed = fresh.clone();
        let number = self
            .turn_held(live, |session, at| {
                let timeout_s = session.timers.command(asked_timeout_s, &order);
                let detail = json!({"command": order.name().text(), "request": request});
                let issued = Issued { object: request, timeout_s, order, by: actor.identity.clone(), at, file };
                let (number, step) = session.issue(issued, at)?;
                let mut detail = detail;
                detail["command_id"] = number.into();
                let told = told(oid, actor, "live command", "live_command", &sid, session.id(), &detail);
                let mut beside = Beside::from(told);
                if let Some((item, record)) = &filed {
                    let row = stored::file(oid, session.number, *item, record)?;
                    beside = beside.and([Write::PutLive(vec![row])]);
                    // Before anything is said to the sensor: it is told the token of the file.
                    self.take_file(live, *item, record.clone());
                }
                Ok((number, step, beside))
            })
            .await;
        let number = match (number, fresh) {
            (Err(error), Some((item, _))) => {
                self.drop_file(live, item);
                return Err(error);
            }
            (number, _) => number?,
        };
        self.command(live, number).await
    }

    /// A command, with what it found so far.
    ///
    /// # Errors
    ///
    /// [`Error::NoCommand`], [`Error::Store`].
    pub async fn command(&self, live: &LiveSession, number: u32) -> Result<CommandView, Error> {
        let state = live.state();
        let command = state.command(number).cloned().ok_or(Error::NoCommand)?;
        if !command.is_over() {
            let found = live.progress.lock().get(&number).cloned().unwrap_or_default();
            return Ok(CommandView { number, command, found });
        }
        let found = match state.fresh(number) {
            Some(fresh) => serde_json::from_slice(fresh).ok(),
            None => {
                let (oid, session) = (live.oid(), live.number());
                let row = self.store.read(move |read| read.live_one(oid, session, LivePart::Found, number)).await?;
                row.and_then(|row| serde_json::from_slice(&row.body).ok())
            }
        };
        Ok(CommandView { number, command, found: found.unwrap_or_default() })
    }

    /// Cancels a command that has not begun.
    ///
    /// # Errors
    ///
    /// [`Refusal::NotPending`] if it has, [`Error::NoAnswer`] if the sensor did not say.
    pub async fn cancel(&self, live: &LiveSession, number: u32, actor: &Actor) -> Result<CommandView, Error> {
        let sid = live.sid();
        let oid = live.oid();
        let cancel = self
            .turn(live, |session, now| {
                let (cancel, step) = session.cancel(number, now)?;
                let detail = json!({"command_id": number});
                let told = told(oid, actor, "live command cancelled", "live_cancel", &sid, session.id(), &detail);
                Ok((cancel, step, Beside::from(told)))
            })
            .await
            .map_err(|error| match error {
                Error::Refused(Refusal::NoCommand) => Error::NoCommand,
                other => other,
            })?;
        if cancel == Cancel::Asked {
            let state_of = |session: &Session| session.command(number).map(muster_live::Command::state);
            let is_known = |session: &Session| state_of(session) != Some(State::Pending);
            match state_of(&*live.wait(Instant::now() + CANCEL_MAX, is_known).await) {
                Some(State::Cancelled) => {}
                Some(State::Pending) => return Err(Error::NoAnswer),
                _ => return Err(Error::Refused(Refusal::NotPending)),
            }
        }
        self.command(live, number).await
    }

    /// Someone works with a session: it does not idle.
    ///
    /// # Errors
    ///
    /// [`Error::NoSession`] if it is over.
    pub async fn keep_alive(&self, live: &LiveSession) -> Result<(), Error> {
        self.turn(live, |session, now| {
            session.keep_alive(now).map_err(|_| Error::NoSession)?;
            Ok(((), Step::default(), Beside::default()))
        })
        .await
    }

    /// Closes a session, for everyone.
    ///
    /// # Errors
    ///
    /// [`Error::NoSession`] if it has timed out.
    pub async fn close(&self, live: &LiveSession, actor: &Actor) -> Result<(), Error> {
        let sid = live.sid();
        let oid = live.oid();
        self.turn(live, |session, now| {
            let step = session.close(now).map_err(|_| Error::NoSession)?;
            let told = told(oid, actor, "live session closed", "live_close", &sid, session.id(), &json!({}));
            Ok(((), step, Beside::from(told)))
        })
        .await
    }

    /// A sensor has a link: it is asked to enter its sessions.
    pub fn arrived(&self, place: &Place) {
        for live in self.of_sensor(place) {
            self.speak(&live, &live.state().arrived().say);
        }
    }

    /// A sensor has no link any more.
    pub async fn lost(&self, place: &Place) {
        if place.organization.state.lock().link(place.ordinal).is_some() {
            return;
        }
        for live in self.of_sensor(place) {
            let lost = self.turn(&live, |session, now| {
                session.lost(now);
                Ok(((), Step::default(), Beside::default()))
            });
            // Nothing is stored, so nothing can fail.
            let _ = lost.await;
        }
    }

    /// A session of a sensor, by its number.
    pub(super) fn of_number(&self, place: &Place, number: u64) -> Option<Arc<LiveSession>> {
        let room = self.rooms.read().get(&place.organization.oid).cloned()?;
        let live = room.sessions.read().by_number.get(&number).cloned();
        live.filter(|live| live.place.ordinal == place.ordinal)
    }

    pub(super) fn of_sensor(&self, place: &Place) -> Vec<Arc<LiveSession>> {
        let Some(room) = self.rooms.read().get(&place.organization.oid).cloned() else { return Vec::new() };
        let mut all = room.all();
        all.retain(|live| live.place.ordinal == place.ordinal);
        all
    }

    /// Does what is due, until dropped.
    pub async fn keep_time(self: Arc<Self>) {
        loop {
            tokio::time::sleep(TICK).await;
            self.tick(clock::now()).await;
        }
    }

    /// Does what is due now.
    pub async fn tick(&self, now: Timestamp) {
        for (_, room) in self.all_rooms() {
            let all = room.all();
            let surplus = all.len().saturating_sub(SHOWN_MAX + self.limits.sessions);
            for (at, live) in all.iter().enumerate() {
                let state = live.state();
                self.ask_again(live);
                live.say_stored();
                if state.wakes_at().is_some_and(|at| at <= now) {
                    let ticked = self.turn(live, |session, now| Ok(((), session.tick(now), Beside::default()))).await;
                    if let Err(error) = ticked {
                        tracing::warn!(session = %live.id(), %error, "the end of a live session could not be stored");
                    }
                } else if self.is_past(&state, now) || (at < surplus && state.is_over()) {
                    self.forget(&room, live).await;
                }
            }
        }
    }

    /// Shows a session no more, and removes its files; what was done in it stays in the store.
    async fn forget(&self, room: &Room, live: &Arc<LiveSession>) {
        for filed in live.files.all() {
            if let Err(error) = self.remove_file(live, &filed).await {
                tracing::warn!(session = %live.id(), %error, "a file of a live session could not be removed");
                return;
            }
        }
        room.remove(live.id());
    }
}

/// The audit record of something that was done in a session.
pub(super) fn told(
    oid: Oid,
    actor: &Actor,
    message: &str,
    action: &str,
    sid: &str,
    session: SessionId,
    detail: &Value,
) -> Record {
    let entity = json!({"type": "live_session", "id": session.to_string(), "sid": sid});
    event::audit(oid, actor, message, &entity, action, detail, clock::now())
}

/// The rows of a file, as a write.
pub(super) fn put_file(row: LiveRow) -> Write {
    Write::PutLive(vec![row])
}

/// A file record with its number in the session.
pub(super) type Numbered = (u32, FileRecord);
