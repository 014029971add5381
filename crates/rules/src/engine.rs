//! The engine: events of many sensors in, effects out.
//!
//! One engine is one shard: it owns the state of the sensors whose events it is
//! given, in order. Counters are shared between shards through [`Counters`].
//! Time, randomness, lookups and counters are arguments.
//!
//! Source: reference/detection-response.md sections 4, 12 and 18.

use crate::action::{Acting, Decided, Effect, Firing};
use crate::ast::Target;
use crate::document::{Document, DocumentError};
use crate::evaluate::{self, Leaves, Metadata, Plain, Sight};
use crate::load::{Resources, Rule};
use crate::path::Root;
use crate::plan::{RuleSet, Scratch};
use crate::replay::event_type;
use crate::stateful::{Fed, Fire, RuleState};
use crate::suppression::Counters;
use crate::variables::Variables;
use crate::work::{Budget, Work};
use serde_json::Value;
use std::cell::{Cell, OnceCell};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

/// How far detections may cause detections.
pub const CHAIN_DEPTH_MAX: u32 = 16;
/// Most detections that one event may cause, chained ones included.
pub const DETECTIONS_PER_EVENT_MAX: usize = 1024;

/// What an evaluation needs beside the event.
#[derive(Clone, Copy)]
pub struct Facts<'a> {
    /// The clock, in milliseconds since the Unix epoch.
    pub now_ms: i64,
    /// Fresh randomness for this event; makes the ids of its detections.
    pub entropy: u128,
    /// Lookups.
    pub resources: &'a dyn Resources,
    /// Where suppression counts.
    pub counters: &'a dyn Counters,
    /// Base of links to the console, without a trailing slash; no links without it.
    pub console_url: Option<&'a str>,
    /// What the event may cost.
    pub budget: Budget,
}

/// Where an event comes from.
#[derive(Clone, Copy, Debug, Default)]
pub struct Source<'a> {
    /// The stream.
    pub target: Target,
    /// What the artifact is, for records of artifacts; rules take any where it is not known, as in a replay.
    pub artifact: Option<ArtifactFacts<'a>>,
}

impl From<Target> for Source<'_> {
    fn from(target: Target) -> Self {
        Self { target, artifact: None }
    }
}

/// The artifact that a record was parsed from.
#[derive(Clone, Copy, Debug, Default)]
pub struct ArtifactFacts<'a> {
    /// Such as `pcap`, `wel` or `txt`.
    pub kind: &'a str,
    /// Its path on the sensor.
    pub path: &'a str,
    /// A sensor id or host name.
    pub source: &'a str,
    /// What is known of where the record comes from. It stands for the `routing` that the record may hold itself:
    /// whoever writes into a log file must not choose the sensor that a detection is about.
    pub routing: Option<&'a Value>,
}

/// How rules are evaluated; the outcome is the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Way {
    /// All rules share one plan.
    #[default]
    Shared,
    /// Each rule in turn: slow and simple, the oracle for the other way.
    EachRule,
}

/// What one event caused.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Rules that matched, in order; a stateful rule once per completed anchor.
    pub matches: Vec<Arc<Rule>>,
    /// What they want done, in order.
    pub effects: Vec<Decided>,
    /// Rules that were cut off: they count as not matching.
    pub overruns: Vec<Overrun>,
}

/// A rule cost more on one event than it may.
#[derive(Clone, Debug)]
pub struct Overrun {
    /// Which.
    pub of: Overran,
    /// What it had spent when it was cut off.
    pub steps: u64,
}

/// What was cut off.
#[derive(Clone, Debug)]
pub enum Overran {
    /// A rule, which did nothing about the event.
    Rule(Arc<Rule>),
    /// A false-positive rule: the detection stays.
    FalsePositive {
        /// Its name.
        name: String,
        /// Of its record.
        etag: String,
    },
}

#[derive(Clone, Debug, Default)]
struct SensorState {
    /// Shared with the copy that a step keeps.
    variables: Arc<Variables>,
    /// Rules that wait for events of this sensor, by fingerprint.
    waiting: BTreeMap<u64, RuleState>,
}

impl SensorState {
    fn is_empty(&self) -> bool {
        self.variables.is_empty() && self.waiting.is_empty()
    }
}

/// Evaluates the events of its sensors.
pub struct Engine {
    rules: Arc<RuleSet>,
    way: Way,
    sensors: HashMap<Box<str>, SensorState>,
    /// What sensors were before this step; `None` outside of a step. Sensors without
    /// state, before and after, are not in it.
    step: Option<BTreeMap<Box<str>, SensorState>>,
    blank: SensorState,
    /// One per segment of the rules.
    scratches: Vec<Scratch>,
    candidates: Vec<u32>,
    outcome: Outcome,
    document: Document,
    work: Work,
    /// Rules that are not evaluated, by fingerprint, with the etags of their records.
    suspended: HashMap<u64, String>,
}

impl Engine {
    /// An engine without any state.
    #[must_use]
    pub fn new(rules: Arc<RuleSet>, way: Way) -> Self {
        Self {
            scratches: rules.scratches(None, Vec::new()),
            candidates: Vec::new(),
            rules,
            way,
            sensors: HashMap::new(),
            step: None,
            blank: SensorState::default(),
            outcome: Outcome::default(),
            document: Document::default(),
            work: Work::default(),
            suspended: HashMap::new(),
        }
    }

    /// Evaluates a rule no more, until it is taken out of the set or its record is written again; for one that costs too
    /// much.
    pub fn suspend(&mut self, rule: &Rule) {
        self.suspended.insert(rule.fingerprint, rule.meta.etag.clone());
    }

    /// Takes another set of rules. Rules that did not change keep what they wait for, and stay suspended.
    pub fn replace(&mut self, rules: Arc<RuleSet>) {
        self.scratches = rules.scratches(Some(&self.rules), std::mem::take(&mut self.scratches));
        self.rules = rules;
        for state in self.sensors.values_mut() {
            state.waiting.retain(|fingerprint, _| self.rules.by_fingerprint(*fingerprint).is_some());
        }
        self.sensors.retain(|_, state| !state.is_empty());
        let rules = &self.rules;
        self.suspended.retain(|fingerprint, etag| {
            rules.by_fingerprint(*fingerprint).is_some_and(|number| rules.rule(number).meta.etag == *etag)
        });
    }

    /// Forgets a sensor: its variables and what rules wait for.
    pub fn forget(&mut self, sid: &str) {
        self.sensors.remove(sid);
    }

    /// Begins a step: what events change from now on is remembered until it is kept or undone.
    /// Rules are not replaced and sensors not forgotten within a step.
    pub fn begin(&mut self) {
        self.step = Some(BTreeMap::new());
    }

    /// Sensors whose variables this step changed, and their variables now.
    pub fn changed_variables(&self) -> impl Iterator<Item = (&str, Arc<Variables>)> {
        let now = |sid: &str| self.sensors.get(sid).map(|state| Arc::clone(&state.variables)).unwrap_or_default();
        let touched = self.step.iter().flatten().map(move |(sid, before)| (&**sid, &before.variables, now(sid)));
        touched.filter(|(_, before, now)| before != &now).map(|(sid, _, now)| (sid, now))
    }

    /// Ends a step whose changes are stored.
    pub fn keep(&mut self) {
        self.step = None;
    }

    /// Ends a step as if its events had not been evaluated.
    pub fn undo(&mut self) {
        for (sid, before) in self.step.take().unwrap_or_default() {
            if before.is_empty() {
                self.sensors.remove(&sid);
            } else {
                self.sensors.insert(sid, before);
            }
        }
    }

    /// Puts stored variables back.
    pub fn restore_variables(&mut self, sid: &str, variables: Variables) {
        self.sensors.entry(sid.into()).or_default().variables = Arc::new(variables);
    }

    fn touch(&mut self, sid: &str) {
        let Some(step) = &mut self.step else { return };
        if !step.contains_key(sid)
            && let Some(state) = self.sensors.get(sid)
        {
            step.insert(sid.into(), state.clone());
        }
    }

    /// Parses an event and evaluates it. The outcome is valid until the next call.
    ///
    /// # Errors
    ///
    /// [`DocumentError`] if the bytes are no event; nothing was evaluated then.
    pub fn process_json(
        &mut self,
        source: &Source<'_>,
        json: &[u8],
        facts: &Facts<'_>,
    ) -> Result<&Outcome, DocumentError> {
        let mut document = std::mem::take(&mut self.document);
        let parsed = document.parse(json);
        if parsed.is_ok() {
            if source.target == Target::Artifact {
                document.set_routing(source.artifact.and_then(|artifact| artifact.routing));
            }
            self.process(source, &document, facts);
        }
        self.document = document;
        parsed.map(|()| &self.outcome)
    }

    /// Evaluates an event. The outcome is valid until the next call.
    pub fn process(&mut self, source: &Source<'_>, document: &Document, facts: &Facts<'_>) -> &Outcome {
        self.outcome.matches.clear();
        self.outcome.effects.clear();
        self.outcome.overruns.clear();
        self.work.begin_event(facts.budget);
        let sid = document.sid().unwrap_or_default();
        self.touch(sid);
        let state = match self.sensors.get_mut(sid) {
            Some(state) => state,
            None => &mut self.blank,
        };
        let mut pass = Pass {
            rules: &self.rules,
            way: self.way,
            facts,
            state,
            scratches: &mut self.scratches,
            candidates: &mut self.candidates,
            outcome: &mut self.outcome,
            work: &self.work,
            suspended: &self.suspended,
            queue: VecDeque::new(),
            reports_made: 0,
        };
        pass.event(source, document, 0);
        while let Some((detection, depth)) = pass.queue.pop_front() {
            pass.event(&Source::from(Target::Detection), &detection, depth);
        }
        if !self.blank.is_empty() {
            if let Some(step) = &mut self.step {
                step.entry(sid.into()).or_default();
            }
            self.sensors.insert(sid.into(), std::mem::take(&mut self.blank));
        } else if self.sensors.get(sid).is_some_and(SensorState::is_empty) {
            self.sensors.remove(sid);
        }
        &self.outcome
    }
}

/// One event as its rules see it.
#[derive(Clone, Copy)]
struct Seen<'a> {
    kind: &'a str,
    document: &'a Document,
    /// Its copy for anchors, made once for all rules.
    kept: &'a OnceCell<Arc<Document>>,
}

/// One event and the detections it causes, on their way through the rules.
struct Pass<'a> {
    rules: &'a RuleSet,
    way: Way,
    facts: &'a Facts<'a>,
    state: &'a mut SensorState,
    scratches: &'a mut [Scratch],
    candidates: &'a mut Vec<u32>,
    outcome: &'a mut Outcome,
    work: &'a Work,
    suspended: &'a HashMap<u64, String>,
    queue: VecDeque<(Document, u32)>,
    reports_made: u32,
}

impl Pass<'_> {
    fn event(&mut self, source: &Source<'_>, document: &Document, depth: u32) {
        let kind = event_type(source.target, document).unwrap_or_default();
        let mut candidates = std::mem::take(self.candidates);
        let way = self.candidates(source.target, kind, document, &mut candidates);
        if !self.state.waiting.is_empty() {
            let waiting = self.state.waiting.keys().filter_map(|fingerprint| self.rules.by_fingerprint(*fingerprint));
            candidates.extend(waiting.filter(|number| self.rules.rule(*number).target() == source.target));
            candidates.sort_unstable();
            candidates.dedup();
        }
        let kept = OnceCell::new();
        for number in &candidates {
            if source.artifact.is_none_or(|artifact| selects(self.rules.rule(*number), artifact)) {
                self.rule(*number, way, &Seen { kind, document, kept: &kept }, depth);
            }
        }
        candidates.clear();
        *self.candidates = candidates;
    }

    /// The rules to be evaluated, and how: where the search for candidates costs too much, each rule answers for itself.
    fn candidates(&mut self, target: Target, kind: &str, document: &Document, candidates: &mut Vec<u32>) -> Way {
        if self.way == Way::Shared {
            self.work.begin_rule();
            let is_complete = self.rules.candidates((target, kind), document, self.work, self.scratches, candidates);
            self.work.end_rule();
            if is_complete {
                return Way::Shared;
            }
            candidates.clear();
        }
        self.rules.all_of(target, candidates);
        Way::EachRule
    }

    fn rule(&mut self, number: u32, way: Way, seen: &Seen<'_>, depth: u32) {
        let rule = self.rules.rule(number);
        if self.suspended.contains_key(&rule.fingerprint) {
            return;
        }
        self.work.begin_rule();
        let fires = self.fires(number, way, seen);
        if let Some(steps) = self.work.end_rule() {
            return self.outcome.overruns.push(Overrun { of: Overran::Rule(Arc::clone(rule)), steps });
        }
        for fire in fires {
            self.fire(rule, seen.document, &fire, depth);
        }
    }

    /// What a rule makes of an event; nothing if that is not whole.
    fn fires(&mut self, number: u32, way: Way, seen: &Seen<'_>) -> Vec<Fire> {
        let rule = self.rules.rule(number);
        let Seen { kind, document, kept } = *seen;
        let is_void = Cell::new(false);
        let sight = Sight {
            root: Root { document, scope: None },
            event_type: kind,
            now_ms: self.facts.now_ms,
            variables: &self.state.variables,
            resources: self.facts.resources,
            is_void: &is_void,
            work: self.work,
        };
        let mut shared = self.rules.shared(number, self.scratches);
        let fires = if rule.is_stateful() {
            let leaves: &mut dyn Leaves = if way == Way::Shared { &mut shared } else { &mut Plain };
            let time_ms = document.event_time_ms().unwrap_or(self.facts.now_ms);
            let fed = Fed { sight, document, time_ms, kept };
            stateful(rule, &mut self.state.waiting, &fed, leaves)
        } else {
            let mut metadata = Metadata::default();
            let root = &rule.detect.root;
            let is_match = match way {
                Way::Shared => evaluate::node(root, &sight, &mut shared, &mut metadata),
                Way::EachRule => evaluate::node(root, &sight, &mut Plain, &mut metadata),
            };
            if is_match { vec![Fire { anchor: None, metadata }] } else { Vec::new() }
        };
        if sight.is_whole() { fires } else { Vec::new() }
    }

    fn fire(&mut self, rule: &Arc<Rule>, document: &Document, fire: &Fire, depth: u32) {
        self.outcome.matches.push(rule.clone());
        let anchor = fire.anchor.as_deref().unwrap_or(document);
        let reported = if rule.detect.reports_latest { document } else { anchor };
        let (rules, facts, work, mut overruns) = (self.rules, self.facts, self.work, Vec::new());
        let mut is_false_positive =
            |detection: &Document| is_false_positive(rules, facts, work, detection, &mut overruns);
        let mut acting = Acting {
            now_ms: facts.now_ms,
            entropy: facts.entropy,
            console_url: facts.console_url,
            counters: facts.counters,
            variables: &mut self.state.variables,
            has_readers: rules.listens_to(Target::Detection) || !rules.false_positives().is_empty(),
            is_false_positive: &mut is_false_positive,
            effects: &mut self.outcome.effects,
            reports_made: &mut self.reports_made,
        };
        let made = acting.run(&Firing { rule, latest: document, reported, metadata: &fire.metadata });
        self.outcome.overruns.extend(overruns);
        for detection in made {
            self.chain(rule, detection, depth + 1);
        }
    }

    fn chain(&mut self, rule: &Arc<Rule>, detection: Document, depth: u32) {
        if !self.rules.listens_to(Target::Detection) {
            return;
        }
        let message = if depth > CHAIN_DEPTH_MAX {
            format!("detections chain deeper than {CHAIN_DEPTH_MAX}; this one was not given to rules")
        } else if self.reports_made as usize > DETECTIONS_PER_EVENT_MAX {
            format!("one event made more than {DETECTIONS_PER_EVENT_MAX} detections; this one was not given to rules")
        } else {
            self.queue.push_back((detection, depth));
            return;
        };
        let effect = Effect::Error { failed: "report".to_owned(), place: "respond".to_owned(), message };
        self.outcome.effects.push(Decided { rule: rule.clone(), effect });
    }
}

fn stateful(
    rule: &Arc<Rule>,
    waiting: &mut BTreeMap<u64, RuleState>,
    fed: &Fed<'_>,
    leaves: &mut dyn Leaves,
) -> Vec<Fire> {
    let mut state = waiting.remove(&rule.fingerprint).unwrap_or_default();
    let mut fires = state.advance(rule, fed, leaves);
    let has_fired = !fires.is_empty();
    fires.extend(state.open(rule, fed, leaves, has_fired));
    if !state.is_empty() {
        waiting.insert(rule.fingerprint, state);
    }
    fires
}

fn selects(rule: &Rule, artifact: ArtifactFacts<'_>) -> bool {
    let wanted = &rule.detect.artifact;
    wanted.kind.as_ref().is_none_or(|kind| **kind == *artifact.kind)
        && wanted.path_prefix.as_ref().is_none_or(|prefix| artifact.path.starts_with(&**prefix))
        && wanted.source.as_ref().is_none_or(|source| **source == *artifact.source)
}

fn is_false_positive(
    rules: &RuleSet,
    facts: &Facts<'_>,
    work: &Work,
    detection: &Document,
    overruns: &mut Vec<Overrun>,
) -> bool {
    let is_void = Cell::new(false);
    let sight = Sight {
        root: Root { document: detection, scope: None },
        event_type: event_type(Target::Detection, detection).unwrap_or_default(),
        now_ms: facts.now_ms,
        variables: &Variables::default(),
        resources: facts.resources,
        is_void: &is_void,
        work,
    };
    rules.false_positives().iter().any(|rule| {
        is_void.set(false);
        work.begin_rule();
        let is_match = evaluate::stateless(&rule.node, &sight, &mut Plain, &mut Metadata::default());
        let is_match = is_match && sight.is_whole();
        if let Some(steps) = work.end_rule() {
            overruns.push(Overrun {
                of: Overran::FalsePositive { name: rule.name.clone(), etag: rule.etag.clone() },
                steps,
            });
        }
        is_match
    })
}
