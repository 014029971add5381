//! What is counted, and told when something was lost.

use std::time::Duration;

use serde_json::json;

use super::{Sensor, lock};
use crate::agent::event;
use crate::clock;
use crate::executor::Stats;

/// Interval of loss reports. Source: reference/events.md section 5.6.
const LOSSES_EVERY: Duration = Duration::from_secs(60);

impl Sensor<'_> {
    /// Counts, and reports losses once a minute at most. Source: reference/events.md section 5.6.
    pub(super) fn account(&mut self) {
        self.running.reap();
        let losses = self.spool.losses();
        let (queued_events, queued_bytes) = self.spool.queued();
        *lock(&self.tools.stats) = Stats { losses, queued_events, queued_bytes };
        for damage in self.spool.damage() {
            tracing::warn!("the spool is damaged: {damage}");
            // One says enough about all.
            self.damage = Some(damage);
        }
        let is_news = losses != self.reported.0 || self.damage.is_some();
        if is_news && self.reported.1.is_none_or(|at| at.elapsed() >= LOSSES_EVERY) {
            let news = losses.since(self.reported.0);
            let mut body = json!({"LOSS_EVICTED_EVENTS": news.events, "LOSS_EVICTED_BYTES": news.bytes});
            if news.refused_events > 0 {
                body["LOSS_REFUSED_EVENTS"] = news.refused_events.into();
                body["LOSS_REFUSED_BYTES"] = news.refused_bytes.into();
            }
            if let Some(damage) = self.damage.take() {
                body["LOSS_DAMAGED_EVENTS"] = news.damaged_events.into();
                body["LOSS_DAMAGED_BYTES"] = news.damaged_bytes.into();
                body["ERROR_MESSAGE"] = damage.into();
            }
            self.reported = (losses, Some(tokio::time::Instant::now()));
            self.agent.observed(event("DATA_DROPPED", body, None, clock::now()));
        }
    }
}
