//! All sensors of one organization in memory, with the indexes that selectors use.
//!
//! A sensor's **ordinal** is its dense number within the organization. Sets of
//! sensors are bitmaps over ordinals, here, in tasks and in the store.

mod order;

pub use order::{SensorOrder, UnknownOrder};

use crate::sensor::SensorRow;
use muster_model::{Architecture, Did, Iid, Platform, Sensor, Sid};
use muster_selector::Flag;
use roaring::RoaringBitmap;
use std::collections::HashMap;
use std::sync::Arc;

/// The sensors of one organization.
#[derive(Default)]
pub struct Fleet {
    rows: Vec<Option<Box<SensorRow>>>,
    by_sid: HashMap<Sid, u32>,
    by_device: HashMap<Did, RoaringBitmap>,
    /// Sensors that are not deleted, by the installation key with which they enrolled.
    by_key: HashMap<Iid, RoaringBitmap>,
    all: RoaringBitmap,
    live: RoaringBitmap,
    by_flag: HashMap<Flag, RoaringBitmap>,
    by_tag: HashMap<Arc<str>, RoaringBitmap>,
    by_platform: HashMap<Platform, RoaringBitmap>,
    by_architecture: HashMap<Architecture, RoaringBitmap>,
    /// Sensors that have a tag with a time to live.
    fading: RoaringBitmap,
    order: order::Index,
}

impl Fleet {
    /// An ordinal for a new sensor; no one else gets it, also if the sensor never comes to be.
    #[must_use]
    pub fn reserve_ordinal(&mut self) -> u32 {
        self.rows.push(None);
        u32::try_from(self.rows.len() - 1).unwrap_or(u32::MAX)
    }

    /// Keeps an ordinal from new sensors, though nothing is known of the one that has it.
    pub fn set_aside(&mut self, ordinal: u32) {
        let rows = self.rows.len().max(ordinal as usize + 1);
        self.rows.resize_with(rows, || None);
    }

    /// Takes in a sensor, new or changed.
    pub fn put(&mut self, row: SensorRow) {
        let ordinal = row.ordinal;
        let place = ordinal as usize;
        if place >= self.rows.len() {
            self.rows.resize_with(place + 1, || None);
        }
        let old = self.rows[place].take();
        if let Some(old) = &old {
            self.unindex(ordinal, &old.sensor);
        }
        self.index(ordinal, &row.sensor);
        self.order.put(ordinal, old.as_deref().map(|old| &old.sensor), &row.sensor);
        self.rows[place] = Some(Box::new(row));
    }

    fn index(&mut self, ordinal: u32, sensor: &Sensor) {
        self.by_sid.insert(sensor.sid, ordinal);
        self.all.insert(ordinal);
        if !sensor.deleted {
            self.live.insert(ordinal);
            self.by_key.entry(sensor.iid).or_default().insert(ordinal);
        }
        for flag in Flag::ALL.into_iter().filter(|flag| flag.is_set(sensor)) {
            self.by_flag.entry(flag).or_default().insert(ordinal);
        }
        if let Some(did) = sensor.did {
            self.by_device.entry(did).or_default().insert(ordinal);
        }
        for tag in &sensor.tags {
            self.by_tag.entry(Arc::clone(&tag.name)).or_default().insert(ordinal);
        }
        if sensor.tags.iter().any(|tag| tag.expires_at.is_some()) {
            self.fading.insert(ordinal);
        }
        self.by_platform.entry(sensor.platform).or_default().insert(ordinal);
        self.by_architecture.entry(sensor.architecture).or_default().insert(ordinal);
    }

    fn unindex(&mut self, ordinal: u32, sensor: &Sensor) {
        self.live.remove(ordinal);
        if let Some(set) = self.by_key.get_mut(&sensor.iid) {
            set.remove(ordinal);
        }
        for set in self.by_flag.values_mut() {
            set.remove(ordinal);
        }
        self.fading.remove(ordinal);
        if let Some(set) = sensor.did.and_then(|did| self.by_device.get_mut(&did)) {
            set.remove(ordinal);
        }
        for tag in &sensor.tags {
            if let Some(set) = self.by_tag.get_mut(&tag.name) {
                set.remove(ordinal);
                if set.is_empty() {
                    self.by_tag.remove(&tag.name);
                }
            }
        }
        if let Some(set) = self.by_platform.get_mut(&sensor.platform) {
            set.remove(ordinal);
        }
        if let Some(set) = self.by_architecture.get_mut(&sensor.architecture) {
            set.remove(ordinal);
        }
    }

    /// A sensor by its ordinal, deleted ones too.
    #[must_use]
    pub fn row(&self, ordinal: u32) -> Option<&SensorRow> {
        self.rows.get(ordinal as usize)?.as_deref()
    }

    /// The ordinal of a sensor, deleted ones too.
    #[must_use]
    pub fn ordinal(&self, sid: Sid) -> Option<u32> {
        self.by_sid.get(&sid).copied()
    }

    /// A sensor that is not deleted.
    #[must_use]
    pub fn find(&self, sid: Sid) -> Option<&SensorRow> {
        self.row(self.ordinal(sid)?).filter(|row| !row.sensor.deleted)
    }

    /// Ordinals of sensors that are not deleted.
    #[must_use]
    pub fn live(&self) -> &RoaringBitmap {
        &self.live
    }

    /// Ordinals of sensors with a tag that will go away by itself.
    #[must_use]
    pub fn fading(&self) -> &RoaringBitmap {
        &self.fading
    }

    /// How many sensors that are not deleted enrolled with an installation key.
    #[must_use]
    pub fn enrolled_with(&self, iid: Iid) -> u64 {
        self.by_key.get(&iid).map_or(0, RoaringBitmap::len)
    }

    /// The sensors at places `offset` and following of a set of sensors in this order, at most `limit`; `online` are
    /// those with a live link. Takes time with the distance of the page from the nearer end of the order.
    #[must_use]
    pub fn page(
        &self,
        set: &RoaringBitmap,
        online: &RoaringBitmap,
        order: SensorOrder,
        (offset, limit): (u64, usize),
    ) -> Vec<u32> {
        self.order.page(set, online, order, (offset, limit))
    }

    /// Every tag in use, sorted.
    #[must_use]
    pub fn tags(&self) -> Vec<Arc<str>> {
        let mut tags: Vec<_> = self.by_tag.keys().cloned().collect();
        tags.sort();
        tags
    }

    /// Ordinals of the sensors on a device.
    #[must_use]
    pub fn on_device(&self, did: Did) -> Option<&RoaringBitmap> {
        self.by_device.get(&did)
    }

    /// Ordinals by platform and architecture, for checks that depend on nothing else.
    pub fn kinds(&self) -> impl Iterator<Item = (Platform, Architecture, RoaringBitmap)> + '_ {
        self.by_platform.iter().flat_map(move |(platform, of_platform)| {
            self.by_architecture
                .iter()
                .map(move |(architecture, set)| (*platform, *architecture, of_platform & set))
                .filter(|(_, _, both)| !both.is_empty())
        })
    }
}

impl muster_selector::Fleet for Fleet {
    fn all(&self) -> &RoaringBitmap {
        &self.all
    }

    fn sensor(&self, ordinal: u32) -> Option<&Sensor> {
        self.row(ordinal).map(|row| &row.sensor)
    }

    fn by_sid(&self, sid: Sid) -> Option<u32> {
        self.ordinal(sid)
    }

    fn tagged(&self, tag: &str) -> Option<&RoaringBitmap> {
        self.by_tag.get(tag)
    }

    fn on_platform(&self, platform: Platform) -> Option<&RoaringBitmap> {
        self.by_platform.get(&platform)
    }

    fn with_architecture(&self, architecture: Architecture) -> Option<&RoaringBitmap> {
        self.by_architecture.get(&architecture)
    }

    fn flagged(&self, flag: Flag) -> Option<&RoaringBitmap> {
        self.by_flag.get(&flag)
    }
}
