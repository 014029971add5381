//! Compiling the rules of an organization, and putting them to work.

use super::action::{ACTION, Action};
use super::group::{self, MEMBERS_MAX};
use super::overrun::Overruns;
use super::pending::Pending;
use super::trouble::Trouble;
use super::{Detector, LANES, Lookups, VARIABLES, act};
use crate::app::App;
use crate::{clock, hive};
use muster_model::{Oid, Sid};
use muster_rules::{CounterKey, Engine, Rule, RuleLoader, RuleMeta, RuleSet, Suppression, Target, Way, Window};
use muster_store::{CounterRow, Read, StoreError};
use parking_lot::{Mutex, RwLock};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use tokio::sync::mpsc;

/// Suppression windows of one organization: about 80 bytes of memory each, and as much on disk.
const WINDOWS_MAX: usize = 1_000_000;

struct Compiled {
    rules: Arc<RuleSet>,
    lookups: Arc<Lookups>,
    is_empty: bool,
    targets: BTreeSet<Target>,
    /// Records that cannot be loaded any more, and rules that name a lookup which is not there.
    broken: Vec<Trouble>,
}

fn compile(app: &App, oid: Oid) -> Compiled {
    let lookups = Lookups::load(&app.records, oid);
    let seed = app.secrets.anon_seed(oid);
    let loader = RuleLoader::new(&lookups, &seed);
    let now_ms = clock::now().as_millis();
    let is_in_force = |record: &hive::HiveRecord| {
        record.usr_mtd.enabled && (record.usr_mtd.expiry == 0 || record.usr_mtd.expiry > now_ms)
    };
    let (mut rules, mut false_positives, mut broken) = (Vec::new(), Vec::new(), Vec::new());
    for hive in hive::RULE_HIVES {
        for (name, record) in app.records.list(oid, hive.kind) {
            if !is_in_force(&record) {
                continue;
            }
            let meta = RuleMeta {
                name: name.clone(),
                namespace: hive.namespace().unwrap_or_default().to_owned(),
                author: record.sys_mtd.last_author,
                tags: record.usr_mtd.tags,
                etag: record.sys_mtd.etag,
            };
            match loader.rule_value(meta, &record.data) {
                Ok(rule) => {
                    if let Some(missing) = rule.missing_lookup() {
                        broken.push(Trouble::of_record(oid, hive.name, &name, &missing.to_string()));
                    }
                    rules.push(rule);
                }
                Err(error) => broken.push(Trouble::of_record(oid, hive.name, &name, &error.to_string())),
            }
        }
    }
    for (name, record) in app.records.list(oid, hive::FALSE_POSITIVES.kind) {
        if is_in_force(&record) {
            match loader.false_positive(&name, &record.data) {
                Ok(mut rule) => {
                    rule.etag = record.sys_mtd.etag;
                    false_positives.push(rule);
                }
                Err(error) => {
                    let hive = hive::FALSE_POSITIVES.name;
                    broken.push(Trouble::of_record(oid, hive, &name, &error.to_string()));
                }
            }
        }
    }
    let is_empty = rules.is_empty();
    let targets = rules.iter().map(Rule::target).collect();
    let rules = Arc::new(RuleSet::new(rules, false_positives));
    Compiled { rules, lookups: Arc::new(lookups), is_empty, targets, broken }
}

/// Puts the stored rules of an organization in force. Rules that did not change keep what they wait for.
/// What goes wrong is told to operators, and the earlier rules stay in force. Changes that were made while
/// others were being compiled are compiled together.
pub async fn reload(app: &Arc<App>, oid: Oid) {
    let change = {
        let mut changes = app.detectors.changes.lock();
        let (made, _) = changes.entry(oid).or_default();
        *made += 1;
        *made
    };
    let _one_at_a_time = app.detectors.reloading.lock().await;
    let (made, in_force) = app.detectors.changes.lock().get(&oid).copied().unwrap_or_default();
    if in_force >= change {
        return;
    }
    match load(app, oid).await {
        Ok(()) => app.detectors.changes.lock().entry(oid).or_default().1 = made,
        Err(error) => tracing::error!(%oid, %error, "the rules could not be put in force; the earlier ones stay"),
    }
}

/// Compiles the stored rules of an organization, and puts them in force. One caller at a time.
///
/// # Errors
///
/// Whatever the store says.
pub(super) async fn load(app: &Arc<App>, oid: Oid) -> Result<(), StoreError> {
    let shared = Arc::clone(app);
    let compiled = tokio::task::spawn_blocking(move || compile(&shared, oid)).await;
    let compiled = compiled.map_err(|error| StoreError::Failed(format!("rules could not be compiled: {error}")))?;
    match app.detectors.of(oid) {
        Some(detector) => {
            let _turn = detector.turn.lock().await;
            *detector.lookups.write() = compiled.lookups;
            *detector.targets.write() = compiled.targets;
            for lane in &detector.lanes {
                lane.lock().replace(Arc::clone(&compiled.rules));
            }
        }
        None => start(app, oid, &compiled).await?,
    }
    compiled.broken.into_iter().for_each(|trouble| trouble.tell(app));
    Ok(())
}

/// Begins detection where it ended: with the stored counters, variables and waiting actions.
async fn start(app: &Arc<App>, oid: Oid, compiled: &Compiled) -> Result<(), StoreError> {
    let ordered = app.records.take(oid, ACTION);
    if compiled.is_empty && ordered.is_empty() {
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
    let counters = app.store.read(read).await?;
    let (members, waiting) = mpsc::channel(MEMBERS_MAX);
    let engine = |_| Mutex::new(Engine::new(Arc::clone(&compiled.rules), Way::Shared));
    let detector = Arc::new(Detector {
        oid,
        lanes: (0..LANES).map(engine).collect(),
        counters: std::sync::Mutex::new(counters),
        swept_ms: AtomicI64::new(0),
        lookups: RwLock::new(Arc::clone(&compiled.lookups)),
        targets: RwLock::new(compiled.targets.clone()),
        turn: tokio::sync::Mutex::default(),
        members,
        pending: Pending::default(),
        overruns: Overruns::default(),
    });
    let is_deleted = |sid: Sid| {
        let organization = app.organization(oid);
        organization
            .is_some_and(|organization| organization.state.lock().fleet.find(sid).is_some_and(|row| row.sensor.deleted))
    };
    for (key, variables) in app.records.take(oid, VARIABLES) {
        if let Ok(sid) = key.parse::<Sid>()
            && !is_deleted(sid)
        {
            detector.lanes[detector.lane(Some(sid))].lock().restore_variables(&key, variables);
        }
    }
    let actions = ordered.into_iter().filter_map(|(key, ordered)| Action::resumed(&key, ordered)).collect();
    act::begin(app, &detector, detector.pending.push(actions));
    group::begin(app, &detector, waiting);
    app.detectors.by_organization.write().insert(oid, detector);
    Ok(())
}
