//! What the rules make of the records of one member.

use super::action::Ordered;
use super::group::Member;
use super::trouble::Trouble;
use super::{Detector, Role, Wait};
use crate::app::App;
use crate::artifact::Artifact;
use crate::stream::Record;
use crate::{output, random};
use bytes::Bytes;
use muster_model::Timestamp;
use muster_rules::{ArtifactFacts, Decided, Effect, Facts, Source, Target};
use muster_store::{Stream, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use uuid::Uuid;

/// What came of records, to be stored with them.
#[derive(Default)]
pub(super) struct Pass {
    /// How many of the records were evaluated.
    pub(super) taken: usize,
    pub(super) detections: Vec<Record>,
    /// What goes to tailored outputs.
    pub(super) tailored: Vec<Write>,
    /// Actions, in order.
    pub(super) ordered: Vec<Ordered>,
    /// What went wrong already.
    pub(super) troubles: Vec<Trouble>,
}

/// Evaluates the records of a member in order; if it heeds a `wait`, up to the first at which a rule waits.
pub(super) fn evaluate(app: &App, detector: &Detector, member: &Member, now: Timestamp) -> Pass {
    let mut pass = Pass { taken: member.records.len(), ..Pass::default() };
    for (at, record) in member.records.iter().enumerate() {
        let Some(effects) = effects_of(detector, &member.role, record, now) else { continue };
        let waits = effects.iter().any(|decided| matches!(decided.effect, Effect::Wait { .. }));
        pass.add(app, record, effects, now);
        if waits && member.wait != Wait::Ignored {
            pass.taken = at + 1;
            break;
        }
    }
    pass
}

/// What rules want done about a record, if any may see it.
fn effects_of(detector: &Detector, role: &Role, record: &Record, now: Timestamp) -> Option<Vec<Decided>> {
    let target = match (role, record.stream) {
        (Role::Content(content), _) => {
            let Artifact { hint, path, source, .. } = &content.artifact;
            let mut routing = content.routing.clone();
            routing["event_id"] = record.id.to_string().into();
            let facts = ArtifactFacts { kind: hint, path, source, routing: Some(&routing) };
            let source = Source { target: Target::Artifact, artifact: Some(facts) };
            return Some(detector.effects_of(record, &source, now));
        }
        (Role::Target(target), _) => *target,
        (Role::Stream, Stream::Event) => Target::Edr,
        (Role::Stream, Stream::Deployment) => Target::Deployment,
        (Role::Stream, Stream::Artifact) => Target::ArtifactEvent,
        // Audit records have a feed of their own, and detections come from rules.
        (Role::Stream, _) => return None,
    };
    Some(detector.effects_of(record, &Source::from(target), now))
}

impl Detector {
    fn effects_of(&self, record: &Record, source: &Source<'_>, now: Timestamp) -> Vec<Decided> {
        let lookups = Arc::clone(&self.lookups.read());
        let facts = Facts {
            now_ms: now.as_millis(),
            entropy: random::uuid().as_u128(),
            resources: &*lookups,
            counters: &self.counters,
            console_url: None,
        };
        let mut engine = self.lanes[self.lane(record.sid)].lock();
        // A defect that one rule or event brings to light must not end the detection of the others.
        let evaluated = catch_unwind(AssertUnwindSafe(|| {
            let outcome = engine.process_json(source, &record.body, &facts);
            outcome.map(|outcome| outcome.effects.clone())
        }));
        match evaluated {
            Ok(Ok(effects)) => effects,
            Ok(Err(error)) => {
                tracing::warn!(oid = %record.oid, %error, "an event could not be read by rules");
                Vec::new()
            }
            Err(_) => {
                tracing::error!(oid = %record.oid, event = %record.id, "rules panicked on an event, which goes on without them");
                Vec::new()
            }
        }
    }
}

impl Pass {
    fn add(&mut self, app: &App, record: &Record, effects: Vec<Decided>, now: Timestamp) {
        let mut holds = false;
        for Decided { rule, effect } in effects {
            holds |= matches!(effect, Effect::Wait { .. });
            let (namespace, name) = (&rule.meta.namespace, &rule.meta.name);
            let trouble = |text: String| Trouble::of_rule(record.oid, namespace, name, &text);
            match effect {
                // Done already, and stored with the sensor's variables.
                Effect::Report { published: false, .. } | Effect::AddVar { .. } | Effect::DelVar { .. } => {}
                Effect::Report { name, detection, .. } => {
                    self.detections.push(detection_record(record, &name, &detection, now));
                }
                Effect::Output { name, data } => {
                    let body = serde_json::to_vec(&data).map(Bytes::from).unwrap_or_default();
                    match output::send_tailored(app, record.oid, &name, &Record { body, ..record.clone() }) {
                        Some(writes) => self.tailored.extend(writes),
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
        kind: name.to_owned(),
        id: id.unwrap_or_else(random::uuid),
        time: now,
        body: serde_json::to_vec(detection).map(Bytes::from).unwrap_or_default(),
        ..record.clone()
    }
}
