//! Tags of sensors. Source: reference/rest-api.md section 7.2, reference/sensor.md section 7.

use super::{Access, ApiError, Call, Kind, Method, Reply, Route};
use crate::{clock, names, sensor};
use muster_api_types::{Done, SensorTags, TagCarriers, Tags};
use muster_selector::Fleet as _;
use roaring::RoaringBitmap;
use serde_json::{Map, Value, json};
use std::time::Duration;

/// Tags on one sensor: each is written to every event of the sensor.
const TAGS_PER_SENSOR_MAX: usize = 1_000;

/// Longest time to live of a tag: ten years.
const TTL_S_MAX: u64 = 10 * 366 * 24 * 3_600;

/// The routes of this area.
pub(super) fn routes() -> Vec<Route> {
    use Access::May;
    use Method::{Delete, Get, Post};
    vec![
        Route::new(Get, "/{sid}/tags", May("sensor.get"), "Tags of a sensor, with who put them on and when", get)
            .answers::<SensorTags>("sensor_tags_list"),
        Route::new(Post, "/{sid}/tags", May("sensor.tag"), "Put tags on a sensor", put)
            .answers::<Done>("sensor_tags_put")
            .needs("tags", Kind::List, "Tag; repeat or join by commas for several")
            .form("ttl", Kind::Whole(0, TTL_S_MAX as i64), "Seconds after which the tag goes away; absent is never"),
        Route::new(Delete, "/{sid}/tags", May("sensor.tag"), "Take tags off a sensor", take)
            .answers::<Done>("sensor_tags_take")
            .form("tag", Kind::Text, "One tag, taken as it is")
            .form("tags", Kind::List, "Tags, joined by commas"),
        Route::new(Get, "/tags/{oid}", May("sensor.list"), "Tags in use", in_use).answers::<Tags>("tags_list"),
        Route::new(Get, "/tags/{oid}/{tag}", May("sensor.list"), "Sensors that carry a tag", carriers)
            .answers::<TagCarriers>("tag_carriers_list"),
    ]
}

async fn get(call: Call) -> Result<Reply, ApiError> {
    let place = call.place()?;
    let state = place.organization.state.lock();
    let row = state.fleet.row(place.ordinal).ok_or_else(|| ApiError::not_found("sensor not found"))?;
    let sid = row.sensor.sid.to_string();
    let tags: Map<String, Value> = row
        .sensor
        .tags
        .iter()
        .map(|tag| (tag.name.to_string(), json!([sid, tag.name, tag.added_by, clock::text(tag.added_at)])))
        .collect();
    Ok(Reply::json(&json!({"tags": {sid: tags}})))
}

async fn put(call: Call) -> Result<Reply, ApiError> {
    let place = call.place()?;
    let mut tags: Vec<&str> = call.fields.list("tags").collect();
    tags.sort_unstable();
    tags.dedup();
    if tags.is_empty() {
        return Err(ApiError::bad_request("tags is required"));
    }
    names::check_tags(&tags)?;
    let ttl = match call.fields.number("ttl")? {
        None | Some(0) => None,
        Some(seconds) => {
            let seconds = u64::try_from(seconds).ok().filter(|seconds| *seconds <= TTL_S_MAX);
            let seconds = seconds
                .ok_or_else(|| ApiError::bad_request(format!("ttl must be 0 to {TTL_S_MAX} seconds; 0 is for ever")))?;
            Some(Duration::from_secs(seconds))
        }
    };
    let is_room = {
        let state = place.organization.state.lock();
        state.fleet.row(place.ordinal).is_some_and(|row| row.sensor.tags.len() + tags.len() <= TAGS_PER_SENSOR_MAX)
    };
    if !is_room {
        return Err(ApiError::bad_request(format!("a sensor has at most {TAGS_PER_SENSOR_MAX} tags; take some off")));
    }
    let one = RoaringBitmap::from_iter([place.ordinal]);
    sensor::put_tags(&call.app.sensors, &place.organization, &one, &tags, ttl, &call.actor()).await?;
    Ok(Reply::done())
}

async fn take(call: Call) -> Result<Reply, ApiError> {
    let place = call.place()?;
    // `tag` is one tag, which may hold commas; `tags` is a list.
    let one_tag = call.fields.all("tag").filter(|tag| !tag.is_empty());
    let tags: Vec<&str> = one_tag.chain(call.fields.list("tags")).collect();
    if tags.is_empty() {
        return Err(ApiError::bad_request("tag is required"));
    }
    names::check_tags(&tags)?;
    let one = RoaringBitmap::from_iter([place.ordinal]);
    sensor::take_tags(&call.app.sensors, &place.organization, &one, &tags, &call.actor()).await?;
    Ok(Reply::done())
}

async fn in_use(call: Call) -> Result<Reply, ApiError> {
    let state = call.organization()?.state.lock();
    let is_carried = |tag: &str| state.fleet.tagged(tag).is_some_and(|set| !set.is_disjoint(state.fleet.live()));
    let tags: Vec<_> = state.fleet.tags().into_iter().filter(|tag| is_carried(tag)).collect();
    Ok(Reply::json(&json!({"tags": tags})))
}

async fn carriers(call: Call) -> Result<Reply, ApiError> {
    let state = call.organization()?.state.lock();
    let carriers = state.fleet.tagged(call.path("tag")).map(|set| set & state.fleet.live()).unwrap_or_default();
    let by_sid: Map<String, Value> = carriers
        .iter()
        .filter_map(|ordinal| state.fleet.row(ordinal))
        .map(|row| (row.sensor.sid.to_string(), json!(row.sensor.tag_names().collect::<Vec<_>>())))
        .collect();
    Ok(Reply::json(&by_sid))
}
