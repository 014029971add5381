//! Compiling the rules of an organization, and putting them to work.

use super::action::{ACTION, Action};
use super::group::{self, MEMBERS_MAX};
use super::overrun::Overruns;
use super::pending::Pending;
use super::trouble::Trouble;
use super::{Detect, Detector, LANES, VARIABLES, act, merge};
use crate::hive::{Hive, HiveRecord, Lookups, Place};
use crate::jobs::aside;
use crate::service::{Named, named};
use crate::{clock, hive, nature};
use muster_model::{Oid, Sid};
use muster_rules::{
    CounterKey, Edits, Engine, FalsePositive, LoadError, Resources as _, Rule, RuleLoader, RuleMeta, RuleSet,
    Suppression, Way, Window,
};
use muster_store::{CounterRow, Read, StoreError};
use parking_lot::{Mutex, RwLock};
use std::collections::{BTreeMap, BTreeSet};
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64};
use std::thread;
use tokio::sync::mpsc;
use tokio::task::JoinError;

/// Suppression windows of one organization: about 80 bytes of memory each, and as much on disk.
const WINDOWS_MAX: usize = 1_000_000;

/// Rules that are loaded faster than a thread is started: about a millisecond.
const LOADED_ALONE_MAX: usize = 64;

/// Rules and lookups to be put in force.
struct Compiled {
    rules: Arc<RuleSet>,
    lookups: Arc<Lookups>,
    /// Records that cannot be loaded any more, and rules that name a lookup which is not there.
    broken: Vec<Trouble>,
    /// What records name of what services publish.
    named: BTreeMap<Place, BTreeSet<Named>>,
}

/// Stored records of an organization on their way to a set of rules. Rules passed their unit tests when they were set.
struct Loading<'a> {
    oid: Oid,
    loader: RuleLoader<'a>,
    now_ms: i64,
    broken: Vec<Trouble>,
    named: BTreeMap<Place, BTreeSet<Named>>,
}

impl<'a> Loading<'a> {
    fn new(detect: &Detect, oid: Oid, lookups: &'a Lookups) -> Self {
        let loader = RuleLoader::new(lookups, &detect.secrets.anon_seed(oid));
        Self { oid, loader, now_ms: clock::now().as_millis(), broken: Vec::new(), named: BTreeMap::new() }
    }

    /// Whether a record is in force; then it is noted what it names of what services publish.
    fn takes(&mut self, hive: &Hive, name: &str, record: &HiveRecord) -> bool {
        let is_in_force = record.usr_mtd.enabled && (record.usr_mtd.expiry == 0 || record.usr_mtd.expiry > self.now_ms);
        let named = if is_in_force { named(&record.data) } else { BTreeSet::new() };
        if !named.is_empty() {
            self.named.insert((hive.name, name.to_owned()), named);
        }
        is_in_force
    }

    /// The rule of a record; none if it is not in force, or broken.
    fn rule(&mut self, hive: &Hive, name: &str, record: HiveRecord) -> Option<Rule> {
        if !self.takes(hive, name, &record) {
            return None;
        }
        let meta = RuleMeta {
            name: name.to_owned(),
            namespace: hive.namespace().unwrap_or_default().to_owned(),
            author: record.sys_mtd.last_author,
            tags: record.usr_mtd.tags,
            etag: record.sys_mtd.etag,
        };
        let loaded = self.loader.tested_rule(meta, record.data);
        let rule = self.unless_broken(hive, name, loaded)?;
        if let Some(missing) = rule.missing_lookup() {
            self.broken.push(Trouble::of_record(self.oid, hive.name, name, &missing.to_string()));
        }
        Some(rule)
    }

    /// The same for a false-positive rule.
    fn false_positive(&mut self, name: &str, record: HiveRecord) -> Option<FalsePositive> {
        if !self.takes(&hive::FALSE_POSITIVES, name, &record) {
            return None;
        }
        let loaded = self.loader.false_positive(name, &record.data);
        let mut rule = self.unless_broken(&hive::FALSE_POSITIVES, name, loaded)?;
        rule.etag = record.sys_mtd.etag;
        Some(rule)
    }

    fn unless_broken<T>(&mut self, hive: &Hive, name: &str, loaded: Result<T, LoadError>) -> Option<T> {
        let told =
            |error: LoadError| self.broken.push(Trouble::of_record(self.oid, hive.name, name, &error.to_string()));
        loaded.map_err(told).ok()
    }
}

/// Compiles all stored rules.
fn compile(detect: &Detect, oid: Oid) -> Compiled {
    let lookups = Lookups::load(&detect.records, oid, detect.services.published(oid));
    let mut places = Vec::new();
    for hive in hive::RULE_HIVES {
        places.extend(detect.records.keys(oid, hive.kind).into_iter().map(|name| (hive, name)));
    }
    let Loaded { rules, mut broken, mut named } = load_rules(detect, oid, &lookups, places);
    let mut loading = Loading::new(detect, oid, &lookups);
    let records = detect.records.list(oid, hive::FALSE_POSITIVES.kind).into_iter();
    let false_positives = records.filter_map(|(name, record)| loading.false_positive(&name, record)).collect();
    broken.append(&mut loading.broken);
    named.append(&mut loading.named);
    Compiled { rules: Arc::new(RuleSet::new(rules, false_positives)), lookups: Arc::new(lookups), broken, named }
}

/// Rules, in the order of their records, what is wrong with some, and what records name of what services publish.
struct Loaded {
    rules: Vec<Rule>,
    broken: Vec<Trouble>,
    named: BTreeMap<Place, BTreeSet<Named>>,
}

/// The rules of records; many are read and loaded by all cores together.
fn load_rules(detect: &Detect, oid: Oid, lookups: &Lookups, mut places: Vec<(&Hive, String)>) -> Loaded {
    let load = |places: Vec<(&Hive, String)>| {
        let mut loading = Loading::new(detect, oid, lookups);
        let rule =
            |(hive, name): (&Hive, String)| loading.rule(hive, &name, detect.records.get(oid, hive.kind, &name)?);
        let rules: Vec<_> = places.into_iter().filter_map(rule).collect();
        Loaded { rules, broken: loading.broken, named: loading.named }
    };
    let share = places.len().div_ceil(detect.detectors.pool.share()).max(LOADED_ALONE_MAX);
    let mut shares = Vec::new();
    while places.len() > share {
        shares.push(places.split_off(places.len() - share));
    }
    let load = &load;
    thread::scope(|scope| {
        let others: Vec<_> =
            shares.into_iter().rev().map(|share| scope.spawn(nature::passed_on(move || load(share)))).collect();
        let mut loaded = load(places);
        for other in others {
            // A panic goes on here, as if one thread had loaded all.
            let mut more = other.join().unwrap_or_else(|panic| resume_unwind(panic));
            loaded.rules.append(&mut more.rules);
            loaded.broken.append(&mut more.broken);
            loaded.named.append(&mut more.named);
        }
        loaded
    })
}

/// Compiles what was changed, beside the rules in force.
fn compile_changed(detect: &Detect, detector: &Detector, mut changed: BTreeSet<Place>) -> Compiled {
    let (oid, before) = (detector.oid, Arc::clone(&detector.lookups.read()));
    let lookups = before.after(&detect.records, oid, &changed).seeing(detect.services.published(oid));
    let gone: Vec<&String> = before.names().filter(|name| !lookups.has_lookup(name)).collect();
    if !gone.is_empty() {
        // Which rules name it is known when they are loaded; that is told.
        let rules = detector.rules();
        let of_gone = rules.rules().filter(|rule| gone.iter().any(|name| rule.names_lookup(name)));
        changed.extend(of_gone.filter_map(|rule| place_of(rule)));
    }
    let mut loading = Loading::new(detect, oid, &lookups);
    let mut edits = Edits::default();
    for (name, key) in &changed {
        let Some(hive) = hive::find(name) else { continue };
        let record = detect.records.get(oid, hive.kind, key);
        if let Some(namespace) = hive.namespace() {
            let rule = record.and_then(|record| loading.rule(hive, key, record));
            edits.rules.push(((namespace.to_owned(), key.clone()), rule));
        } else if hive.name == hive::FALSE_POSITIVES.name {
            let rule = record.and_then(|record| loading.false_positive(key, record));
            edits.false_positives.push((key.clone(), rule));
        }
    }
    let Loading { broken, named, .. } = loading;
    let mut all = detect.detectors.named(oid);
    all.retain(|place, _| !changed.contains(place));
    all.extend(named);
    Compiled { rules: Arc::new(detector.rules().edited(edits)), lookups, broken, named: all }
}

/// The record of a rule.
fn place_of(rule: &Rule) -> Option<Place> {
    let hive = hive::RULE_HIVES.into_iter().find(|hive| hive.namespace() == Some(&*rule.meta.namespace))?;
    Some((hive.name, rule.meta.name.clone()))
}

/// Puts in force what was changed, as [`super::Detectors::touch`] was told. Rules that did not change keep what they wait for.
/// Changes that were made while others were being compiled are compiled together. What goes wrong with a record is told to
/// operators.
///
/// # Errors
///
/// Whatever the store says. The earlier rules stay in force; the next call tries again.
pub async fn reload(detect: &Arc<Detect>, oid: Oid) -> Result<(), StoreError> {
    let one_at_a_time = detect.detectors.reloading(oid);
    let _one_at_a_time = one_at_a_time.lock().await;
    let (changed, through) = detect.detectors.changed(oid);
    if changed.is_empty() {
        // Whoever was here before has put it in force.
        return Ok(());
    }
    match detect.detectors.of(oid) {
        Some(detector) => load_changed(detect, &detector, changed).await?,
        None => load(detect, oid).await?,
    }
    detect.detectors.in_force(oid, through);
    Ok(())
}

async fn load_changed(
    detect: &Arc<Detect>,
    detector: &Arc<Detector>,
    changed: BTreeSet<Place>,
) -> Result<(), StoreError> {
    let (shared, of) = (Arc::clone(detect), Arc::clone(detector));
    let compiled = aside(move || compile_changed(&shared, &of, changed)).await;
    let Compiled { rules, lookups, broken, named } = compiled.map_err(not_compiled)?;
    detector.replace(rules, Some(lookups)).await;
    detect.detectors.names(detector.oid, named);
    merge::begin(detect, detector);
    broken.into_iter().for_each(|trouble| trouble.tell(detect));
    Ok(())
}

/// Compiles all stored rules of an organization, and puts them in force. One caller at a time.
///
/// # Errors
///
/// Whatever the store says.
pub(super) async fn load(detect: &Arc<Detect>, oid: Oid) -> Result<(), StoreError> {
    let shared = Arc::clone(detect);
    let compiled = aside(move || compile(&shared, oid)).await.map_err(not_compiled)?;
    match detect.detectors.of(oid) {
        Some(detector) => detector.replace(Arc::clone(&compiled.rules), Some(Arc::clone(&compiled.lookups))).await,
        None => start(detect, oid, &compiled).await?,
    }
    detect.detectors.names(oid, compiled.named);
    compiled.broken.into_iter().for_each(|trouble| trouble.tell(detect));
    Ok(())
}

fn not_compiled(error: JoinError) -> StoreError {
    StoreError::Failed(format!("rules could not be compiled: {error}"))
}

impl Detector {
    /// The rules in force.
    pub(super) fn rules(&self) -> Arc<RuleSet> {
        Arc::clone(&self.rules.read())
    }

    /// Lets rules look into these lookups, between two groups.
    pub(super) async fn see(&self, lookups: Arc<Lookups>) {
        let _turn = self.turn.lock().await;
        *self.lookups.write() = lookups;
    }

    /// Puts rules in force, between two groups.
    pub(super) async fn replace(&self, rules: Arc<RuleSet>, lookups: Option<Arc<Lookups>>) {
        let _turn = self.turn.lock().await;
        if let Some(lookups) = lookups {
            *self.lookups.write() = lookups;
        }
        for lane in &self.lanes {
            lane.lock().replace(Arc::clone(&rules));
        }
        let before = std::mem::replace(&mut *self.rules.write(), rules);
        if before.len() > LOADED_ALONE_MAX {
            // What is no longer in force may be much to free.
            drop(aside(move || drop(before)));
        }
    }
}

/// Begins detection where it ended: with the stored counters, variables and waiting actions.
async fn start(detect: &Arc<Detect>, oid: Oid, compiled: &Compiled) -> Result<(), StoreError> {
    let ordered = detect.records.take(oid, ACTION);
    if compiled.rules.is_empty() && ordered.is_empty() {
        return Ok(());
    }
    let read = move |read: &mut dyn Read| {
        let mut counters = Suppression::new(WINDOWS_MAX);
        let each = &mut |row: CounterRow| {
            let window = Window { start_ms: row.start_ms, expires_ms: row.expires_ms, counter: row.count };
            counters.restore(CounterKey::from_bytes(row.key), window);
        };
        read.counters(oid, each).map(|()| counters)
    };
    let counters = detect.store.read(read).await?;
    let (members, waiting) = mpsc::channel(MEMBERS_MAX);
    let engine = |_| Mutex::new(Engine::new(Arc::clone(&compiled.rules), Way::Shared));
    let detector = Arc::new(Detector {
        oid,
        lanes: (0..LANES).map(engine).collect(),
        counters: Mutex::new(counters),
        swept_ms: AtomicI64::new(0),
        lookups: RwLock::new(Arc::clone(&compiled.lookups)),
        rules: RwLock::new(Arc::clone(&compiled.rules)),
        is_merging: AtomicBool::new(false),
        turn: tokio::sync::Mutex::default(),
        members,
        pending: Pending::default(),
        overruns: Overruns::default(),
    });
    let organization = detect.organizations.get(oid);
    let is_enrolled = |sid: Sid| {
        organization.as_ref().is_some_and(|organization| organization.state.lock().fleet.find(sid).is_some())
    };
    let mut gone = Vec::new();
    for (key, variables) in detect.records.take(oid, VARIABLES) {
        match key.parse::<Sid>().ok().filter(|sid| is_enrolled(*sid)) {
            Some(sid) => detector.lanes[detector.lane(Some(sid))].lock().restore_variables(&key, variables),
            // The sensor was deleted, and its variables could not be at that time.
            None => gone.push(VARIABLES.removal(oid, &key)),
        }
    }
    if !gone.is_empty()
        && let Err(error) = detect.store.commit(gone).await
    {
        tracing::warn!(%oid, %error, "the variables of deleted sensors could not be taken out of the store");
    }
    let actions = ordered.into_iter().filter_map(|(key, ordered)| Action::resumed(&key, ordered)).collect();
    act::begin(detect, &detector, detector.pending.push(actions));
    group::begin(detect, &detector, waiting);
    detect.detectors.by_organization.write().insert(oid, detector);
    Ok(())
}
