//! One live session in memory.

use super::file::Files;
use crate::organization::Place;
use muster_live::{Command, Found, Session, SessionId, Status};
use muster_model::Oid;
use muster_wire::{LiveOrder, from_server, live_order};
use parking_lot::{Mutex, RwLock};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

/// A session, and what belongs to it.
pub struct LiveSession {
    pub(super) place: Place,
    /// As it is stored.
    pub(super) state: RwLock<Arc<Session>>,
    /// Held by who changes it.
    pub(super) turn: tokio::sync::Mutex<()>,
    /// Counts the changes.
    pub(super) changed: watch::Sender<u64>,
    /// What commands that run have found so far.
    pub(super) progress: Mutex<HashMap<u32, Found>>,
    /// Its files.
    pub(super) files: Files,
    /// Something that the sensor said could not be stored, and is to be said again.
    pub(super) is_owed: AtomicBool,
    /// Ends of commands that are stored, which the sensor hears after a tick, or before it enters or leaves the session:
    /// all it does with them is to forget, and the next command does not wait for that.
    stored: Mutex<Vec<u32>>,
}

/// A command, with what is known of its end.
#[derive(Clone)]
pub struct CommandView {
    /// Its number.
    pub number: u32,
    /// The command.
    pub command: Command,
    /// What it found, so far.
    pub found: Found,
}

impl LiveSession {
    pub(super) fn new(place: Place, session: Session) -> Self {
        Self {
            place,
            state: RwLock::new(Arc::new(session)),
            turn: tokio::sync::Mutex::new(()),
            changed: watch::Sender::new(0),
            progress: Mutex::default(),
            files: Files::default(),
            is_owed: AtomicBool::new(false),
            stored: Mutex::default(),
        }
    }

    /// Its organization.
    #[must_use]
    pub fn oid(&self) -> Oid {
        self.place.organization.oid
    }

    /// Its number in the organization.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.state.read().number
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> SessionId {
        self.state.read().id()
    }

    /// Its sensor.
    #[must_use]
    pub const fn place(&self) -> &Place {
        &self.place
    }

    /// What is known of its sensor.
    #[must_use]
    pub fn sensor(&self) -> Option<muster_model::Sensor> {
        super::sensor_at(&self.place)
    }

    /// The id of its sensor, for records about it; nothing if the sensor is gone.
    pub(super) fn sid(&self) -> String {
        let state = self.place.organization.state.lock();
        state.fleet.row(self.place.ordinal).map(|row| row.sensor.sid.to_string()).unwrap_or_default()
    }

    /// How it stands.
    #[must_use]
    pub fn state(&self) -> Arc<Session> {
        Arc::clone(&self.state.read())
    }

    /// Waits until something holds of it, or until an instant. Cancel safe.
    pub async fn wait(&self, until: Instant, holds: impl Fn(&Session) -> bool) -> Arc<Session> {
        let mut changes = self.changed.subscribe();
        loop {
            let state = self.state();
            if holds(&state) || !matches!(timeout_at(until, changes.changed()).await, Ok(Ok(()))) {
                return state;
            }
        }
    }

    /// Waits until its sensor has come, or will not.
    pub async fn settled(&self, until: Instant) -> Arc<Session> {
        self.wait(until, |session| session.status() != Status::Pending).await
    }

    /// Says something to the sensor, if it is there: whoever comes later is told what it missed.
    pub(super) fn say(&self, what: live_order::What) {
        if !matches!(what, live_order::What::Run(_)) {
            self.say_stored();
        }
        self.send([what]);
    }

    /// Says later that an end is stored.
    pub(super) fn acknowledge(&self, command: u32) {
        self.stored.lock().push(command);
    }

    /// Says what ends are stored, if any were not said.
    pub(super) fn say_stored(&self) {
        let stored = std::mem::take(&mut *self.stored.lock());
        if !stored.is_empty() {
            self.send(stored.into_iter().map(live_order::What::Stored));
        }
    }

    fn send(&self, all: impl IntoIterator<Item = live_order::What>) {
        let session = self.number();
        let state = self.place.organization.state.lock();
        if let Some(link) = state.link(self.place.ordinal) {
            let order = |what| from_server::Message::Live(LiveOrder { session, what: Some(what) });
            all.into_iter().for_each(|what| link.send(order(what)));
        }
    }
}
