//! Sensors: list, record, direct tasks, deletion, isolation, seal. Source: reference/rest-api.md section 7.2.

mod listing;

use super::{Access, ApiError, Call, Kind, Method, Reply, Route};
use crate::sensor::{self, Flag, SensorRecord};
use crate::tasking;
use muster_api_types::{Done, Isolation, Seal, SensorState};
use muster_command::Command;
use serde_json::json;

/// Longest `x-idempotent-key`, in bytes: clients send a UUID.
const IDEMPOTENT_KEY_BYTES_MAX: usize = 256;

/// The routes of this area.
pub(super) fn routes() -> Vec<Route> {
    use Access::May;
    use Method::{Delete, Get, Post};
    let mut routes = listing::routes();
    routes.extend([
        Route::new(Get, "/{sid}", May("sensor.get"), "One sensor", get).answers::<SensorState<'static>>("sensor_get"),
        Route::new(Post, "/{sid}", May("sensor.task"), "Task a sensor that is online", task)
            .answers::<Done>("sensor_task")
            .needs("tasks", Kind::List, "Command line; repeat for several, which run in order")
            .form("investigation_id", Kind::Text, "Put into routing/investigation_id of everything that answers"),
        Route::new(Delete, "/{sid}", May("sensor.del"), "Delete a sensor", delete).answers::<Done>("sensor_delete"),
        Route::new(Post, "/{sid}/undelete", May("sensor.del"), "Take the deletion of a sensor back", undelete)
            .answers::<Done>("sensor_undelete"),
        Route::new(Get, "/{sid}/isolation", May("sensor.get"), "Network isolation: wanted and reported", isolation)
            .answers::<Isolation>("sensor_isolation_get"),
        Route::new(Post, "/{sid}/isolation", May("sensor.task"), "Isolate a sensor from the network", isolate)
            .answers::<Done>("sensor_isolate"),
        Route::new(Delete, "/{sid}/isolation", May("sensor.task"), "End the isolation of a sensor", rejoin)
            .answers::<Done>("sensor_rejoin"),
        Route::new(Get, "/{sid}/seal", May("sensor.get"), "Seal: wanted and reported", seal_state)
            .answers::<Seal>("sensor_seal_get"),
        Route::new(Post, "/{sid}/seal", May("sensor.task"), "Seal a sensor against tampering", seal)
            .answers::<Done>("sensor_seal"),
        Route::new(Delete, "/{sid}/seal", May("sensor.task"), "End the seal of a sensor", unseal)
            .answers::<Done>("sensor_unseal"),
    ]);
    routes
}

async fn get(call: Call) -> Result<Reply, ApiError> {
    let place = call.place()?;
    let state = place.organization.state.lock();
    let row = state.fleet.row(place.ordinal).ok_or_else(|| ApiError::not_found("sensor not found"))?;
    let is_online = state.is_online(place.ordinal);
    // Clients take a sensor for online if this object is not empty.
    let online = if is_online { json!({"is_online": true, "since": row.sensor.alive_at.as_secs()}) } else { json!({}) };
    let info = SensorRecord::new(&row.sensor, is_online);
    let events_held_back = state.link(place.ordinal).map_or(0, |link| link.held_back());
    Ok(Reply::json(&json!({
        "info": info, "online": online, "is_online": is_online, "events_held_back": events_held_back,
    })))
}

async fn task(call: Call) -> Result<Reply, ApiError> {
    let place = call.place()?;
    let commands: Vec<&str> = call.fields.all("tasks").filter(|line| !line.trim().is_empty()).collect();
    let investigation = call.fields.get("investigation_id").filter(|id| !id.is_empty());
    for command in commands.iter().filter_map(|line| Command::parse(line).ok()) {
        tasking::require_payload(&call.caller, place.organization.oid, &command)?;
    }
    let Some(key) = call.headers.get("x-idempotent-key") else {
        tasking::send_direct(&call.app.tasking, &place, &commands, investigation, &call.actor()).await?;
        return Ok(Reply::done());
    };
    if key.len() > IDEMPOTENT_KEY_BYTES_MAX {
        let most = IDEMPOTENT_KEY_BYTES_MAX;
        return Err(ApiError::bad_request(format!("x-idempotent-key must be at most {most} bytes")));
    }
    let fields: Vec<String> = call.fields.pairs().map(|(name, value)| format!("{name}={value:?}")).collect();
    let fields = fields.join("&");
    let parts = [call.caller.credential.as_bytes(), call.path("sid").as_bytes(), key.as_bytes(), fields.as_bytes()];
    let digest = call.app.secrets.lasting_digest(&parts.join(&b'\n'));
    tasking::send_once(&call.app.tasking, &place, &commands, investigation, &call.actor(), &digest).await?;
    Ok(Reply::done())
}

async fn delete(call: Call) -> Result<Reply, ApiError> {
    sensor::delete(&call.app.sensors, &call.place()?, &call.actor()).await?;
    Ok(Reply::done())
}

async fn undelete(call: Call) -> Result<Reply, ApiError> {
    sensor::undelete(&call.app.sensors, &call.place_even_deleted()?, &call.actor()).await?;
    Ok(Reply::done())
}

async fn isolation(call: Call) -> Result<Reply, ApiError> {
    let place = call.place()?;
    let state = place.organization.state.lock();
    let row = state.fleet.row(place.ordinal).ok_or_else(|| ApiError::not_found("sensor not found"))?;
    Ok(Reply::json(&json!({"is_isolated": row.sensor.isolated, "should_isolate": row.sensor.should_isolate})))
}

async fn seal_state(call: Call) -> Result<Reply, ApiError> {
    let place = call.place()?;
    let state = place.organization.state.lock();
    let row = state.fleet.row(place.ordinal).ok_or_else(|| ApiError::not_found("sensor not found"))?;
    Ok(Reply::json(&json!({"is_sealed": row.sensor.sealed, "should_seal": row.sensor.should_seal})))
}

async fn isolate(call: Call) -> Result<Reply, ApiError> {
    set_flag(&call, Flag::Isolation, true).await
}

async fn rejoin(call: Call) -> Result<Reply, ApiError> {
    set_flag(&call, Flag::Isolation, false).await
}

async fn seal(call: Call) -> Result<Reply, ApiError> {
    set_flag(&call, Flag::Seal, true).await
}

async fn unseal(call: Call) -> Result<Reply, ApiError> {
    set_flag(&call, Flag::Seal, false).await
}

async fn set_flag(call: &Call, flag: Flag, wanted: bool) -> Result<Reply, ApiError> {
    sensor::set_flag(&call.app.sensors, &call.place()?, flag, wanted, &call.actor()).await?;
    Ok(Reply::done())
}
