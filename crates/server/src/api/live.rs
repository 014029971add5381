//! Live streams. Source: reference/rest-api.md section 9, reference/events.md section 13.

use super::{Access, ApiError, Call, Kind, Method, Reply, Route, credential};
use crate::access::{Caller, Exchange};
use crate::app::App;
use crate::clock;
use crate::intake::{Filter, Subscription};
use crate::jobs::Jobs;
use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use muster_api_types::StreamLine;
use muster_model::Oid;
use muster_store::Stream;
use serde_json::json;
use std::net::IpAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// Longest silence of a stream. Clients allow 121 s (reference/rest-api.md section 9.1), but the
/// published one can only leave a stream between two lines: a task with an answer ends no sooner.
const KEEPALIVE: Duration = Duration::from_secs(2);

/// How often it is asked whether a reader may read on. Rather often than late: it costs a few look-ups.
const CHECK_EVERY: Duration = Duration::from_secs(2);

/// The routes of this area.
pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::new(Method::Post, "//{oid}", Access::Public, "Records as they happen, one JSON object per line", listen)
            .answers_lines::<StreamLine>("stream_listen")
            .needs(
                "type",
                Kind::OneOf(&["event", "detect", "audit", "deployment", "artifact"]),
                "event, detect, audit, deployment or artifact",
            )
            .form("jwt", Kind::Text, "Token; or give api_key")
            .form("api_key", Kind::Text, "API key; or give jwt")
            .form("uid", Kind::Text, "User id, with user keys")
            .form("inv_id", Kind::Text, "Only this investigation id, compared up to its first /")
            .form("tag", Kind::Text, "Only sensors with this tag")
            .form("cat", Kind::Text, "Only this event type or category")
            .form("sid", Kind::Id, "Only this sensor"),
    ]
}

async fn listen(call: Call) -> Result<Reply, ApiError> {
    let not_found = || ApiError::not_found("organization not found");
    let oid: Oid = call.path("oid").parse().map_err(|_| not_found())?;
    let shown = Shown::of(&call, oid)?;
    let caller = match shown.caller(&call.app) {
        Ok(caller) => caller,
        Err(error) if matches!(shown.credential, Credential::Key { .. }) => {
            return Err(credential::refused(&call.app, Some(oid), call.source, error).await);
        }
        Err(error) => return Err(error),
    };
    if !caller.is_in(oid) || call.app.organization(oid).is_none() {
        return Err(not_found());
    }
    let stream = kind(call.fields.require("type")?)?;
    let permission = match stream {
        Stream::Detect => "insight.det.get",
        Stream::Audit => "audit.get",
        Stream::Event | Stream::Deployment | Stream::Artifact => "insight.evt.get",
    };
    caller.require(oid, permission)?;
    let text = |name| call.fields.get(name).filter(|value| !value.is_empty()).map(str::to_owned);
    let sid =
        text("sid").map(|sid| sid.parse().map_err(|_| ApiError::bad_request("sid is not a sensor id"))).transpose()?;
    let filter = Filter { investigation: text("inv_id"), tag: text("tag"), category: text("cat"), sid };
    let subscription = call.app.streams.subscribe(oid, stream, filter);
    let subscription =
        subscription.ok_or_else(|| ApiError::unavailable("too many live readers in this organization"))?;
    let right = Right { app: Arc::downgrade(&call.app), shown, permission, checked_at: Instant::now() };
    Ok(Reply::stream("application/x-ndjson", lines(call.app.jobs.clone(), right, subscription)))
}

/// What a reader showed to be let in.
struct Shown {
    oid: Oid,
    credential: Credential,
    source: Option<IpAddr>,
}

enum Credential {
    Token(String),
    Key { secret: String, uid: String },
}

impl Shown {
    fn of(call: &Call, oid: Oid) -> Result<Self, ApiError> {
        let text = |name| call.fields.get(name).filter(|value| !value.is_empty()).map(str::to_owned);
        let credential = match text("jwt") {
            Some(token) => Credential::Token(token),
            None => Credential::Key {
                secret: call.fields.require("api_key")?.to_owned(),
                uid: text("uid").unwrap_or_default(),
            },
        };
        Ok(Self { oid, credential, source: call.source })
    }

    /// Whose it is, and what it allows, as of now.
    fn caller(&self, app: &App) -> Result<Caller, ApiError> {
        let (secret, uid) = match &self.credential {
            Credential::Token(token) => {
                return Ok(app.secrets.caller(&app.records, token, self.source, clock::now())?);
            }
            Credential::Key { secret, uid } => (secret, uid),
        };
        let oid = self.oid.to_string();
        let exchange = Exchange { secret, oid: &oid, uid, source: self.source, ..Exchange::default() };
        Ok(app.secrets.identify(&app.records, &exchange)?)
    }
}

/// The right to read on: what was shown at the beginning must still hold.
struct Right {
    app: Weak<App>,
    shown: Shown,
    permission: &'static str,
    checked_at: Instant,
}

impl Right {
    /// Why the reader may not read on, if it may not; asked at most every [`CHECK_EVERY`].
    fn ended(&mut self) -> Option<String> {
        if self.checked_at.elapsed() < CHECK_EVERY {
            return None;
        }
        self.checked_at = Instant::now();
        let app = self.app.upgrade()?;
        match self.shown.caller(&app) {
            Ok(caller) => caller.require(self.shown.oid, self.permission).err().map(|error| error.to_string()),
            Err(error) => Some(error.message),
        }
    }
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
    End,
}

/// The lines of a live reader, until the server stops or the reader's right ends.
fn lines(jobs: Jobs, right: Right, subscription: Subscription) -> super::call::Body {
    let begin = (Next::Connected, jobs, right, subscription);
    let lines = stream::unfold(begin, |(next, jobs, mut right, mut subscription)| async move {
        let line = match next {
            Next::Connected => control(&json!({"__trace": "connected"})),
            Next::End => return None,
            Next::Records => tokio::select! {
                line = next_line(&mut subscription) => line?,
                () = jobs.stopping() => return None,
            },
        };
        // Asked after the wait, so that no record goes out to whom it is not for any more.
        if let Some(reason) = right.ended() {
            let line = Bytes::from(format!("error: {reason}\n"));
            return Some((Ok(Frame::data(line)), (Next::End, jobs, right, subscription)));
        }
        Some((Ok(Frame::data(line)), (Next::Records, jobs, right, subscription)))
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
