//! One organization in memory: its sensors, its tasks, its links.
//!
//! The state is behind one lock that is never held across a wait. Changes go:
//! decide under the lock, make durable, apply under the lock, answer.

use crate::fleet::Fleet;
use crate::gateway::Link;
use crate::records::{Kind, SERVER};
use muster_model::{Oid, Sid, Timestamp};
use muster_tasking::Queue;
use parking_lot::Mutex;
use roaring::RoaringBitmap;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// Organizations, by oid; owned by the server.
pub const ORGANIZATION: Kind<Profile> = Kind::new("organization");

/// Where organization records are kept.
pub const ORGANIZATION_OWNER: Oid = SERVER;

/// What is stored of an organization.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Profile {
    /// For people.
    pub name: String,
    /// When.
    pub created_at: Timestamp,
    /// Online sensors allowed; 0 is as many as the server allows.
    #[serde(default)]
    pub sensor_quota: u32,
}

/// One organization.
pub struct Organization {
    /// Its id.
    pub oid: Oid,
    /// Everything that changes.
    pub state: Mutex<State>,
    /// One change of a sensor's record at a time: decide, store, apply.
    pub sensor_changes: SensorLocks,
    /// One change of a task's control at a time: decide, store, apply. What is stored
    /// last is what holds, so they must be stored in the order in which they apply.
    pub control_changes: tokio::sync::Mutex<()>,
}

/// Locks that sensors share. Enough that receipts of sensors which already have a
/// task do not queue behind each other, nor a fan-out behind them; less than a megabyte.
const SENSOR_LOCKS: usize = 16_384;

/// Keeps changes of one sensor apart, and lets those of others share a disk sync:
/// in a storm of connections each sensor has its record changed.
pub struct SensorLocks(Box<[tokio::sync::Mutex<()>]>);

impl Default for SensorLocks {
    fn default() -> Self {
        Self((0..SENSOR_LOCKS).map(|_| tokio::sync::Mutex::new(())).collect())
    }
}

impl SensorLocks {
    /// Waits until no one else changes any of these sensors; until the guards are
    /// dropped, no one else will. Locks are always taken in the same order.
    pub async fn lock(&self, ordinals: &[u32]) -> Vec<tokio::sync::MutexGuard<'_, ()>> {
        let places: BTreeSet<usize> = ordinals.iter().map(|ordinal| *ordinal as usize % self.0.len()).collect();
        let mut guards = Vec::with_capacity(places.len());
        for place in places {
            guards.push(self.0[place].lock().await);
        }
        guards
    }
}

/// What changes in an organization.
#[derive(Default)]
pub struct State {
    /// All sensors.
    pub fleet: Fleet,
    /// All reliable tasks.
    pub queue: Queue,
    /// Live links by sensor ordinal.
    pub links: HashMap<u32, Arc<Link>>,
    /// The same as a set.
    pub online: RoaringBitmap,
    /// Spool of each online sensor, and its highest stored event.
    pub spools: HashMap<u32, ([u8; 16], u64)>,
}

impl Organization {
    /// An organization with nothing in it.
    #[must_use]
    pub fn new(oid: Oid) -> Self {
        Self {
            oid,
            state: Mutex::new(State::default()),
            sensor_changes: SensorLocks::default(),
            control_changes: tokio::sync::Mutex::new(()),
        }
    }
}

impl State {
    /// The link of a sensor that is online.
    #[must_use]
    pub fn link_of(&self, sid: Sid) -> Option<&Arc<Link>> {
        self.links.get(&self.fleet.ordinal(sid)?)
    }

    /// Whether a sensor has a live link.
    #[must_use]
    pub fn is_online(&self, ordinal: u32) -> bool {
        self.links.contains_key(&ordinal)
    }
}
