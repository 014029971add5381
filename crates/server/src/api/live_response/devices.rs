//! Devices, as far as Live Response clients ask for them. Source: reference/live-response.md sections 7 and 10.6.

use super::super::{Access, ApiError, Call, Form, Kind, Method, Reply, Route};
use super::render;
use crate::live::{Error, device_of, ordinal_of};
use muster_api_types::{LiveDevice, LiveDeviceAnswer, LiveDevicePage, LiveDevices};
use muster_model::{Platform, Sensor, Timestamp};
use serde_json::{Value, json};

/// Devices on a page where the client names no number.
const ROWS_DEFAULT: i64 = 100;

/// Devices on a page at most.
const ROWS_MAX: i64 = 10_000;

pub(super) fn routes() -> Vec<Route> {
    let may = Access::May("sensor.list");
    let list = Route::new(Method::Get, "//integrationServices/v3/device", may, "Devices, page by page", list)
        .answers::<LiveDevicePage>("live_v3_devices_list")
        .query("rows", Kind::Whole(0, ROWS_MAX), "Devices on a page; default 100")
        .query("start", Kind::Whole(0, i64::MAX), "Number of the first one, from 1")
        .query("limit", Kind::Whole(0, i64::MAX), "0: only how many there are")
        .query("hostNameExact", Kind::Text, "Only with this host name")
        .query("hostName", Kind::Text, "Only with this in their host name")
        .query("ipAddress", Kind::Text, "Only with this internal or external address")
        .query("ownerName", Kind::Text, "Nobody owns a device here: none")
        .query("ownerNameExact", Kind::Text, "Nobody owns a device here: none");
    let search =
        Route::new(Method::Post, "//appservices/v6/orgs/{oid}/devices/_search", may, "Devices, page by page", search)
            .answers::<LiveDevices>("live_v6_devices_list")
            .form("start", Kind::Whole(0, i64::MAX), "Number of the first one, from 1")
            .form("rows", Kind::Whole(0, ROWS_MAX), "Devices on a page; default all")
            .form("query", Kind::Text, "Only with this in their host name")
            .form("criteria", Kind::Json, "Criteria; only an empty object")
            .form("exclusions", Kind::Json, "Exclusions; only an empty object")
            .form("sort", Kind::Json, "Order; devices come by their number");
    let all = vec![
        Route::new(Method::Get, "//integrationServices/v3/device/{device}", may, "A device", get)
            .answers::<LiveDeviceAnswer>("live_v3_device_get"),
        list,
        Route::new(Method::Get, "//appservices/v6/orgs/{oid}/devices/{device}", may, "A device", get_later)
            .answers::<LiveDevice>("live_v6_device_get"),
        search,
    ];
    all.into_iter().map(Route::keyed).collect()
}

/// A sensor with its number, and whether it has a link.
struct Device {
    number: u32,
    sensor: Sensor,
    is_online: bool,
}

fn devices(call: &Call, fits: impl Fn(&Sensor) -> bool) -> Result<Vec<Device>, ApiError> {
    let state = call.organization()?.state.lock();
    let live = state.fleet.live().iter().filter_map(|ordinal| state.fleet.row(ordinal));
    let device = |row: &muster_tasking::SensorRow| Device {
        number: device_of(row.ordinal),
        sensor: row.sensor.clone(),
        is_online: state.link(row.ordinal).is_some(),
    };
    Ok(live.filter(|row| fits(&row.sensor)).map(device).collect())
}

fn one(call: &Call) -> Result<Device, ApiError> {
    let gone = || ApiError::not_found("device not found");
    let number: u32 = call.path("device").parse().map_err(|_| gone())?;
    let ordinal = ordinal_of(number).ok_or(Error::NoDevice)?;
    let state = call.organization()?.state.lock();
    let row = state.fleet.row(ordinal).filter(|row| !row.sensor.deleted).ok_or_else(gone)?;
    Ok(Device { number, sensor: row.sensor.clone(), is_online: state.link(ordinal).is_some() })
}

const fn kind(platform: Platform) -> &'static str {
    match platform {
        Platform::WINDOWS => "WINDOWS",
        Platform::MACOS => "MAC",
        _ => "LINUX",
    }
}

/// When a device was heard last: now, while it has a link.
fn last_contact(device: &Device, now: Timestamp) -> Timestamp {
    if device.is_online { now } else { device.sensor.alive_at }
}

fn shown(device: &Device, oid: &str, now: Timestamp) -> Value {
    let sensor = &device.sensor;
    let last = last_contact(device, now).as_millis();
    let states =
        if device.is_online { json!(["ACTIVE", "LIVE_RESPONSE_ENABLED"]) } else { json!(["LIVE_RESPONSE_ENABLED"]) };
    json!({
        "deviceId": device.number, "name": sensor.hostname, "deviceType": kind(sensor.platform),
        "osVersion": sensor.platform.name(), "lastContact": last, "lastReportedTime": last,
        "registeredTime": sensor.enrolled_at.as_millis(), "createTime": sensor.enrolled_at.as_millis(),
        "lastInternalIpAddress": sensor.int_ip, "lastExternalIpAddress": sensor.ext_ip, "status": "REGISTERED",
        "sensorStates": states, "sensorVersion": sensor.version, "policyId": 1, "policyName": "default",
        "organizationId": oid, "organizationName": oid, "quarantined": sensor.isolated, "email": null,
        "firstName": null, "lastName": null, "deviceGuid": sensor.sid, "uninstalledTime": null,
    })
}

fn shown_later(device: &Device, oid: &str, now: Timestamp) -> Value {
    let sensor = &device.sensor;
    json!({
        "id": device.number, "name": sensor.hostname, "os": kind(sensor.platform),
        "os_version": sensor.platform.name(), "status": "REGISTERED",
        "last_contact_time": render::millis_text(last_contact(device, now)),
        "registered_time": render::millis_text(sensor.enrolled_at),
        "sensor_states": if device.is_online { json!(["ACTIVE", "LIVE_RESPONSE_ENABLED"]) } else { json!(["LIVE_RESPONSE_ENABLED"]) },
        "sensor_version": sensor.version, "last_internal_ip_address": sensor.int_ip,
        "last_external_ip_address": sensor.ext_ip, "quarantined": sensor.isolated, "policy_id": 1,
        "policy_name": "default", "organization_id": oid, "device_guid": sensor.sid,
    })
}

async fn get(call: Call) -> Result<Reply, ApiError> {
    let (device, oid) = (one(&call)?, call.organization()?.oid.to_string());
    let info = shown(&device, &oid, crate::clock::now());
    Ok(Reply::json(&json!({"success": true, "message": "Success", "deviceInfo": info})))
}

async fn get_later(call: Call) -> Result<Reply, ApiError> {
    let (device, oid) = (one(&call)?, call.organization()?.oid.to_string());
    Ok(Reply::json(&shown_later(&device, &oid, crate::clock::now())))
}

fn is_like(sensor: &Sensor, part: &str) -> bool {
    sensor.hostname.to_lowercase().contains(&part.to_lowercase())
}

/// The first one, from 0, and how many of them.
fn page(fields: &Form, rows: i64) -> Result<(usize, usize), ApiError> {
    let number = |name: &str, usual: i64| -> Result<i64, ApiError> {
        match fields.number(name)?.unwrap_or(usual) {
            number @ 0.. => Ok(number),
            _ => Err(ApiError::bad_request(format!("{name} must be a whole number from 0"))),
        }
    };
    // Both 0 and 1 are the first one.
    let (start, rows) = (number("start", 1)?.max(1) - 1, number("rows", rows)?);
    Ok((usize::try_from(start).unwrap_or(usize::MAX), usize::try_from(rows).unwrap_or(usize::MAX)))
}

async fn list(call: Call) -> Result<Reply, ApiError> {
    let wanted = |name: &str| call.fields.get(name).filter(|value| !value.is_empty());
    let (exact, part, address) = (wanted("hostNameExact"), wanted("hostName"), wanted("ipAddress"));
    let has_owner = wanted("ownerName").is_some() || wanted("ownerNameExact").is_some();
    let fits = |sensor: &Sensor| {
        !has_owner
            && exact.is_none_or(|name| sensor.hostname.eq_ignore_ascii_case(name))
            && part.is_none_or(|part| is_like(sensor, part))
            && address.is_none_or(|address| *sensor.int_ip == *address || *sensor.ext_ip == *address)
    };
    let (found, now) = (devices(&call, fits)?, crate::clock::now());
    let (start, rows) = page(&call.fields, ROWS_DEFAULT)?;
    let rows = if call.fields.number("limit")? == Some(0) { 0 } else { rows.min(ROWS_MAX as usize) };
    let oid = call.organization()?.oid.to_string();
    let results = found.iter().skip(start).take(rows).map(|device| shown(device, &oid, now));
    Ok(Reply::json(&json!({
        "latestTime": now.as_millis(), "success": true, "message": "Success", "totalResults": found.len(),
        "elapsed": 0, "results": results.collect::<Vec<Value>>(),
    })))
}

async fn search(call: Call) -> Result<Reply, ApiError> {
    for name in ["criteria", "exclusions"] {
        let given = call.fields.get(name).map(str::trim).unwrap_or_default();
        if !matches!(given, "" | "{}") {
            return Err(ApiError::bad_request(format!("{name} are not looked at here: use query, or leave them out")));
        }
    }
    let part = call.fields.get("query").filter(|query| !query.is_empty());
    let (found, now) = (devices(&call, |sensor| part.is_none_or(|part| is_like(sensor, part)))?, crate::clock::now());
    let (start, rows) = page(&call.fields, i64::MAX)?;
    let oid = call.organization()?.oid.to_string();
    let results = found.iter().skip(start).take(rows).map(|device| shown_later(device, &oid, now));
    Ok(Reply::json(&json!({"results": results.collect::<Vec<Value>>(), "num_found": found.len()})))
}
