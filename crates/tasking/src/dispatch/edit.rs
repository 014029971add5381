//! Changes of a sensor's record.

use crate::sensor::SensorRow;
use muster_model::{Did, Oid, Tag, Timestamp};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// Longest text that a sensor may report of itself, in bytes; more is cut.
const REPORTED_BYTES_MAX: usize = 256;

/// That a deleted sensor tries to connect is told at most this often for each. Source: reference/sensor.md section 6.
const DENIED_EVERY: Duration = Duration::from_secs(24 * 3_600);

/// Flags that the server keeps for a sensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flag {
    /// Network isolation.
    Isolation,
    /// Tamper resistance.
    Seal,
}

/// A change of a sensor's record.
#[derive(Clone, Debug, PartialEq)]
pub enum Edit {
    /// Puts tags on.
    PutTags {
        /// Their names.
        names: Vec<Arc<str>>,
        /// They go away by themselves after so long.
        ttl: Option<Duration>,
        /// Who puts them there.
        by: Arc<str>,
    },
    /// Takes tags off.
    TakeTags(Vec<Box<str>>),
    /// Takes off tags whose time has run out.
    Fade,
    /// Sets what the server wants of it.
    Flag(Flag, bool),
    /// It is cut off, refused from now on, and owed nothing any more.
    Delete,
    /// It may connect again, with its tags and history.
    Undelete,
    /// It told something of itself.
    Report(Box<Reported>),
    /// It was deleted, and tried to connect.
    Deny,
}

/// What a sensor reports of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "as in the link protocol")]
pub struct Reported {
    pub platform: u32,
    pub architecture: u32,
    pub hostname: String,
    pub int_ip: String,
    pub mac_addr: String,
    pub version: String,
    pub fingerprint: String,
    pub boot_id: String,
    pub journal_id: Vec<u8>,
    pub kernel: bool,
    pub isolated: bool,
    pub sealed: bool,
}

/// Why a change of its record ends what a sensor is owed.
#[derive(Clone, Copy)]
pub(super) struct Abandonment {
    /// For people.
    pub reason: &'static str,
    /// What was under way is lost with the journal that knew of it.
    pub journal_is_lost: bool,
}

impl Edit {
    /// Whether operators are told of it.
    pub(super) fn is_told(&self) -> bool {
        !matches!(self, Self::Report(_) | Self::Deny)
    }

    /// Whether it ends what the sensor is owed.
    pub(super) fn ends(&self) -> Option<Abandonment> {
        let is_end = matches!(self, Self::Delete);
        is_end.then_some(Abandonment { reason: "the sensor was deleted", journal_is_lost: false })
    }

    /// Changes a record; tells whether anything changed.
    pub(super) fn apply(&self, row: &mut SensorRow, now: Timestamp) -> bool {
        match self {
            Self::PutTags { names, ttl, by } => put_tags(row, names, *ttl, by, now),
            Self::TakeTags(names) => names.iter().filter(|name| row.sensor.take_tag(name)).count() > 0,
            Self::Fade => {
                let before = row.sensor.tags.len();
                row.sensor.tags.retain(|tag| !is_over(tag, now));
                row.sensor.tags.len() != before
            }
            Self::Flag(flag, wanted) => {
                match flag {
                    Flag::Isolation => (row.sensor.should_isolate, row.owns_isolation) = (*wanted, true),
                    Flag::Seal => (row.sensor.should_seal, row.owns_seal) = (*wanted, true),
                }
                true
            }
            Self::Delete => {
                row.denied_at = Timestamp::ZERO;
                !std::mem::replace(&mut row.sensor.deleted, true)
            }
            Self::Undelete => std::mem::replace(&mut row.sensor.deleted, false),
            Self::Report(reported) => {
                let before = row.sensor.clone();
                apply_report(row, reported);
                row.sensor != before
            }
            Self::Deny => {
                let is_due = row.denied_at == Timestamp::ZERO || now.since(row.denied_at) >= DENIED_EVERY;
                if is_due {
                    row.denied_at = now;
                }
                is_due
            }
        }
    }
}

/// Whether a tag's time has run out.
pub(super) fn is_over(tag: &Tag, now: Timestamp) -> bool {
    tag.expires_at.is_some_and(|at| at <= now)
}

fn put_tags(row: &mut SensorRow, names: &[Arc<str>], ttl: Option<Duration>, by: &Arc<str>, now: Timestamp) -> bool {
    let mut changed = false;
    for name in names {
        let expires_at = ttl.map(|ttl| now.saturating_add(ttl));
        let have = row.sensor.tags.iter().find(|have| *have.name == **name);
        // Putting on what is there for ever changes nothing: a mass tag is cheap to repeat.
        if !have.is_some_and(|have| have.expires_at.is_none() && expires_at.is_none()) {
            row.sensor.put_tag(Tag { name: Arc::clone(name), added_by: Arc::clone(by), added_at: now, expires_at });
            changed = true;
        }
    }
    changed
}

/// Takes over what a sensor reports of itself.
pub(super) fn apply_report(row: &mut SensorRow, reported: &Reported) {
    let sensor = &mut row.sensor;
    sensor.hostname = cut(&reported.hostname);
    sensor.int_ip = cut(&reported.int_ip);
    sensor.mac_addr = cut(&reported.mac_addr);
    sensor.version = cut(&reported.version);
    sensor.kernel = reported.kernel;
    sensor.isolated = reported.isolated;
    sensor.sealed = reported.sealed;
    if !reported.fingerprint.is_empty() {
        row.fingerprint = cut(&reported.fingerprint).into();
        sensor.did = device_of(sensor.oid, &row.fingerprint);
    }
}

fn cut(text: &str) -> Box<str> {
    let end = (0..=REPORTED_BYTES_MAX.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    text[..end].into()
}

fn device_of(oid: Oid, fingerprint: &str) -> Option<Did> {
    (!fingerprint.is_empty()).then(|| Did(Uuid::new_v5(&oid.0, fingerprint.as_bytes())))
}
