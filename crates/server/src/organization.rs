//! One organization in memory: what its dispatch machine knows, and its links.
//!
//! The state is behind one lock that is never held across a wait. Every change is an input of the machine
//! ([`muster_tasking::dispatch`]), which decides; [`crate::tasking`] carries out what follows.

mod dues;
pub mod message;
mod strangers;

pub use strangers::{STRANGERS, Strangers};

use crate::intake::event::Actor;
use crate::link::Link;
use crate::{clock, random};
use dues::{Due, Dues};
use muster_model::{Oid, Sid, Timestamp};
use muster_store::{SensorRow, StoreError};
use muster_tasking::dispatch::{Answer, Commit, Effect, Fact, Known, LinkId, RequestId};
use muster_tasking::{Dispatch, Task};
use parking_lot::{Mutex, RwLock};
use std::collections::{BTreeMap, HashMap};
use std::ops::Deref;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::timeout;

/// An organization is looked at this often at most.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What is due is compared with the clocks this often at least: a machine that slept wakes up without notice.
const WAIT_MAX: Duration = Duration::from_secs(1);

/// A clock that was set by less is found by each organization by itself.
const CLOCK_SET_MIN: Duration = Duration::from_secs(1);

/// All organizations of a server.
#[derive(Default)]
pub struct Organizations {
    all: RwLock<BTreeMap<Oid, Arc<Organization>>>,
    /// Those that were here, and are someone else's by now, as long as something here still works on them.
    lost: RwLock<BTreeMap<Oid, Weak<Organization>>>,
    dues: Arc<Dues>,
    /// How often one of them was looked at, since time passed.
    looks: AtomicU64,
    /// What the clock showed when the machine was booted, as it was when it was last found to be set.
    booted_at: Mutex<Option<Timestamp>>,
}

impl Organizations {
    /// An organization.
    #[must_use]
    pub fn get(&self, oid: Oid) -> Option<Arc<Organization>> {
        self.all.read().get(&oid).cloned()
    }

    /// All of them.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Organization>> {
        self.all.read().values().cloned().collect()
    }

    /// Adds one.
    pub fn insert(&self, organization: Organization) -> Arc<Organization> {
        let organization = Arc::new(organization);
        self.all.write().insert(organization.oid, Arc::clone(&organization));
        organization.state.lock().due.enter(&self.dues, organization.oid);
        organization
    }

    /// Someone else owns one by now: it is ended here, and known as lost.
    pub fn lose(&self, oid: Oid) {
        let Some(organization) = self.all.write().remove(&oid) else { return };
        self.lost.write().insert(oid, Arc::downgrade(&organization));
        organization.deposed(&StoreError::Deposed(oid));
    }

    /// Whether someone else owns an organization that was here.
    #[must_use]
    pub fn is_lost(&self, oid: Oid) -> bool {
        self.lost.read().contains_key(&oid)
    }

    /// Whether one of those that were here is someone else's.
    #[must_use]
    pub(crate) fn has_lost(&self) -> bool {
        !self.lost.read().is_empty()
    }

    /// Those that were lost, and on which nothing here works any more: what was decided before cannot be stored after they
    /// are taken up again.
    pub(crate) fn ended(&self) -> Vec<Oid> {
        let lost = self.lost.read();
        lost.iter().filter(|(_, was)| was.strong_count() == 0).map(|(oid, _)| *oid).collect()
    }

    /// One that was lost is served here again.
    pub(crate) fn regain(&self, oid: Oid) {
        self.lost.write().remove(&oid);
    }

    /// Waits until time has something to do, and gives those in which it has: each has to be told of a tick.
    ///
    /// # Cancel safety
    ///
    /// Those that were not given yet are given by the next call.
    pub async fn due(&self) -> Vec<Arc<Organization>> {
        loop {
            let (now, since_boot) = (clock::now(), clock::since_boot());
            let due = if self.is_clock_set(now, since_boot) {
                self.dues.take(Duration::MAX);
                self.all()
            } else {
                self.dues.take(since_boot).into_iter().filter_map(|oid| self.get(oid)).collect()
            };
            if !due.is_empty() {
                self.looks.fetch_add(due.len() as u64, Ordering::Relaxed);
                return due;
            }
            let wait = self.dues.next().map_or(WAIT_MAX, |at| at.saturating_sub(since_boot).min(WAIT_MAX));
            let _ = timeout(wait, self.dues.sooner()).await;
        }
    }

    /// How often time has had one of them looked at since the server started.
    #[must_use]
    pub fn looks(&self) -> u64 {
        self.looks.load(Ordering::Relaxed)
    }

    /// A clock that was set concerns all of them: what it shows is what they store by how much.
    fn is_clock_set(&self, now: Timestamp, since_boot: Duration) -> bool {
        let booted_at = Timestamp::from_micros(now.as_micros().saturating_sub(micros(since_boot)));
        let mut known = self.booted_at.lock();
        let before = known.get_or_insert(booted_at);
        let is_set = booted_at.since(*before).max(before.since(booted_at)) >= CLOCK_SET_MIN;
        if is_set {
            *before = booted_at;
        }
        is_set
    }
}

fn micros(span: Duration) -> i64 {
    i64::try_from(span.as_micros()).unwrap_or(i64::MAX)
}

/// A sensor of an organization, by its number.
#[derive(Clone)]
pub struct Place {
    /// Its organization.
    pub organization: Arc<Organization>,
    /// Its number there.
    pub ordinal: u32,
}

/// One organization.
pub struct Organization {
    /// Its id.
    pub oid: Oid,
    /// Everything that changes.
    pub state: Mutex<State>,
    /// Sensors that it does not know, and that could not enrol again.
    pub strangers: Strangers,
}

/// What changes in an organization. What is known of it is read as [`Known`].
pub struct State {
    dispatch: Dispatch,
    due: Due,
    /// Every link that is one, or is about to be.
    links: HashMap<LinkId, Arc<Link>>,
    requests: HashMap<RequestId, Request>,
    last_request: u64,
}

/// What an answer is: the machine's, or why the store refused.
pub type Answered = Result<Answer, StoreError>;

/// A question that was not answered yet.
struct Request {
    answer: oneshot::Sender<Answered>,
    by: Option<Arc<Actor>>,
}

/// What remains to be done of an effect: it may take its time.
pub enum Deed {
    /// Store this; who asked for it.
    Commit(Commit, Option<Arc<Actor>>),
    /// Keep records of this, and tell readers.
    Tell(Vec<Fact>),
}

impl Organization {
    /// An organization with nothing in it.
    #[must_use]
    pub fn new(oid: Oid) -> Self {
        Self { oid, state: Mutex::new(State::new()), strangers: Strangers::default() }
    }

    /// Every link of its sensors.
    #[must_use]
    pub fn links(&self) -> Vec<Arc<Link>> {
        self.state.lock().links().cloned().collect()
    }

    /// Tells the machine something, carries out what must happen in the order of its decisions, and gives the rest.
    /// `error` is why the store refused, if that is what it is told.
    pub fn turn(
        &self,
        error: Option<&StoreError>,
        input: impl FnOnce(&mut State, Timestamp) -> Vec<Effect>,
    ) -> Vec<Deed> {
        let mut state = self.state.lock();
        // Under the lock: times are told in order.
        let now = clock::now();
        let since_boot = clock::since_boot();
        state.dispatch.read_clocks(now, since_boot);
        let effects = input(&mut state, now);
        if let Some(span) = state.dispatch.due_in(now) {
            state.due.by(self.oid, since_boot.saturating_add(span.max(LOOK_EVERY)));
        }
        effects.into_iter().filter_map(|effect| state.carry_out(effect, error)).collect()
    }

    /// Someone else owns the organization by now, or what is stored of it is not known: ends its links, and answers
    /// nothing but this. Nothing follows from anything any more.
    pub fn deposed(&self, error: &StoreError) {
        let mut state = self.state.lock();
        let _ = state.dispatch.deposed();
        state.links().for_each(|link| link.close());
        for (_, request) in state.requests.drain() {
            // Who asked may be gone.
            let _ = request.answer.send(Err(error.clone()));
        }
    }
}

impl Deref for State {
    type Target = Known;
    fn deref(&self) -> &Known {
        &self.dispatch
    }
}

impl State {
    fn new() -> Self {
        let dispatch = Dispatch::new(random::number());
        Self { dispatch, due: Due::default(), links: HashMap::new(), requests: HashMap::new(), last_request: 0 }
    }

    /// The machine, to be told something within [`Organization::turn`].
    pub fn dispatch(&mut self) -> &mut Dispatch {
        &mut self.dispatch
    }

    /// Tells the machine that time passed.
    pub fn tick(&mut self, now: Timestamp) -> Vec<Effect> {
        self.due.looked_at();
        self.dispatch.tick(now)
    }

    /// Takes in a stored sensor, at start.
    pub fn restore_sensor(&mut self, row: SensorRow) {
        self.dispatch.restore_sensor(row);
    }

    /// Leaves out a stored sensor that cannot be read, at start.
    pub fn set_sensor_aside(&mut self, ordinal: u32) {
        self.dispatch.set_sensor_aside(ordinal);
    }

    /// Takes in a stored task, at start.
    pub fn restore_task(&mut self, task: Task) {
        self.dispatch.restore_task(task);
    }

    /// Leaves out a stored task that cannot be read, at start.
    pub fn set_task_aside(&mut self, number: u64) {
        self.dispatch.set_task_aside(number);
    }

    /// A number for a question, and where its answer comes.
    pub fn request(&mut self, by: Option<&Actor>) -> (RequestId, oneshot::Receiver<Answered>) {
        let (answer, answered) = oneshot::channel();
        self.last_request += 1;
        let id = RequestId(self.last_request);
        // Where nothing follows any more nobody would answer.
        if !self.dispatch.is_deposed() {
            self.requests.insert(id, Request { answer, by: by.cloned().map(Arc::new) });
        }
        (id, answered)
    }

    fn carry_out(&mut self, effect: Effect, error: Option<&StoreError>) -> Option<Deed> {
        match effect {
            Effect::Send(link, message) => {
                if let Some(link) = self.links.get(&link) {
                    link.send(message::message(message));
                }
                None
            }
            Effect::Close(link) => {
                if let Some(link) = self.links.get(&link) {
                    link.close();
                }
                None
            }
            Effect::Answer(request, answer) => {
                let answer = match (answer, error) {
                    (Answer::Failed, Some(error)) => Err(error.clone()),
                    (Answer::Failed, None) => Err(StoreError::Failed("a change could not be written".into())),
                    (answer, _) => Ok(answer),
                };
                // Who asked may be gone.
                let _ = self.requests.remove(&request).map(|request| request.answer.send(answer));
                None
            }
            Effect::Commit(commit) => {
                let by = commit.request.and_then(|request| self.requests.get(&request)?.by.clone());
                Some(Deed::Commit(commit, by))
            }
            Effect::Tell(facts) => Some(Deed::Tell(facts)),
        }
    }

    /// Knows a link by its number from now on.
    pub fn add_link(&mut self, link: &Arc<Link>) {
        self.links.insert(link.id(), Arc::clone(link));
    }

    /// Forgets a link that ended.
    pub fn remove_link(&mut self, link: LinkId) {
        self.links.remove(&link);
    }

    /// Every link.
    pub fn links(&self) -> impl Iterator<Item = &Arc<Link>> {
        self.links.values()
    }

    /// The current link of a sensor that is online.
    #[must_use]
    pub fn link(&self, ordinal: u32) -> Option<&Arc<Link>> {
        self.links.get(&self.dispatch.link(ordinal)?)
    }

    /// The same by the sensor's id.
    #[must_use]
    pub fn link_of(&self, sid: Sid) -> Option<&Arc<Link>> {
        self.link(self.fleet.ordinal(sid)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    /// Goal: organizations in which time changes nothing cost nothing. Method: all are looked at once, and then none is
    /// given within an hour, though that hour is waited for.
    #[tokio::test(start_paused = true)]
    async fn ten_thousand_idle_organizations_are_never_looked_at_again() {
        let organizations = Organizations::default();
        for number in 1..=10_000 {
            organizations.insert(Organization::new(Oid(Uuid::from_u128(number))));
        }
        for organization in organizations.due().await {
            assert!(organization.turn(None, |state, now| state.tick(now)).is_empty());
        }
        let hour = timeout(Duration::from_secs(3_600), organizations.due()).await;
        assert!(hour.is_err(), "one was looked at");
        assert_eq!(organizations.looks(), 10_000);
    }
}
