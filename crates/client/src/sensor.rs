//! Sensors. Source: reference/rest-api.md section 7.2.

use crate::{Client, ClientError};
use muster_api_types::SensorPage;
use reqwest::Method;
use std::collections::HashSet;

/// A sensor record.
pub type Sensor = muster_api_types::Sensor<'static>;

/// A sensor record and whether it has a live link.
pub type SensorState = muster_api_types::SensorState<'static>;

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
            let page: SensorPage<'static> = self.get(&["sensors", self.oid()], query).await?;
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
