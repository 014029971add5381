//! Detection and response: events go through the rules of their organization.
//!
//! Records of an organization that has rules are handled in groups: those that wait
//! are evaluated together and stored in one commit, with everything that came of
//! them: detections, what rules send to outputs, counters, variables, and the
//! actions that are to be carried out. One group follows the other, so what rules
//! remember is always what the stored records made of it: when a commit fails, the
//! group was never evaluated. ADR 7 says why.
//!
//! Actions are carried out from their durable queue, in order for each sensor, and
//! go on after a restart. A slow action holds no event back; only `wait` does,
//! and only those of its sensor.
//!
//! Source: reference/detection-response.md, reference/events.md section 10.

mod act;
mod action;
mod audit;
mod group;
mod merge;
mod overrun;
mod pass;
mod pending;
mod pool;
mod reading;
mod resource;
mod rules;
mod schedule;
mod trouble;

pub use audit::run as run_audit;
pub use resource::run as run_resources;
pub use rules::reload;
pub use schedule::{run as run_schedule, tick};

use crate::access::Secrets;
use crate::artifact::Artifact;
use crate::extension::Extensions;
use crate::files::Files;
use crate::hive::{self, Hive, Hives, Lookups, Place, Reloading};
use crate::intake::{self, Committed, Evaluator, Intake, Record, Taken, Wait, WithTaken};
use crate::organization::Organizations;
use crate::output::Outputs;
use crate::records::{Kind, Records, SERVER};
use crate::sensor::Sensors;
use crate::service::{Named, Services};
use crate::tasking::Tasking;
use crate::telemetry::Telemetry;
use group::{Given, Member};
use muster_model::{Oid, Sid};
use muster_rules::{Engine, RuleSet, Suppression, Target, Variables};
use muster_store::{Store, StoreError, Write};
use overrun::Overruns;
use parking_lot::{Mutex, RwLock};
use pending::Pending;
use pool::Pool;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicI64};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::timeout;
use trouble::{TROUBLES_MAX, Trouble};

/// Lanes of an organization: sensors of different lanes can be evaluated in parallel.
const LANES: usize = 8;

/// A `wait` holds the events of its sensor at most this long.
/// Source: reference/detection-response.md section 13.11.
const HOLD_MAX: Duration = Duration::from_secs(60);

/// Variables of sensors, by sensor id.
const VARIABLES: Kind<Variables> = Kind::new("variables");

/// Detection and response, with the rooms that rules reach.
pub struct Detect {
    /// Rules at work.
    pub detectors: Arc<Detectors>,
    pub(crate) store: Store,
    pub(crate) intake: Arc<Intake>,
    pub(crate) records: Arc<Records>,
    /// For the private seeds of the template function `anon`.
    pub(crate) secrets: Secrets,
    pub(crate) telemetry: Telemetry,
    pub(crate) organizations: Arc<Organizations>,
    /// The queues of tailored outputs.
    pub(crate) outputs: Arc<Outputs>,
    pub(crate) files: Arc<Files>,
    pub(crate) tasking: Arc<Tasking>,
    pub(crate) sensors: Sensors,
    pub(crate) hives: Arc<Hives>,
    pub(crate) services: Arc<Services>,
    pub(crate) extensions: Arc<Extensions>,
}

/// The rules that are in force, as hives reach them. Rules reach hives too, so one of the two holds the other loosely.
pub(crate) struct InForce {
    pub(crate) detect: Weak<Detect>,
    pub(crate) detectors: Arc<Detectors>,
    pub(crate) records: Arc<Records>,
    pub(crate) services: Arc<Services>,
}

/// The detectors of all organizations that have rules.
pub struct Detectors {
    by_organization: RwLock<HashMap<Oid, Arc<Detector>>>,
    audit: audit::Feed,
    readings: reading::Readings,
    changes: Mutex<HashMap<Oid, Changes>>,
    /// Through which second periodic events were evaluated, by organization.
    through: Mutex<HashMap<Oid, i64>>,
    /// What rules name of what services publish, by organization and record.
    named: Mutex<HashMap<Oid, BTreeMap<Place, BTreeSet<Named>>>>,
    /// Everything that works for a detector, by organization: it ends with that, or with the server.
    tasks: Mutex<HashMap<Oid, JoinSet<()>>>,
    troubles: mpsc::Sender<Trouble>,
    /// Where rules are evaluated.
    pool: Pool,
    /// Taken by what tells operators of troubles.
    told: Mutex<Option<mpsc::Receiver<Trouble>>>,
}

/// What became of an organization's rules since they were last put in force.
#[derive(Default)]
struct Changes {
    /// What was changed, each with the number of its last change.
    records: BTreeMap<Place, u64>,
    /// How many changes there were.
    count: u64,
    /// Held by whoever puts rules in force.
    reloading: Arc<tokio::sync::Mutex<()>>,
}

/// The rules of one organization at work.
pub(crate) struct Detector {
    oid: Oid,
    lanes: Vec<Mutex<Engine>>,
    counters: Mutex<Suppression>,
    /// When windows that ended were last dropped, in milliseconds since the Unix epoch.
    swept_ms: AtomicI64,
    lookups: RwLock<Arc<Lookups>>,
    /// Those that the lanes evaluate.
    rules: RwLock<Arc<RuleSet>>,
    /// Whether something merges the segments of its rules.
    is_merging: AtomicBool,
    /// Held while a group is evaluated and stored, and by whoever changes what it is evaluated with.
    turn: tokio::sync::Mutex<()>,
    members: mpsc::Sender<Member>,
    pending: Pending,
    /// Rules that cost more than they may, and how often.
    overruns: Overruns,
}

/// What records are to rules.
enum Role {
    /// What their stream says; they are kept.
    Stream,
    /// Records of this target, which are kept already, or by nobody.
    Target(Target),
    /// Records of an artifact, which are kept as its file.
    Content(Arc<Content>),
}

/// An artifact whose records are evaluated, and what is known of where they come from.
struct Content {
    artifact: Artifact,
    routing: Value,
}

impl Default for Detectors {
    fn default() -> Self {
        let (troubles, told) = mpsc::channel(TROUBLES_MAX);
        Self {
            by_organization: RwLock::default(),
            audit: audit::Feed::default(),
            readings: reading::Readings::default(),
            changes: Mutex::default(),
            through: Mutex::default(),
            named: Mutex::default(),
            tasks: Mutex::default(),
            troubles,
            pool: Pool::default(),
            told: Mutex::new(Some(told)),
        }
    }
}

impl Detectors {
    /// The detector of an organization, if it has had rules since the server started.
    fn of(&self, oid: Oid) -> Option<Arc<Detector>> {
        self.by_organization.read().get(&oid).cloned()
    }

    /// The detector of an organization, if it has rules that listen to a stream.
    fn listening(&self, oid: Oid, target: Target) -> Option<Arc<Detector>> {
        self.of(oid).filter(|detector| detector.rules.read().listens_to(target))
    }

    /// Organizations with rules that listen to a stream; nobody else is looked at.
    fn all_listening(&self, target: Target) -> BTreeSet<Oid> {
        let detectors = self.by_organization.read();
        let listen = detectors.iter().filter(|(_, detector)| detector.rules.read().listens_to(target));
        listen.map(|(oid, _)| *oid).collect()
    }

    /// Notes that a stored record has changed: it is in force after [`reload`].
    fn touch(&self, oid: Oid, hive: &Hive, key: &str) {
        if hive.concerns_rules {
            let mut changes = self.changes.lock();
            let of = changes.entry(oid).or_default();
            of.count += 1;
            of.records.insert((hive.name, key.to_owned()), of.count);
        }
    }

    /// Whether something was changed that is not in force yet.
    fn is_changed(&self, oid: Oid) -> bool {
        self.changes.lock().get(&oid).is_some_and(|of| !of.records.is_empty())
    }

    /// What was changed and is not in force yet, and the number of the last change.
    fn changed(&self, oid: Oid) -> (BTreeSet<Place>, u64) {
        let changes = self.changes.lock();
        let of = changes.get(&oid);
        of.map(|of| (of.records.keys().cloned().collect(), of.count)).unwrap_or_default()
    }

    /// Notes that changes up to a number are in force.
    fn in_force(&self, oid: Oid, through: u64) {
        if let Some(of) = self.changes.lock().get_mut(&oid) {
            of.records.retain(|_, number| *number > through);
        }
    }

    /// The stored lookups of an organization; of those in force, what has not changed since is not read again.
    pub(crate) fn lookups(&self, records: &Records, services: &Services, oid: Oid) -> Arc<Lookups> {
        // First, since what is in force is taken off them only afterwards.
        let (changed, _) = self.changed(oid);
        match self.of(oid) {
            Some(detector) => {
                let stored = detector.lookups.read().after(records, oid, &changed);
                stored.seeing(services.published(oid))
            }
            None => Arc::new(Lookups::load(records, oid, services.published(oid))),
        }
    }

    fn reloading(&self, oid: Oid) -> Arc<tokio::sync::Mutex<()>> {
        Arc::clone(&self.changes.lock().entry(oid).or_default().reloading)
    }

    fn spawn(&self, oid: Oid, task: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.tasks.lock();
        let of = tasks.entry(oid).or_default();
        while of.try_join_next().is_some() {}
        of.spawn(task);
    }

    /// Ends all that works for an organization which is someone else's by now: what waits, that one goes on with.
    pub(crate) async fn end(&self, oid: Oid) {
        self.by_organization.write().remove(&oid);
        self.changes.lock().remove(&oid);
        self.named.lock().remove(&oid);
        let tasks = self.tasks.lock().remove(&oid);
        if let Some(mut tasks) = tasks {
            tasks.shutdown().await;
        }
        self.readings.end(oid);
        self.through.lock().remove(&oid);
    }
}

impl Detector {
    async fn hand_in(
        &self,
        role: Role,
        records: Vec<Record>,
        wait: Wait,
        beside: WithTaken,
    ) -> Result<usize, StoreError> {
        let (answer, answered) = oneshot::channel();
        let stopping = || StoreError::Unavailable("the server is stopping".into());
        let given = Arc::new(Given { role, records, wait });
        self.members.send(Member { given, beside, answer }).await.map_err(|_| stopping())?;
        answered.await.unwrap_or_else(|_| Err(stopping()))
    }

    /// Whether a rule listens to any of these records, or holds one back: others need no turn among those that are
    /// evaluated.
    fn is_concerned(&self, records: &[Record]) -> bool {
        let is_heard = |stream| pass::target_of(stream).is_some_and(|target| self.rules.read().listens_to(target));
        let mut alike = records.chunk_by(|one, next| (one.stream, one.sid) == (next.stream, next.sid));
        alike.any(|records| is_heard(records[0].stream) || self.pending.is_held(records[0].sid))
    }

    fn lane(&self, sid: Option<Sid>) -> usize {
        let number = sid.map_or(0, |sid| sid.0.as_u128());
        // The lowest bits of an id are random whatever its version.
        usize::try_from(number % LANES as u128).unwrap_or(0)
    }
}

impl intake::Rules for Detectors {
    fn about(&self, oid: Oid, records: &[Record]) -> Option<Arc<dyn Evaluator>> {
        Some(self.of(oid).filter(|detector| detector.is_concerned(records))?)
    }

    fn forget<'a>(&'a self, store: &'a Store, oid: Oid, sid: Sid) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
        Box::pin(async move {
            let Some(detector) = self.of(oid) else { return };
            let _turn = detector.turn.lock().await;
            detector.lanes[detector.lane(Some(sid))].lock().forget(&sid.to_string());
            if let Err(error) = store.commit(vec![VARIABLES.removal(oid, &sid.to_string())]).await {
                // The next start does not take up the variables of a deleted sensor.
                tracing::warn!(%oid, %sid, %error, "the variables of a deleted sensor could not be taken out of the store");
            }
        })
    }

    fn offer_audit(&self, committed: &Committed<'_>) {
        self.offer_audit(committed);
    }
}

impl hive::InForce for InForce {
    fn touch(&self, oid: Oid, hive: &Hive, key: &str) {
        self.detectors.touch(oid, hive, key);
    }

    fn is_changed(&self, oid: Oid) -> bool {
        self.detectors.is_changed(oid)
    }

    fn reload(&self, oid: Oid) -> Reloading {
        let detect = self.detect.clone();
        Box::pin(async move {
            match detect.upgrade() {
                Some(detect) => reload(&detect, oid).await,
                None => Err(StoreError::Failed("the server is stopping".into())),
            }
        })
    }

    fn lookups(&self, oid: Oid) -> Arc<Lookups> {
        self.detectors.lookups(&self.records, &self.services, oid)
    }
}

impl Evaluator for Detector {
    fn take_in(&self, records: Vec<Record>, wait: Wait, with: WithTaken) -> Taken<'_> {
        Box::pin(self.hand_in(Role::Stream, records, wait, with))
    }
}

/// Compiles the rules of all organizations, and goes on with the actions that wait: to be called
/// once, before sensors connect.
///
/// # Errors
///
/// Whatever the store says.
pub async fn load(detect: &Arc<Detect>) -> Result<(), StoreError> {
    if let Some(told) = detect.detectors.told.lock().take() {
        detect.detectors.spawn(SERVER, trouble::run(Arc::downgrade(detect), told));
    }
    for organization in detect.organizations.all() {
        take_up(detect, organization.oid).await?;
    }
    Ok(())
}

/// Compiles the rules of an organization, and goes on with what waits in it: to be called before its sensors connect.
///
/// # Errors
///
/// Whatever the store says.
pub async fn take_up(detect: &Arc<Detect>, oid: Oid) -> Result<(), StoreError> {
    rules::load(detect, oid).await?;
    reading::resume(detect, oid);
    schedule::resume(detect, oid);
    Ok(())
}

/// Ends everything that works for detectors. What was not stored is not stored any more, and what
/// waits is gone on with by the next server.
pub async fn close(detect: &Detect) {
    let tasks = std::mem::take(&mut *detect.detectors.tasks.lock());
    for mut of in tasks.into_values() {
        of.shutdown().await;
    }
    detect.detectors.pool.close();
}

/// Evaluates records that are kept already, or by nobody, as those of one stream; stores what comes of them
/// with `beside` in one commit.
///
/// # Errors
///
/// Whatever the store says; then nothing is stored, and nothing was evaluated.
pub async fn evaluate(
    detect: &Detect,
    oid: Oid,
    target: Target,
    records: Vec<Record>,
    beside: Vec<Write>,
) -> Result<(), StoreError> {
    evaluate_as(detect, oid, Role::Target(target), records, beside).await
}

async fn evaluate_as(
    detect: &Detect,
    oid: Oid,
    role: Role,
    records: Vec<Record>,
    beside: Vec<Write>,
) -> Result<(), StoreError> {
    let Some(detector) = detect.detectors.of(oid).filter(|_| !records.is_empty()) else {
        return detect.store.commit(beside).await;
    };
    let beside: WithTaken = Box::new(move |_| beside.clone());
    detector.hand_in(role, records, Wait::Ignored, beside).await.map(|_| ())
}

/// Waits until no `wait` of a rule holds the events of a sensor back, or has for [`HOLD_MAX`].
pub async fn settled(detect: &Detect, oid: Oid, sid: Sid) -> Wait {
    let Some(detector) = detect.detectors.of(oid) else { return Wait::Heeded };
    match timeout(HOLD_MAX, detector.pending.settled(Some(sid))).await {
        Ok(()) => Wait::Heeded,
        Err(_) => Wait::Overdue,
    }
}
