//! Acts on endpoints: whom they reach is shown, a person is asked, and what sensors report of it can be waited for.

use crate::confirm::confirm;
use crate::exit::Usage;
use crate::show;
use muster_client::{Client, Listing, Sensor};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Sensors that are named before a person is asked; the others are counted.
const NAMED_MAX: usize = 20;

/// How often it is asked what sensors have reported.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// A sensor id as it is written on a command line.
///
/// # Errors
///
/// If it is none: what is no id must not be asked for, or it would be taken for another address.
pub fn sensor_id(text: &str) -> Result<String, String> {
    let id: Result<uuid::Uuid, _> = text.parse();
    id.map(|id| id.to_string()).map_err(|_| "a sensor id is a UUID, as muster sensors lists them".to_owned())
}

/// The sensors that an act reaches.
pub struct Reach {
    sensors: Vec<Sensor>,
}

impl Reach {
    /// Looks up the sensors of a list of ids, or those of a selector.
    ///
    /// # Errors
    ///
    /// If there is none, or one of the ids is unknown.
    pub async fn find(client: &Client, sids: &[String], selector: Option<String>) -> anyhow::Result<Self> {
        let mut sensors = Vec::new();
        if let Some(selector) = selector {
            sensors = client.sensors(&Listing { selector: Some(selector.clone()), ..Listing::default() }).await?;
            if sensors.is_empty() {
                return Err(Usage(format!("no sensor matches {selector}; nothing was done")).into());
            }
        }
        for sid in sids {
            sensors.push(client.sensor(sid).await?.info);
        }
        Ok(Self { sensors })
    }

    /// The ids.
    pub fn sids(&self) -> impl Iterator<Item = String> {
        self.sensors.iter().map(|sensor| sensor.sid.to_string())
    }

    /// How many sensors these are.
    pub fn count(&self) -> usize {
        self.sensors.len()
    }

    /// Shows the sensors and goes on if `yes` was given or a person says so; `act` says what would be done,
    /// such as "seal 2 sensors", from who they are.
    ///
    /// # Errors
    ///
    /// As [`confirm`].
    pub fn ask(&self, yes: bool, act: impl FnOnce(&str) -> String) -> anyhow::Result<()> {
        if !yes {
            for sensor in self.sensors.iter().take(NAMED_MAX) {
                eprintln!("  {}  {}  {}", sensor.sid, show::safe(&sensor.hostname), state_of(sensor));
            }
            if self.count() > NAMED_MAX {
                eprintln!("  and {} more", self.count() - NAMED_MAX);
            }
        }
        let online = self.sensors.iter().filter(|sensor| sensor.is_online).count();
        let count = self.count();
        let what = if count == 1 { "1 sensor".to_owned() } else { format!("{count} sensors") };
        confirm(yes, &format!("{}, {online} of them online now", act(&what)))
    }

    /// Waits until each of the sensors has reported what is wanted, as its record shows, and tells how many have.
    ///
    /// # Errors
    ///
    /// If some have not within the time: it is still wanted of them.
    ///
    /// # Cancel safety
    ///
    /// Only looks; nothing is undone when the caller stops waiting.
    pub async fn wait(
        &self,
        client: &Client,
        has_reported: impl Fn(&Sensor) -> bool,
        longest: Duration,
    ) -> anyhow::Result<()> {
        let until = Instant::now() + longest;
        let mut pending: Vec<&Sensor> = self.sensors.iter().collect();
        let mut told = None;
        loop {
            let mut still = Vec::new();
            for sensor in pending {
                if !has_reported(&client.sensor(&sensor.sid.to_string()).await?.info) {
                    still.push(sensor);
                }
            }
            pending = still;
            if told != Some(pending.len()) {
                eprintln!("{} of {} have reported it.", self.count() - pending.len(), self.count());
                told = Some(pending.len());
            }
            if pending.is_empty() {
                return Ok(());
            }
            if Instant::now() >= until {
                let seconds = longest.as_secs();
                let names =
                    pending.iter().take(NAMED_MAX).map(|sensor| format!("{} ({})", sensor.sid, state_of(sensor)));
                anyhow::bail!(
                    "{} of {} have not reported it within {seconds} s; it stays wanted of them: {}",
                    pending.len(),
                    self.count(),
                    names.collect::<Vec<_>>().join(", ")
                );
            }
            sleep(LOOK_EVERY.min(until.saturating_duration_since(Instant::now()))).await;
        }
    }
}

fn state_of(sensor: &Sensor) -> &'static str {
    if sensor.is_online { "online" } else { "offline" }
}
