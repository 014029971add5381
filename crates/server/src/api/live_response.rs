//! Live Response: sessions, commands and files of endpoints, in the two forms that clients speak.
//!
//! Both are spellings of one thing, which [`crate::live`] does: `v3` is that of the first published document, `v6` the
//! later one. Source: reference/live-response.md.

mod devices;
mod fields;
mod files;
mod multipart;
mod ours;
mod render;
mod v3;
mod v6;

use super::{ApiError, Call, Kind, Reply, Route};
use crate::live::{Error, LiveSession};
use muster_api_types::ErrorCode;
use muster_live::SessionId;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

/// Longest body of a command, in bytes. Source: reference/live-response.md section 3.3.
const COMMAND_BYTES_MAX: usize = 10 * 1024;

/// How long a request that waits is held open. Source: reference/live-response.md section 3.4.
const WAIT_MAX: Duration = Duration::from_secs(110);

/// The permission that opens sessions and reads what is in them; keys without it are not of the type Live Response.
pub(super) const SESSION: &str = "live.session";

/// Beginnings of the paths whose errors have the form of Live Response.
const FOREIGN: &[&str] = &["/integrationServices/", "/appservices/"];

/// The routes of this area.
pub(super) fn routes() -> Vec<Route> {
    let mut routes = v3::routes();
    routes.extend(v6::routes());
    routes.extend(devices::routes());
    routes.extend(files::routes());
    routes.extend(ours::routes());
    routes
}

/// Describes what opening a session takes in both forms.
fn opening(route: Route) -> Route {
    let seconds = Kind::Whole(0, i64::MAX);
    route
        .query("wait", Kind::Flag, "true: answers once the sensor has come, or will not")
        .form("check_in_timeout", seconds, "Seconds that the sensor is waited for; default 900")
        .form("session_timeout", seconds, "Seconds that the sensor may be away; default 900")
        .form("sensor_wait_timeout", seconds, "Seconds in which something must be ordered; default session_timeout")
        .form("default_command_timeout", seconds, "Seconds that a command may take which does not say so")
}

/// The session in the path.
fn session(call: &Call) -> Result<Arc<LiveSession>, ApiError> {
    let id: SessionId = call.path("session").parse().map_err(|_| Error::NoSession)?;
    Ok(call.app.live.get(call.organization()?.oid, id)?)
}

/// The session in the path, which is not over; reading what was done goes on while a closed one is shown.
fn session_to_read(call: &Call) -> Result<Arc<LiveSession>, ApiError> {
    let live = session(call)?;
    match live.state().status() {
        muster_live::Status::Timeout => Err(Error::NoSession.into()),
        _ => Ok(live),
    }
}

/// Whether a path is one of those whose errors have the form of Live Response.
pub(super) fn is_foreign(path: &str) -> bool {
    FOREIGN.iter().any(|beginning| path.starts_with(beginning))
}

/// An error in the form of Live Response, of which both forms read a part. Never in it: `errorMessage`, at whose mere
/// presence clients stop. Source: reference/live-response.md sections 8.2 and 10.5.
pub(super) fn refusal(error: &ApiError, path: &str) -> Reply {
    let reply = Reply::from(error);
    let is_later_form = path.starts_with("/appservices/");
    // A known key without the permission is 403 there, and "unauthorized" in the first form.
    let status = if is_later_form && error.code == ErrorCode::MissingPermission { 403 } else { error.code.status() };
    let word = match status {
        400 => "BAD_REQUEST",
        401 => "UNAUTHORIZED",
        403 => "FORBIDDEN",
        404 => "NOT_FOUND",
        405 => "METHOD_NOT_ALLOWED",
        409 => "CONFLICT",
        413 => "TOO_LARGE",
        429 => "TOO_MANY_REQUESTS",
        507 => "INSUFFICIENT_STORAGE",
        503 => "UNAVAILABLE",
        _ => "INTERNAL_ERROR",
    };
    let body = json!({
        "reason": error.message, "success": false, "status": word, "message": error.message,
        "error": error.message, "error_code": word,
    });
    reply.with_body(&body).status(status)
}
