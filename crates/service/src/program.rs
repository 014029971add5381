//! A service at work: a body comes in, an answer goes out.

use crate::http_server::{Handler, Response};
use crate::interactive::{self, Replies, Route};
use crate::outcome::{Error, Outcome, shielded};
use crate::service::{callback, own_callbacks};
use crate::{Background, Call, Client, Log, Service, Settings, Timestamp, fresh_id, now};
use bytes::Bytes;
use http::HeaderMap;
use muster_model::causes;
use muster_webhook::service::{
    Answer, Envelope, Etype, Health, Metadata, Parameters, Per, Period, REQUEST_BYTES_MAX, Resource, ResourceRequest,
    VERSION, check_parameters, detection_name,
};
use muster_webhook::{SERVICE_HEADER, is_signed};
use parking_lot::Mutex;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Events whose callback an interactive service always has: they keep its rule, and bring its answers.
const INTERACTIVE: [Etype; 4] =
    [Etype::OrgInstall, Etype::OrgUninstall, Etype::Detection, Etype::Every(Period::Hour1, Per::Organization)];

/// What a program and its callbacks share.
#[derive(Clone)]
pub struct Handle(Arc<Shared>);

struct Shared {
    settings: Settings,
    log: Log,
    background: Background,
    detections: Mutex<BTreeSet<String>>,
    resources: Mutex<BTreeMap<String, Resource>>,
    parameters: Mutex<Parameters>,
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Handle").field(&self.0.settings.name).finish()
    }
}

impl Handle {
    /// What the program knows about itself.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// The program wants detections of this name; the server learns it at its next health check.
    pub fn subscribe_to_detect(&self, name: &str) {
        self.0.detections.lock().insert(name.to_owned());
    }

    /// Makes content available to rules as `lcr://service/SERVICE/NAME`; replaces what had that name.
    pub fn publish_resource(&self, name: &str, category: &str, content: impl Into<Vec<u8>>) {
        self.0.resources.lock().insert(name.to_owned(), Resource::new(category, content));
    }

    /// Declares the parameters of requests, in place of those before. With any declared, requests are checked.
    pub fn set_request_parameters(&self, parameters: Parameters) {
        *self.0.parameters.lock() = parameters;
    }

    /// A line for the log.
    pub fn log(&self, message: &str) {
        self.0.log.info(now(), message, &Map::new());
    }

    /// A line for the log with fields beside the message.
    pub fn log_with(&self, message: &str, fields: &Map<String, Value>) {
        self.0.log.info(now(), message, fields);
    }

    /// A line that somebody should look at.
    pub fn log_critical(&self, message: &str) {
        self.0.log.critical(now(), message);
    }

    /// Work beside the events: later, or again and again.
    #[must_use]
    pub fn background(&self) -> &Background {
        &self.0.background
    }
}

/// A service at work. Cheap to clone; all clones are one program.
pub struct Program<S>(Arc<Inner<S>>);

struct Inner<S> {
    service: Arc<S>,
    handle: Handle,
    own: BTreeSet<Etype>,
    replies: Replies<S>,
    started_at: Timestamp,
    calls: AtomicU64,
}

impl<S> Clone for Program<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S> fmt::Debug for Program<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Program").field(&self.0.handle).finish()
    }
}

/// Counts a call for as long as it runs, however it ends.
struct InProgress<'a>(&'a AtomicU64);

impl<'a> InProgress<'a> {
    fn begin(calls: &'a AtomicU64) -> Self {
        calls.fetch_add(1, Ordering::Relaxed);
        Self(calls)
    }
}

impl Drop for InProgress<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl<S: Service> Program<S> {
    /// Starts a service; [`Service::on_startup`] has run when this returns.
    #[must_use]
    pub fn new(service: S, settings: Settings) -> Self {
        let log = Log::standard(&settings.name);
        Self::with_log(service, settings, log)
    }

    /// The same with a log of its own.
    #[must_use]
    pub fn with_log(service: S, settings: Settings, log: Log) -> Self {
        if settings.secret.is_none() {
            log.critical(now(), "there is no secret: whatever comes is accepted");
        }
        log.info(now(), "starting", &Map::new());
        let (replies, mut own) = (S::replies(), own_callbacks::<S>());
        own.extend([Etype::Health, Etype::GetResource]);
        let shared = Shared {
            background: Background::new(log.clone()),
            settings,
            log,
            detections: Mutex::default(),
            resources: Mutex::default(),
            parameters: Mutex::default(),
        };
        let handle = Handle(Arc::new(shared));
        if replies.is_interactive() {
            handle.subscribe_to_detect(&detection_name(&handle.settings().name));
        }
        service.on_startup(&handle);
        let (service, started_at) = (Arc::new(service), now());
        Self(Arc::new(Inner { service, handle, own, replies, started_at, calls: AtomicU64::new(0) }))
    }

    /// What the program and its callbacks share.
    #[must_use]
    pub fn handle(&self) -> &Handle {
        &self.0.handle
    }

    fn health(&self) -> Answer {
        let shared = &self.0.handle.0;
        let mut callbacks = self.0.own.clone();
        if self.0.replies.is_interactive() {
            callbacks.extend(INTERACTIVE);
        }
        let mtd = Metadata {
            detect_subscriptions: shared.detections.lock().clone(),
            callbacks: callbacks.iter().map(Etype::to_string).collect(),
            request_params: shared.parameters.lock().clone(),
            commands: Map::new(),
        };
        let calls_in_progress = self.0.calls.load(Ordering::Relaxed);
        let health = Health { version: VERSION, start_time: self.0.started_at.as_secs(), calls_in_progress, mtd };
        match json!(health) {
            Value::Object(data) => Answer { data, ..Answer::done() },
            _ => Answer::failed(),
        }
    }

    /// Deals with one event, whatever it is.
    async fn answer(&self, event: Envelope) -> Answer {
        let _in_progress = InProgress::begin(&self.0.calls);
        if event.version.is_some_and(|version| version > VERSION) {
            return Answer::unsupported_version();
        }
        let (handle, deadline) = (&self.0.handle, event.deadline);
        let late = |when: &str| {
            if let Some(late) = deadline.map(|deadline| now().since(deadline)).filter(|late| !late.is_zero()) {
                handle.log_critical(&format!("{} {}: the deadline passed {late:?} {when}", event.etype, event.mid));
            }
        };
        late("before the event came");
        let answer = match Etype::parse(&event.etype) {
            Some(Etype::Health) => self.health(),
            Some(Etype::GetResource) => ResourceRequest::answer(&event.data, &handle.0.resources.lock()),
            Some(etype) => self.dispatch(etype, &event).await.unwrap_or_else(|error| {
                let text = causes(error.as_ref());
                handle.log_critical(&format!("{} {}: {text}", event.etype, event.mid));
                Answer::exception(&text)
            }),
            None => Answer::not_implemented(),
        };
        late("before the answer");
        answer
    }

    async fn dispatch(&self, etype: Etype, event: &Envelope) -> Outcome {
        let call = self.call(event)?;
        if etype == Etype::Request {
            let parameters = self.0.handle.0.parameters.lock().clone();
            if let Err(error) = check_parameters(&parameters, &call.data) {
                return Ok(Answer::failed().with_error(error));
            }
        }
        if self.0.replies.is_interactive() && INTERACTIVE.contains(&etype) {
            return self.interactive(etype, call).await;
        }
        self.own(etype, call).await
    }

    /// The service's own callback.
    async fn own(&self, etype: Etype, call: Call) -> Outcome {
        match callback(Arc::clone(&self.0.service), etype, call) {
            Some(callback) => shielded(callback).await,
            None => Ok(Answer::not_implemented()),
        }
    }

    /// The service's own callback; one that was left out is content.
    async fn own_or_done(&self, etype: Etype, call: Call) -> Outcome {
        if self.0.own.contains(&etype) { self.own(etype, call).await } else { Ok(Answer::done()) }
    }

    async fn interactive(&self, etype: Etype, call: Call) -> Outcome {
        if etype == Etype::Detection {
            return match self.0.replies.route(&self.0.service, &call) {
                Route::Detection => self.own_or_done(etype, call).await,
                Route::Callback(callback) => shielded(callback).await,
                Route::Unknown => Ok(Answer::failed()),
                Route::Broken(error) => Err(error),
            };
        }
        let answer = self.own_or_done(etype, call.clone()).await?;
        let name = &self.0.handle.settings().name;
        if etype == Etype::OrgUninstall {
            interactive::remove_rule(call.client()?, name).await?;
        } else {
            interactive::keep_rule(call.client()?, name).await?;
        }
        Ok(answer)
    }

    fn call(&self, event: &Envelope) -> Result<Call, Error> {
        let client: Option<Client> = match (event.oid, &event.jwt) {
            (Some(oid), Some(jwt)) => self.0.handle.settings().client(oid, jwt)?,
            _ => None,
        };
        Ok(Call {
            etype: event.etype.clone(),
            mid: event.mid.clone(),
            oid: event.oid,
            data: event.data.clone(),
            investigation_id: fresh_id(),
            program: self.0.handle.clone(),
            client: client.map(Arc::new),
        })
    }
}

impl<S: Service> Handler for Program<S> {
    const BODY_BYTES_MAX: usize = REQUEST_BYTES_MAX;

    async fn receive(&self, headers: &HeaderMap, body: Bytes) -> Response {
        if body.len() > Self::BODY_BYTES_MAX {
            return Response::error(413, "the body is too large");
        }
        let (handle, settings) = (&self.0.handle, self.0.handle.settings());
        if let Some(secret) = &settings.secret {
            let signature = headers.get(SERVICE_HEADER).and_then(|value| value.to_str().ok()).unwrap_or_default();
            if !is_signed(secret, &body, signature) {
                return Response { status: 401, body: Vec::new() };
            }
        }
        let event = match Envelope::read(&body) {
            Ok(event) => event,
            Err(error) => return Response::error(400, &error.to_string()),
        };
        let (etype, mid) = (event.etype.clone(), event.mid.clone());
        if settings.is_traced {
            handle.log(&format!("REQ ({mid}): {etype} => {}", Value::Object(event.data.clone())));
        }
        let answer = self.answer(event).await.to_value();
        if settings.is_traced {
            handle.log(&format!("REP ({mid}): {answer}"));
        }
        Response { status: 200, body: answer.to_string().into_bytes() }
    }

    async fn shut_down(&self) {
        self.0.handle.background().shut_down().await;
        self.0.service.on_shutdown();
    }

    fn secret(&self) -> Option<&str> {
        self.0.handle.settings().secret.as_deref()
    }
}
