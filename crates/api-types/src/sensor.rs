//! Sensors and their tags. Source: reference/sensor.md section 13, reference/rest-api.md section 7.2.

use crate::schema;
use muster_model::{Architecture, Iid, Oid, Platform, Sid};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// A sensor. Both spellings of a flag are given, because different generations of clients read different ones.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Sensor<'a> {
    /// Its id.
    #[schemars(with = "schema::Sid")]
    pub sid: Sid,
    /// The organization.
    #[schemars(with = "schema::Oid")]
    pub oid: Oid,
    /// The installation key with which it enrolled.
    #[schemars(with = "schema::Iid")]
    pub iid: Iid,
    /// Its device; empty if that is not known.
    pub did: String,
    /// Operating system.
    #[schemars(with = "schema::Platform")]
    pub plat: Platform,
    /// Operating system of the host that a source for several reports on; 0 for ordinary sensors.
    #[schemars(with = "schema::Platform")]
    pub ext_plat: Platform,
    /// Processor.
    #[schemars(with = "schema::Architecture")]
    pub arch: Architecture,
    /// Name of the endpoint.
    pub hostname: Cow<'a, str>,
    /// When it enrolled: `YYYY-MM-DD HH:MM:SS`, UTC.
    pub enroll: String,
    /// When it connected last, in the same form; now, if it is online.
    pub alive: String,
    /// Address from which it connected last.
    pub ext_ip: Cow<'a, str>,
    /// Address that it reported last.
    pub int_ip: Cow<'a, str>,
    /// Hexadecimal in capitals, joined by `-`.
    pub mac_addr: Cow<'a, str>,
    /// Cut off the network, as it reported last.
    pub is_isolated: bool,
    /// The same as `is_isolated`.
    pub isolated: bool,
    /// An operator wants it cut off the network.
    pub should_isolate: bool,
    /// Protected against tampering, as it reported last.
    pub is_sealed: bool,
    /// The same as `is_sealed`.
    pub sealed: bool,
    /// An operator wants it protected against tampering.
    pub should_seal: bool,
    /// Acquires events in the kernel.
    pub is_kernel_available: bool,
    /// The same as `is_kernel_available`.
    pub kernel: bool,
    /// Version of its program.
    pub version: Cow<'a, str>,
    /// Tags in force, sorted; absent if the call said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<Cow<'a, str>>>,
    /// Whether it has a live link now.
    pub is_online: bool,
}

/// Some fields of a sensor: those that the call asked for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SensorFields(pub Map<String, Value>);

impl JsonSchema for SensorFields {
    fn schema_name() -> Cow<'static, str> {
        "SensorFields".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = Sensor::json_schema(generator);
        schema.remove("required");
        schema.insert("description".into(), "Some fields of a sensor: those that the call asked for.".into());
        schema
    }
}

/// Sensors, page by page: each as a whole, or only the `fields` that were asked for, or compressed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum SensorList<'a> {
    /// As they are.
    Page(SensorPage<'a>),
    /// With `fields`.
    Fields(SensorFieldsPage),
    /// With `is_compressed`.
    Compressed(CompressedSensorPage),
}

/// A page of sensors.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SensorPage<'a> {
    /// Those of this page.
    pub sensors: Vec<Sensor<'a>>,
    /// Leads to the next page; absent on the last, and where pages go by `offset`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub continuation_token: Option<String>,
    /// How many there are on all pages, where pages go by `offset`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
}

/// A page of sensors with only the fields that were asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SensorFieldsPage {
    /// Those of this page.
    pub sensors: Vec<SensorFields>,
    /// As of a page of whole sensors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub continuation_token: Option<String>,
    /// As of a page of whole sensors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
}

/// A page of sensors, compressed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CompressedSensorPage {
    /// Base64 of gzip of the list.
    pub sensors: String,
    /// As of a page that is not compressed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub continuation_token: Option<String>,
    /// As of a page that is not compressed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
}

/// Every sensor in one answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SensorExport<'a> {
    /// In the order of enrolment.
    pub sensors: Vec<Sensor<'a>>,
}

/// One sensor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SensorState<'a> {
    /// Its record.
    pub info: Sensor<'a>,
    /// Whether it has a live link now.
    pub is_online: bool,
    /// Clients take a sensor for online if this is not empty.
    pub online: OnlineState,
    /// Events that had to wait since it connected, as it sends more than it may in a minute.
    pub events_held_back: u64,
}

/// Since when a sensor is online; empty if it is not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OnlineState {
    /// True, or absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is_online: Option<bool>,
    /// Since when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<schema::UnixSeconds>")]
    pub since: Option<i64>,
}

/// Network isolation of a sensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Isolation {
    /// As the sensor reported last.
    pub is_isolated: bool,
    /// As an operator wants it.
    pub should_isolate: bool,
}

/// Protection of a sensor against tampering.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Seal {
    /// As the sensor reported last.
    pub is_sealed: bool,
    /// As an operator wants it.
    pub should_seal: bool,
}

/// Number of sensors online.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OnlineCount {
    /// How many.
    pub count: u64,
}

/// Whether sensors are online, by their ids.
pub type OnlineBySensor = BTreeMap<String, bool>;

/// Sensors by the beginning of their hostname, by their ids.
pub type Hostnames = BTreeMap<String, HostnameEntry>;

/// A sensor and the name of its endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum HostnameEntry {
    /// Id and hostname.
    Pair(#[schemars(with = "(schema::Sid, String)")] (Sid, String)),
    /// With `as_dict`.
    Named {
        /// Name of the endpoint.
        hostname: String,
        /// The sensor.
        #[schemars(with = "schema::Sid")]
        sid: Sid,
    },
}

/// Tags of a sensor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SensorTags {
    /// By the id of the sensor, and by their names.
    pub tags: BTreeMap<String, BTreeMap<String, TagEntry>>,
}

/// A tag of a sensor: id of the sensor, tag, who put it there, and when (`YYYY-MM-DD HH:MM:SS`, UTC).
pub type TagEntry = (String, String, String, String);

/// Tags in use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Tags {
    /// Sorted.
    pub tags: Vec<String>,
}

/// All tags of each sensor that carries the asked one, by sensor id.
pub type TagCarriers = BTreeMap<String, Vec<String>>;
