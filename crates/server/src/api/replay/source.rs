//! Where the events of a replay come from.

use crate::api::ApiError;
use crate::app::App;
use crate::extension;
use muster_model::{Oid, Sid, Timestamp};
use muster_rules::Target;
use muster_selector::{Selector, Targeting};
use muster_store::{Entry, EntryPage, EntryQuery, StoreError, Stream};
use serde::Deserialize;
use serde_json::Value;
use std::collections::{HashSet, VecDeque};

/// Events that may come with one request.
const SUPPLIED_MAX: usize = 10_000;

/// Entries on a page: short reads let the store tidy up behind its writer.
const PAGE: usize = 1_000;

/// Up to so many sensors are read one after the other; with more, all events are read in the order of
/// time and those of other sensors are left out.
const SENSORS_EACH_MAX: usize = 256;

/// Sensor ids in one request.
const SIDS_MAX: usize = 10_000;

/// Instants above this are milliseconds: as seconds they would lie beyond the year 5000.
const SECONDS_MAX: i64 = 100_000_000_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EventSource {
    stream: Option<String>,
    sensor_events: Option<SensorEvents>,
    events: Option<Vec<Value>>,
}

/// Which kept events; all that are kept where nothing is said.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct SensorEvents {
    sid: Option<String>,
    sids: Option<Vec<String>>,
    selector: Option<String>,
    /// Unix seconds; 0 is the beginning.
    start_time: Option<i64>,
    /// Unix seconds, included; 0 is the end.
    end_time: Option<i64>,
    cursor: Option<String>,
}

impl SensorEvents {
    fn is_blank(&self) -> bool {
        let is_blank = |text: &Option<String>| text.as_deref().unwrap_or_default().is_empty();
        is_blank(&self.sid)
            && is_blank(&self.selector)
            && self.sids.as_ref().is_none_or(Vec::is_empty)
            && self.start_time.unwrap_or(0) == 0
            && self.end_time.unwrap_or(0) == 0
    }
}

/// The events of a replay.
pub(super) enum Events {
    Supplied { target: Target, events: Vec<Value> },
    Kept(Kept),
}

/// Events that the organization keeps: those of one sensor in their order.
pub(super) struct Kept {
    pub(super) target: Target,
    query: EntryQuery,
    sensors: Sensors,
    is_over: bool,
}

enum Sensors {
    All,
    /// Read one after the other; the first one is being read.
    Each(VecDeque<Sid>),
    Among(HashSet<Sid>),
}

impl Events {
    /// Checks the part of a request that says which events.
    pub(super) fn of(app: &App, oid: Oid, source: EventSource) -> Result<Self, ApiError> {
        let wanted = source.sensor_events.unwrap_or_default();
        let stream = source.stream.unwrap_or_default();
        match source.events.filter(|events| !events.is_empty() || wanted.is_blank()) {
            Some(events) if events.len() > SUPPLIED_MAX => {
                Err(ApiError::too_large(format!("at most {SUPPLIED_MAX} events in one replay")))
            }
            Some(events) => Ok(Self::Supplied { target: target(&stream)?, events }),
            None => Kept::new(app, oid, &stream, wanted).map(Self::Kept),
        }
    }

    pub(super) fn target(&self) -> Target {
        match self {
            Self::Supplied { target, .. } => *target,
            Self::Kept(kept) => kept.target,
        }
    }

    /// What the caller must be allowed to read.
    pub(super) fn permission(&self) -> Option<&'static str> {
        match self {
            Self::Supplied { .. } => None,
            Self::Kept(kept) => Some(match kept.query.stream {
                Stream::Detect => "insight.det.get",
                Stream::Audit => "audit.get",
                _ => "insight.evt.get",
            }),
        }
    }
}

fn target(stream: &str) -> Result<Target, ApiError> {
    match stream {
        "" | "event" => Ok(Target::Edr),
        "detect" => Ok(Target::Detection),
        other => {
            let known = Target::from_name(other);
            known.ok_or_else(|| ApiError::bad_request(format!("unknown event_source.stream: {other}")))
        }
    }
}

impl Kept {
    fn new(app: &App, oid: Oid, stream: &str, wanted: SensorEvents) -> Result<Self, ApiError> {
        let target = target(stream)?;
        let kept = match target {
            Target::Edr => Stream::Event,
            Target::Detection => Stream::Detect,
            Target::Deployment => Stream::Deployment,
            Target::ArtifactEvent => Stream::Artifact,
            Target::Audit => Stream::Audit,
            _ => return Err(ApiError::bad_request(format!("events of the stream {stream} are not kept; supply them"))),
        };
        if wanted.cursor.as_deref().is_some_and(|cursor| !cursor.is_empty() && cursor != "-") {
            let text = "sensor_events.cursor pages through the answer of a query, which is not available; \
                a replay of a rule answers as a whole: narrow start_time and end_time";
            return Err(ApiError::bad_request(text));
        }
        let micros = |at: i64| if at > SECONDS_MAX { at.saturating_mul(1_000) } else { at.saturating_mul(1_000_000) };
        let from = Timestamp::from_micros(micros(wanted.start_time.unwrap_or(0)).max(0));
        let to = match wanted.end_time.unwrap_or(0) {
            0 => Timestamp::MAX,
            end => Timestamp::from_micros(micros(end).saturating_add(999_999)),
        };
        if from > to {
            return Err(ApiError::bad_request("sensor_events.start_time must not be after end_time (Unix seconds)"));
        }
        let sensors = Sensors::of(app, oid, &wanted)?;
        let query = EntryQuery {
            oid,
            stream: kept,
            sid: None,
            kind: None,
            investigation_id: None,
            from,
            to,
            forward: true,
            cursor: None,
            limit: PAGE,
        };
        Ok(Self { target, query, sensors, is_over: false })
    }

    /// The next entries; none at the end. Blocks.
    pub(super) fn next_page(&mut self, app: &App) -> Result<Option<Vec<Entry>>, StoreError> {
        if self.is_over {
            return Ok(None);
        }
        let mut query = self.query.clone();
        if let Sensors::Each(sids) = &self.sensors {
            query.sid = sids.front().copied();
            if query.sid.is_none() {
                return Ok(None);
            }
        }
        let EntryPage { mut entries, cursor } = app.store.read_blocking(|read| read.entries(&query))?;
        let is_last = cursor.is_none();
        self.query.cursor = cursor;
        match &mut self.sensors {
            Sensors::All => self.is_over = is_last,
            Sensors::Among(sids) => {
                entries.retain(|entry| entry.sid.is_some_and(|sid| sids.contains(&sid)));
                self.is_over = is_last;
            }
            Sensors::Each(sids) if is_last => {
                sids.pop_front();
                self.is_over = sids.is_empty();
            }
            Sensors::Each(_) => {}
        }
        Ok(Some(entries))
    }
}

impl Sensors {
    fn of(app: &App, oid: Oid, wanted: &SensorEvents) -> Result<Self, ApiError> {
        let named = wanted.sid.iter().chain(wanted.sids.iter().flatten()).filter(|sid| !sid.is_empty());
        let wrong = |_| ApiError::bad_request("sensor_events.sid must be a sensor id");
        let named: Vec<Sid> = named.map(|sid| sid.parse().map_err(wrong)).collect::<Result<_, _>>()?;
        if named.len() > SIDS_MAX {
            return Err(ApiError::too_large(format!("at most {SIDS_MAX} sensor ids in one replay")));
        }
        let selector =
            Selector::from_targeting(Targeting { selector: wanted.selector.as_deref(), ..Targeting::default() })
                .map_err(extension::Error::Selector)?;
        let mut sids: Vec<Sid> = match (named.is_empty(), selector.is_all()) {
            (true, true) => return Ok(Self::All),
            (false, true) => named,
            (is_any, false) => {
                let named: HashSet<Sid> = named.into_iter().collect();
                let organization =
                    app.organization(oid).ok_or_else(|| ApiError::not_found("organization not found"))?;
                let state = organization.state.lock();
                let selected = selector.select(&state.fleet);
                let selected = selected.iter().filter_map(|ordinal| Some(state.fleet.row(ordinal)?.sensor.sid));
                selected.filter(|sid| is_any || named.contains(sid)).collect()
            }
        };
        sids.sort_unstable();
        sids.dedup();
        Ok(if sids.len() <= SENSORS_EACH_MAX {
            Self::Each(sids.into())
        } else {
            Self::Among(sids.into_iter().collect())
        })
    }
}
