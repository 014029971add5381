//! The first published form. Source: reference/live-response.md sections 3.4, 4.1 and 6.2.

use super::super::{Access, ApiError, Call, Kind, Method, Reply, Route};
use super::{SESSION, WAIT_MAX, fields, files, opening, render, session, session_to_read};
use crate::live::{Error, LiveSession, ordinal_of};
use crate::organization::Place;
use muster_api_types::{LiveCommandV3, LiveFile, LiveSessionV3};
use serde_json::{Map, Value};
use std::sync::Arc;
use tokio::time::Instant;

pub(super) fn routes() -> Vec<Route> {
    use Method::{Get, Post, Put};
    let may = Access::May(SESSION);
    let all = vec![
        opening_named(
            Route::new(Post, "//integrationServices/v3/cblr/session/{session}", may, "Opens a session", open)
                .answers::<LiveSessionV3>("live_v3_session_open"),
        ),
        opening_named(
            Route::new(Post, "//integrationServices/v3/cblr/session", may, "Opens a session", open)
                .answers::<LiveSessionV3>("live_v3_session_open_named"),
        ),
        Route::new(Get, "//integrationServices/v3/cblr/session", may, "Sessions that are shown", list)
            .answers::<Vec<LiveSessionV3>>("live_v3_sessions_list")
            .query("active_only", Kind::Flag, "true: only those that are not over"),
        Route::new(Put, "//integrationServices/v3/cblr/session", may, "Closes a session", close)
            .answers::<LiveSessionV3>("live_v3_session_close_named")
            .open(),
        Route::new(Get, "//integrationServices/v3/cblr/session/{session}", may, "A session", get)
            .answers::<LiveSessionV3>("live_v3_session_get")
            .query("wait", Kind::Flag, "true: answers once the sensor has come, or will not"),
        Route::new(Put, "//integrationServices/v3/cblr/session/{session}", may, "Closes a session", close)
            .answers::<LiveSessionV3>("live_v3_session_close")
            .open(),
        Route::new(
            Get,
            "//integrationServices/v3/cblr/session/{session}/keepalive",
            may,
            "Keeps a session from idling",
            keep_alive,
        )
        .answers::<LiveSessionV3>("live_v3_session_keep_alive"),
        Route::new(Get, "//integrationServices/v3/cblr/session/{session}/command", may, "Commands", commands)
            .answers::<Vec<LiveCommandV3>>("live_v3_commands_list")
            .query("status", Kind::Text, "Only these: completed, in progress, canceled, pending or error")
            .query("count", Kind::Whole(0, i64::MAX), "At most so many, from the first"),
        Route::new(Post, "//integrationServices/v3/cblr/session/{session}/command", may, "Orders a command", issue)
            .answers::<LiveCommandV3>("live_v3_command_issue")
            .open(),
        Route::new(Get, "//integrationServices/v3/cblr/session/{session}/command/{command}", may, "A command", command)
            .answers::<LiveCommandV3>("live_v3_command_get")
            .query("wait", Kind::Flag, "true: answers once the command has ended"),
        Route::new(
            Put,
            "//integrationServices/v3/cblr/session/{session}/command/{command}",
            may,
            "Cancels a command that has not begun",
            cancel,
        )
        .answers::<LiveCommandV3>("live_v3_command_cancel")
        .open(),
    ];
    all.into_iter().chain(of_files()).map(Route::keyed).collect()
}

fn of_files() -> Vec<Route> {
    use Method::{Delete, Get, Post, Put};
    let (may, file) = (Access::May(SESSION), Access::May("live.file"));
    vec![
        Route::new(Get, "//integrationServices/v3/cblr/session/{session}/file", may, "Files", files::list)
            .answers::<Vec<LiveFile>>("live_v3_files_list"),
        Route::new(Post, "//integrationServices/v3/cblr/session/{session}/file", file, "Uploads a file", files::upload)
            .answers::<LiveFile>("live_v3_file_upload")
            .streaming(),
        Route::new(Get, "//integrationServices/v3/cblr/session/{session}/file/{file}", may, "A file", files::get)
            .answers::<LiveFile>("live_v3_file_get"),
        Route::new(
            Put,
            "//integrationServices/v3/cblr/session/{session}/file/{file}",
            file,
            "Deletes a file, if delete is true",
            files::put,
        )
        .answers::<LiveFile>("live_v3_file_put")
        .open(),
        Route::new(
            Delete,
            "//integrationServices/v3/cblr/session/{session}/file/{file}",
            file,
            "Deletes a file",
            files::delete,
        )
        .answers::<LiveFile>("live_v3_file_delete"),
        Route::new(
            Get,
            "//integrationServices/v3/cblr/session/{session}/file/{file}/content",
            file,
            "The content of a file",
            files::content,
        )
        .answers_bytes("live_v3_file_content", "application/octet-stream"),
    ]
}

/// Describes what opening a session takes, with the names that only this form knows.
fn opening_named(route: Route) -> Route {
    opening(route)
        .form("sensor_id", Kind::Whole(0, u32::MAX as i64), "Number of the device, if the path does not say it")
        .form("device_id", Kind::Whole(0, u32::MAX as i64), "The same")
        .form("checkin_timeout", Kind::Whole(0, i64::MAX), "The same as check_in_timeout")
}

/// The sensor that is known by a number in the organization of the call.
pub(super) fn place(call: &Call, device: u32) -> Result<Place, ApiError> {
    let ordinal = ordinal_of(device).ok_or(Error::NoDevice)?;
    Ok(Place { organization: Arc::clone(call.organization()?), ordinal })
}

/// A session as it is now.
fn shown(live: &LiveSession) -> Reply {
    let sensor = live.sensor();
    Reply::json(&render::session_v3(live, &live.state(), sensor.as_ref()))
}

/// Waits until the sensor of a session has come, if the client wants that.
pub(super) async fn settle(call: &Call, live: &LiveSession) {
    if fields::waits(call) {
        live.settled(Instant::now() + WAIT_MAX).await;
    }
}

async fn open(call: Call) -> Result<Reply, ApiError> {
    let named = fields::device(&call.fields, &["sensor_id", "device_id"])?;
    // The router has one name for what stands there.
    let in_path = match call.path("session") {
        "" => None,
        text => Some(text.parse::<u32>().map_err(|_| Error::NoDevice)?),
    };
    let device = match (in_path, named) {
        (Some(path), Some(named)) if path != named => {
            return Err(ApiError::bad_request("sensor_id is not the device of the path"));
        }
        (path, named) => path.or(named).ok_or_else(|| ApiError::bad_request("sensor_id is required"))?,
    };
    let (place, timers) = (place(&call, device)?, fields::timers(&call)?);
    let live = call.app.live.open(&place, timers, &call.actor()).await?;
    settle(&call, &live).await;
    Ok(shown(&live))
}

async fn list(call: Call) -> Result<Reply, ApiError> {
    let only_live = call.fields.flag("active_only")?;
    let all = call.app.live.list(call.organization()?.oid);
    let all = all.iter().filter(|live| !only_live || live.state().ended_at().is_none());
    let shown = all.map(|live| render::session_v3(live, &live.state(), live.sensor().as_ref()));
    Ok(Reply::json(&shown.collect::<Vec<Value>>()))
}

async fn get(call: Call) -> Result<Reply, ApiError> {
    let live = session(&call)?;
    settle(&call, &live).await;
    // A session that was waited for in vain is gone: clients would go on asking for one that is shown as timed out.
    Ok(shown(&*session_to_read(&call)?))
}

/// Closes the session that the path or the body names; a whole session object with that status will do.
async fn close(call: Call) -> Result<Reply, ApiError> {
    let body: Map<String, Value> = call.object()?;
    let named = body.get("session_id").or_else(|| body.get("id")).and_then(Value::as_str);
    let id = match (call.path("session"), named) {
        ("", None) => return Err(ApiError::bad_request("session_id is required")),
        ("", Some(named)) => named,
        (path, Some(named)) if path != named => {
            return Err(ApiError::bad_request("session_id is not the session of the path"));
        }
        (path, _) => path,
    };
    let live = call.app.live.get(call.organization()?.oid, id.parse().map_err(|_| Error::NoSession)?)?;
    if body.get("status").and_then(Value::as_str) != Some("CLOSE") {
        return Err(ApiError::bad_request("status must be CLOSE"));
    }
    call.app.live.close(&live, &call.actor()).await?;
    Ok(shown(&live))
}

async fn keep_alive(call: Call) -> Result<Reply, ApiError> {
    let live = session(&call)?;
    call.app.live.keep_alive(&live).await?;
    Ok(shown(&live))
}

/// The commands that a client asks for, each with what it found.
pub(super) async fn chosen(call: &Call, live: &LiveSession) -> Result<Vec<crate::live::CommandView>, ApiError> {
    let (wanted, count) = fields::filter(call)?;
    let state = live.state();
    let fits = |command: &muster_live::Command| wanted.is_none_or(|wanted| wanted.has(command.state()));
    let numbers = (0..).zip(state.commands()).filter(|(_, command)| fits(command)).map(|(number, _)| number);
    let mut views = Vec::new();
    for number in numbers.take(count) {
        views.push(call.app.live.command(live, number).await?);
    }
    Ok(views)
}

async fn commands(call: Call) -> Result<Reply, ApiError> {
    let live = session_to_read(&call)?;
    let (views, state) = (chosen(&call, &live).await?, live.state());
    Ok(Reply::json(&views.iter().map(|view| render::command_v3(view, &state)).collect::<Vec<Value>>()))
}

async fn issue(call: Call) -> Result<Reply, ApiError> {
    let live = session(&call)?;
    let (request, timeout) = fields::command(&call, call.path("session"))?;
    require_category(&call, &request)?;
    let view = call.app.live.issue(&live, request, timeout, &call.actor()).await?;
    Ok(Reply::json(&render::command_v3(&view, &live.state())))
}

/// Each kind of command has a permission of its own. Source: reference/live-response.md section 10.5.
pub(super) fn require_category(call: &Call, request: &Map<String, Value>) -> Result<(), ApiError> {
    let name = request.get("name").and_then(Value::as_str).unwrap_or_default();
    let permission = match name {
        "memdump" => "live.memdump",
        "process list" | "kill" | "create process" => "live.process",
        name if name.starts_with("reg ") => "live.registry",
        _ => "live.file",
    };
    call.caller.require(call.organization()?.oid, permission).map_err(ApiError::from)
}

/// The number of the command in the path.
pub(super) fn number(call: &Call) -> Result<u32, ApiError> {
    Ok(call.path("command").parse().map_err(|_| Error::NoCommand)?)
}

/// The command in the path, after it has ended if the client wants that.
pub(super) async fn view(call: &Call, live: &LiveSession) -> Result<crate::live::CommandView, ApiError> {
    let number = number(call)?;
    if fields::waits(call) {
        let is_over =
            |session: &muster_live::Session| session.command(number).is_none_or(muster_live::Command::is_over);
        live.wait(Instant::now() + WAIT_MAX, is_over).await;
    }
    Ok(call.app.live.command(live, number).await?)
}

async fn command(call: Call) -> Result<Reply, ApiError> {
    let live = session_to_read(&call)?;
    let view = view(&call, &live).await?;
    Ok(Reply::json(&render::command_v3(&view, &live.state())))
}

async fn cancel(call: Call) -> Result<Reply, ApiError> {
    let live = session(&call)?;
    let view = call.app.live.cancel(&live, number(&call)?, &call.actor()).await?;
    Ok(Reply::json(&render::command_v3(&view, &live.state())))
}
