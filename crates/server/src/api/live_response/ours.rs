//! What only muster has: the transcript of a session, and the number of a device.

use super::super::{Access, ApiError, Call, Method, Reply, Route};
use super::{SESSION, render};
use crate::clock;
use crate::live::{CommandView, Error, device_of};
use muster_api_types::{LiveDeviceNumber, LiveTranscript};
use serde_json::{Value, json};

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::new(
            Method::Get,
            "/live/{oid}/transcripts/{number}",
            Access::May("audit.get"),
            "All that was done in a live session: who ordered what, what came of it, which files were moved",
            transcript,
        )
        .answers::<LiveTranscript>("live_transcript_get"),
        Route::new(
            Method::Get,
            "/live/{oid}/devices/{sid}",
            Access::May(SESSION),
            "The number by which Live Response knows a sensor",
            device,
        )
        .answers::<LiveDeviceNumber>("live_device_number_get"),
    ]
}

async fn transcript(call: Call) -> Result<Reply, ApiError> {
    // Ids of sessions are taken, too.
    let number = call.path("number").split(':').next().unwrap_or_default();
    let number = number.parse().map_err(|_| Error::NoSession)?;
    let transcript = call.app.live.transcript(call.organization()?.oid, number).await?;
    let session = &transcript.session;
    let commands = transcript.commands().map(|(number, command)| {
        let view = CommandView { number, command: command.clone(), found: transcript.found(number) };
        let mut shown = render::command_v3(&view, session);
        shown["by"] = command.issued.by.clone().into();
        shown["file"] = json!(command.issued.file);
        shown
    });
    let files = transcript.files.values().map(|file| {
        json!({
            "id": file.id, "name": file.name, "size": file.size, "sha256": file.sha256, "status": file.status,
            "is_upload": file.is_upload, "is_deleted": file.is_deleted, "at": clock::rfc3339(file.at),
        })
    });
    Ok(Reply::json(&json!({
        "id": session.id().to_string(),
        "device_id": session.device,
        "by": session.by,
        "status": session.status().text(),
        "opened": clock::rfc3339(session.created_at),
        "ended": session.ended_at().map(clock::rfc3339),
        "commands": commands.collect::<Vec<Value>>(),
        "files": files.collect::<Vec<Value>>(),
    })))
}

async fn device(call: Call) -> Result<Reply, ApiError> {
    let place = call.place_even_deleted()?;
    Ok(Reply::json(&json!({"device_id": device_of(place.ordinal), "sid": call.sid()?})))
}
