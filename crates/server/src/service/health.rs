//! Asking programs how they are, and taking over what they say of themselves.
//!
//! A service is asked for its health, an extension for its schema: that tells both that it is there and what it offers.

use super::condition::Closed;
use super::post::{Answered, HEALTH_MAX, Said, Verdict};
use super::program::{Program, Protocol};
use super::registry::{self, Found};
use super::{Error, METADATA, SCHEMA, Services};
use crate::{clock, random};
use muster_model::{Oid, Timestamp};
use muster_store::Expect;
use muster_webhook::extension::{Message, Schema, Subject};
use muster_webhook::service::{Envelope, Etype, Health, Metadata};
use serde_json::{Map, Value};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// How often a service that is well is asked. Source: reference/service-protocol.md section 1: what it wants to hear
/// of is known within about five minutes.
const SERVICE_EVERY: Duration = Duration::from_secs(5 * 60);

/// The same of an extension. Source: reference/extension-protocol.md section 6: a schema is known for about a minute.
const EXTENSION_EVERY: Duration = Duration::from_secs(60);

/// How often one that is not well is asked.
const ILL_EVERY: Duration = Duration::from_secs(30);

/// Programs that are asked at once: one that does not answer holds a connection, some 10 kB, for half a minute, and nobody up.
const ASKED_MAX: usize = 1_024;

/// Programs that begin to be asked at once, and the pause before the next ones: whatever else the server does goes on meanwhile.
const LOT: usize = 16;
const LOT_PAUSE: Duration = Duration::from_millis(50);

/// How often it is looked who is to be asked.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Callbacks, detections, parameters, actions and events that are taken over from one program; what says more is refused.
const NAMES_MAX: usize = 1_024;

/// Bytes of what a service says of itself, and of a schema: all are kept in memory.
const METADATA_BYTES_MAX: usize = 256 << 10;
const SCHEMA_BYTES_MAX: usize = 1 << 20;

/// What a program said of itself.
enum Told {
    Metadata(Box<Metadata>),
    Schema(Box<Schema>),
}

/// Asks until dropped.
pub(super) async fn run(services: Arc<Services>) {
    let mut asking = JoinSet::new();
    loop {
        let due = services.to_be_asked(clock::now(), LOT.min(ASKED_MAX.saturating_sub(asking.len())));
        let pause = if due.len() < LOT { LOOK_EVERY } else { LOT_PAUSE };
        for (owner, program) in due {
            let services = Arc::clone(&services);
            asking.spawn(async move {
                // What it said is in its state.
                let _ = services.ask(owner, &program).await;
            });
        }
        while asking.try_join_next().is_some() {}
        let _ = timeout(pause, services.ask.notified()).await;
    }
}

impl Services {
    /// Has a program asked how it is as soon as possible.
    pub(super) fn ask_at_once(&self, owner: Oid, program: &Program) {
        self.condition(owner, program).state.lock().ask_at = Timestamp::ZERO;
        self.ask.notify_one();
    }

    /// Those that have waited longest to be asked, at most so many.
    fn to_be_asked(&self, now: Timestamp, most: usize) -> Vec<(Oid, Program)> {
        let mut due = Vec::new();
        for protocol in Protocol::ALL {
            let owners = self.records.owners(protocol.registrations()).into_iter();
            for owner in owners.filter(|owner| self.organizations.get(*owner).is_some()) {
                for name in self.records.keys(owner, protocol.registrations()) {
                    let program = Program { protocol, name };
                    let ask_at = self.condition(owner, &program).state.lock().ask_at;
                    if ask_at <= now {
                        due.push((ask_at, owner, program));
                    }
                }
            }
        }
        due.sort_unstable();
        due.truncate(most);
        // Not again before this has its answer.
        let again = now.saturating_add(HEALTH_MAX + ILL_EVERY);
        let note = |(owner, program): &(Oid, Program)| self.condition(*owner, program).state.lock().ask_at = again;
        due.into_iter().map(|(_, owner, program)| (owner, program)).inspect(note).collect()
    }

    /// Asks a registered program how it is now, and takes over what it says.
    ///
    /// # Errors
    ///
    /// [`Error::Unknown`] if the organization has registered none of this name, [`Error::Failed`] if it is not well.
    pub async fn ask(&self, owner: Oid, program: &Program) -> Result<(), Error> {
        let registration = self.records.shared(owner, program.protocol.registrations(), &program.name);
        let registration = registration.ok_or_else(|| Error::Unknown(program.clone()))?;
        let id = random::uuid().to_string();
        let said = match program.protocol {
            Protocol::Service => Envelope::new(Etype::Health, &id, clock::now(), Map::new()).into(),
            Protocol::Extension => Said::Message(Box::new(Message::new(id, Subject::SchemaRequest {}))),
        };
        let verdict = self.clients.post(&registration, &said, self.allows_private, HEALTH_MAX).await;
        let closed = if let Ok(Verdict::Closed(closed)) = &verdict { Some(*closed) } else { None };
        let said = match verdict {
            Ok(Verdict::Done(Answered::Service(answer))) => metadata(answer.data),
            Ok(Verdict::Done(Answered::Extension(answer))) => schema(answer.data),
            Err(reason) | Ok(Verdict::Again(reason) | Verdict::Failed(reason)) => Err(reason),
            Ok(Verdict::NotImplemented) => Err("it does not say how it is".to_owned()),
            Ok(Verdict::Closed(closed)) => Err(closed.into()),
        };
        let now = clock::now();
        let condition = self.condition(owner, program);
        match said {
            Ok(told) => {
                self.take_over(Found { owner, registration }, program, &told).await?;
                let every = match program.protocol {
                    Protocol::Service => SERVICE_EVERY,
                    Protocol::Extension => EXTENSION_EVERY,
                };
                let mut state = condition.state.lock();
                let takes_fewer = state.rest(now).is_some() || !state.is_heard;
                state.is_well(now, now.saturating_add(every));
                let rests = state.rest(now).is_some();
                drop(state);
                if takes_fewer && !rests {
                    self.feed.outbox.stir(&program.target());
                }
                Ok(())
            }
            Err(reason) => {
                let mut state = condition.state.lock();
                state.error.clone_from(&reason);
                match closed {
                    Some(Closed::Busy(pause)) => state.is_busy(now, pause),
                    Some(Closed::WrongSecret) => state.is_secret_wrong = true,
                    None => {}
                }
                state.ask_at = now.saturating_add(ILL_EVERY);
                Err(Error::failed(program, reason))
            }
        }
    }

    async fn take_over(&self, found: Found, program: &Program, told: &Told) -> Result<(), Error> {
        let (owner, name) = (found.owner, program.name.as_str());
        let is_known = match told {
            Told::Metadata(metadata) => self.metadata(owner, name).as_deref() == Some(&**metadata),
            Told::Schema(schema) => self.schema_of(owner, name).as_ref() == Some(&**schema),
        };
        if is_known {
            return Ok(());
        }
        match told {
            Told::Metadata(metadata) => {
                self.records.put(owner, METADATA, name, &**metadata, Expect::Any, Vec::new()).await?;
                let subscribers = registry::subscribers(&self.records, owner, program);
                subscribers.into_iter().for_each(|(oid, _)| self.reload(oid));
            }
            Told::Schema(schema) => {
                self.records.put(owner, SCHEMA, name, &**schema, Expect::Any, Vec::new()).await?;
            }
        }
        self.cron.stir();
        Ok(())
    }
}

fn metadata(data: Map<String, Value>) -> Result<Told, String> {
    let health: Health = serde_json::from_value(Value::Object(data))
        .map_err(|error| format!("what it says of itself cannot be read: {error}"))?;
    let metadata = health.mtd;
    let bytes = serde_json::to_vec(&metadata).map_or(usize::MAX, |text| text.len());
    if bytes > METADATA_BYTES_MAX {
        return Err(format!("what it says of itself has {bytes} bytes; {METADATA_BYTES_MAX} are taken"));
    }
    let names = [metadata.callbacks.len(), metadata.detect_subscriptions.len(), metadata.request_params.len()];
    if names.into_iter().any(|count| count > NAMES_MAX) {
        return Err(format!("it names more than {NAMES_MAX} callbacks, detections or parameters"));
    }
    Ok(Told::Metadata(Box::new(metadata)))
}

fn schema(data: Value) -> Result<Told, String> {
    let bytes = data.to_string().len();
    if bytes > SCHEMA_BYTES_MAX {
        return Err(format!("its schema has {bytes} bytes; {SCHEMA_BYTES_MAX} are taken"));
    }
    let schema: Schema = serde_json::from_value(data).map_err(|error| format!("its schema cannot be read: {error}"))?;
    if [schema.request_schema.len(), schema.required_events.len()].into_iter().any(|count| count > NAMES_MAX) {
        return Err(format!("it names more than {NAMES_MAX} actions or events"));
    }
    Ok(Told::Schema(Box::new(schema)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn refused(told: Result<Told, String>) -> String {
        told.err().unwrap_or_default()
    }

    #[test]
    fn what_a_hostile_program_says_of_itself_is_bounded_in_number_and_in_bytes() {
        let of_service = |mtd: Value| metadata(json!({"version": 1, "mtd": mtd}).as_object().unwrap().clone());
        let names = |count: usize, bytes: usize| -> Vec<String> {
            (0..count).map(|number| format!("{number:04}{}", "x".repeat(bytes - 4))).collect()
        };
        assert!(of_service(json!({"callbacks": names(NAMES_MAX, 20)})).is_ok());
        let many = of_service(json!({"detect_subscriptions": names(NAMES_MAX + 1, 4)}));
        assert!(refused(many).contains("more than 1024"));
        let long = of_service(json!({"callbacks": names(3, METADATA_BYTES_MAX / 2)}));
        assert!(refused(long).contains("262144 are taken"));
        let actions: Map<String, Value> =
            names(NAMES_MAX + 1, 4).into_iter().map(|name| (name, json!({"parameters": {}}))).collect();
        assert!(refused(schema(json!({"request_schema": actions}))).contains("more than 1024"));
        let long = schema(json!({"config_schema": {"fields": {"a": {"description": "a".repeat(SCHEMA_BYTES_MAX)}}}}));
        assert!(refused(long).contains("1048576 are taken"));
    }
}
