//! Periodic events: put into the outbox when they are due, as far as there is room.
//!
//! Where each stands is stored in the commit of its events, so that a restart neither repeats nor loses any. Sensors
//! have their turn in the order of their numbers; no list of all of them is made. An agenda says when each is due, so
//! that those that are not cost nothing; it is made anew when somebody subscribes, or wants other events.

use super::program::{Program, Protocol};
use super::{Alike, Services};
use crate::clock;
use crate::random;
use crate::records::{Kind, Records};
use muster_model::{Oid, Sid, Timestamp};
use muster_store::{StoreError, Write};
use muster_webhook::extension::UPDATE;
use muster_webhook::service::{Etype, Per, Period, Progress};
use parking_lot::Mutex;
use serde::Serialize;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval};

/// Where periodic events stand, by program and event; read only when the server starts.
const PROGRESS: Kind<Progress> = Kind::new("service_cron");

/// How often it is looked what is due.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Events of one kind that are put at once, in a commit of some hundred kB; the rest follow with the next look.
const PUT_MAX: usize = super::WAITING_MAX - ROOM_LEFT;

/// Sensors that are looked up while nothing else of their organization can go on: some hundred microseconds.
const LOOKED_UP_AT_ONCE: usize = 1_000;

/// Room that is left in a lane for what happens besides.
const ROOM_LEFT: usize = super::WAITING_MAX / 2;

/// Where every periodic event stands, and when each is due.
#[derive(Default)]
pub(super) struct Cron {
    progress: Mutex<HashMap<(Oid, String), Progress>>,
    /// Held by whoever puts what is due.
    agenda: tokio::sync::Mutex<BTreeSet<(Timestamp, Wanted)>>,
    /// Whether the agenda says what programs want.
    is_current: AtomicBool,
}

/// A periodic event that a program wants, for an organization.
type Wanted = (Oid, Program, Tick);

impl Cron {
    /// What is stored.
    pub(super) fn load(records: &Records) -> Self {
        let cron = Self::default();
        records.owners(PROGRESS).into_iter().for_each(|oid| cron.take_up(records, oid));
        cron
    }

    /// What is stored of one organization, and nothing else of it.
    pub(super) fn take_up(&self, records: &Records, oid: Oid) {
        let mut progress = self.progress.lock();
        progress.retain(|(of, _), _| *of != oid);
        progress.extend(records.take(oid, PROGRESS).into_iter().map(|(key, at)| ((oid, key), at)));
    }

    /// Somebody wants other events than before.
    pub(super) fn stir(&self) {
        self.is_current.store(false, Ordering::Release);
    }

    /// Forgets where the events of a program stand, and gives what takes that out of the store.
    pub(super) fn removals(&self, oid: Oid, program: &Program) -> Vec<Write> {
        let (mut known, target) = (self.progress.lock(), program.target());
        let is_of = |key: &str| key.rsplit_once('/').is_some_and(|(of, _)| of == target);
        let gone: Vec<String> =
            known.keys().filter(|(of, key)| *of == oid && is_of(key)).map(|(_, key)| key.clone()).collect();
        known.retain(|(of, key), _| *of != oid || !is_of(key));
        gone.iter().map(|key| PROGRESS.removal(oid, key)).collect()
    }
}

/// Puts events when they are due, until dropped.
pub(super) async fn run(services: Arc<Services>) {
    let mut looks = interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        services.put_due(clock::now()).await;
    }
}

/// A periodic event that a program wants.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Tick {
    /// Of the service protocol.
    Event(Etype, Period, Per),
    /// A day went by, says the extension protocol.
    Update,
}

impl Tick {
    fn span(self) -> (Period, Per) {
        match self {
            Self::Event(_, period, per) => (period, per),
            Self::Update => (Period::Hour24, Per::Organization),
        }
    }

    /// The kind of its messages.
    fn name(self) -> String {
        match self {
            Self::Event(etype, ..) => etype.to_string(),
            Self::Update => UPDATE.to_owned(),
        }
    }
}

/// What an event for a sensor says.
#[derive(Serialize)]
struct AboutSensor {
    sid: Sid,
}

impl AboutSensor {
    fn said(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }
}

impl Services {
    /// Puts every periodic event that is due at this instant.
    pub async fn put_due(&self, now: Timestamp) {
        let mut agenda = self.cron.agenda.lock().await;
        if !self.cron.is_current.swap(true, Ordering::AcqRel) {
            *agenda = self.wanted().into_iter().map(|one| (Timestamp::ZERO, one)).collect();
        }
        let mut due = Vec::new();
        while agenda.first().is_some_and(|(at, _)| *at <= now) {
            due.extend(agenda.pop_first().map(|(_, one)| one));
        }
        // One that another server has taken over is told by that one.
        let is_here = |(oid, ..): &Wanted| self.organizations.get(*oid).is_some();
        for (oid, program, tick) in due.into_iter().filter(is_here) {
            let again = self.put_one(oid, &program, tick, now).await.unwrap_or_else(|error| {
                tracing::warn!(%oid, %program, %error, "a periodic event could not be stored");
                now
            });
            // What waits for room, or for the store, is looked at again with the next look.
            let again = again.max(now.saturating_add(Duration::from_millis(1)));
            agenda.insert((again, (oid, program, tick)));
        }
    }

    /// Every periodic event that somebody wants.
    fn wanted(&self) -> Vec<Wanted> {
        let mut wanted = Vec::new();
        for protocol in Protocol::ALL {
            for oid in self.records.owners(protocol.subscriptions()) {
                for (name, subscribed) in self.records.list(oid, protocol.subscriptions()) {
                    let program = Program { protocol, name };
                    let ticks = if subscribed.is_ending { Vec::new() } else { self.ticks(subscribed.owner, &program) };
                    let ticks = ticks.into_iter().filter(|tick| tick.span().1 != Per::Service);
                    wanted.extend(ticks.map(|tick| (oid, program.clone(), tick)));
                }
            }
        }
        for owner in self.records.owners(Protocol::Service.registrations()) {
            for (name, _) in self.records.list(owner, Protocol::Service.registrations()) {
                let service = Program::service(&name);
                let ticks = self.ticks(owner, &service).into_iter().filter(|tick| tick.span().1 == Per::Service);
                wanted.extend(ticks.map(|tick| (owner, service.clone(), tick)));
            }
        }
        wanted
    }

    /// The periodic events that a program wants.
    fn ticks(&self, owner: Oid, program: &Program) -> Vec<Tick> {
        match program.protocol {
            Protocol::Service => {
                let metadata = self.metadata(owner, &program.name).unwrap_or_default();
                let etypes = metadata.callbacks.iter().filter_map(|callback| Etype::parse(callback));
                let tick = |etype| match etype {
                    Etype::Every(period, per) => Some(Tick::Event(etype, period, per)),
                    _ => None,
                };
                etypes.filter_map(tick).collect()
            }
            Protocol::Extension => {
                let wants = self.schema_of(owner, &program.name);
                let is_wanted = wants.is_some_and(|schema| schema.required_events.iter().any(|event| event == UPDATE));
                is_wanted.then_some(Tick::Update).into_iter().collect()
            }
        }
    }

    /// Puts an event as far as it is due; gives when it is due next.
    async fn put_one(&self, oid: Oid, program: &Program, tick: Tick, now: Timestamp) -> Result<Timestamp, StoreError> {
        let (period, per) = tick.span();
        let key = (oid, format!("{}/{}", program.target(), tick.name()));
        let Some(progress) = self.cron.progress.lock().get(&key).copied() else {
            let begun = Progress::begin(period, now);
            self.store_progress(key, begun, Vec::new()).await?;
            return Ok(begun.due(period));
        };
        let room = self.feed.outbox.room(oid, &program.target()).saturating_sub(ROOM_LEFT).min(PUT_MAX);
        let turn = progress.turn(period, now, room, |from| self.concerned(oid, per, from).into_iter());
        let Some(turn) = turn else { return Ok(progress.due(period)) };
        let bodies = match per {
            Per::Sensor => self.sids(oid, &turn.due).into_iter().map(|sid| AboutSensor { sid }.said()).collect(),
            Per::Organization | Per::Service => turn.due.iter().map(|_| b"{}".to_vec()).collect(),
        };
        let (target, kind) = (program.target(), tick.name());
        let alike = Alike { target: &target, kind: &kind, bodies };
        let mut posted = self.feed.outbox.put_alike(oid, alike, clock::now(), random::uuid);
        self.store_progress(key, turn.progress, vec![posted.stored()]).await?;
        posted.deliver();
        Ok(turn.progress.due(period))
    }

    /// Whom an event is about, from a number on: sensors by their number, or the one organization.
    fn concerned(&self, oid: Oid, per: Per, from: u32) -> Vec<u32> {
        if per != Per::Sensor {
            return (from..1).collect();
        }
        let Some(organization) = self.organizations.get(oid) else { return Vec::new() };
        let state = organization.state.lock();
        state.fleet.live().range(from..).take(PUT_MAX + 1).collect()
    }

    /// Sensors by their numbers; those that are gone are left out.
    fn sids(&self, oid: Oid, ordinals: &[u32]) -> Vec<Sid> {
        let Some(organization) = self.organizations.get(oid) else { return Vec::new() };
        let mut sids = Vec::with_capacity(ordinals.len());
        for some in ordinals.chunks(LOOKED_UP_AT_ONCE) {
            let state = organization.state.lock();
            let rows = some.iter().filter_map(|ordinal| state.fleet.row(*ordinal));
            sids.extend(rows.map(|row| row.sensor.sid));
        }
        sids
    }

    /// Stores where an event stands, with what else there is.
    async fn store_progress(
        &self,
        key: (Oid, String),
        progress: Progress,
        mut writes: Vec<Write>,
    ) -> Result<(), StoreError> {
        let body = serde_json::to_string(&progress).unwrap_or_default();
        writes.push(PROGRESS.write(key.0, &key.1, body));
        self.store.commit(writes).await?;
        self.cron.progress.lock().insert(key, progress);
        Ok(())
    }
}
