//! Detection and response: events go through the rules of their organization.
//!
//! [`evaluate`] runs before the commit that keeps the events, and gives what the same
//! commit has to keep: detections, and what rules send to outputs. What else the rules
//! want done runs after that commit, from a bounded queue per lane, so that a slow
//! action holds no sensor back. Only `wait` does, which is what it is for.
//!
//! Sensors are spread over lanes by their id: the events of one sensor, and the actions
//! they cause, keep their order. An action that was queued when the server is killed is
//! not run again.
//!
//! Source: reference/detection-response.md, reference/events.md section 10.

mod act;
mod audit;
mod lookup;
mod rules;
mod schedule;

pub use audit::run as run_audit;
pub use lookup::{Lookups, read_lookup};
pub use rules::reload;
pub use schedule::{run as run_schedule, tick};

use crate::app::App;
use crate::organization::Organization;
use crate::records::Kind;
use crate::stream::Record;
use crate::{clock, errors, output, random};
use bytes::Bytes;
use muster_model::{Oid, Sid, Timestamp};
use muster_rules::{Activation, Counters, Decided, Effect, Engine, Facts, Source, Suppression, Target, Variables};
use muster_store::{Expect, Stream, Write};
use parking_lot::{Mutex, RwLock};
use std::cell::Cell;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;
use uuid::Uuid;

/// Lanes of an organization: sensors of different lanes are evaluated in parallel.
const LANES: usize = 8;

/// Events whose actions may wait in one lane. Above, their actions are dropped and operators are told.
const WAITING_MAX: usize = 4_096;

/// Suppression windows of one organization: all of them are stored as one record of about 60 bytes each.
const WINDOWS_MAX: usize = 100_000;

/// Up to so many windows are stored in the commit of the events that were counted; more only now and then.
const WINDOWS_BESIDE_MAX: usize = 64;

/// How often counters are stored that are too many for that. So much counting is lost at most when the
/// server is killed.
const SAVED_EVERY: Duration = Duration::from_secs(5);

/// Counters of suppressed actions.
const COUNTERS: Kind<Suppression> = Kind::new("suppression");
const COUNTERS_KEY: &str = "counters";

/// Variables of sensors, by sensor id.
const VARIABLES: Kind<Variables> = Kind::new("variables");

/// The detectors of all organizations that have rules.
#[derive(Default)]
pub struct Detectors {
    by_organization: RwLock<HashMap<Oid, Arc<Detector>>>,
    audit: audit::Feed,
    reloading: tokio::sync::Mutex<()>,
}

/// The rules of one organization at work.
struct Detector {
    lanes: Vec<Lane>,
    counters: std::sync::Mutex<Suppression>,
    /// Counted since the counters were stored last.
    has_counted: AtomicBool,
    lookups: RwLock<Arc<Lookups>>,
    /// The streams that its rules listen to.
    targets: RwLock<BTreeSet<Target>>,
}

struct Lane {
    engine: Mutex<Engine>,
    queue: mpsc::Sender<Job>,
}

/// What rules want done because of one event, in order.
struct Job {
    oid: Oid,
    effects: Vec<Decided>,
}

impl Detectors {
    fn of(&self, oid: Oid) -> Option<Arc<Detector>> {
        self.by_organization.read().get(&oid).cloned()
    }

    /// The detector of an organization, if it has rules that listen to a stream.
    fn listening(&self, oid: Oid, target: Target) -> Option<Arc<Detector>> {
        self.of(oid).filter(|detector| detector.targets.read().contains(&target))
    }
}

impl Detector {
    fn lane(&self, sid: Option<Sid>) -> &Lane {
        let number = sid.map_or(0, |sid| sid.0.as_u128());
        // The lowest bits of an id are random whatever its version.
        &self.lanes[usize::try_from(number % LANES as u128).unwrap_or(0)]
    }

    fn effects_of(&self, record: &Record, target: Target, counters: &Counting<'_>, now: Timestamp) -> Vec<Decided> {
        let lookups = Arc::clone(&self.lookups.read());
        let facts = Facts {
            now_ms: now.as_millis(),
            entropy: random::uuid().as_u128(),
            resources: &*lookups,
            counters,
            console_url: None,
        };
        let mut engine = self.lane(record.sid).engine.lock();
        match engine.process_json(&Source::from(target), &record.body, &facts) {
            Ok(outcome) => outcome.effects.clone(),
            Err(error) => {
                tracing::warn!(oid = %record.oid, %error, "an event could not be read by rules");
                Vec::new()
            }
        }
    }
}

impl Detector {
    /// The counters, to be stored with the events that were counted, as long as they are few.
    fn counters_beside(&self, oid: Oid) -> Option<Write> {
        let body = {
            let counters = self.counters.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            if counters.len() > WINDOWS_BESIDE_MAX {
                return None;
            }
            serde_json::to_string(&*counters).ok()?
        };
        Some(COUNTERS.write(oid, COUNTERS_KEY, body))
    }
}

/// Counters that remember whether they were asked.
struct Counting<'a> {
    counters: &'a std::sync::Mutex<Suppression>,
    has_counted: Cell<bool>,
}

impl Counters for Counting<'_> {
    fn count(&self, activation: &Activation) -> bool {
        self.has_counted.set(true);
        self.counters.count(activation)
    }
}

/// What came of records: what to store with them, and what to do after that.
#[derive(Default)]
pub struct Pass {
    /// How many of the records were evaluated: a `wait` ends the pass after the record that asked for it.
    pub taken: usize,
    /// To be stored in the commit that keeps the records.
    pub writes: Vec<Write>,
    jobs: Vec<(Option<Sid>, Job)>,
    has_wait: bool,
}

/// Evaluates records of one organization in order, up to the first that makes a rule wait.
#[must_use]
pub fn evaluate(app: &App, oid: Oid, records: &[Record]) -> Pass {
    evaluate_as(app, oid, records, |record| match record.stream {
        Stream::Event => Some(Target::Edr),
        Stream::Deployment => Some(Target::Deployment),
        Stream::Artifact => Some(Target::ArtifactEvent),
        // Audit records have a feed of their own, and detections come from rules.
        _ => None,
    })
}

fn evaluate_as(app: &App, oid: Oid, records: &[Record], target_of: impl Fn(&Record) -> Option<Target>) -> Pass {
    let mut pass = Pass { taken: records.len(), ..Pass::default() };
    let Some(detector) = app.detectors.of(oid) else { return pass };
    let now = clock::now();
    let counters = Counting { counters: &detector.counters, has_counted: Cell::new(false) };
    for (at, record) in records.iter().enumerate() {
        let Some(target) = target_of(record) else { continue };
        let effects = detector.effects_of(record, target, &counters, now);
        if effects.is_empty() {
            continue;
        }
        pass.add(app, record, effects, now);
        if pass.has_wait {
            pass.taken = at + 1;
            break;
        }
    }
    if counters.has_counted.get() {
        detector.has_counted.store(true, Ordering::Relaxed);
        pass.writes.extend(detector.counters_beside(oid));
    }
    pass
}

/// Hands records to live readers and outputs, and through the rules. Gives what has to be stored of
/// them, and what is to be done after that.
#[must_use]
pub fn emit(app: &App, oid: Oid, records: &[Record]) -> (Vec<Write>, Pass) {
    let mut writes = app.emit(records);
    let mut pass = whole(records, |rest| evaluate(app, oid, rest));
    writes.append(&mut pass.writes);
    (writes, pass)
}

/// Evaluates all records, although some make a rule wait: its actions wait in their lane.
fn whole(records: &[Record], evaluate: impl Fn(&[Record]) -> Pass) -> Pass {
    let (mut all, mut rest) = (Pass::default(), records);
    while !rest.is_empty() {
        let mut pass = evaluate(rest);
        rest = rest.get(pass.taken.max(1)..).unwrap_or_default();
        all.writes.append(&mut pass.writes);
        all.jobs.append(&mut pass.jobs);
    }
    all
}

impl Pass {
    fn add(&mut self, app: &App, record: &Record, effects: Vec<Decided>, now: Timestamp) {
        let mut detections = Vec::new();
        let mut left = Vec::new();
        for decided in effects {
            match &decided.effect {
                Effect::Report { published: false, .. } => {}
                Effect::Report { name, detection, .. } => {
                    detections.push(detection_record(record, name, detection, now))
                }
                Effect::Output { name, data } => {
                    let body = serde_json::to_vec(data).map(Bytes::from).unwrap_or_default();
                    let sent = Record { body, ..record.clone() };
                    match output::send_tailored(app, record.oid, name, &sent) {
                        Some(writes) => self.writes.extend(writes),
                        None => left.push(decided),
                    }
                }
                Effect::Wait { .. } => {
                    self.has_wait = true;
                    left.push(decided);
                }
                _ => left.push(decided),
            }
        }
        self.writes.extend(app.emit(&detections));
        if !left.is_empty() {
            self.jobs.push((record.sid, Job { oid: record.oid, effects: left }));
        }
    }

    /// Queues everything that is left to do; to be called after the commit.
    pub fn queue(self, app: &Arc<App>) {
        for (sid, job) in self.jobs {
            let Some(detector) = app.detectors.of(job.oid) else { continue };
            if let Err(mpsc::error::TrySendError::Full(job)) = detector.lane(sid).queue.try_send(job) {
                let app = Arc::clone(app);
                tokio::spawn(async move {
                    let text = format!("{WAITING_MAX} events wait for their actions; those of others were dropped");
                    errors::report(&app, job.oid, "rules", &text).await;
                });
            }
        }
    }

    /// As [`Pass::queue`]; but when a rule says `wait`, has it all done before it returns.
    pub async fn act(self, app: &Arc<App>) {
        if !self.has_wait {
            return self.queue(app);
        }
        for (_, job) in self.jobs {
            if let Some(organization) = app.organization(job.oid) {
                act::run(app, &organization, job.effects).await;
            }
        }
    }
}

fn detection_record(record: &Record, name: &str, detection: &serde_json::Value, now: Timestamp) -> Record {
    let id = detection.get("detect_id").and_then(|id| id.as_str()).and_then(|id| Uuid::parse_str(id).ok());
    Record {
        stream: Stream::Detect,
        kind: name.to_owned(),
        id: id.unwrap_or_else(random::uuid),
        time: now,
        body: serde_json::to_vec(detection).map(Bytes::from).unwrap_or_default(),
        ..record.clone()
    }
}

/// Runs what is queued in one lane, until the server is gone.
async fn work(app: std::sync::Weak<App>, mut queue: mpsc::Receiver<Job>) {
    while let Some(job) = queue.recv().await {
        let Some(app) = app.upgrade() else { return };
        let Some(organization) = app.organization(job.oid) else { continue };
        act::run(&app, &organization, job.effects).await;
    }
}

/// Compiles the rules of all organizations: to be called once, before sensors connect.
pub async fn load(app: &Arc<App>) {
    for organization in app.organizations() {
        reload(app, organization.oid).await;
    }
}

/// Stores counters now and then, for as long as the server runs.
pub async fn run(app: Arc<App>) {
    let mut ticker = tokio::time::interval(SAVED_EVERY);
    ticker.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticker.tick().await;
        save(&app).await;
    }
}

/// Stores the counters that changed since they were stored last.
pub async fn save(app: &App) {
    let detectors: Vec<_> =
        app.detectors.by_organization.read().iter().map(|(oid, detector)| (*oid, Arc::clone(detector))).collect();
    for (oid, detector) in detectors {
        if !detector.has_counted.swap(false, Ordering::Relaxed) {
            continue;
        }
        let counters = {
            let mut counters = detector.counters.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            counters.sweep(clock::now().as_millis());
            counters.clone()
        };
        if let Err(error) = app.records.put(oid, COUNTERS, COUNTERS_KEY, &counters, Expect::Any, Vec::new()).await {
            detector.has_counted.store(true, Ordering::Relaxed);
            tracing::warn!(%oid, %error, "counters of suppressed actions could not be stored");
        }
    }
}

/// Stores the variables of a sensor as they are now.
async fn save_variables(app: &App, organization: &Organization, sid: Sid) -> Result<(), muster_store::StoreError> {
    let key = sid.to_string();
    let Some(detector) = app.detectors.of(organization.oid) else { return Ok(()) };
    let variables = detector.lane(Some(sid)).engine.lock().variables(&key).cloned();
    match variables.filter(|variables| !variables.is_empty()) {
        Some(variables) => {
            app.records.put(organization.oid, VARIABLES, &key, &variables, Expect::Any, Vec::new()).await.map(|_| ())
        }
        None => app.records.delete(organization.oid, VARIABLES, &key, Vec::new()).await.map(|_| ()),
    }
}
