//! Extensions: actions with a schema, a configuration per organization, continuations, metrics.
//!
//! An [`Extension`] is built from closures. Source: reference/extension-protocol.md.

mod adapter;
mod body;
mod call;

pub use adapter::{Adapter, Mapping};
pub use call::{ActionCall, ConfigCall, EventCall, Who};
pub use muster_webhook::extension::{
    Acl, ActionSchema, Answer, Continuation, DataType, Element, ErrorReport, Metric, MetricReport, ObjectSchema,
    SUBSCRIBE, Schema, UNSUBSCRIBE, UPDATE, View, adapter_tag, hook_secret,
};

use crate::http_server::{Handler, Response};
use crate::outcome::{Error, shielded};
use crate::{Background, Log, Settings, now};
use body::Refused;
use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_ENCODING;
use muster_model::causes;
use muster_webhook::EXTENSION_HEADER;
use muster_webhook::extension::{Message, Org, Subject, TEXT_BYTES_MAX};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

/// What a callback of an extension returns. An error is told to the server, which tries again; an [`Answer::failed`] is final.
pub type Outcome = Result<Answer, Error>;

type Boxed<T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send>>;
type Callback<C, T> = Arc<dyn Fn(C) -> Boxed<T> + Send + Sync>;
type OnError = Arc<dyn Fn(Option<&str>, &str) + Send + Sync>;

/// An extension at work. Cheap to clone; all clones are one program.
#[derive(Clone)]
pub struct Extension(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    settings: Settings,
    log: Log,
    background: Arc<Background>,
    schema: Schema,
    actions: BTreeMap<String, Callback<ActionCall, Answer>>,
    events: BTreeMap<String, Callback<EventCall, Answer>>,
    validate: Option<Callback<ConfigCall, ()>>,
    on_error: Option<OnError>,
}

impl fmt::Debug for Extension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut fields = f.debug_struct("Extension");
        fields.field("name", &self.0.settings.name).field("actions", &self.0.actions.keys()).finish_non_exhaustive()
    }
}

/// Puts a value in as the data of a success.
impl From<Value> for Reply {
    fn from(data: Value) -> Self {
        Self(Answer::done(data))
    }
}

impl From<Answer> for Reply {
    fn from(answer: Answer) -> Self {
        Self(answer)
    }
}

/// What an action gives back: an [`Answer`], or just its data.
#[derive(Clone, Debug)]
pub struct Reply(Answer);

impl Extension {
    /// An extension that offers nothing yet.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        let log = Log::standard(&settings.name);
        Self::with_log(settings, log)
    }

    /// The same with a log of its own.
    #[must_use]
    pub fn with_log(settings: Settings, log: Log) -> Self {
        let log = log.of_extension();
        if settings.secret.is_none() {
            log.critical(now(), "there is no secret: whatever comes is accepted");
        }
        log.info(now(), "starting", &Map::new());
        Self(Arc::new(Inner {
            settings,
            background: Arc::new(Background::new(log.clone())),
            log,
            schema: Schema::default(),
            actions: BTreeMap::new(),
            events: BTreeMap::new(),
            validate: None,
            on_error: None,
        }))
    }

    fn with(mut self, change: impl FnOnce(&mut Inner)) -> Self {
        change(Arc::make_mut(&mut self.0));
        self
    }

    /// The same with one more action.
    #[must_use]
    pub fn action<F, R>(self, name: &str, schema: ActionSchema, callback: F) -> Self
    where
        F: Fn(ActionCall) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Reply, Error>> + Send + 'static,
    {
        self.with(|inner| {
            inner.schema.request_schema.insert(name.to_owned(), schema);
            inner.actions.insert(name.to_owned(), Arc::new(move |call| boxed_reply(callback(call))));
        })
    }

    /// The same with a callback for an event: [`SUBSCRIBE`], [`UNSUBSCRIBE`] or [`UPDATE`].
    #[must_use]
    pub fn on<F, R>(self, event: &str, callback: F) -> Self
    where
        F: Fn(EventCall) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Reply, Error>> + Send + 'static,
    {
        self.with(|inner| {
            inner.events.insert(event.to_owned(), Arc::new(move |call| boxed_reply(callback(call))));
        })
    }

    /// The same with a configuration: what it may hold, and a callback that refuses it by an error.
    #[must_use]
    pub fn config<F, R>(self, schema: ObjectSchema, validate: F) -> Self
    where
        F: Fn(ConfigCall) -> R + Send + Sync + 'static,
        R: Future<Output = Result<(), Error>> + Send + 'static,
    {
        self.with(|inner| {
            inner.schema.config_schema = schema;
            inner.validate = Some(Arc::new(move |call| Box::pin(validate(call))));
        })
    }

    /// The same with one more tab in consoles.
    #[must_use]
    pub fn view(self, view: View) -> Self {
        self.with(|inner| inner.schema.views.push(view))
    }

    /// The same with a callback for errors: of an organization, if of one, and what went wrong.
    #[must_use]
    pub fn on_error(self, callback: impl Fn(Option<&str>, &str) + Send + Sync + 'static) -> Self {
        self.with(|inner| inner.on_error = Some(Arc::new(callback)))
    }

    /// Work beside the messages.
    #[must_use]
    pub fn background(&self) -> &Background {
        &self.0.background
    }

    /// The log.
    #[must_use]
    pub fn log(&self) -> &Log {
        &self.0.log
    }

    /// What the extension offers. It wants the events for which it has a callback.
    #[must_use]
    pub fn schema(&self) -> Schema {
        Schema { required_events: self.0.events.keys().cloned().collect(), ..self.0.schema.clone() }
    }

    fn trouble(&self, oid: Option<&str>, error: &str) {
        if let Some(on_error) = &self.0.on_error {
            on_error(oid, error);
        }
    }

    fn who(&self, org: Org, idempotency_key: String) -> Result<Who, Error> {
        let client = self.0.settings.client(org.oid, &org.jwt)?.map(Arc::new);
        let secret = self.0.settings.secret.as_deref().unwrap_or_default();
        let adapter = Adapter::new(&self.0.settings.name, secret, org.oid);
        Ok(Who { oid: org.oid, ident: org.ident, idempotency_key, client, adapter })
    }

    async fn dispatch(&self, message: Message) -> Outcome {
        let key = message.idempotency_key;
        match message.subject {
            Subject::Heartbeat {} => Ok(Answer::done(json!({}))),
            Subject::SchemaRequest {} => Ok(Answer::done(json!(self.schema()))),
            Subject::ErrorReport(report) => {
                self.trouble(report.oid.as_deref(), &report.error);
                Ok(Answer::done(json!({})))
            }
            Subject::ConfValidation(validation) => {
                let Some(validate) = &self.0.validate else { return Ok(Answer::done(json!({}))) };
                let call = ConfigCall { who: self.who(validation.org, key)?, config: validation.conf };
                // A refusal is final: the same configuration would be refused again.
                let checked = shielded(validate(call)).await;
                Ok(checked.map_or_else(|error| Answer::failed(causes(error.as_ref())), |()| Answer::done(json!({}))))
            }
            Subject::Request(action) => {
                let Some(callback) = self.0.actions.get(&action.action) else {
                    let error = format!("unknown request action: {}", action.action);
                    self.trouble(Some(&action.org.oid.to_string()), &error);
                    return Ok(Answer::failed(error));
                };
                let who = self.who(action.org, key)?;
                let call = ActionCall {
                    who,
                    data: action.data,
                    config: action.config,
                    resource_state: action.resource_state,
                    inv_id: action.inv_id,
                    acl: action.acl.unwrap_or_else(Acl::fail_closed),
                    automation_rule: action.automation_rule,
                };
                shielded(callback(call)).await
            }
            Subject::Event(event) => {
                let Some(callback) = self.0.events.get(&event.event_name) else {
                    let error = format!("unknown event: {}", event.event_name);
                    self.trouble(Some(&event.org.oid.to_string()), &error);
                    return Ok(Answer::failed(error));
                };
                let who = self.who(event.org, key)?;
                shielded(callback(EventCall { who, data: event.data, config: event.config })).await
            }
        }
    }
}

fn boxed_reply(reply: impl Future<Output = Result<Reply, Error>> + Send + 'static) -> Boxed<Answer> {
    Box::pin(async move { reply.await.map(|reply| reply.0) })
}

impl Handler for Extension {
    // Plain bodies may be as large as their text; compressed ones are bounded when they are unpacked.
    const BODY_BYTES_MAX: usize = TEXT_BYTES_MAX;

    async fn receive(&self, headers: &HeaderMap, body: Bytes) -> Response {
        let text_of_header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let signature = text_of_header(EXTENSION_HEADER).unwrap_or_default();
        if signature.is_empty() {
            // Frameworks in use answer so to what carries no signature; nothing is carried out.
            return Response { status: 200, body: b"{}".to_vec() };
        }
        let is_gzip = text_of_header(CONTENT_ENCODING.as_str()) == Some("gzip");
        let text = match body::verified(self.secret(), signature, body, is_gzip) {
            Ok(text) => text,
            Err(Refused::Signature) => {
                self.trouble(None, "invalid signature");
                return Response { status: 401, ..respond(&Answer::again("invalid signature")) };
            }
            Err(error) => return Response { status: error.status(), ..respond(&Answer::failed(error.to_string())) },
        };
        let message = match Message::read(&text) {
            Ok(message) => message,
            Err(error) => {
                return respond(&Answer::failed(error.to_string()));
            }
        };
        if self.0.settings.is_traced {
            self.0.log.info(now(), &format!("REQ ({}): {}", message.idempotency_key, kind(&message)), &Map::new());
        }
        let answer = self.dispatch(message).await.unwrap_or_else(|error| {
            let text = causes(error.as_ref());
            self.0.log.critical(now(), &text);
            Answer::again(text)
        });
        if self.0.settings.is_traced {
            self.0.log.info(now(), &format!("REP: {}", answer.to_value()), &Map::new());
        }
        respond(&answer)
    }

    async fn shut_down(&self) {
        self.0.background.shut_down().await;
    }

    fn secret(&self) -> Option<&str> {
        self.0.settings.secret.as_deref()
    }
}

fn respond(answer: &Answer) -> Response {
    Response { status: answer.status(), body: answer.to_value().to_string().into_bytes() }
}

/// What a message is about, for the log: without content, which holds tokens.
fn kind(message: &Message) -> String {
    match &message.subject {
        Subject::Heartbeat {} => "heartbeat".to_owned(),
        Subject::SchemaRequest {} => "schema_request".to_owned(),
        Subject::ErrorReport(_) => "error_report".to_owned(),
        Subject::ConfValidation(_) => "conf_validation".to_owned(),
        Subject::Request(action) => format!("request {}", action.action),
        Subject::Event(event) => format!("event {}", event.event_name),
    }
}
