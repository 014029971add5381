//! Kept records: events, detections, audit. Source: reference/rest-api.md sections 7.9, 7.11.
//!
//! A page is put together from the stored texts, so that what a client reads is
//! byte for byte what was recorded.

use super::{Access, ApiError, Call, Form, Kind, Method, Reply, Route};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use muster_api_types::{AuditPage, Detection, DetectionPage, Event, EventCount, EventPage, Overview, Retention};
use muster_model::{Oid, Sid, Timestamp};
use muster_store::{ENTRIES_PAGE_MAX, Entry, EntryPage, EntryQuery, Stream};
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};
use std::io::Write as _;
use uuid::Uuid;

/// Entries on a page when the client names no limit.
const PAGE_DEFAULT: usize = 1_000;

/// Instants above this are milliseconds: as seconds they would lie beyond the year 5000.
const SECONDS_MAX: i64 = 100_000_000_000;

/// Events of one lineage; an atom that a sensor made its own ancestor ends here.
const LINEAGE_MAX: usize = 32;

/// Cursor of a first page. Source: reference/rest-api.md section 7.9.
const FIRST_CURSOR: &str = "-";

/// The routes of this area.
pub(super) fn routes() -> Vec<Route> {
    let events = Access::May("insight.evt.get");
    let paged = |route: Route| {
        route
            .query("start", Kind::Seconds, "from this second on (Unix)")
            .query("end", Kind::Seconds, "up to and including this second (Unix)")
            .query("cursor", Kind::Text, "`-` for the first page, then next_cursor of the page before")
            .query("limit", Kind::Whole(1, ENTRIES_PAGE_MAX as i64), "entries on a page, 1 to 10,000; default 1,000")
            .query("is_forward", Kind::Flag, "oldest first (default) or newest first")
            .query("is_compressed", Kind::Flag, "true gives the list as base64 of gzip")
    };
    vec![
        Route::new(Method::Get, "/insight/{oid}", Access::Member, "Whether records are kept", retention)
            .answers::<Retention>("retention_get"),
        paged(
            Route::new(
                Method::Get,
                "/insight/{oid}/detections",
                Access::May("insight.det.get"),
                "Detections",
                detections,
            )
            .answers::<DetectionPage>("detections_list"),
        )
        .query("cat", Kind::Text, "only this category"),
        Route::new(
            Method::Get,
            "/insight/{oid}/detections/{id}",
            Access::May("insight.det.get"),
            "One detection",
            detection,
        )
        .answers::<Detection>("detection_get"),
        paged(
            Route::new(Method::Get, "/insight/{oid}/audit", Access::May("audit.get"), "Audit records", audit)
                .answers::<AuditPage>("audit_list"),
        )
        .query("event_type", Kind::Text, "only this kind")
        .query("sid", Kind::Id, "only about this sensor"),
        paged(
            Route::new(Method::Get, "/insight/{oid}/{sid}", events, "Events of a sensor", sensor_events)
                .answers::<EventPage>("events_list"),
        )
        .query("event_type", Kind::Text, "only this type"),
        Route::new(Method::Get, "/insight/{oid}/{sid}/overview", events, "Seconds with events", overview)
            .answers::<Overview>("events_overview")
            .query("start", Kind::Seconds, "from this second on (Unix)")
            .query("end", Kind::Seconds, "up to and including this second (Unix)"),
        Route::new(Method::Get, "/insight/event_count/{oid}/{sid}", events, "Counts of events by type", event_count)
            .answers::<EventCount>("events_count")
            .query("start", Kind::Seconds, "from this second on (Unix)")
            .query("end", Kind::Seconds, "up to and including this second (Unix)")
            .query("is_detailed", Kind::Flag, "true adds the counts by type"),
    ]
    .into_iter()
    .chain(of_atoms())
    .chain(not_kept())
    .collect()
}

/// Single events, and those around them.
fn of_atoms() -> Vec<Route> {
    let events = Access::May("insight.evt.get");
    vec![
        Route::new(Method::Get, "/insight/{oid}/{sid}/{atom}", events, "One event, by atom or event id", event)
            .answers::<Event>("event_get"),
        Route::new(
            Method::Get,
            "/insight/{oid}/{sid}/{atom}/children",
            events,
            "Events whose parent is this atom",
            children,
        )
        .answers::<EventPage>("event_children_list")
        .query("is_compressed", Kind::Flag, "true gives the list as base64 of gzip"),
        Route::new(
            Method::Get,
            "/insight/{oid}/{sid}/{atom}/lineage",
            events,
            "The event of this atom and those above it, nearest first, as far as they are kept",
            lineage,
        )
        .answers::<EventPage>("event_lineage_list"),
    ]
}

/// What published clients ask for and this server does not keep.
fn not_kept() -> Vec<Route> {
    let events = Access::May("insight.evt.get");
    vec![
        Route::new(Method::Get, "/insight/{oid}/objects/{type}", events, "Object search", no_objects)
            .refuses("object_search")
            .open(),
        Route::new(Method::Post, "/insight/{oid}/objects", events, "Object search in bulk", no_objects)
            .refuses("object_search_bulk")
            .open(),
    ]
}

async fn retention(call: Call) -> Result<Reply, ApiError> {
    let days = call.app.config.limits.retention_days;
    Ok(Reply::json(&json!({"insight_bucket": "local", "retention_days": days})))
}

/// First and last instant of the query; all time where it names none.
fn span(query: &Form) -> Result<(Timestamp, Timestamp), ApiError> {
    let seconds = |at: i64| if at > SECONDS_MAX { at / 1_000 } else { at };
    let from = query.number("start")?.map_or(0, seconds);
    let to = query.number("end")?.map_or(SECONDS_MAX, seconds);
    let last = to.saturating_mul(1_000_000).saturating_add(999_999);
    Ok((Timestamp::from_secs(from), Timestamp::from_micros(last)))
}

/// What the query asks for, of a stream.
fn entry_query(call: &Call, oid: Oid, stream: Stream, kind: &str) -> Result<EntryQuery, ApiError> {
    let query = &call.fields;
    let (from, to) = span(query)?;
    let sid = match call.fields.get("sid").filter(|sid| !sid.is_empty()) {
        Some(sid) => Some(sid.parse().map_err(|_| ApiError::bad_request("sid must be a sensor id"))?),
        None => None,
    };
    let limit = query.number("limit")?.filter(|limit| *limit > 0);
    let limit = limit.map_or(PAGE_DEFAULT, |limit| usize::try_from(limit).unwrap_or(ENTRIES_PAGE_MAX));
    let text = |name: &str| query.get(name).filter(|value| !value.is_empty()).map(str::to_owned);
    Ok(EntryQuery {
        oid,
        stream,
        sid,
        kind: text(kind),
        investigation_id: None,
        from,
        to,
        forward: query.get("is_forward").is_none() || query.flag("is_forward")?,
        cursor: text("cursor").filter(|cursor| cursor != FIRST_CURSOR),
        limit: limit.min(ENTRIES_PAGE_MAX),
    })
}

/// A list of records as JSON, or as base64 of its gzip.
fn list(entries: &[Entry], is_compressed: bool) -> Result<Box<RawValue>, ApiError> {
    let bytes: usize = entries.iter().map(|entry| entry.body.len() + 1).sum();
    let mut text = Vec::with_capacity(bytes + 2);
    text.push(b'[');
    for (at, entry) in entries.iter().enumerate() {
        if at > 0 {
            text.push(b',');
        }
        text.extend_from_slice(&entry.body);
    }
    text.push(b']');
    if is_compressed {
        return compressed(&text);
    }
    let text = String::from_utf8(text).map_err(ApiError::internal)?;
    RawValue::from_string(text).map_err(ApiError::internal)
}

/// `b64gz` as a JSON string. Source: reference/rest-api.md section 3.
pub(super) fn compressed(text: &[u8]) -> Result<Box<RawValue>, ApiError> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    let bytes = gzip.write_all(text).and_then(|()| gzip.finish()).map_err(ApiError::internal)?;
    to_raw_value(&BASE64_STANDARD.encode(bytes)).map_err(ApiError::internal)
}

/// Answers a page under the name that clients of this list expect.
async fn page(call: &Call, query: EntryQuery, name: &str) -> Result<Reply, ApiError> {
    let is_compressed = call.fields.flag("is_compressed")?;
    let found = call.app.store.read(move |read| read.entries(&query)).await;
    let EntryPage { entries, cursor } = found.map_err(|error| match error {
        muster_store::StoreError::Cursor => ApiError::bad_request("cursor is not one that an earlier page gave"),
        error => error.into(),
    })?;
    let list = off_thread(move || list(&entries, is_compressed)).await?;
    Ok(Reply::json(&json_page(name, &list, cursor.as_deref())?))
}

/// Compression of a full page takes tens of milliseconds: not on an async thread.
async fn off_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    tokio::task::spawn_blocking(work).await.map_err(ApiError::internal)?
}

fn json_page(name: &str, list: &RawValue, cursor: Option<&str>) -> Result<Box<RawValue>, ApiError> {
    let cursor = to_raw_value(&cursor).map_err(ApiError::internal)?;
    let text = format!("{{\"{name}\":{},\"next_cursor\":{}}}", list.get(), cursor.get());
    RawValue::from_string(text).map_err(ApiError::internal)
}

async fn detections(call: Call) -> Result<Reply, ApiError> {
    let oid = call.organization()?.oid;
    let query = entry_query(&call, oid, Stream::Detect, "cat")?;
    page(&call, query, "detects").await
}

async fn audit(call: Call) -> Result<Reply, ApiError> {
    let oid = call.organization()?.oid;
    let query = entry_query(&call, oid, Stream::Audit, "event_type")?;
    page(&call, query, "events").await
}

/// The organization, and the sensor in the path: one that it has or had, or another source of kept
/// events, such as an extension. Of any other, 404 tells more than a list without events.
async fn source(call: &Call) -> Result<(Oid, Sid), ApiError> {
    let (organization, sid) = (call.organization()?, call.sid()?);
    let oid = organization.oid;
    let is_sensor = organization.state.lock().fleet.ordinal(sid).is_some();
    if !is_sensor {
        let any = EntryQuery { sid: Some(sid), limit: 1, ..EntryQuery::all(oid, Stream::Event) };
        let found = call.app.store.read(move |read| read.entries(&any)).await?;
        if found.entries.is_empty() {
            return Err(ApiError::not_found("sensor not found"));
        }
    }
    Ok((oid, sid))
}

async fn sensor_events(call: Call) -> Result<Reply, ApiError> {
    let (oid, sid) = source(&call).await?;
    let query = EntryQuery { sid: Some(sid), ..entry_query(&call, oid, Stream::Event, "event_type")? };
    page(&call, query, "events").await
}

async fn detection(call: Call) -> Result<Reply, ApiError> {
    let oid = call.organization()?.oid;
    let not_found = || ApiError::not_found("detection not found");
    let id: Uuid = call.path("id").parse().map_err(|_| not_found())?;
    let entry = call.app.store.read(move |read| read.entry(oid, Stream::Detect, id)).await?;
    Ok(Reply::bytes("application/json", entry.ok_or_else(not_found)?.body))
}

/// 32 hex digits.
fn parse_atom(text: &str) -> Option<[u8; 16]> {
    let is_hex = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_hex { u128::from_str_radix(text, 16).ok().map(u128::to_be_bytes) } else { None }
}

async fn event(call: Call) -> Result<Reply, ApiError> {
    let (oid, sid) = (call.organization()?.oid, call.sid()?);
    let text = call.path("atom").to_owned();
    let found = call.app.store.read(move |read| {
        if let Some(atom) = parse_atom(&text)
            && let Some(entry) = read.entry_by_atom(oid, sid, atom)?
        {
            return Ok(Some(entry));
        }
        let Ok(id) = text.parse::<Uuid>() else { return Ok(None) };
        Ok(read.entry(oid, Stream::Event, id)?.filter(|entry| entry.sid == Some(sid)))
    });
    let entry = found.await?.ok_or_else(|| ApiError::not_found("event not found"))?;
    Ok(Reply::bytes("application/json", entry.body))
}

fn atom(call: &Call) -> Result<[u8; 16], ApiError> {
    parse_atom(call.path("atom")).ok_or_else(|| ApiError::bad_request("an atom is 32 hex digits"))
}

async fn children(call: Call) -> Result<Reply, ApiError> {
    let (oid, sid) = source(&call).await?;
    let atom = atom(&call)?;
    let is_compressed = call.fields.flag("is_compressed")?;
    let entries = call.app.store.read(move |read| read.children(oid, sid, atom)).await?;
    let list = off_thread(move || list(&entries, is_compressed)).await?;
    Ok(Reply::json(&json_page("events", &list, None)?))
}

async fn lineage(call: Call) -> Result<Reply, ApiError> {
    let (oid, sid) = source(&call).await?;
    let atom = atom(&call)?;
    let found = call.app.store.read(move |read| {
        let (mut next, mut entries) = (Some(atom), Vec::<Entry>::new());
        while let Some(atom) = next.filter(|_| entries.len() < LINEAGE_MAX) {
            let Some(entry) = read.entry_by_atom(oid, sid, atom)? else { break };
            next = entry.parent_atom;
            entries.push(entry);
        }
        Ok(entries)
    });
    let entries = found.await?;
    let list = off_thread(move || list(&entries, false)).await?;
    Ok(Reply::json(&json_page("events", &list, None)?))
}

async fn overview(call: Call) -> Result<Reply, ApiError> {
    let (oid, sid) = source(&call).await?;
    let (from, to) = span(&call.fields)?;
    let seconds = call.app.store.read(move |read| read.overview(oid, sid, from.as_secs(), to.as_secs())).await?;
    Ok(Reply::json(&json!({"overview": seconds})))
}

async fn event_count(call: Call) -> Result<Reply, ApiError> {
    let (oid, sid) = source(&call).await?;
    let (from, to) = span(&call.fields)?;
    let counts = call.app.store.read(move |read| read.event_counts(oid, sid, from.as_secs(), to.as_secs())).await?;
    let total: u64 = counts.iter().map(|(_, count)| count).sum();
    let mut answer = json!({"sid": sid, "count": total});
    if call.fields.flag("is_detailed")? {
        answer["by_type"] = counts.into_iter().map(|(kind, count)| (kind, Value::from(count))).collect();
    }
    Ok(Reply::json(&answer))
}

async fn no_objects(_call: Call) -> Result<Reply, ApiError> {
    Err(ApiError::not_found("object search is not available on this server: it keeps no index of objects"))
}
