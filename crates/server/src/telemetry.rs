//! What the server tells of itself: counters for a Prometheus.
//!
//! Rooms count where things happen, in a [`Telemetry`] that they are given. No name of an organization, sensor or rule becomes a label:
//! there would be as many series as there are of them.

use muster_store::Stream;
use muster_wire::Unfit;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

/// One label with one of a few values.
type Label = [(&'static str, &'static str); 1];

/// Counters of one server, from its start. Cheap to clone.
#[derive(Clone, Default)]
pub struct Telemetry {
    records: Family<Label, Counter>,
    requests: Family<Label, Counter>,
    connections_refused: Family<Label, Counter>,
    events_refused: Family<Label, Counter>,
    output_records: Family<Label, Counter>,
    /// Deliveries that an output tried in vain.
    pub output_failures: Counter,
    /// Events on which a rule was cut off, since it cost too much.
    pub rules_cut_off: Counter,
    /// Rules that were disabled for that.
    pub rules_disabled: Counter,
    /// Records that retention forgot.
    pub records_forgotten: Counter,
    /// Credentials that were shown and that nobody has.
    pub credentials_refused: Counter,
    /// Enrolments that were refused for the bounds of their key or organization.
    pub enrolments_refused: Counter,
    /// Events of sensors that send more than they may in a minute: they waited, and were stored then.
    pub events_held_back: Counter,
}

/// Where a connection was not let in.
#[derive(Clone, Copy, Debug)]
pub enum Refused {
    /// Too many wait for their handshake.
    Waiting,
    /// Too many speak HTTP.
    Clients,
}

/// What became of records in the queue of an output.
#[derive(Clone, Copy, Debug)]
pub enum Left {
    /// They are where the output sends them.
    Delivered,
    /// The queue was full.
    Dropped,
}

impl Telemetry {
    /// Puts all of them on a page.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("records", "Records that were stored, by stream", self.records.clone());
        registry.register("requests", "Requests that were answered, by class of status", self.requests.clone());
        let help = "Connections that were not let in since too many were there";
        registry.register("connections_refused", help, self.connections_refused.clone());
        let help = "Events of sensors that were not taken in, since rules or queries could not see them";
        registry.register("events_refused", help, self.events_refused.clone());
        registry.register("output_records", "Records that left the queue of an output", self.output_records.clone());
        registry.register("output_failures", "Deliveries tried in vain", self.output_failures.clone());
        let help = "Events on which a rule was cut off, since it cost too much";
        registry.register("rules_cut_off", help, self.rules_cut_off.clone());
        let help = "Rules that were disabled since they cost too much";
        registry.register("rules_disabled", help, self.rules_disabled.clone());
        registry.register("records_forgotten", "Records that retention forgot", self.records_forgotten.clone());
        let help = "Credentials that were shown and that nobody has";
        registry.register("credentials_refused", help, self.credentials_refused.clone());
        let help = "Enrolments that were refused for the bounds of their key or organization";
        registry.register("enrolments_refused", help, self.enrolments_refused.clone());
        let help = "Events of sensors that send more than they may in a minute: they waited, and were stored then";
        registry.register("events_held_back", help, self.events_held_back.clone());
    }

    /// Records of a stream were stored.
    pub fn stored(&self, stream: Stream, count: u64) {
        let stream = match stream {
            Stream::Event => "event",
            Stream::Detect => "detect",
            Stream::Audit => "audit",
            Stream::Deployment => "deployment",
            Stream::Artifact => "artifact",
        };
        self.records.get_or_create(&[("stream", stream)]).inc_by(count);
    }

    /// A request was answered with this status.
    pub fn answered(&self, status: u16) {
        let class = match status / 100 {
            1 => "1xx",
            2 => "2xx",
            3 => "3xx",
            4 => "4xx",
            _ => "5xx",
        };
        self.requests.get_or_create(&[("status", class)]).inc();
    }

    /// A connection was not let in.
    pub fn refused(&self, place: Refused) {
        let place = match place {
            Refused::Waiting => "waiting",
            Refused::Clients => "clients",
        };
        self.connections_refused.get_or_create(&[("place", place)]).inc();
    }

    /// An event of a sensor was not taken in.
    pub fn event_refused(&self, why: Unfit) {
        let reason = match why {
            Unfit::Malformed => "malformed",
            Unfit::TooDeep => "too_deep",
            Unfit::ImpossibleTime => "impossible_time",
        };
        self.events_refused.get_or_create(&[("reason", reason)]).inc();
    }

    /// Records left the queue of an output.
    pub fn left_queue(&self, left: Left, count: u64) {
        let outcome = match left {
            Left::Delivered => "delivered",
            Left::Dropped => "dropped",
        };
        self.output_records.get_or_create(&[("outcome", outcome)]).inc_by(count);
    }
}
