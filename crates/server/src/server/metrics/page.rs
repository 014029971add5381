//! The page that a Prometheus reads: what rooms counted, and what can be looked at when somebody asks.

use crate::app::App;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};

/// Everything that is counted, in the text form of OpenMetrics.
#[must_use]
pub(super) fn page(app: &App) -> String {
    let mut registry = Registry::with_prefix("muster");
    app.telemetry.register(&mut registry);
    store(app, &mut registry);
    gauges(app, &mut registry);
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = encode(&mut text, &registry);
    text
}

fn store(app: &App, registry: &mut Registry) {
    let counts = app.store.counts();
    registry.register("store_commits", "Commits that reached the disk", ConstCounter::new(counts.commits));
    let help = "Lists of changes in those commits: divided by them, how many callers share a disk sync";
    registry.register("store_lists", help, ConstCounter::new(counts.lists));
    registry.register("store_refused", "Lists of changes that were not stored", ConstCounter::new(counts.refused));
    let time = ConstCounter::new(counts.time.as_secs_f64());
    registry.register_with_unit("store_commit", "Time that the commits took", Unit::Seconds, time);
    registry.register_with_unit("store", "Size on disk", Unit::Bytes, gauge(app.store.size_bytes()));
}

fn gauges(app: &App, registry: &mut Registry) {
    let organizations = app.organizations.all();
    let (mut sensors, mut links) = (0, 0);
    for organization in &organizations {
        let state = organization.state.lock();
        sensors += state.fleet.live().len();
        links += state.links().count() as u64;
    }
    registry.register("organizations", "Organizations", gauge(organizations.len() as u64));
    registry.register("sensors", "Sensors that are enrolled", gauge(sensors));
    registry.register("links", "Sensors that are connected", gauge(links));
    let waiting = gauge(app.waiting.0.get() as u64);
    registry.register_with_unit("messages_waiting", "Messages of sensors that wait", Unit::Bytes, waiting);
    let queued = gauge(app.delivery.outputs.waiting_bytes());
    registry.register_with_unit("output_queues", "Records in the queues of outputs", Unit::Bytes, queued);
}

fn gauge(value: u64) -> ConstGauge<i64> {
    ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX))
}
