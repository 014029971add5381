//! Questions about many sensors. Source: reference/rest-api.md section 7.2, reference/selectors.md section 10.

use super::super::{Access, ApiError, Call, Form, Kind, Method, Reply, Route};
use crate::names;
use crate::organization::{Organization, State};
use crate::sensor::SensorRecord;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use futures_util::stream;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use muster_api_types::{Hostnames, OnlineBySensor, OnlineCount, SensorExport, SensorList};
use muster_model::{Sensor, Sid};
use muster_selector::{Selector, Targeting};
use muster_tasking::{SensorOrder, UnknownOrder};
use roaring::RoaringBitmap;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use std::io::Write as _;
use std::sync::Arc;

/// Sensors on a page when the client names no number.
const PAGE_DEFAULT: i64 = 1_000;

/// Most sensors on a page: some 6 MB of JSON.
const PAGE_MAX: i64 = 10_000;

/// Hostnames in one answer.
const HOSTNAMES_MAX: usize = 10_000;

pub(super) fn routes() -> Vec<Route> {
    use Access::May;
    use Method::{Get, Post};
    vec![
        Route::new(Get, "/sensors/{oid}", May("sensor.list"), "Sensors, page by page", list).answers::<SensorList<'static>>("sensors_list")
            .query("selector", Kind::Text, "Sensor selector; blank is every sensor")
            .query("limit", Kind::Whole(1, PAGE_MAX), "Sensors on a page; 1 to 10,000, default 1,000")
            .query("continuation_token", Kind::Text, "From the page before; absent after the last one")
            .query("offset", Kind::Whole(0, i64::MAX), "Sensors to pass over, instead of a token; the answer then has total, the number of all that are listed")
            .query("sort", Kind::OneOf(&SensorOrder::NAMES), "enrolled, hostname (in any case) or alive (those that are online last); -hostname is the reverse. \
                 Begins at offset 0 if there is none")
            .query("fields", Kind::List, "Only these fields of each sensor, joined by commas or repeated; default all")
            .query("is_online_only", Kind::Flag, "true: only sensors that are online")
            .query("is_offline_only", Kind::Flag, "true: only sensors that are not online")
            .query("with_ip", Kind::Text, "Only sensors with this internal or external address")
            .query("with_hostname_prefix", Kind::Text, "Only hostnames that begin so, in any case")
            .query("with_tags", Kind::Flag, "false: leave out the tags of each sensor; default true. filter_tag and selector choose by tag")
            .query("filter_tag", Kind::Text, "Only sensors with this tag")
            .query("is_compressed", Kind::Flag, "true: sensors is base64 of gzip of the list"),
        Route::new(Get, "/online/{oid}", May("sensor.list"), "Number of sensors online", count_online).answers::<OnlineCount>("sensors_online_count"),
        Route::new(Post, "/online/{oid}", May("sensor.list"), "Which sensors are online", online).answers::<OnlineBySensor>("sensors_online_list")
            .form("sids", Kind::Ids, "Sensor id; repeat for several; none is every sensor"),
        Route::new(
            Get,
            "/hostnames/{oid}",
            May("sensor.list"),
            "Sensors by the beginning of their hostname",
            hostnames,
        ).answers::<Hostnames>("hostnames_list")
        .query("hostname", Kind::Text, "Beginning of the hostname, in any case")
        .query("as_dict", Kind::Flag, "true: objects instead of lists"),
        Route::new(Post, "/export/{oid}/sensors", May("sensor.list"), "Every sensor in one answer", export).answers::<SensorExport<'static>>("sensors_export"),
    ]
}

/// Reads a selector; blank is every sensor.
fn selector(text: Option<&str>) -> Result<Selector, ApiError> {
    let targeting = Targeting { selector: text, ..Targeting::default() };
    Selector::from_targeting(targeting).map_err(|error| ApiError::bad_request(format!("invalid selector: {error}")))
}

/// What narrows a list beside the selector.
struct Narrow<'a> {
    online_only: bool,
    offline_only: bool,
    ip: Option<&'a str>,
    hostname_prefix: Option<String>,
    tag: Option<&'a str>,
}

impl<'a> Narrow<'a> {
    fn of(query: &'a Form) -> Result<Self, ApiError> {
        let text = |name| query.get(name).filter(|value| !value.is_empty());
        Ok(Self {
            online_only: query.flag("is_online_only")?,
            offline_only: query.flag("is_offline_only")?,
            ip: text("with_ip"),
            hostname_prefix: text("with_hostname_prefix").map(str::to_lowercase),
            tag: text("filter_tag"),
        })
    }

    /// Whether each sensor must be looked at.
    fn is_beyond_sets(&self) -> bool {
        self.ip.is_some() || self.hostname_prefix.is_some() || self.tag.is_some()
    }

    fn admits(&self, sensor: &Sensor) -> bool {
        self.ip.is_none_or(|ip| *sensor.ext_ip == *ip || *sensor.int_ip == *ip)
            && self.hostname_prefix.as_ref().is_none_or(|prefix| begins(&sensor.hostname, prefix))
            && self.tag.is_none_or(|tag| sensor.has_tag(tag))
    }
}

fn begins(hostname: &str, lower_prefix: &str) -> bool {
    hostname.to_lowercase().starts_with(lower_prefix)
}

/// What to show of each sensor.
struct Shown<'a> {
    with_tags: bool,
    /// Only these fields; none is all of them.
    fields: Vec<&'a str>,
}

impl<'a> Shown<'a> {
    const EVERYTHING: Self = Self { with_tags: true, fields: Vec::new() };

    fn of(query: &'a Form) -> Result<Self, ApiError> {
        let fields: Vec<&str> = query.list("fields").collect();
        names::require_known(fields.iter().copied(), SensorRecord::FIELDS)?;
        Ok(Self { with_tags: query.get("with_tags").is_none() || query.flag("with_tags")?, fields })
    }

    fn rendered(&self, state: &State, ordinals: &[u32]) -> String {
        let record = |ordinal: &u32| {
            let record = SensorRecord::new(&state.fleet.row(*ordinal)?.sensor, state.is_online(*ordinal));
            Some(if self.with_tags { record } else { record.without_tags() })
        };
        let records = ordinals.iter().filter_map(record);
        let text = if self.fields.is_empty() {
            serde_json::to_string(&records.collect::<Vec<_>>())
        } else {
            serde_json::to_string(&records.map(|record| names::only(&record, &self.fields)).collect::<Vec<_>>())
        };
        text.unwrap_or_else(|_| "[]".to_owned())
    }
}

#[derive(Serialize)]
struct Page<T: Serialize> {
    sensors: T,
    #[serde(skip_serializing_if = "Option::is_none")]
    continuation_token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    total: Option<u64>,
}

/// Where a page begins.
enum From {
    /// At a sensor.
    Ordinal(u32),
    /// At a place of an order.
    Offset(u64, SensorOrder),
}

impl From {
    fn of(query: &Form) -> Result<Self, ApiError> {
        let text = |name| query.get(name).filter(|value| !value.is_empty());
        let (offset, sort) = (query.number("offset")?, text("sort"));
        let token = text("continuation_token");
        if offset.is_none() && sort.is_none() {
            let wrong = || ApiError::bad_request("continuation_token is not one that was given out");
            return token.map_or(Ok(Self::Ordinal(0)), |token| token.parse().map(Self::Ordinal).map_err(|_| wrong()));
        }
        if token.is_some() {
            return Err(ApiError::bad_request(
                "a page begins at continuation_token, or at offset in the order of sort: send one of them",
            ));
        }
        let offset =
            u64::try_from(offset.unwrap_or(0)).map_err(|_| ApiError::bad_request("offset must be at least 0"))?;
        let order = sort.map_or(Ok(SensorOrder::ENROLLED), str::parse);
        Ok(Self::Offset(offset, order.map_err(|error: UnknownOrder| ApiError::bad_request(error.to_string()))?))
    }
}

async fn list(call: Call) -> Result<Reply, ApiError> {
    let selector = selector(call.fields.get("selector"))?;
    let narrow = Narrow::of(&call.fields)?;
    let limit = call.fields.number("limit")?.filter(|limit| *limit > 0).unwrap_or(PAGE_DEFAULT).min(PAGE_MAX);
    let limit = usize::try_from(limit).unwrap_or(1);
    let (shown, from) = (Shown::of(&call.fields)?, From::of(&call.fields)?);
    let (records, next, total) = {
        let state = call.organization()?.state.lock();
        let mut selected = selector.select(&state.fleet);
        if narrow.online_only {
            selected &= &state.online;
        }
        if narrow.offline_only {
            selected -= &state.online;
        }
        let admits = |ordinal: &u32| state.fleet.row(*ordinal).is_some_and(|row| narrow.admits(&row.sensor));
        match from {
            From::Ordinal(first) => {
                let mut rest = selected.range(first..).filter(admits);
                let ordinals: Vec<u32> = rest.by_ref().take(limit).collect();
                (shown.rendered(&state, &ordinals), rest.next(), None)
            }
            From::Offset(offset, order) => {
                if narrow.is_beyond_sets() {
                    selected = selected.iter().filter(admits).collect();
                }
                let page = state.fleet.page(&selected, &state.online, order, (offset, limit));
                (shown.rendered(&state, &page), None, Some(selected.len()))
            }
        }
    };
    let continuation_token = next.map(|ordinal| ordinal.to_string());
    if !call.fields.flag("is_compressed")? {
        let sensors = RawValue::from_string(records).map_err(ApiError::internal)?;
        return Ok(Reply::json(&Page { sensors, continuation_token, total }));
    }
    let sensors = tokio::task::spawn_blocking(move || compressed(records.as_bytes())).await;
    let sensors = sensors.map_err(ApiError::internal)?.map_err(ApiError::internal)?;
    Ok(Reply::json(&Page { sensors, continuation_token, total }))
}

fn compressed(text: &[u8]) -> std::io::Result<String> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(text)?;
    Ok(STANDARD.encode(gzip.finish()?))
}

async fn count_online(call: Call) -> Result<Reply, ApiError> {
    let count = call.organization()?.state.lock().online.len();
    Ok(Reply::json(&json!({"count": count})))
}

async fn online(call: Call) -> Result<Reply, ApiError> {
    let state = call.organization()?.state.lock();
    let mut asked = call.fields.list("sids").peekable();
    let mut answer = Map::new();
    if asked.peek().is_none() {
        for ordinal in state.fleet.live() {
            let Some(row) = state.fleet.row(ordinal) else { continue };
            answer.insert(row.sensor.sid.to_string(), Value::Bool(state.is_online(ordinal)));
        }
    }
    for sid in asked {
        let is_online = sid.parse::<Sid>().is_ok_and(|sid| state.link_of(sid).is_some());
        answer.insert(sid.to_owned(), Value::Bool(is_online));
    }
    Ok(Reply::json(&answer))
}

async fn hostnames(call: Call) -> Result<Reply, ApiError> {
    let prefix = call.fields.get("hostname").unwrap_or_default().to_lowercase();
    let as_dict = call.fields.flag("as_dict")?;
    let state = call.organization()?.state.lock();
    let rows = state.fleet.live().iter().filter_map(|ordinal| state.fleet.row(ordinal));
    let found: Map<String, Value> = rows
        .filter(|row| begins(&row.sensor.hostname, &prefix))
        .take(HOSTNAMES_MAX)
        .map(|row| {
            let (sid, hostname) = (row.sensor.sid, &row.sensor.hostname);
            let shown = if as_dict { json!({"sid": sid, "hostname": hostname}) } else { json!([sid, hostname]) };
            (sid.to_string(), shown)
        })
        .collect();
    Ok(Reply::json(&found))
}

/// Streams all sensors, a page at a time, so that neither the lock is held long nor memory grows with the fleet.
async fn export(call: Call) -> Result<Reply, ApiError> {
    let organization = Arc::clone(call.organization()?);
    let all = organization.state.lock().fleet.live().clone();
    let opening = Bytes::from_static(br#"{"sensors":["#);
    let step = move |state: Option<(Arc<Organization>, RoaringBitmap, bool)>| async move {
        let (organization, mut rest, is_first) = state?;
        let page: Vec<u32> = rest.iter().take(usize::try_from(PAGE_DEFAULT).unwrap_or(1)).collect();
        if page.is_empty() {
            return Some((Bytes::from_static(b"]}"), None));
        }
        rest.remove_range(..=page.last().copied().unwrap_or(u32::MAX));
        let records = Shown::EVERYTHING.rendered(&organization.state.lock(), &page);
        // Without the brackets, pages join into one list.
        let records = records.get(1..records.len().saturating_sub(1)).unwrap_or_default();
        let separator = if is_first || records.is_empty() { "" } else { "," };
        Some((Bytes::from(format!("{separator}{records}")), Some((organization, rest, false))))
    };
    let pages = stream::unfold(Some((organization, all, true)), step);
    let frames = futures_util::StreamExt::chain(stream::iter([opening]), pages);
    let frames = futures_util::StreamExt::map(frames, |bytes| Ok(Frame::data(bytes)));
    Ok(Reply::stream("application/json", StreamBody::new(frames).boxed_unsync()))
}
