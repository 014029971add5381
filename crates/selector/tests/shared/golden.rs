//! The golden file: reading it, and projecting its API records onto sensors.
//!
//! Source: reference/selectors.md sections 1 and 12; the header of the file itself.

use muster_model::{Architecture, Platform, Sensor, Tag, Timestamp};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::path::PathBuf;

/// A sensor as the API gives it: codes, UTC text, either spelling of the flags.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Record {
    sid: Option<String>,
    oid: Option<String>,
    iid: Option<String>,
    did: Option<String>,
    plat: Option<u32>,
    ext_plat: Option<u32>,
    arch: Option<u8>,
    hostname: Option<String>,
    mac_addr: Option<String>,
    ext_ip: Option<String>,
    int_ip: Option<String>,
    enroll: Option<Instant>,
    alive: Option<Instant>,
    #[serde(alias = "isolated")]
    is_isolated: Option<bool>,
    should_isolate: Option<bool>,
    #[serde(alias = "sealed")]
    is_sealed: Option<bool>,
    should_seal: Option<bool>,
    #[serde(alias = "kernel")]
    is_kernel_available: Option<bool>,
    #[serde(alias = "is_del")]
    is_deleted: Option<bool>,
    tags: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Instant {
    UnixSeconds(i64),
    Text(String),
}

/// Reads what `T` wants of the golden file from `MUSTER_CONFORMANCE_DIR`, or from this repository.
pub fn read<T: DeserializeOwned>() -> T {
    let own = concat!(env!("CARGO_MANIFEST_DIR"), "/../../conformance");
    let folder = std::env::var_os("MUSTER_CONFORMANCE_DIR").map_or_else(|| PathBuf::from(own), PathBuf::from);
    let path = folder.join("selectors/cases.yaml");
    let yaml = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_saphyr::from_str(&yaml).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

impl Instant {
    fn at(&self) -> Timestamp {
        match self {
            Self::UnixSeconds(seconds) => Timestamp::from_secs(*seconds),
            Self::Text(text) => {
                let parsed = jiff::civil::DateTime::strptime("%Y-%m-%d %H:%M:%S", text);
                let zoned = parsed.and_then(|civil| civil.to_zoned(jiff::tz::TimeZone::UTC));
                zoned.map_or(Timestamp::ZERO, |zoned| Timestamp::from_secs(zoned.timestamp().as_second()))
            }
        }
    }
}

impl Record {
    pub fn sensor(&self) -> Sensor {
        let id = |text: &Option<String>| text.as_deref().unwrap_or_default().to_owned();
        let text = |text: &Option<String>| text.as_deref().unwrap_or_default().into();
        let at = |instant: &Option<Instant>| instant.as_ref().map_or(Timestamp::ZERO, Instant::at);
        let mut sensor = Sensor {
            sid: id(&self.sid).parse().expect("sid"),
            oid: id(&self.oid).parse().expect("oid"),
            iid: id(&self.iid).parse().expect("iid"),
            did: id(&self.did).parse().ok(),
            platform: Platform(self.plat.unwrap_or_default()),
            ext_platform: Platform(self.ext_plat.unwrap_or_default()),
            architecture: Architecture(self.arch.unwrap_or_default()),
            hostname: text(&self.hostname),
            mac_addr: text(&self.mac_addr),
            ext_ip: text(&self.ext_ip),
            int_ip: text(&self.int_ip),
            version: "".into(),
            enrolled_at: at(&self.enroll),
            alive_at: at(&self.alive),
            isolated: self.is_isolated.unwrap_or_default(),
            should_isolate: self.should_isolate.unwrap_or_default(),
            sealed: self.is_sealed.unwrap_or_default(),
            should_seal: self.should_seal.unwrap_or_default(),
            kernel: self.is_kernel_available.unwrap_or_default(),
            deleted: self.is_deleted.unwrap_or_default(),
            tags: Vec::new(),
        };
        for name in self.tags.iter().flatten() {
            let name = name.as_str().into();
            sensor.put_tag(Tag { name, added_by: "golden".into(), added_at: Timestamp::ZERO, expires_at: None });
        }
        sensor
    }
}
