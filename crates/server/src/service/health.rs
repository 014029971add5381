//! Asking services how they are, and taking over what they say of themselves.

use super::post::HEALTH_MAX;
use super::registry::{self, Found, SERVICE};
use super::{Error, METADATA, SECRETS_DIFFER, Services, State};
use crate::{clock, random};
use muster_model::{Oid, Timestamp};
use muster_store::Expect;
use muster_webhook::service::{Envelope, Etype, Health, Metadata, Verdict};
use serde_json::{Map, Value};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// How often a service that is well is asked. Source: reference/service-protocol.md section 1: what it wants to hear
/// of is known within about five minutes.
const WELL_EVERY: Duration = Duration::from_secs(5 * 60);

/// How often one that is not well is asked.
const ILL_EVERY: Duration = Duration::from_secs(30);

/// Services that are asked at once.
const ASKED_MAX: usize = 64;

/// How often it is looked who is to be asked.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Callbacks, detections and parameters that are taken over from one service; what says more is refused.
const NAMES_MAX: usize = 1_024;

/// Asks until dropped.
pub(super) async fn run(services: Arc<Services>) {
    let mut asking = JoinSet::new();
    loop {
        let now = clock::now();
        for (owner, name) in services.to_be_asked(now, ASKED_MAX.saturating_sub(asking.len())) {
            let services = Arc::clone(&services);
            asking.spawn(async move {
                // What it said is in its state.
                let _ = services.ask(owner, &name).await;
            });
        }
        while asking.try_join_next().is_some() {}
        let _ = timeout(LOOK_EVERY, services.ask.notified()).await;
    }
}

impl Services {
    /// Has a service asked how it is as soon as possible.
    pub(super) fn ask_at_once(&self, owner: Oid, name: &str) {
        self.condition(owner, name).state.lock().ask_at = Timestamp::ZERO;
        self.ask.notify_one();
    }

    fn to_be_asked(&self, now: Timestamp, most: usize) -> Vec<(Oid, String)> {
        let owners = self.records.owners(SERVICE).into_iter();
        let all = owners.flat_map(|owner| {
            self.records.list(owner, SERVICE).into_iter().map(move |(name, _)| (owner, name)).collect::<Vec<_>>()
        });
        let mut due: Vec<(Oid, String)> = Vec::new();
        for (owner, name) in all {
            if due.len() == most {
                break;
            }
            let condition = self.condition(owner, &name);
            let mut state = condition.state.lock();
            if state.ask_at <= now {
                // Not again before this has its answer.
                state.ask_at = now.saturating_add(HEALTH_MAX + ILL_EVERY);
                due.push((owner, name));
            }
        }
        due
    }

    /// Asks a registered service how it is now, and takes over what it says.
    ///
    /// # Errors
    ///
    /// [`Error::Unknown`] if the organization has registered none of this name, [`Error::Failed`] if it is not well.
    pub async fn ask(&self, owner: Oid, name: &str) -> Result<Metadata, Error> {
        let registration = self.records.get(owner, SERVICE, name).ok_or_else(|| Error::Unknown(name.to_owned()))?;
        let event = Envelope::new(Etype::Health, &random::uuid().to_string(), clock::now(), Map::new());
        let verdict = self.clients.post(&registration, &event, self.allows_private, HEALTH_MAX).await;
        let is_secret_wrong = verdict == Ok(Verdict::WrongSecret);
        let said = match verdict {
            Ok(Verdict::Done(answer)) => read(answer.data),
            Err(reason) | Ok(Verdict::Again(reason) | Verdict::Failed(reason)) => Err(reason),
            Ok(Verdict::NotImplemented) => Err("it does not say how it is".to_owned()),
            Ok(Verdict::WrongSecret) => Err(SECRETS_DIFFER.to_owned()),
        };
        let now = clock::now();
        let condition = self.condition(owner, name);
        match said {
            Ok(metadata) => {
                self.take_over(Found { owner, registration }, name, &metadata).await?;
                let state = State { well_at: Some(now), ask_at: now.saturating_add(WELL_EVERY), ..State::default() };
                *condition.state.lock() = state;
                Ok(metadata)
            }
            Err(reason) => {
                let mut state = condition.state.lock();
                state.error.clone_from(&reason);
                state.is_secret_wrong |= is_secret_wrong;
                state.ask_at = now.saturating_add(ILL_EVERY);
                Err(Error::Failed { name: name.to_owned(), reason })
            }
        }
    }

    async fn take_over(&self, found: Found, name: &str, metadata: &Metadata) -> Result<(), Error> {
        if self.metadata(found.owner, name).as_ref() == Some(metadata) {
            return Ok(());
        }
        self.records.put(found.owner, METADATA, name, metadata, Expect::Any, Vec::new()).await?;
        let subscribers = registry::subscribers(&self.records, found.owner, name);
        subscribers.into_iter().for_each(|(oid, _)| self.reload(oid));
        Ok(())
    }
}

fn read(data: Map<String, Value>) -> Result<Metadata, String> {
    let health: Health = serde_json::from_value(Value::Object(data))
        .map_err(|error| format!("what it says of itself cannot be read: {error}"))?;
    let metadata = health.mtd;
    let names = [metadata.callbacks.len(), metadata.detect_subscriptions.len(), metadata.request_params.len()];
    if names.into_iter().any(|count| count > NAMES_MAX) {
        return Err(format!("it names more than {NAMES_MAX} callbacks, detections or parameters"));
    }
    Ok(metadata)
}
