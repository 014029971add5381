//! Sensors that have an identity which this server does not know, and cannot have it again.
//!
//! They enrolled after the backup was made from which the server was restored, and their installation key is gone
//! since, say. What they tell of themselves is proven by nothing, so it is bounded in size and in how often it is told.

use muster_model::{Sid, Timestamp};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

/// Component of the organization's errors under which strangers are told.
pub const STRANGERS: &str = "strangers";

/// Strangers that are remembered: as many as fit into one error. Of more, the last are.
const STRANGERS_MAX: usize = 20;

/// Longest name of a host that is told, in characters.
const NAME_CHARS_MAX: usize = 40;

/// How often they are told at most: anyone who knows the id of the organization can make one up.
const TOLD_EVERY: Duration = Duration::from_secs(60);

/// The strangers of one organization.
#[derive(Default)]
pub struct Strangers(Mutex<Known>);

#[derive(Default)]
struct Known {
    last: BTreeMap<Sid, (Timestamp, String)>,
    told_at: Timestamp,
}

impl Strangers {
    /// One was refused. Gives what to tell the operators, if it is time to.
    pub fn came(&self, sid: Sid, hostname: &str, source: Option<IpAddr>, now: Timestamp) -> Option<String> {
        let mut known = self.0.lock();
        let name: String = hostname.chars().filter(|letter| !letter.is_control()).take(NAME_CHARS_MAX).collect();
        let source = source.map(|source| format!(" from {source}")).unwrap_or_default();
        known.last.insert(sid, (now, format!("{sid} ({name}{source})")));
        if known.last.len() > STRANGERS_MAX {
            let oldest = known.last.iter().min_by_key(|(_, (at, _))| *at).map(|(sid, _)| *sid);
            oldest.and_then(|sid| known.last.remove(&sid));
        }
        let is_due = known.told_at == Timestamp::ZERO
            || now.since(known.told_at) >= TOLD_EVERY
            || known.told_at.since(now) >= TOLD_EVERY;
        if !is_due {
            return None;
        }
        known.told_at = now;
        let names: Vec<&str> = known.last.values().map(|(_, name)| name.as_str()).collect();
        Some(format!(
            "sensors that this server does not know want to connect, and their installation key does not let them enrol \
             again: {}. If they enrolled after the backup was made from which this server was restored, give them a key \
             that holds: `muster-sensor --install KEY` there, or make room in its quota",
            names.join(", ")
        ))
    }

    /// One has its identity again.
    pub fn gone(&self, sid: Sid) {
        self.0.lock().last.remove(&sid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn strangers_are_told_with_what_to_do_but_neither_often_nor_without_end() {
        let strangers = Strangers::default();
        let sid = |number| Sid(Uuid::from_u128(number));
        let first = strangers.came(sid(1), "laptop\n-7", None, Timestamp::from_secs(100)).unwrap();
        assert!(first.contains(&format!("{} (laptop-7)", sid(1))) && first.contains("--install"), "{first}");
        for number in 2..1_000 {
            assert_eq!(strangers.came(sid(number), &"x".repeat(9_000), None, Timestamp::from_secs(101)), None);
        }
        let later = strangers.came(sid(1_000), "db", None, Timestamp::from_secs(161)).unwrap();
        assert!(later.len() < 2_048 && later.contains("(db)"), "{} bytes", later.len());
        strangers.gone(sid(1_000));
        assert!(!strangers.came(sid(1_001), "web", None, Timestamp::from_secs(300)).unwrap().contains("(db)"));
    }
}
