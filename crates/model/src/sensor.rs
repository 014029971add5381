//! The sensor record: what the server knows of one endpoint.

use crate::{Architecture, Did, Iid, Oid, Platform, Sid, Timestamp};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A tag in force on a sensor.
///
/// Source: reference/sensor.md section 7.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tag {
    /// The tag itself: any text, case sensitive. Shared, since a fleet has few distinct tags.
    pub name: Arc<str>,
    /// Who put it there: a key name, `installation key`, or a rule.
    pub added_by: Arc<str>,
    /// When it was put there.
    pub added_at: Timestamp,
    /// When it goes away by itself; `None` is permanent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

/// What the server knows of one enrolled endpoint.
///
/// `should_*` is what operators want, the plain flag what the endpoint last
/// reported. Source: reference/sensor.md sections 1, 9, 13.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)] // Fields carry the names of the published record.
pub struct Sensor {
    pub sid: Sid,
    pub oid: Oid,
    pub iid: Iid,
    pub did: Option<Did>,
    pub platform: Platform,
    /// Operating system of the host a multi-platform source reports on; 0 for ordinary sensors.
    pub ext_platform: Platform,
    pub architecture: Architecture,
    pub hostname: Box<str>,
    /// Upper-case hex joined by `-`, as reported.
    pub mac_addr: Box<str>,
    /// Source address the server saw last.
    pub ext_ip: Box<str>,
    /// Address the sensor reported last.
    pub int_ip: Box<str>,
    pub version: Box<str>,
    pub enrolled_at: Timestamp,
    /// Last time that the sensor connected, not the last event.
    pub alive_at: Timestamp,
    pub isolated: bool,
    pub should_isolate: bool,
    pub sealed: bool,
    pub should_seal: bool,
    /// Kernel-level acquisition is available.
    pub kernel: bool,
    pub deleted: bool,
    /// Sorted by name, each name once; may hold expired tags until they are swept.
    pub tags: Vec<Tag>,
}

impl Sensor {
    /// A sensor that has just enrolled with an installation key: nothing but its
    /// identity and kind is known, nobody wants anything of it yet.
    #[must_use]
    pub fn enrolled(
        sid: Sid,
        oid: Oid,
        iid: Iid,
        platform: Platform,
        architecture: Architecture,
        at: Timestamp,
    ) -> Self {
        Self {
            sid,
            oid,
            iid,
            did: None,
            platform,
            ext_platform: Platform::NONE,
            architecture,
            hostname: "".into(),
            mac_addr: "".into(),
            ext_ip: "".into(),
            int_ip: "".into(),
            version: "".into(),
            enrolled_at: at,
            alive_at: at,
            isolated: false,
            should_isolate: false,
            sealed: false,
            should_seal: false,
            kernel: false,
            deleted: false,
            tags: Vec::new(),
        }
    }

    /// Whether the tag is in force; tag names compare byte for byte.
    #[must_use]
    pub fn has_tag(&self, name: &str) -> bool {
        self.tags.binary_search_by(|tag| (*tag.name).cmp(name)).is_ok()
    }

    /// Names of the tags in force, sorted.
    pub fn tag_names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.tags.iter().map(|tag| &*tag.name)
    }

    /// Puts a tag on, or replaces its time to live if it is there already.
    pub fn put_tag(&mut self, tag: Tag) {
        match self.tags.binary_search_by(|have| have.name.cmp(&tag.name)) {
            Ok(at) => {
                if let Some(have) = self.tags.get_mut(at) {
                    *have = tag;
                }
            }
            Err(at) => self.tags.insert(at, tag),
        }
    }

    /// Takes a tag off; tells whether it was there.
    pub fn take_tag(&mut self, name: &str) -> bool {
        let found = self.tags.binary_search_by(|tag| (*tag.name).cmp(name));
        found.map(|at| self.tags.remove(at)).is_ok()
    }

    /// Whether commands can be sent at all: an endpoint operating system, and not a log adapter.
    ///
    /// Source: reference/selectors.md section 8.1.
    #[must_use]
    pub fn is_taskable(&self) -> bool {
        self.platform.is_taskable() && self.architecture != Architecture::USP_ADAPTER
    }
}
