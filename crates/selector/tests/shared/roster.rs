//! A fleet in memory with all its indexes, for tests.

use muster_model::{Architecture, Platform, Sensor, Sid};
use muster_selector::{Flag, Fleet};
use roaring::RoaringBitmap;
use std::collections::BTreeMap;

#[derive(Debug, Default)]
pub struct Roster {
    sensors: Vec<Sensor>,
    all: RoaringBitmap,
    ordinals: BTreeMap<Sid, u32>,
    tags: BTreeMap<String, RoaringBitmap>,
    platforms: BTreeMap<Platform, RoaringBitmap>,
    architectures: BTreeMap<Architecture, RoaringBitmap>,
    flags: [RoaringBitmap; Flag::ALL.len()],
}

impl Roster {
    pub fn new(sensors: Vec<Sensor>) -> Self {
        let mut roster = Self::default();
        for (ordinal, sensor) in (0_u32..).zip(&sensors) {
            roster.all.insert(ordinal);
            roster.ordinals.insert(sensor.sid, ordinal);
            roster.platforms.entry(sensor.platform).or_default().insert(ordinal);
            roster.architectures.entry(sensor.architecture).or_default().insert(ordinal);
            for tag in sensor.tag_names() {
                roster.tags.entry(tag.to_owned()).or_default().insert(ordinal);
            }
            for (flag, bitmap) in Flag::ALL.iter().zip(&mut roster.flags) {
                if flag.is_set(sensor) {
                    bitmap.insert(ordinal);
                }
            }
        }
        Self { sensors, ..roster }
    }

    pub fn sensors(&self) -> &[Sensor] {
        &self.sensors
    }
}

impl Fleet for Roster {
    fn all(&self) -> &RoaringBitmap {
        &self.all
    }

    fn sensor(&self, ordinal: u32) -> Option<&Sensor> {
        self.sensors.get(usize::try_from(ordinal).ok()?)
    }

    fn by_sid(&self, sid: Sid) -> Option<u32> {
        self.ordinals.get(&sid).copied()
    }

    fn tagged(&self, tag: &str) -> Option<&RoaringBitmap> {
        self.tags.get(tag)
    }

    fn on_platform(&self, platform: Platform) -> Option<&RoaringBitmap> {
        self.platforms.get(&platform)
    }

    fn with_architecture(&self, architecture: Architecture) -> Option<&RoaringBitmap> {
        self.architectures.get(&architecture)
    }

    fn flagged(&self, flag: Flag) -> Option<&RoaringBitmap> {
        self.flags.get(Flag::ALL.iter().position(|known| *known == flag)?)
    }
}
