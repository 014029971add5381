//! Orders in which sensors are listed, and the indexes that have them ready.
//!
//! A fleet of 100,000 sensors is never sorted for a request: the indexes follow each change of a sensor.

use muster_model::{Sensor, Timestamp};
use roaring::RoaringBitmap;
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

/// What sensors are ordered by. Equal ones stand in the order of their enrolment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Key {
    Enrolled,
    Hostname,
    Alive,
}

/// An order of sensors: `enrolled`, `hostname` (in any case) or `alive` (when it connected last; those that are
/// online come after all others), with a minus in front for the reverse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SensorOrder {
    key: Key,
    is_reverse: bool,
}

/// An order that there is not; the text says which ones there are.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct UnknownOrder(String);

impl fmt::Display for UnknownOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unknown sort: {:?}; one of {}", self.0, SensorOrder::NAMES.join(", "))
    }
}

impl SensorOrder {
    /// As written in a request.
    pub const NAMES: [&str; 6] = ["enrolled", "-enrolled", "hostname", "-hostname", "alive", "-alive"];

    /// The order of enrolment.
    pub const ENROLLED: Self = Self { key: Key::Enrolled, is_reverse: false };
}

impl FromStr for SensorOrder {
    type Err = UnknownOrder;

    fn from_str(text: &str) -> Result<Self, UnknownOrder> {
        let (is_reverse, name) = text.strip_prefix('-').map_or((false, text), |name| (true, name));
        let key = match name {
            "enrolled" => Key::Enrolled,
            "hostname" => Key::Hostname,
            "alive" => Key::Alive,
            _ => return Err(UnknownOrder(text.chars().take(32).collect())),
        };
        Ok(Self { key, is_reverse })
    }
}

/// All sensors, deleted ones too, by what they can be ordered by.
#[derive(Default)]
pub(super) struct Index {
    /// By the hostname in lower case.
    by_hostname: BTreeSet<(Box<str>, u32)>,
    by_alive: BTreeSet<(Timestamp, u32)>,
}

impl Index {
    /// Takes in a sensor, new or changed.
    pub(super) fn put(&mut self, ordinal: u32, before: Option<&Sensor>, after: &Sensor) {
        let key = |sensor: &Sensor| (sensor.hostname.to_lowercase().into_boxed_str(), ordinal);
        if before.is_none_or(|before| before.hostname != after.hostname) {
            if let Some(before) = before {
                self.by_hostname.remove(&key(before));
            }
            self.by_hostname.insert(key(after));
        }
        if let Some(before) = before {
            self.by_alive.remove(&(before.alive_at, ordinal));
        }
        self.by_alive.insert((after.alive_at, ordinal));
    }

    /// The sensors at places `offset` and following of a set in this order, at most `limit`.
    ///
    /// By enrolment it costs as much as the page is long. Otherwise it costs one step for each sensor of the fleet
    /// between the page and the nearer end of the order, at most half of the fleet where the set is all of it.
    pub(super) fn page(
        &self,
        set: &RoaringBitmap,
        online: &RoaringBitmap,
        order: SensorOrder,
        (offset, limit): (u64, usize),
    ) -> Vec<u32> {
        let rest = set.len().saturating_sub(offset);
        let length = usize::try_from(rest).unwrap_or(usize::MAX).min(limit);
        if length == 0 {
            return Vec::new();
        }
        // Sensors behind the page: as many stand before it when the order is read from its other end.
        let behind = rest - u64::try_from(length).unwrap_or(rest);
        let from_behind = match order.key {
            Key::Enrolled => order.is_reverse,
            Key::Hostname | Key::Alive => behind < offset,
        };
        let skipped = if from_behind { behind } else { offset };
        let is_reverse = order.is_reverse != from_behind;
        let places = (usize::try_from(skipped).unwrap_or(usize::MAX), length);
        let mut page = match order.key {
            Key::Enrolled => enrolled(set, places),
            Key::Hostname => cut(self.by_hostname.iter().map(|(_, ordinal)| *ordinal), set, is_reverse, places),
            Key::Alive => {
                // Those that are online are alive now, all alike.
                let silent = self.by_alive.iter().map(|(_, ordinal)| *ordinal).filter(|at| !online.contains(*at));
                let present = set & online;
                cut(silent.chain(present.iter()), set, is_reverse, places)
            }
        };
        if from_behind {
            page.reverse();
        }
        page
    }
}

fn enrolled(set: &RoaringBitmap, (skipped, length): (usize, usize)) -> Vec<u32> {
    let first = u32::try_from(skipped).ok().and_then(|place| set.select(place));
    first.map(|first| set.range(first..).take(length).collect()).unwrap_or_default()
}

fn cut(
    all: impl DoubleEndedIterator<Item = u32>,
    set: &RoaringBitmap,
    is_reverse: bool,
    (skipped, length): (usize, usize),
) -> Vec<u32> {
    let chosen = all.filter(|ordinal| set.contains(*ordinal));
    if is_reverse {
        chosen.rev().skip(skipped).take(length).collect()
    } else {
        chosen.skip(skipped).take(length).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_model::{Architecture, Iid, Oid, Platform, Sid};
    use proptest::prelude::*;
    use uuid::Uuid;

    fn sensor(hostname: &str, alive_s: i64) -> Sensor {
        let at = Timestamp::from_secs(alive_s);
        let (sid, oid, iid) = (Sid(Uuid::nil()), Oid(Uuid::nil()), Iid(Uuid::nil()));
        let new = Sensor::enrolled(sid, oid, iid, Platform::LINUX, Architecture::X64, at);
        Sensor { hostname: hostname.into(), ..new }
    }

    proptest! {
        /// Every page of every order is what sorting all sensors gives, after sensors were changed.
        #[test]
        fn a_page_is_a_piece_of_the_sorted_list(
            sensors in prop::collection::vec(("[abAB]{0,2}", 0_i64..4, any::<bool>(), any::<bool>()), 1..40),
            renamed in prop::collection::vec((any::<prop::sample::Index>(), "[abAB]{0,2}", 0_i64..4), 0..10),
            offset in 0_u64..45,
            limit in 0_usize..45,
        ) {
            let mut index = Index::default();
            let mut known: Vec<Sensor> = Vec::new();
            for (ordinal, (hostname, alive, ..)) in (0..).zip(&sensors) {
                known.push(sensor(hostname, *alive));
                index.put(ordinal, None, known.last().unwrap());
            }
            for (at, hostname, alive) in &renamed {
                let at = at.index(known.len());
                let after = sensor(hostname, *alive);
                index.put(u32::try_from(at).unwrap(), Some(&known[at]), &after);
                known[at] = after;
            }
            let those = |of: fn(&(String, i64, bool, bool)) -> bool| -> RoaringBitmap {
                (0..).zip(&sensors).filter(|(_, sensor)| of(sensor)).map(|(ordinal, _)| ordinal).collect()
            };
            let (set, online) = (those(|sensor| sensor.2), those(|sensor| sensor.3));
            for name in SensorOrder::NAMES {
                let mut sorted: Vec<u32> = set.iter().collect();
                let of = |ordinal: &u32| &known[*ordinal as usize];
                match name.trim_start_matches('-') {
                    "hostname" => sorted.sort_by_key(|ordinal| of(ordinal).hostname.to_lowercase()),
                    "alive" => sorted.sort_by_key(|at| (online.contains(*at), (!online.contains(*at)).then(|| of(at).alive_at))),
                    _ => {}
                }
                if name.starts_with('-') {
                    sorted.reverse();
                }
                let from = sorted.len().min(usize::try_from(offset).unwrap());
                let to = sorted.len().min(from + limit);
                let page = index.page(&set, &online, name.parse().unwrap(), (offset, limit));
                prop_assert_eq!(page, &sorted[from..to], "{}", name);
            }
        }
    }

    #[test]
    fn an_unknown_order_names_those_that_there_are() {
        let error = "name".parse::<SensorOrder>().unwrap_err().to_string();
        assert_eq!(error, r#"unknown sort: "name"; one of enrolled, -enrolled, hostname, -hostname, alive, -alive"#);
        assert!("--alive".parse::<SensorOrder>().is_err());
    }
}
