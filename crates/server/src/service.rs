//! Services and extensions: programs of others behind an HTTP endpoint, told what happens and asked for things.
//!
//! They are one kind of thing ([`Program`]) in two protocols. Who is registered and subscribed is in [`registry`]. What they are to be told waits in the [`outbox`], stored in
//! the commit of what caused it ([`interest`] says what they want to hear of), and [`deliver`] takes it out again.
//! How each is, is asked by [`health`] all the time; periodic events come from [`cron`]; what services say of
//! their work is kept by [`job`], and what they publish for rules by [`publish`]. What extensions are asked is in [`action`], their configuration in
//! [`configuration`], and what follows from their answers in [`aftermath`].
//!
//! Source: reference/service-protocol.md, reference/extension-protocol.md.

mod action;
mod aftermath;
mod backlog;
mod change;
mod condition;
mod configuration;
mod cron;
mod deliver;
mod error;
mod fate;
mod health;
mod interest;
mod job;
mod outbox;
mod pace;
mod post;
mod program;
mod publish;
mod registry;
mod resource;
mod run;
mod seen;
mod token;

pub use action::{Asked, By};
pub use aftermath::Counted;
pub use backlog::{DEAD_MAX, Next, Standing, WAITING_MAX};
pub use change::{Changed, Wanted};
pub use condition::State;
pub use configuration::Kept as KeptFor;
pub use deliver::{LANE_CALLS_MAX, READ_AHEAD};
pub use error::Error;
pub use fate::{Fate, GivenUp, Outcome, Patience, fate, is_farewell, is_heard, writes};
pub use interest::Feed;
pub use job::Kept as Job;
pub use outbox::{Lane, Message, Outbox, Posted};
pub use pace::{Pace, RATE_MAX, busy_for};
pub use program::{Program, Protocol};
pub use publish::Uses;
pub use registry::{Found, REGISTRATIONS_MAX, Registration, Subscribed, find, subscription, subscriptions, visible};
pub use resource::{Named, Published, Resource, named};
pub use run::{Alike, PostedRuns};

use crate::access::Secrets;
use crate::intake::{Enqueued, Queues as _, Record};
use crate::jobs::Jobs;
use crate::organization::Organizations;
use crate::records::{Kind, Records};
use crate::{clock, errors, random};
use condition::Closed;
use muster_model::Oid;
use muster_store::{Store, StoreError, Tries, Write};
use muster_webhook::extension::Schema;
use muster_webhook::service::{Answer, Envelope, Etype, Metadata};
use parking_lot::Mutex;
use post::{Answered, Clients, Said, TIDY_EVERY, Verdict, call_max};
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, Semaphore};
use tokio::time::sleep;
use uuid::Uuid;

/// The category of the older resources that are services: to have one is to be subscribed.
pub const OF_SERVICES: &str = "replicant";

/// What services said of themselves last, by name; owned as the registration.
const METADATA: Kind<Metadata> = Kind::new("service_metadata");

/// What extensions said that they offer, by name; owned as the registration.
const SCHEMA: Kind<Schema> = Kind::new("extension_schema");

/// Kinds of messages to extensions, besides the names of events: a call of an action, and an error that the server met.
const REQUEST: &str = "request";
const ERROR_REPORT: &str = "error_report";

/// Calls of one program that are under way at once, over all organizations. The container transport of the framework
/// in use has 50 threads, and one must be left for health. Source: reference/service-protocol.md section 2.
const CALLS_MAX: usize = 32;

/// Everything that services and extensions share.
pub struct Services {
    feed: Arc<Feed>,
    records: Arc<Records>,
    organizations: Arc<Organizations>,
    jobs: job::Jobs,
    cron: cron::Cron,
    resources: publish::Resources,
    store: Store,
    secrets: Secrets,
    tokens: token::Tokens,
    clients: Clients,
    /// Private addresses are allowed to all.
    allows_private: bool,
    /// By who registered them.
    conditions: Mutex<HashMap<Oid, HashMap<Program, Arc<Condition>>>>,
    /// What hives hold for extensions.
    kept: Arc<dyn KeptFor>,
    /// What extensions asked to be called and counted.
    seen: seen::Seen,
    /// Someone is to be asked how they are at once.
    ask: Notify,
}

/// What is known of one registered program, beside what is stored.
struct Condition {
    calls: Semaphore,
    pace: Mutex<Pace>,
    state: Mutex<State>,
}

impl Condition {
    /// Waits until it is the turn of one more call, for whoever has a permit.
    async fn wait_turn(&self, rate: Option<u32>) {
        let now = clock::since_boot();
        let turn = self.pace.lock().turn(now, rate);
        if turn > now {
            sleep(turn - now).await;
        }
    }
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
    /// What hives hold for extensions.
    pub kept: Arc<dyn KeptFor>,
}

impl Services {
    /// The services of a server.
    #[must_use]
    pub fn new(ports: Ports) -> Self {
        let Ports { feed, records, organizations, store, secrets, allows_private, kept } = ports;
        let services = Self {
            feed,
            jobs: job::Jobs::load(&records),
            cron: cron::Cron::load(&records),
            resources: publish::Resources::load(&records),
            organizations,
            records,
            store,
            secrets,
            tokens: token::Tokens::default(),
            clients: Clients::default(),
            allows_private,
            conditions: Mutex::default(),
            kept,
            seen: seen::Seen::default(),
            ask: Notify::new(),
        };
        services.reload_all();
        services
    }

    fn condition(&self, owner: Oid, program: &Program) -> Arc<Condition> {
        let mut conditions = self.conditions.lock();
        let of_owner = conditions.entry(owner).or_default();
        if let Some(known) = of_owner.get(program) {
            return Arc::clone(known);
        }
        let (calls, pace, state) = (Semaphore::new(CALLS_MAX), Mutex::default(), Mutex::default());
        let new = Arc::new(Condition { calls, pace, state });
        of_owner.insert(program.clone(), Arc::clone(&new));
        new
    }

    /// How a program is.
    #[must_use]
    pub fn state(&self, owner: Oid, program: &Program) -> State {
        self.condition(owner, program).state.lock().clone()
    }

    /// What a service said of itself last.
    #[must_use]
    pub fn metadata(&self, owner: Oid, name: &str) -> Option<Arc<Metadata>> {
        self.records.shared(owner, METADATA, name)
    }

    /// How the messages of an organization to a program stand.
    #[must_use]
    pub fn standing(&self, oid: Oid, program: &Program, most: usize) -> Standing {
        self.feed.outbox.standing(oid, &program.target(), most)
    }

    /// What services get of a detection that is kept nowhere; to be stored in the commit of what caused it.
    pub fn hear(&self, detection: &Record) -> Vec<Box<dyn Enqueued>> {
        self.feed.enqueue(&[detection])
    }

    /// Forgets what waits of an organization that is someone else's by now, or gone.
    pub fn end_organization(&self, oid: Oid) {
        self.feed.outbox.end(oid);
    }

    /// Takes up what is stored of an organization that was ended. Blocks.
    ///
    /// # Errors
    ///
    /// Whatever the store says.
    pub fn take_up(&self, oid: Oid) -> Result<(), StoreError> {
        self.jobs.take_up(&self.records, oid);
        self.cron.take_up(&self.records, oid);
        self.resources.take_up(&self.records, oid);
        self.feed.outbox.take_up(&self.store, Some(oid))?;
        self.reload(oid);
        Ok(())
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
        let service = Program::service(name);
        let found = self.subscribed(oid, &service)?;
        let said = Said::from(self.event(oid, &service, Etype::Request, random::uuid(), data)?);
        match self.call(&found, &service, &said).await? {
            Verdict::Done(Answered::Service(answer)) => {
                self.take_answer(oid, &service, &answer).await?;
                Ok(answer.data)
            }
            Verdict::Again(reason) | Verdict::Failed(reason) => Err(Error::failed(&service, reason)),
            Verdict::NotImplemented | Verdict::Done(Answered::Extension(_)) => {
                Err(Error::failed(&service, "it takes no requests"))
            }
            Verdict::Closed(closed) => Err(Error::failed(&service, closed)),
        }
    }

    /// Says something to a program now, as one of its calls.
    async fn call(&self, found: &Found, program: &Program, said: &Said) -> Result<Verdict, Error> {
        self.call_within(found, program, said, call_max(program.protocol)).await
    }

    async fn call_within(
        &self,
        found: &Found,
        program: &Program,
        said: &Said,
        within: Duration,
    ) -> Result<Verdict, Error> {
        let condition = self.condition(found.owner, program);
        {
            let (state, now) = (condition.state.lock(), clock::now());
            if state.is_secret_wrong {
                return Ok(Verdict::Closed(Closed::WrongSecret));
            }
            if let Some(pause) = state.busy(now) {
                return Ok(Verdict::Closed(Closed::Busy(pause)));
            }
        }
        // Closed never.
        let _permit = condition.calls.acquire().await;
        condition.wait_turn(found.registration.rate).await;
        let called = self.clients.post(&found.registration, said, self.allows_private, within).await;
        if let Ok(Verdict::Closed(Closed::Busy(pause))) = &called {
            condition.state.lock().is_busy(clock::now(), *pause);
        }
        called.map_err(|reason| Error::failed(program, reason))
    }

    /// Has a service asked for something later; the request is stored when this answers.
    ///
    /// # Errors
    ///
    /// [`Error::NotSubscribed`], [`Error::Full`], and whatever the store says.
    pub async fn request_later(&self, oid: Oid, name: &str, data: &Map<String, Value>, id: Uuid) -> Result<(), Error> {
        let service = Program::service(name);
        self.subscribed(oid, &service)?;
        self.put(oid, &service, vec![message(&service, &Etype::Request.to_string(), id, data)]).await
    }

    /// Stores messages, as far as there is room for them, and has them delivered.
    async fn put(&self, oid: Oid, program: &Program, messages: Vec<Message>) -> Result<(), Error> {
        let mut posted = self.feed.outbox.put(oid, messages, clock::now());
        let is_full = !posted.overflown().is_empty();
        self.store.commit(vec![posted.stored()]).await?;
        posted.deliver();
        if is_full {
            self.tell(oid, program, TOO_MANY).await;
            return Err(Error::Full(program.clone()));
        }
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

    fn subscribed(&self, oid: Oid, program: &Program) -> Result<Found, Error> {
        registry::subscribed(&self.records, oid, program).ok_or_else(|| self.not_subscribed(oid, program))
    }

    fn not_subscribed(&self, oid: Oid, program: &Program) -> Error {
        match registry::find(&self.records, oid, program) {
            Some(_) => Error::NotSubscribed(program.clone()),
            None => Error::Unknown(program.clone()),
        }
    }

    /// An event as it is sent now: with a fresh deadline, and with a token if it is about an organization.
    fn event(
        &self,
        oid: Oid,
        service: &Program,
        etype: Etype,
        id: Uuid,
        data: Map<String, Value>,
    ) -> Result<Envelope, Error> {
        let event = Envelope::new(etype, &id.to_string(), clock::now(), data);
        Ok(if etype.has_organization() { event.of(oid, self.token(oid, service)?) } else { event })
    }

    /// Keeps what an answer brings beside its data: jobs, and an error for the operators.
    async fn take_answer(&self, oid: Oid, service: &Program, answer: &Answer) -> Result<(), Error> {
        if !answer.jobs.is_empty()
            && let Some(refused) = Box::pin(self.take_jobs(oid, &service.name, &answer.jobs)).await?
        {
            Box::pin(self.tell(oid, service, &refused)).await;
        }
        if let Some(error) = &answer.error {
            Box::pin(self.tell(oid, service, error)).await;
        }
        Ok(())
    }

    /// Tells operators of an organization that something is wrong with a program.
    async fn tell(&self, oid: Oid, program: &Program, text: &str) {
        errors::report(&self.records, oid, &program.target(), text).await;
    }
}

/// What operators are told when a lane is full.
const TOO_MANY: &str = "too many messages wait for it (10,000, or 64 MiB of them); new ones are dropped";

fn message(to: &Program, kind: &str, id: Uuid, data: &Map<String, Value>) -> Message {
    let body = serde_json::to_vec(data).unwrap_or_default();
    Message { target: to.target(), kind: kind.to_owned(), id, body, delay: Duration::ZERO }
}

/// Delivers what waits, asks programs how they are, and puts periodic events, until the server stops.
pub async fn run(services: Arc<Services>, jobs: Jobs) {
    jobs.spawn_until_stop(health::run(Arc::clone(&services)));
    jobs.spawn_until_stop(cron::run(Arc::clone(&services)));
    jobs.spawn_until_stop(tidy(Arc::clone(&services)));
    deliver::run(services, jobs).await;
}

/// Closes connections that nobody needs, until dropped.
async fn tidy(services: Arc<Services>) {
    loop {
        sleep(TIDY_EVERY).await;
        services.clients.tidy();
    }
}
