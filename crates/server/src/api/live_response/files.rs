//! Files of sessions, for clients of both forms, and their content for sensors.

use super::super::{Access, ApiError, Call, Kind, Method, Reply, Route};
use super::multipart::{Multipart, MultipartError, Part};
use super::{render, session, session_to_read, v6};
use crate::arrival::Arrival;
use crate::live::Error;
use bytes::Bytes;
use futures_util::stream;
use http::header::CONTENT_TYPE;
use hyper::body::Incoming;
use muster_api_types::LiveArrived;
use serde_json::{Value, json};

const MEDIA_TYPE: &str = "application/octet-stream";

/// Name of a file whose sender has none for it.
const NAMELESS: &str = "file";

/// What sensors call, with the token of one file.
pub(super) fn routes() -> Vec<Route> {
    let public = Access::Public;
    vec![
        Route::new(Method::Put, "//live-file/{token}", public, "Takes in content of a live session's file", receive)
            .answers::<LiveArrived>("live_file_receive")
            .query("offset", Kind::Whole(0, i64::MAX), "Bytes that went before")
            .streaming(),
        Route::new(
            Method::Post,
            "//live-file/{token}",
            public,
            "How much of a live session's file has arrived",
            arrived,
        )
        .answers::<LiveArrived>("live_file_arrived"),
        Route::new(Method::Get, "//live-file/{token}", public, "Content of a live session's file", send)
            .answers_bytes("live_file_send", MEDIA_TYPE)
            .query("offset", Kind::Whole(0, i64::MAX), "First byte"),
    ]
}

pub(super) async fn list(call: Call) -> Result<Reply, ApiError> {
    let live = session_to_read(&call)?;
    let files = call.app.live.files(&live);
    Ok(Reply::json(&files.iter().map(|(record, arrived)| render::file(record, *arrived)).collect::<Vec<Value>>()))
}

pub(super) async fn get(call: Call) -> Result<Reply, ApiError> {
    let (record, arrived) = call.app.live.file(&*session_to_read(&call)?, call.path("file"))?;
    Ok(Reply::json(&render::file(&record, arrived)))
}

pub(super) async fn delete(call: Call) -> Result<Reply, ApiError> {
    let (record, arrived) = call.app.live.delete_file(&*session_to_read(&call)?, call.path("file")).await?;
    Ok(Reply::json(&render::file(&record, arrived)))
}

pub(super) async fn delete_silently(call: Call) -> Result<Reply, ApiError> {
    delete(call).await.map(|_| v6::silent())
}

/// A file object with `delete` true deletes; with false it changes nothing.
pub(super) async fn put(call: Call) -> Result<Reply, ApiError> {
    let wanted = match call.object()?.get("delete") {
        None | Some(Value::Bool(false)) => false,
        Some(Value::Bool(true)) => true,
        Some(Value::String(text)) if text.eq_ignore_ascii_case("true") => true,
        Some(Value::String(text)) if text.eq_ignore_ascii_case("false") => false,
        Some(_) => return Err(ApiError::bad_request("delete must be true or false")),
    };
    if wanted { delete(call).await } else { get(call).await }
}

pub(super) async fn content(call: Call) -> Result<Reply, ApiError> {
    let (size, body) = call.app.live.content(&*session_to_read(&call)?, call.path("file")).await?;
    Ok(Reply::stream(MEDIA_TYPE, body).header("content-length", size.to_string()))
}

pub(super) async fn upload_created(call: Call) -> Result<Reply, ApiError> {
    upload(call).await.map(|reply| reply.status(201))
}

/// An upload as it comes: its parts, and the body that is not read yet.
struct Coming {
    parts: Multipart,
    body: Incoming,
    arrival: Arrival,
}

impl Coming {
    async fn next(&mut self) -> Result<Option<Part>, Error> {
        let wrong = |error: MultipartError| Error::Upload(error.to_string());
        loop {
            if let Some(part) = self.parts.next_part().map_err(wrong)? {
                return Ok(Some(part));
            }
            match self.arrival.next(&mut self.body).await? {
                Some(piece) => self.parts.push(&piece),
                None if self.parts.is_over() => return Ok(None),
                None => return Err(wrong(MultipartError::Short)),
            }
        }
    }

    /// The next piece of the part that has begun.
    async fn piece(&mut self) -> Result<Option<Bytes>, Error> {
        match self.next().await? {
            Some(Part::Data(data)) => Ok(Some(data)),
            _ => Ok(None),
        }
    }
}

/// Takes in the one part that is named `file`.
pub(super) async fn upload(mut call: Call) -> Result<Reply, ApiError> {
    let live = session(&call)?;
    live.state().require_open().map_err(Error::from)?;
    let kind = call.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let parts = Multipart::of(kind).map_err(|error| ApiError::bad_request(error.to_string()))?;
    let body = call.stream.take().ok_or_else(|| ApiError::bad_request("the request has no body"))?;
    let mut coming = Coming { parts, body, arrival: Arrival::begin() };
    let name = loop {
        match coming.next().await? {
            Some(Part::Begin(name, file)) if name == "file" => break file.unwrap_or_else(|| NAMELESS.to_owned()),
            Some(_) => {}
            None => return Err(ApiError::bad_request("the upload has no part named file")),
        }
    };
    let pieces = Box::pin(stream::try_unfold(coming, |mut coming| async move {
        Ok::<_, Error>(coming.piece().await?.map(|piece| (piece, coming)))
    }));
    let record = call.app.live.upload(&live, &name, pieces, &call.actor()).await?;
    Ok(Reply::json(&render::file(&record, record.size)))
}

fn offset(call: &Call) -> Result<u64, ApiError> {
    let offset = call.fields.number("offset")?.unwrap_or(0);
    u64::try_from(offset).map_err(|_| ApiError::bad_request("offset must be a whole number from 0"))
}

async fn receive(mut call: Call) -> Result<Reply, ApiError> {
    let body = call.stream.take().ok_or_else(|| ApiError::bad_request("the request has no body"))?;
    match call.app.live.receive(call.path("token"), offset(&call)?, body).await {
        Ok(sent) => Ok(Reply::json(&json!({"size": sent.size}))),
        // Where it goes on is what the sensor must know.
        Err(Error::Offset(size)) => Ok(Reply::json(&json!({"size": size})).status(409)),
        Err(error) => Err(error.into()),
    }
}

async fn arrived(call: Call) -> Result<Reply, ApiError> {
    let sent = call.app.live.arrived_of(call.path("token")).await?;
    Ok(Reply::json(&json!({"size": sent.size})))
}

async fn send(call: Call) -> Result<Reply, ApiError> {
    let (size, body) = call.app.live.content_of(call.path("token"), offset(&call)?).await?;
    Ok(Reply::stream(MEDIA_TYPE, body).header("content-length", size.to_string()))
}
