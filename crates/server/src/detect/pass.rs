//! What the rules make of the records of one member.

use super::action::Ordered;
use super::group::Given;
use super::overrun::Overrunning;
use super::pool::Job;
use super::trouble::Trouble;
use super::{Detect, Detector, Role};
use crate::artifact::Artifact;
use crate::intake::{Enqueued, Record, Wait};
use crate::random;
use bytes::Bytes;
use muster_model::Timestamp;
use muster_rules::{ArtifactFacts, Budget, Decided, Effect, Facts, Overrun, Source, Target};
use muster_store::Stream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use tokio::sync::oneshot;
use tokio::time::Instant;
use uuid::Uuid;

/// What came of records, to be stored with them.
#[derive(Default)]
pub(super) struct Pass {
    /// How many of the records were evaluated.
    pub(super) taken: usize,
    pub(super) detections: Vec<Record>,
    /// What goes to tailored outputs, and to services alone.
    pub(super) tailored: Vec<Box<dyn Enqueued>>,
    /// Actions, in order.
    pub(super) ordered: Vec<Ordered>,
    /// What went wrong already.
    pub(super) troubles: Vec<Trouble>,
    /// Rules that have cost too much too often.
    pub(super) overrunning: Vec<Overrunning>,
    /// How many rules were cut off on its events.
    pub(super) cut_off: u64,
}

/// Members of a group whose lanes one thread has to itself, evaluated a slice at a time.
pub(super) struct Share {
    detect: Arc<Detect>,
    detector: Arc<Detector>,
    now: Timestamp,
    /// The members that are left, with their places in the group, the last one first.
    left: Vec<(usize, Arc<Given>)>,
    /// What came of the records so far of the last one of `left`, and how many they are.
    begun: Option<(Pass, usize)>,
    done: Vec<(usize, Pass)>,
    answer: Option<oneshot::Sender<Vec<(usize, Pass)>>>,
}

impl Share {
    pub(super) fn new(
        detect: &Arc<Detect>,
        detector: &Arc<Detector>,
        mut members: Vec<(usize, Arc<Given>)>,
        now: Timestamp,
        answer: oneshot::Sender<Vec<(usize, Pass)>>,
    ) -> Self {
        members.reverse();
        let (detect, detector) = (Arc::clone(detect), Arc::clone(detector));
        Self { detect, detector, now, left: members, begun: None, done: Vec::new(), answer: Some(answer) }
    }

    /// Evaluates records of a member in order, until `until` or the end; if it heeds a `wait`, up to the first record at
    /// which a rule waits. Returns whether the member is done.
    fn member(&self, given: &Given, pass: &mut Pass, next: &mut usize, until: Instant) -> bool {
        if *next == 0 && given.wait == Wait::Heeded && self.detector.pending.is_held(given.sid()) {
            return true;
        }
        while let Some(record) = given.records.get(*next) {
            *next += 1;
            pass.taken = *next;
            let Some(did) = done_about(&self.detector, &given.role, record, self.now) else { continue };
            let waits = did.effects.iter().any(|decided| matches!(decided.effect, Effect::Wait { .. }));
            pass.add(&self.detect, record, did.effects, self.now);
            for overrun in did.overruns {
                self.detector.note(record, overrun, self.now, pass);
            }
            if waits && given.wait != Wait::Ignored {
                return true;
            }
            if Instant::now() >= until {
                break;
            }
        }
        *next >= given.records.len()
    }
}

impl Job for Share {
    fn work(&mut self, until: Instant) -> bool {
        while let Some((at, given)) = self.left.last().cloned() {
            let (mut pass, mut next) = self.begun.take().unwrap_or_default();
            if !self.member(&given, &mut pass, &mut next, until) {
                self.begun = Some((pass, next));
                return false;
            }
            self.done.push((at, pass));
            self.left.pop();
        }
        if let Some(answer) = self.answer.take() {
            // Whoever asked is gone when the server stops.
            let _ = answer.send(std::mem::take(&mut self.done));
        }
        true
    }
}

/// What rules did about one record.
#[derive(Default)]
struct Did {
    effects: Vec<Decided>,
    overruns: Vec<Overrun>,
}

/// What rules do about a record, if any may see it.
fn done_about(detector: &Detector, role: &Role, record: &Record, now: Timestamp) -> Option<Did> {
    let target = match (role, record.stream) {
        (Role::Content(content), _) => {
            let Artifact { hint, path, source, .. } = &content.artifact;
            let mut routing = content.routing.clone();
            routing["event_id"] = record.id.to_string().into();
            let facts = ArtifactFacts { kind: hint, path, source, routing: Some(&routing) };
            let source = Source { target: Target::Artifact, artifact: Some(facts) };
            return Some(detector.process(record, &source, now));
        }
        (Role::Target(target), _) => *target,
        (Role::Stream, stream) => target_of(stream)?,
    };
    Some(detector.process(record, &Source::from(target), now))
}

/// What rules know a stream by, if they see its records as they come in.
pub(super) const fn target_of(stream: Stream) -> Option<Target> {
    match stream {
        Stream::Event => Some(Target::Edr),
        Stream::Deployment => Some(Target::Deployment),
        Stream::Artifact => Some(Target::ArtifactEvent),
        // Audit records have a feed of their own, and detections come from rules.
        _ => None,
    }
}

impl Detector {
    fn process(&self, record: &Record, source: &Source<'_>, now: Timestamp) -> Did {
        let lookups = Arc::clone(&self.lookups.read());
        let facts = Facts {
            now_ms: now.as_millis(),
            entropy: random::uuid().as_u128(),
            resources: &*lookups,
            counters: &self.counters,
            console_url: None,
            budget: Budget::default(),
        };
        let mut engine = self.lanes[self.lane(record.sid)].lock();
        // A defect that one rule or event brings to light must not end the detection of the others.
        let evaluated = catch_unwind(AssertUnwindSafe(|| {
            let outcome = engine.process_json(source, &record.body, &facts);
            outcome.map(|outcome| Did { effects: outcome.effects.clone(), overruns: outcome.overruns.clone() })
        }));
        match evaluated {
            Ok(Ok(did)) => did,
            Ok(Err(error)) => {
                tracing::warn!(oid = %record.oid, %error, "an event could not be read by rules");
                Did::default()
            }
            Err(_) => {
                tracing::error!(oid = %record.oid, event = %record.id, "rules panicked on an event, which goes on without them");
                Did::default()
            }
        }
    }
}

impl Pass {
    fn add(&mut self, detect: &Detect, record: &Record, effects: Vec<Decided>, now: Timestamp) {
        let mut holds = false;
        for Decided { rule, effect } in effects {
            holds |= matches!(effect, Effect::Wait { .. });
            let (namespace, name) = (&rule.meta.namespace, &rule.meta.name);
            let trouble = |text: String| Trouble::of_rule(record.oid, namespace, name, &text);
            match effect {
                // Done already, and stored with the sensor's variables.
                Effect::AddVar { .. } | Effect::DelVar { .. } => {}
                Effect::Report { name, detection, published } => {
                    let made = detection_record(record, &name, &detection, now);
                    match published {
                        true => self.detections.push(made),
                        // It is kept nowhere, and services alone hear of it.
                        false => self.tailored.extend(detect.services.hear(&made)),
                    }
                }
                Effect::Output { name, data } => {
                    let body = serde_json::to_vec(&data).map(Bytes::from).unwrap_or_default();
                    match detect.outputs.send_tailored(&name, &Record { body, ..record.clone() }) {
                        Some(enqueued) => self.tailored.extend(enqueued),
                        None => self.troubles.push(trouble(format!(
                            "there is no output {name:?} of type tailored; make one, or mend the rule"
                        ))),
                    }
                }
                Effect::Error { failed, place, message } => {
                    self.troubles.push(trouble(format!("{failed} ({place}): {message}")));
                }
                Effect::StartAiAgent { .. } => self.troubles.push(trouble(unavailable("start ai agent"))),
                Effect::ReEnroll { .. } => self.troubles.push(trouble(unavailable("re-enroll"))),
                effect => self.ordered.push(Ordered {
                    id: random::uuid(),
                    sid: record.sid,
                    namespace: namespace.clone(),
                    rule: name.clone(),
                    at: now,
                    holds,
                    is_begun: false,
                    effect,
                }),
            }
        }
    }
}

fn unavailable(action: &str) -> String {
    format!("{action} is not available on this server; remove it from the rule")
}

fn detection_record(record: &Record, name: &str, detection: &serde_json::Value, now: Timestamp) -> Record {
    let id = detection.get("detect_id").and_then(|id| id.as_str()).and_then(|id| Uuid::parse_str(id).ok());
    Record {
        stream: Stream::Detect,
        kind: name.into(),
        id: id.unwrap_or_else(random::uuid),
        time: now,
        body: serde_json::to_vec(detection).map(Bytes::from).unwrap_or_default(),
        ..record.clone()
    }
}
