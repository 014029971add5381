//! Periodic events: put into the outbox when they are due, as far as there is room.
//!
//! Where each stands is stored in the commit of its events, so that a restart neither repeats nor loses any. Sensors
//! have their turn in the order of their numbers; no list of all of them is made.

use super::registry::{SERVICE, SUBSCRIBED};
use super::{Message, Services, message, target};
use crate::clock;
use crate::random;
use crate::records::{Kind, Records};
use muster_model::{Oid, Sid, Timestamp};
use muster_store::{StoreError, Write};
use muster_webhook::service::{Etype, Per, Period, Progress};
use parking_lot::Mutex;
use serde_json::{Map, Value, json};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval};

/// Where periodic events stand, by service and event; read only when the server starts.
const PROGRESS: Kind<Progress> = Kind::new("service_cron");

/// How often it is looked what is due.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Events of one kind that are put at once; the rest follow with the next look.
const PUT_MAX: usize = 1_000;

/// Room that is left in a lane for what happens besides.
const ROOM_LEFT: usize = super::WAITING_MAX / 2;

/// Where every periodic event stands.
#[derive(Default)]
pub(super) struct Cron(Mutex<HashMap<(Oid, String), Progress>>);

impl Cron {
    /// What is stored.
    pub(super) fn load(records: &Records) -> Self {
        let owners = records.owners(PROGRESS).into_iter();
        let all = owners.flat_map(|oid| records.take(oid, PROGRESS).into_iter().map(move |(key, at)| ((oid, key), at)));
        Self(Mutex::new(all.collect()))
    }

    /// Forgets where the events of a service stand, and gives what takes that out of the store.
    pub(super) fn removals(&self, oid: Oid, name: &str) -> Vec<Write> {
        let mut known = self.0.lock();
        let is_of = |key: &str| key.rsplit_once('/').is_some_and(|(of, _)| of == name);
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

impl Services {
    /// Puts every periodic event that is due at this instant.
    pub async fn put_due(&self, now: Timestamp) {
        for oid in self.records.owners(SUBSCRIBED) {
            for (name, subscribed) in self.records.list(oid, SUBSCRIBED) {
                let callbacks = self.callbacks(subscribed.owner, &name);
                if !subscribed.is_ending {
                    self.put_of(oid, &name, &callbacks, now, |per| per != Per::Service).await;
                }
            }
        }
        for owner in self.records.owners(SERVICE) {
            for (name, _) in self.records.list(owner, SERVICE) {
                let callbacks = self.callbacks(owner, &name);
                self.put_of(owner, &name, &callbacks, now, |per| per == Per::Service).await;
            }
        }
    }

    fn callbacks(&self, owner: Oid, name: &str) -> BTreeSet<String> {
        self.metadata(owner, name).map(|metadata| metadata.callbacks).unwrap_or_default()
    }

    async fn put_of(
        &self,
        oid: Oid,
        name: &str,
        callbacks: &BTreeSet<String>,
        now: Timestamp,
        is_wanted: impl Fn(Per) -> bool,
    ) {
        for etype in callbacks.iter().filter_map(|callback| Etype::parse(callback)) {
            let Etype::Every(period, per) = etype else { continue };
            if is_wanted(per)
                && let Err(error) = self.put_one(oid, name, etype, (period, per), now).await
            {
                tracing::warn!(%oid, name, %error, "a periodic event could not be stored");
            }
        }
    }

    async fn put_one(
        &self,
        oid: Oid,
        name: &str,
        etype: Etype,
        (period, per): (Period, Per),
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let key = (oid, format!("{name}/{etype}"));
        let Some(progress) = self.cron.0.lock().get(&key).copied() else {
            return self.store_progress(key, Progress::begin(period, now), Vec::new()).await;
        };
        let room = self.feed.outbox.room(oid, &target(name)).saturating_sub(ROOM_LEFT).min(PUT_MAX);
        let turn = progress.turn(period, now, room, |from| self.concerned(oid, per, from).into_iter());
        let Some(turn) = turn else { return Ok(()) };
        let messages = turn.due.iter().filter_map(|ordinal| {
            let data = match per {
                Per::Sensor => json!({"sid": self.sid(oid, *ordinal)?}),
                Per::Organization | Per::Service => Value::Object(Map::new()),
            };
            Some(message(name, etype, random::uuid(), data.as_object()?))
        });
        self.store_progress(key, turn.progress, messages.collect()).await
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

    fn sid(&self, oid: Oid, ordinal: u32) -> Option<Sid> {
        let organization = self.organizations.get(oid)?;
        let state = organization.state.lock();
        state.fleet.row(ordinal).map(|row| row.sensor.sid)
    }

    async fn store_progress(
        &self,
        key: (Oid, String),
        progress: Progress,
        messages: Vec<Message>,
    ) -> Result<(), StoreError> {
        let body = serde_json::to_string(&progress).unwrap_or_default();
        let mut posted = self.feed.outbox.put(key.0, messages);
        self.store.commit(vec![posted.stored(), PROGRESS.write(key.0, &key.1, body)]).await?;
        self.cron.0.lock().insert(key, progress);
        posted.deliver();
        Ok(())
    }
}
