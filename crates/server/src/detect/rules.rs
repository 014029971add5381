//! Compiling the rules of an organization, and putting them to work.

use super::{COUNTERS, COUNTERS_KEY, Detector, LANES, Lane, Lookups, VARIABLES, WAITING_MAX, WINDOWS_MAX, work};
use crate::app::App;
use crate::{clock, errors, hive};
use muster_model::{Oid, Sid};
use muster_rules::{Engine, Rule, RuleLoader, RuleMeta, RuleSet, Suppression, Target, Way};
use parking_lot::{Mutex, RwLock};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use tokio::sync::mpsc;

struct Compiled {
    rules: Arc<RuleSet>,
    lookups: Arc<Lookups>,
    is_empty: bool,
    targets: BTreeSet<Target>,
    /// Records that cannot be loaded any more, such as when a lookup is gone: component and reason.
    broken: Vec<(String, String)>,
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
            };
            match loader.rule_value(meta, &record.data) {
                Ok(rule) => rules.push(rule),
                Err(error) => broken.push((format!("{}/{name}", hive.name), error.to_string())),
            }
        }
    }
    for (name, record) in app.records.list(oid, hive::FALSE_POSITIVES.kind) {
        if is_in_force(&record) {
            match loader.false_positive(&name, &record.data) {
                Ok(rule) => false_positives.push(rule),
                Err(error) => broken.push((format!("fp/{name}"), error.to_string())),
            }
        }
    }
    let is_empty = rules.is_empty();
    let targets = rules.iter().map(Rule::target).collect();
    let rules = Arc::new(RuleSet::new(rules, false_positives));
    Compiled { rules, lookups: Arc::new(lookups), is_empty, targets, broken }
}

/// Puts the stored rules of an organization in force. Rules that did not change keep what they wait for.
pub async fn reload(app: &Arc<App>, oid: Oid) {
    let _one_at_a_time = app.detectors.reloading.lock().await;
    let shared = Arc::clone(app);
    let compiled = match tokio::task::spawn_blocking(move || compile(&shared, oid)).await {
        Ok(compiled) => compiled,
        Err(error) => {
            tracing::error!(%oid, %error, "the rules could not be compiled; the earlier ones stay in force");
            return;
        }
    };
    match app.detectors.of(oid) {
        Some(detector) => {
            *detector.lookups.write() = compiled.lookups;
            *detector.targets.write() = compiled.targets;
            for lane in &detector.lanes {
                lane.engine.lock().replace(Arc::clone(&compiled.rules));
            }
        }
        None if compiled.is_empty => {}
        None => {
            let detector = Arc::new(start(app, oid, &compiled));
            app.detectors.by_organization.write().insert(oid, detector);
        }
    }
    for (component, text) in compiled.broken {
        errors::report(app, oid, &component, &text).await;
    }
}

/// A detector with its stored counters and variables; its lanes work from now on.
fn start(app: &Arc<App>, oid: Oid, compiled: &Compiled) -> Detector {
    let lane = |_| {
        let (queue, jobs) = mpsc::channel(WAITING_MAX);
        tokio::spawn(work(Arc::downgrade(app), jobs));
        Lane { engine: Mutex::new(Engine::new(Arc::clone(&compiled.rules), Way::Shared)), queue }
    };
    let counters = app.records.get(oid, COUNTERS, COUNTERS_KEY).unwrap_or_else(|| Suppression::new(WINDOWS_MAX));
    let detector = Detector {
        lanes: (0..LANES).map(lane).collect(),
        counters: std::sync::Mutex::new(counters),
        has_counted: AtomicBool::new(false),
        lookups: RwLock::new(Arc::clone(&compiled.lookups)),
        targets: RwLock::new(compiled.targets.clone()),
    };
    for (key, variables) in app.records.list(oid, VARIABLES) {
        if let Ok(sid) = key.parse::<Sid>() {
            detector.lane(Some(sid)).engine.lock().restore_variables(&key, variables);
        }
    }
    detector
}
