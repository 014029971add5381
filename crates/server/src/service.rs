//! Services: programs of others behind an HTTP endpoint, told what happens and asked for things.
//!
//! Who is registered and subscribed is in [`registry`]. What they are to be told waits in the [`outbox`], stored in
//! the commit of what caused it ([`interest`] says what they want to hear of), and [`deliver`] takes it out again.
//! How each service is, is asked by [`health`] all the time; periodic events come from [`cron`]; what services say of
//! their work is kept by [`job`].
//!
//! Source: reference/service-protocol.md.

mod change;
mod cron;
mod deliver;
mod error;
mod health;
mod interest;
mod job;
mod outbox;
mod post;
mod registry;

pub use change::{Changed, Wanted};
pub use error::Error;
pub use interest::Feed;
pub use job::Kept as Job;
pub use outbox::{Outbox, Posted, Standing, WAITING_MAX};
pub use registry::{Found, Registration, SERVICE, SERVICES_MAX, SUBSCRIBED, Subscribed, find, subscription, visible};

use crate::access::{Secrets, TOKEN_TTL_S};
use crate::intake::{Enqueued, Queues as _, Record};
use crate::organization::Organizations;
use crate::records::{Kind, Records};
use crate::{clock, errors, random};
use muster_model::{Oid, Timestamp};
use muster_store::{Store, Tries, Write};
use muster_webhook::service::{Answer, Envelope, Etype, Metadata, Verdict};
use outbox::Message;
use parking_lot::Mutex;
use post::{CALL_MAX, Clients};
use serde_json::{Map, Value};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use tokio::sync::{Notify, Semaphore};
use uuid::Uuid;

/// Begins the names of lanes, of identities and of components with errors: `service/NAME`.
const TARGET: &str = "service/";

/// What services said of themselves last, by name; owned as the registration.
const METADATA: Kind<Metadata> = Kind::new("service_metadata");

/// Calls of one service that are under way at once, over all organizations. The container transport of the framework
/// in use has 50 threads, and one must be left for health. Source: reference/service-protocol.md section 2.
const CALLS_MAX: usize = 32;

/// The name of the lane of a service.
#[must_use]
pub fn target(name: &str) -> String {
    format!("{TARGET}{name}")
}

/// Everything that services share.
pub struct Services {
    feed: Arc<Feed>,
    records: Arc<Records>,
    organizations: Arc<Organizations>,
    jobs: job::Jobs,
    cron: cron::Cron,
    store: Store,
    secrets: Secrets,
    clients: Clients,
    /// Private addresses are allowed to all.
    allows_private: bool,
    conditions: Mutex<HashMap<(Oid, String), Arc<Condition>>>,
    /// Someone is to be asked how they are at once.
    ask: Notify,
}

/// What is known of one registered service, beside what is stored.
struct Condition {
    calls: Semaphore,
    state: Mutex<State>,
}

/// How a service is.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// When it last said that it is well.
    pub well_at: Option<Timestamp>,
    /// Why it is not; empty if it is.
    pub error: String,
    /// It refused our signature: nothing is sent until it takes one.
    pub is_secret_wrong: bool,
    /// Calls in a row that did not reach it.
    failures: u32,
    /// Nothing is sent before.
    closed_until: Timestamp,
    /// When it is asked next.
    ask_at: Timestamp,
    /// Callbacks of which it said that it has them not, since it was asked last.
    missing: BTreeSet<String>,
}

/// What services use of the server.
pub struct Ports {
    /// What waits, and who wants to hear of what.
    pub feed: Arc<Feed>,
    /// Registrations and subscriptions.
    pub records: Arc<Records>,
    /// Their sensors.
    pub organizations: Arc<Organizations>,
    /// Bodies of messages.
    pub store: Store,
    /// Makes tokens.
    pub secrets: Secrets,
    /// Private addresses are allowed to all.
    pub allows_private: bool,
}

impl Services {
    /// The services of a server.
    #[must_use]
    pub fn new(ports: Ports) -> Self {
        let Ports { feed, records, organizations, store, secrets, allows_private } = ports;
        let services = Self {
            feed,
            jobs: job::Jobs::load(&records),
            cron: cron::Cron::load(&records),
            organizations,
            records,
            store,
            secrets,
            clients: Clients::default(),
            allows_private,
            conditions: Mutex::default(),
            ask: Notify::new(),
        };
        services.reload_all();
        services
    }

    fn condition(&self, owner: Oid, name: &str) -> Arc<Condition> {
        let mut conditions = self.conditions.lock();
        let new = || Arc::new(Condition { calls: Semaphore::new(CALLS_MAX), state: Mutex::default() });
        Arc::clone(conditions.entry((owner, name.to_owned())).or_insert_with(new))
    }

    /// How a service is.
    #[must_use]
    pub fn state(&self, owner: Oid, name: &str) -> State {
        self.condition(owner, name).state.lock().clone()
    }

    /// What a service said of itself last.
    #[must_use]
    pub fn metadata(&self, owner: Oid, name: &str) -> Option<Metadata> {
        self.records.get(owner, METADATA, name)
    }

    /// How the messages of an organization to a service stand.
    #[must_use]
    pub fn standing(&self, oid: Oid, name: &str, most: usize) -> Standing {
        self.feed.outbox.standing(oid, &target(name), most)
    }

    /// What services get of a detection that is kept nowhere; to be stored in the commit of what caused it.
    pub fn hear(&self, detection: &Record) -> Vec<Box<dyn Enqueued>> {
        self.feed.enqueue(&[detection])
    }

    /// Asks a service for something as the identity of the subscription, and waits for the answer.
    ///
    /// # Errors
    ///
    /// [`Error::NotSubscribed`], and [`Error::Failed`] if the service cannot be reached or does not do it.
    ///
    /// # Cancel safety
    ///
    /// A call that is dropped may have been carried out.
    pub async fn request(&self, oid: Oid, name: &str, data: Map<String, Value>) -> Result<Map<String, Value>, Error> {
        let found = registry::subscribed(&self.records, oid, name).ok_or_else(|| self.not_subscribed(oid, name))?;
        let failed = |reason: String| Error::Failed { name: name.to_owned(), reason };
        let condition = self.condition(found.owner, name);
        if condition.state.lock().is_secret_wrong {
            return Err(failed(SECRETS_DIFFER.into()));
        }
        let event = self.event(oid, name, Etype::Request, random::uuid(), data)?;
        // Closed never.
        let _permit = condition.calls.acquire().await;
        let verdict = self.clients.post(&found.registration, &event, self.allows_private, CALL_MAX).await;
        match verdict.map_err(&failed)? {
            Verdict::Done(answer) => {
                self.take_answer(oid, name, &answer).await?;
                Ok(answer.data)
            }
            Verdict::Again(reason) | Verdict::Failed(reason) => Err(failed(reason)),
            Verdict::NotImplemented => Err(failed("it takes no requests".into())),
            Verdict::WrongSecret => Err(failed(SECRETS_DIFFER.into())),
        }
    }

    /// Has a service asked for something later; the request is stored when this answers.
    ///
    /// # Errors
    ///
    /// [`Error::NotSubscribed`], [`Error::Full`], and whatever the store says.
    pub async fn request_later(&self, oid: Oid, name: &str, data: &Map<String, Value>, id: Uuid) -> Result<(), Error> {
        registry::subscribed(&self.records, oid, name).ok_or_else(|| self.not_subscribed(oid, name))?;
        let mut posted = self.feed.outbox.put(oid, vec![message(name, Etype::Request, id, data)]);
        if !posted.overflown().is_empty() {
            self.tell(oid, name, TOO_MANY).await;
            posted.deliver();
            return Err(Error::Full(name.to_owned()));
        }
        self.store.commit(vec![posted.stored()]).await?;
        posted.deliver();
        Ok(())
    }

    /// Has a message delivered again that was given up.
    ///
    /// # Errors
    ///
    /// [`Error::NoMessage`], and whatever the store says.
    pub async fn redeliver(&self, oid: Oid, id: Uuid) -> Result<(), Error> {
        let (lane, position) = self.feed.outbox.dead(oid, id).ok_or(Error::NoMessage)?;
        let tries = Tries { due: clock::now(), ..Tries::default() };
        self.store.commit(vec![Write::PutTries { oid, tries: vec![(position, tries.clone())] }]).await?;
        lane.revive(&self.feed.outbox, position, tries);
        Ok(())
    }

    fn not_subscribed(&self, oid: Oid, name: &str) -> Error {
        match registry::find(&self.records, oid, name) {
            Some(_) => Error::NotSubscribed(name.to_owned()),
            None => Error::Unknown(name.to_owned()),
        }
    }

    /// An event as it is sent now: with a fresh deadline, and a fresh token if it is about an organization.
    fn event(&self, oid: Oid, name: &str, etype: Etype, id: Uuid, data: Map<String, Value>) -> Result<Envelope, Error> {
        let now = clock::now();
        let event = Envelope::new(etype, &id.to_string(), now, data);
        if !etype.has_organization() {
            return Ok(event);
        }
        let subscribed = self.records.get(oid, SUBSCRIBED, name);
        let identity = subscribed.and_then(|subscribed| registry::identity(&self.records, oid, &subscribed));
        let failed = |reason: &str| Error::Failed { name: name.to_owned(), reason: reason.to_owned() };
        let identity = identity.ok_or_else(|| {
            failed("the API key of its subscription was deleted; make another with: muster service rekey")
        })?;
        let token =
            self.secrets.token(identity, TOKEN_TTL_S, None, now).map_err(|_| failed("no token could be made"))?;
        Ok(event.of(oid, token))
    }

    /// Keeps what an answer brings beside its data: jobs, and an error for the operators.
    async fn take_answer(&self, oid: Oid, name: &str, answer: &Answer) -> Result<(), Error> {
        if !answer.jobs.is_empty()
            && let Some(refused) = self.take_jobs(oid, name, &answer.jobs).await?
        {
            self.tell(oid, name, &refused).await;
        }
        if let Some(error) = &answer.error {
            self.tell(oid, name, error).await;
        }
        Ok(())
    }

    /// Tells operators of an organization that something is wrong with a service.
    async fn tell(&self, oid: Oid, name: &str, text: &str) {
        errors::report(&self.records, oid, &target(name), text).await;
    }
}

/// What operators are told when a lane is full.
const TOO_MANY: &str = "too many messages wait for it (10,000, or 64 MiB of them); new ones are dropped";

/// What operators are told of a service that refuses our signature.
const SECRETS_DIFFER: &str = "the service refuses the signature: its secret is another one than the registered one; \
                              nothing is sent until it accepts a health check";

fn message(name: &str, etype: Etype, id: Uuid, data: &Map<String, Value>) -> Message {
    let body = serde_json::to_vec(data).unwrap_or_default();
    Message { target: target(name), kind: etype.to_string(), id, body }
}

/// Delivers what waits, asks services how they are, and puts periodic events, until dropped.
pub async fn run(services: Arc<Services>) {
    let (one, other) = (Arc::clone(&services), Arc::clone(&services));
    tokio::join!(deliver::run(one), health::run(other), cron::run(services));
}
