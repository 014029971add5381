//! The later form. Source: reference/live-response.md section 10.

use super::super::{Access, ApiError, Call, Kind, Method, Reply, Route};
use super::{SESSION, fields, files, opening, render, session, session_to_read, v3};
use crate::live::LiveSession;
use bytes::Bytes;
use muster_api_types::{LiveCommandV6, LiveFile, LiveSessionV6};
use serde_json::Value;

pub(super) fn routes() -> Vec<Route> {
    use Method::{Delete, Get, Post};
    let may = Access::May(SESSION);
    let all = vec![
        opening(
            Route::new(Post, "//appservices/v6/orgs/{oid}/liveresponse/sessions", may, "Opens a session", open)
                .answers::<LiveSessionV6>("live_v6_session_open")
                .created()
                .needs("device_id", Kind::Whole(0, u32::MAX as i64), "Number of the device"),
        ),
        Route::new(Get, "//appservices/v6/orgs/{oid}/liveresponse/sessions", may, "Sessions that are shown", list)
            .answers::<Vec<LiveSessionV6>>("live_v6_sessions_list")
            .query("active_only", Kind::Flag, "true: only those that are not over"),
        Route::new(Get, "//appservices/v6/orgs/{oid}/liveresponse/sessions/{session}", may, "A session", get)
            .answers::<LiveSessionV6>("live_v6_session_get")
            .query("wait", Kind::Flag, "true: answers once the sensor has come, or will not"),
        Route::new(
            Delete,
            "//appservices/v6/orgs/{oid}/liveresponse/sessions/{session}",
            may,
            "Closes a session",
            close,
        )
        .answers_nothing("live_v6_session_close"),
        Route::new(
            Get,
            "//appservices/v6/orgs/{oid}/liveresponse/sessions/{session}/keepalive",
            may,
            "Keeps a session from idling",
            keep_alive,
        )
        .answers::<LiveSessionV6>("live_v6_session_keep_alive"),
    ];
    all.into_iter().chain(of_commands()).chain(of_files()).map(Route::keyed).collect()
}

fn of_commands() -> Vec<Route> {
    use Method::{Delete, Get, Post};
    let may = Access::May(SESSION);
    vec![
        Route::new(
            Get,
            "//appservices/v6/orgs/{oid}/liveresponse/sessions/{session}/commands",
            may,
            "Commands",
            commands,
        )
        .answers::<Vec<LiveCommandV6>>("live_v6_commands_list")
        .query("status", Kind::Text, "Only these: completed, in progress, canceled, pending or error")
        .query("count", Kind::Whole(0, i64::MAX), "At most so many, from the first"),
        Route::new(
            Post,
            "//appservices/v6/orgs/{oid}/liveresponse/sessions/{session}/commands",
            may,
            "Orders a command",
            issue,
        )
        .answers::<LiveCommandV6>("live_v6_command_issue")
        .created()
        .open(),
        Route::new(
            Get,
            "//appservices/v6/orgs/{oid}/liveresponse/sessions/{session}/commands/{command}",
            may,
            "A command",
            command,
        )
        .answers::<LiveCommandV6>("live_v6_command_get")
        .query("wait", Kind::Flag, "true: answers once the command has ended"),
        Route::new(
            Delete,
            "//appservices/v6/orgs/{oid}/liveresponse/sessions/{session}/commands/{command}",
            may,
            "Cancels a command that has not begun",
            cancel,
        )
        .answers_nothing("live_v6_command_cancel"),
    ]
}

fn of_files() -> Vec<Route> {
    use Method::{Delete, Get, Post};
    let (may, file) = (Access::May(SESSION), Access::May("live.file"));
    vec![
        Route::new(Get, "//appservices/v6/orgs/{oid}/liveresponse/sessions/{session}/files", may, "Files", files::list)
            .answers::<Vec<LiveFile>>("live_v6_files_list"),
        Route::new(
            Post,
            "//appservices/v6/orgs/{oid}/liveresponse/sessions/{session}/files",
            file,
            "Uploads a file",
            files::upload_created,
        )
        .answers::<LiveFile>("live_v6_file_upload")
        .created()
        .streaming(),
        Route::new(
            Get,
            "//appservices/v6/orgs/{oid}/liveresponse/sessions/{session}/files/{file}",
            may,
            "A file",
            files::get,
        )
        .answers::<LiveFile>("live_v6_file_get"),
        Route::new(
            Delete,
            "//appservices/v6/orgs/{oid}/liveresponse/sessions/{session}/files/{file}",
            file,
            "Deletes a file",
            files::delete_silently,
        )
        .answers_nothing("live_v6_file_delete"),
        Route::new(
            Get,
            "//appservices/v6/orgs/{oid}/liveresponse/sessions/{session}/files/{file}/content",
            file,
            "The content of a file",
            files::content,
        )
        .answers_bytes("live_v6_file_content", "application/octet-stream"),
    ]
}

fn shown(live: &LiveSession) -> Reply {
    Reply::json(&render::session_v6(live, &live.state(), live.sensor().as_ref()))
}

/// 204: done, and nothing to say.
pub(super) fn silent() -> Reply {
    Reply::bytes("application/json", Bytes::new()).status(204)
}

async fn open(call: Call) -> Result<Reply, ApiError> {
    let device = fields::device(&call.fields, &["device_id"])?;
    let device = device.ok_or_else(|| ApiError::bad_request("device_id is required"))?;
    let (place, timers) = (v3::place(&call, device)?, fields::timers(&call)?);
    let live = call.app.live.open(&place, timers, &call.actor()).await?;
    v3::settle(&call, &live).await;
    Ok(shown(&live).status(201))
}

async fn list(call: Call) -> Result<Reply, ApiError> {
    let only_live = call.fields.flag("active_only")?;
    let all = call.app.live.list(call.organization()?.oid);
    let all = all.iter().filter(|live| !only_live || live.state().ended_at().is_none());
    let shown = all.map(|live| render::session_v6(live, &live.state(), live.sensor().as_ref()));
    Ok(Reply::json(&shown.collect::<Vec<Value>>()))
}

async fn get(call: Call) -> Result<Reply, ApiError> {
    v3::settle(&call, &*session(&call)?).await;
    Ok(shown(&*session_to_read(&call)?))
}

async fn close(call: Call) -> Result<Reply, ApiError> {
    call.app.live.close(&*session(&call)?, &call.actor()).await?;
    Ok(silent())
}

async fn keep_alive(call: Call) -> Result<Reply, ApiError> {
    let live = session(&call)?;
    call.app.live.keep_alive(&live).await?;
    Ok(shown(&live))
}

async fn commands(call: Call) -> Result<Reply, ApiError> {
    let live = session_to_read(&call)?;
    let (views, state) = (v3::chosen(&call, &live).await?, live.state());
    Ok(Reply::json(&views.iter().map(|view| render::command_v6(view, &state)).collect::<Vec<Value>>()))
}

async fn issue(call: Call) -> Result<Reply, ApiError> {
    let live = session(&call)?;
    let (request, timeout) = fields::command(&call, call.path("session"))?;
    v3::require_category(&call, &request)?;
    let view = call.app.live.issue(&live, request, timeout, &call.actor()).await?;
    Ok(Reply::json(&render::command_v6(&view, &live.state())).status(201))
}

async fn command(call: Call) -> Result<Reply, ApiError> {
    let live = session_to_read(&call)?;
    let view = v3::view(&call, &live).await?;
    Ok(Reply::json(&render::command_v6(&view, &live.state())))
}

async fn cancel(call: Call) -> Result<Reply, ApiError> {
    call.app.live.cancel(&*session(&call)?, v3::number(&call)?, &call.actor()).await?;
    Ok(silent())
}
