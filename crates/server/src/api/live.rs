//! Live streams. Source: reference/rest-api.md section 9, reference/events.md section 13.

use super::{Access, ApiError, Call, Method, Reply, Route};
use crate::access::{Caller, Exchange};
use crate::clock;
use crate::jobs::Jobs;
use crate::stream::{Filter, Subscription};
use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use muster_model::Oid;
use muster_store::Stream;
use serde_json::json;
use std::time::Duration;
use tokio::time::timeout;

/// Longest silence of a stream. Clients allow 121 s (reference/rest-api.md section 9.1), but the
/// published one can only leave a stream between two lines: a task with an answer ends no sooner.
const KEEPALIVE: Duration = Duration::from_secs(2);

/// The routes of this area.
pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::new(Method::Post, "//{oid}", Access::Public, "Records as they happen, one JSON object per line", listen)
            .needs("type", "event, detect, audit, deployment or artifact")
            .form("jwt", "Token; or give api_key")
            .form("api_key", "API key; or give jwt")
            .form("uid", "User id, with user keys")
            .form("inv_id", "Only this investigation id, compared up to its first /")
            .form("tag", "Only sensors with this tag")
            .form("cat", "Only this event type or category")
            .form("sid", "Only this sensor"),
    ]
}

async fn listen(call: Call) -> Result<Reply, ApiError> {
    let not_found = || ApiError::not_found("organization not found");
    let oid: Oid = call.path("oid").parse().map_err(|_| not_found())?;
    let caller = credentials(&call, oid)?;
    if !caller.is_in(oid) || call.app.organization(oid).is_none() {
        return Err(not_found());
    }
    let stream = kind(call.fields.require("type")?)?;
    let permission = match stream {
        Stream::Detect => "insight.det.get",
        Stream::Audit => "audit.get",
        Stream::Event | Stream::Deployment | Stream::Artifact => "insight.evt.get",
    };
    if !caller.may(oid, permission) {
        return Err(ApiError::missing_permission(permission));
    }
    let text = |name| call.fields.get(name).filter(|value| !value.is_empty()).map(str::to_owned);
    let sid =
        text("sid").map(|sid| sid.parse().map_err(|_| ApiError::bad_request("sid is not a sensor id"))).transpose()?;
    let filter = Filter { investigation: text("inv_id"), tag: text("tag"), category: text("cat"), sid };
    let subscription = call.app.streams.subscribe(oid, stream, filter);
    let subscription =
        subscription.ok_or_else(|| ApiError::unavailable("too many live readers in this organization"))?;
    Ok(Reply::stream("application/x-ndjson", lines(call.app.jobs.clone(), subscription)))
}

fn credentials(call: &Call, oid: Oid) -> Result<Caller, ApiError> {
    if let Some(token) = call.fields.get("jwt").filter(|token| !token.is_empty()) {
        return call.app.caller_of(token, clock::now());
    }
    let exchange = Exchange {
        secret: call.fields.require("api_key")?,
        oid: &oid.to_string(),
        uid: call.fields.get("uid").unwrap_or_default(),
        source: call.source,
        ..Exchange::default()
    };
    Ok(call.app.secrets.identify(&call.app.records, &exchange)?)
}

fn kind(name: &str) -> Result<Stream, ApiError> {
    match name {
        "event" => Ok(Stream::Event),
        "detect" | "detection" => Ok(Stream::Detect),
        "audit" => Ok(Stream::Audit),
        "deployment" => Ok(Stream::Deployment),
        "artifact" => Ok(Stream::Artifact),
        other => Err(ApiError::bad_request(format!(
            "unknown stream type: {other}; one of event, detect, audit, deployment, artifact"
        ))),
    }
}

enum Next {
    Connected,
    Records,
}

/// The lines of a live reader, until the server stops.
fn lines(jobs: Jobs, subscription: Subscription) -> super::call::Body {
    let begin = (Next::Connected, jobs, subscription);
    let lines = stream::unfold(begin, |(next, jobs, mut subscription)| async move {
        let line = match next {
            Next::Connected => control(&json!({"__trace": "connected"})),
            Next::Records => tokio::select! {
                line = next_line(&mut subscription) => line?,
                () = jobs.stopping() => return None,
            },
        };
        Some((Ok(Frame::data(line)), (Next::Records, jobs, subscription)))
    });
    StreamBody::new(lines).boxed_unsync()
}

async fn next_line(subscription: &mut Subscription) -> Option<Bytes> {
    let dropped = subscription.take_dropped();
    if dropped > 0 {
        return Some(control(&json!({"__trace": "dropped", "n": dropped})));
    }
    match timeout(KEEPALIVE, subscription.records.recv()).await {
        Ok(record) => {
            let record = record?;
            let mut line = Vec::with_capacity(record.len() + 1);
            line.extend_from_slice(&record);
            line.push(b'\n');
            Some(line.into())
        }
        Err(_) => Some(control(&json!({"__trace": "keepalive"}))),
    }
}

fn control(value: &serde_json::Value) -> Bytes {
    format!("{value}\n").into()
}
