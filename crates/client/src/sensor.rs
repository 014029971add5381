//! Sensors. Source: reference/rest-api.md section 7.2.

use crate::{Client, ClientError, Rest};
use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, HashSet};

/// Sensors asked about in one call for who is online.
const ONLINE_SENSORS_MAX: usize = 1_000;

/// A sensor record.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Sensor {
    /// Its id.
    pub sid: String,
    /// Name of the endpoint.
    #[serde(default)]
    pub hostname: String,
    /// Platform code; `muster_model::Platform` knows the names.
    #[serde(default)]
    pub plat: u32,
    /// Address the server saw last.
    #[serde(default)]
    pub ext_ip: String,
    /// Address the sensor reported last.
    #[serde(default)]
    pub int_ip: String,
    /// Last connection, `YYYY-MM-DD HH:MM:SS` UTC.
    #[serde(default)]
    pub alive: String,
    /// Everything else.
    #[serde(flatten)]
    pub rest: Rest,
}

/// A sensor record and whether it has a live link.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SensorState {
    /// The record.
    pub info: Sensor,
    /// Whether it has a live link now.
    #[serde(default)]
    pub is_online: bool,
    /// Everything else.
    #[serde(flatten)]
    pub rest: Rest,
}

/// Which sensors to list.
#[derive(Clone, Debug, Default)]
pub struct Listing {
    /// Selector expression; `None` is all.
    pub selector: Option<String>,
    /// Only those with a live link.
    pub online_only: bool,
    /// Only those without one.
    pub offline_only: bool,
    /// At most so many; `None` is all.
    pub limit: Option<usize>,
}

#[derive(Deserialize)]
struct Page {
    sensors: Vec<Sensor>,
    continuation_token: Option<String>,
}

impl Client {
    /// Lists sensors, page by page, in the server's order.
    ///
    /// # Errors
    ///
    /// 400 for a selector that is wrong.
    pub async fn sensors(&self, listing: &Listing) -> Result<Vec<Sensor>, ClientError> {
        let mut sensors: Vec<Sensor> = Vec::new();
        let mut seen = HashSet::new();
        let mut continuation = None::<String>;
        loop {
            let mut query = Vec::new();
            query.extend(listing.selector.clone().map(|selector| ("selector", selector)));
            query.extend(listing.online_only.then(|| ("is_online_only", "true".to_owned())));
            query.extend(listing.offline_only.then(|| ("is_offline_only", "true".to_owned())));
            query.extend(listing.limit.map(|limit| ("limit", (limit - sensors.len()).to_string())));
            query.extend(continuation.clone().map(|token| ("continuation_token", token)));
            let page: Page = self.get(&["sensors", self.oid()], query).await?;
            sensors.extend(page.sensors);
            let is_enough = listing.limit.is_some_and(|limit| sensors.len() >= limit);
            continuation = page.continuation_token.filter(|token| !token.is_empty() && !is_enough);
            match &continuation {
                None => break,
                Some(token) if seen.insert(token.clone()) => {}
                Some(_) => return Err(ClientError::Answer("the list of sensors repeats a page".into())),
            }
        }
        sensors.truncate(listing.limit.unwrap_or(usize::MAX));
        Ok(sensors)
    }

    /// Which of these sensors have a live link.
    ///
    /// # Errors
    ///
    /// Whatever the server says.
    pub async fn online(&self, sids: &[&str]) -> Result<HashSet<String>, ClientError> {
        let mut online = HashSet::new();
        for part in sids.chunks(ONLINE_SENSORS_MAX) {
            let form = part.iter().map(|sid| ("sids", (*sid).to_owned())).collect();
            let states: BTreeMap<String, Value> =
                self.call(Method::POST, &["online", self.oid()], Vec::new(), form).await?;
            online.extend(states.into_iter().filter(|(_, state)| *state == Value::Bool(true)).map(|(sid, _)| sid));
        }
        Ok(online)
    }

    /// One sensor.
    ///
    /// # Errors
    ///
    /// 404 for an unknown sensor.
    pub async fn sensor(&self, sid: &str) -> Result<SensorState, ClientError> {
        self.get(&[sid], Vec::new()).await
    }

    /// Deletes a sensor: its record, its tags, and what it is owed.
    ///
    /// # Errors
    ///
    /// 404 for an unknown sensor.
    pub async fn delete_sensor(&self, sid: &str) -> Result<(), ClientError> {
        self.act(Method::DELETE, &[sid], Vec::new()).await
    }

    /// Cuts an endpoint off the network but for this server, or lets it back in.
    ///
    /// # Errors
    ///
    /// 404 for an unknown sensor.
    pub async fn set_isolation(&self, sid: &str, isolate: bool) -> Result<(), ClientError> {
        self.act(on_or_off(isolate), &[sid, "isolation"], Vec::new()).await
    }

    /// Protects a sensor against being tampered with, or ends that.
    ///
    /// # Errors
    ///
    /// 404 for an unknown sensor.
    pub async fn set_seal(&self, sid: &str, seal: bool) -> Result<(), ClientError> {
        self.act(on_or_off(seal), &[sid, "seal"], Vec::new()).await
    }
}

fn on_or_off(on: bool) -> Method {
    if on { Method::POST } else { Method::DELETE }
}
