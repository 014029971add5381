//! Answers of sensors that come back to a named callback of the service.
//!
//! Source: reference/service-protocol.md section 11.

use crate::outcome::{Error, Outcome};
use crate::{Call, Client};
use muster_webhook::service::{InvestigationId, Job, callback_key, interactive_rule, root_id};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

/// Where the rule of an interactive service lives.
const NAMESPACE: &str = "managed";

/// A callback as it is kept.
type Callback<S> = Box<dyn Fn(Arc<S>, Reply) -> Pin<Box<dyn Future<Output = Outcome> + Send>> + Send + Sync>;

/// Callbacks for answers of sensors, by name. Names travel, digested, with each task: keep them over versions.
pub struct Replies<S>(BTreeMap<&'static str, Callback<S>>);

impl<S> fmt::Debug for Replies<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl<S> Default for Replies<S> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

/// Where the answers to a task go.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// Name of the callback.
    pub callback: &'a str,
    /// A job that the callback shall continue.
    pub job: Option<&'a Job>,
    /// Any text that the callback wants to know again.
    pub context: &'a str,
}

/// An answer of a sensor.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The event that brought it.
    pub call: Call,
    /// The record of the sensor: `event` and `routing`.
    pub detect: Map<String, Value>,
    /// The job of the task, ready to be continued.
    pub job: Option<Job>,
    /// The context of the task.
    pub context: String,
}

impl<S: Send + Sync + 'static> Replies<S> {
    /// None: the service is not interactive.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// The same with one more callback.
    #[must_use]
    pub fn on<F, R>(mut self, name: &'static str, callback: F) -> Self
    where
        F: Fn(Arc<S>, Reply) -> R + Send + Sync + 'static,
        R: Future<Output = Outcome> + Send + 'static,
    {
        self.0.insert(name, Box::new(move |service, reply| Box::pin(callback(service, reply))));
        self
    }

    /// Whether there are any.
    pub(crate) fn is_interactive(&self) -> bool {
        !self.0.is_empty()
    }

    /// The callback to which a detection leads.
    pub(crate) fn route(&self, service: &Arc<S>, call: &Call) -> Route {
        let Some(Value::Object(detect)) = call.data.get("detect") else { return Route::Detection };
        let id = detect.get("routing").and_then(|routing| routing.get("investigation_id")).and_then(Value::as_str);
        let settings = call.program.settings();
        let id = match id.and_then(|id| InvestigationId::parse(&settings.name, id)) {
            None => return Route::Detection,
            Some(Err(error)) => return Route::Broken(error.into()),
            Some(Ok(id)) => id,
        };
        let is_meant = |name: &&str| callback_key(settings.secret.as_deref(), name) == id.callback_key;
        let Some(callback) = self.0.keys().find(|name| is_meant(name)).and_then(|name| self.0.get(name)) else {
            return Route::Unknown;
        };
        let job = (!id.job.is_empty()).then(|| Job::open(id.job));
        let reply = Reply { call: call.clone(), detect: detect.clone(), job, context: id.context };
        Route::Callback(callback(Arc::clone(service), reply))
    }
}

/// Where a detection leads.
pub(crate) enum Route {
    /// It is one of those that the service subscribed to.
    Detection,
    /// To this callback.
    Callback(Pin<Box<dyn Future<Output = Outcome> + Send>>),
    /// To a callback that this version of the service does not have.
    Unknown,
    /// Its investigation id is one of ours, and lacks parts.
    Broken(Error),
}

/// Makes sure that the organization has the rule that leads answers back; writes only what differs.
pub(crate) async fn keep_rule(client: &Client, service: &str) -> Result<(), Error> {
    let (detect, respond) = interactive_rule(service);
    let name = root_id(service);
    let is_there =
        client.rules(NAMESPACE).await?.get(&name).is_some_and(|rule| rule.detect == detect && rule.respond == respond);
    if !is_there {
        client.set_rule(NAMESPACE, &name, &detect, &respond).await?;
    }
    Ok(())
}

/// Takes the rule away; one that is not there is as good as removed.
pub(crate) async fn remove_rule(client: &Client, service: &str) -> Result<(), Error> {
    let name = root_id(service);
    if client.rules(NAMESPACE).await?.contains_key(&name) {
        client.delete_rule(NAMESPACE, &name).await?;
    }
    Ok(())
}
