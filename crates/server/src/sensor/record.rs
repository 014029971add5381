//! The sensor record as the API shows it.

use crate::clock;
use muster_model::{Architecture, Did, Iid, Oid, Platform, Sensor, Sid};
use serde::{Serialize, Serializer};

/// A sensor in the shape of the API. Both spellings of a flag are given, because
/// different generations of clients read different ones.
/// Source: reference/sensor.md section 13.
#[derive(Serialize)]
pub struct SensorRecord<'a> {
    sid: Sid,
    oid: Oid,
    iid: Iid,
    #[serde(serialize_with = "or_empty")]
    did: Option<Did>,
    plat: Platform,
    ext_plat: Platform,
    arch: Architecture,
    hostname: &'a str,
    enroll: String,
    alive: String,
    ext_ip: &'a str,
    int_ip: &'a str,
    mac_addr: &'a str,
    is_isolated: bool,
    isolated: bool,
    should_isolate: bool,
    is_sealed: bool,
    sealed: bool,
    should_seal: bool,
    is_kernel_available: bool,
    kernel: bool,
    version: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    tags: Option<Vec<&'a str>>,
    is_online: bool,
}

impl<'a> SensorRecord<'a> {
    /// Names of the fields.
    pub const FIELDS: &'static [&'static str] = &[
        "sid",
        "oid",
        "iid",
        "did",
        "plat",
        "ext_plat",
        "arch",
        "hostname",
        "enroll",
        "alive",
        "ext_ip",
        "int_ip",
        "mac_addr",
        "is_isolated",
        "isolated",
        "should_isolate",
        "is_sealed",
        "sealed",
        "should_seal",
        "is_kernel_available",
        "kernel",
        "version",
        "tags",
        "is_online",
    ];

    /// The record of a sensor.
    #[must_use]
    pub fn new(sensor: &'a Sensor, is_online: bool) -> Self {
        Self {
            sid: sensor.sid,
            oid: sensor.oid,
            iid: sensor.iid,
            did: sensor.did,
            plat: sensor.platform,
            ext_plat: sensor.ext_platform,
            arch: sensor.architecture,
            hostname: &sensor.hostname,
            enroll: clock::text(sensor.enrolled_at),
            // Clients tell by this how long a sensor has been silent: one that is connected is not.
            alive: clock::text(if is_online { clock::now() } else { sensor.alive_at }),
            ext_ip: &sensor.ext_ip,
            int_ip: &sensor.int_ip,
            mac_addr: &sensor.mac_addr,
            is_isolated: sensor.isolated,
            isolated: sensor.isolated,
            should_isolate: sensor.should_isolate,
            is_sealed: sensor.sealed,
            sealed: sensor.sealed,
            should_seal: sensor.should_seal,
            is_kernel_available: sensor.kernel,
            kernel: sensor.kernel,
            version: &sensor.version,
            tags: Some(sensor.tag_names().collect()),
            is_online,
        }
    }

    /// The same record without the field `tags`.
    #[must_use]
    pub fn without_tags(self) -> Self {
        Self { tags: None, ..self }
    }
}

fn or_empty<S: Serializer>(did: &Option<Did>, to: S) -> Result<S::Ok, S::Error> {
    match did {
        Some(did) => did.serialize(to),
        None => to.serialize_str(""),
    }
}
