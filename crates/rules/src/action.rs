//! Actions: what a rule asks for, rendered into effects for others to carry out.
//!
//! Source: reference/detection-response.md sections 12 and 13. Nothing is done
//! here but to sensor variables, whose writes later rules must see. One failed
//! action becomes an error effect; the others still run.

mod effect;
mod report;

pub use effect::{Decided, Effect};

use crate::copies::{Copies, bytes_of};
use crate::document::Document;
use crate::evaluate::Metadata;
use crate::load::Rule;
use crate::path::{Path, Root};
pub(crate) use crate::suppression::Suppress;
use crate::suppression::{Activation, CounterKey, Counters};
use crate::template::{TEMPLATE_OUTPUT_BYTES_MAX, Template, TemplateError, Templates, to_data};
use crate::transform::Spec;
use crate::variables::Variables;
use crate::work::{Budget, Work};
use gotmpl::Value as Data;
use report::Reporting;
use serde_json::{Map, Value};
use std::cell::{Cell, OnceCell};
use std::sync::Arc;

/// What all texts of one match may come to together, in bytes: each is bounded, and a rule may have thousands.
const MATCH_TEXT_BYTES_MAX: usize = 4 << 20;

/// Stands for a lookback inside template text; private use, so no rule needs it.
const MARK: char = '\u{F8FF}';

/// One action of a rule.
#[derive(Clone, Debug)]
pub(crate) struct Action {
    pub(crate) name: &'static str,
    pub(crate) place: Box<str>,
    pub(crate) suppress: Option<Suppress>,
    pub(crate) does: Effectuate,
}

/// What an action does.
#[derive(Clone, Debug)]
pub(crate) enum Effectuate {
    Report {
        name: Template,
        is_published: bool,
        priority: Option<i64>,
        metadata: Option<Shape>,
        detect_data: Option<Shape>,
    },
    Task {
        command: Shape,
        investigation: Option<Text>,
    },
    AddTag {
        tag: Text,
        ttl: Option<i64>,
        is_entire_device: bool,
    },
    RemoveTag {
        tag: Text,
    },
    AddVar {
        name: Text,
        value: Text,
        ttl: Option<i64>,
    },
    DelVar {
        name: Text,
        value: Text,
    },
    Extension {
        name: Text,
        action: Text,
        request: Spec,
        is_based_on_report: bool,
    },
    Service {
        name: Text,
        request: Option<Shape>,
        is_based_on_report: bool,
    },
    Output {
        name: Text,
    },
    Wait {
        duration_ms: i64,
    },
    HiveTag {
        is_added: bool,
        hive: Text,
        record: Text,
        tag: Text,
    },
    StartAgent(Box<Agent>),
    /// An action on the sensor without parameters: the name says which.
    Sensor,
}

/// `start ai agent`: its parameters as they are, and the data that goes with them.
#[derive(Clone, Debug)]
pub(crate) struct Agent {
    pub(crate) fields: Shape,
    pub(crate) data: Option<Spec>,
}

impl Action {
    pub(crate) fn is_based_on_report(&self) -> bool {
        matches!(
            self.does,
            Effectuate::Extension { is_based_on_report: true, .. }
                | Effectuate::Service { is_based_on_report: true, .. }
        )
    }
}

/// A templated string that may embed lookbacks.
#[derive(Clone, Debug)]
pub(crate) struct Text {
    template: Template,
    lookbacks: Vec<Path>,
}

impl Text {
    pub(crate) fn new(templates: &Templates, text: &str) -> Result<Self, TemplateError> {
        let (mut marked, mut lookbacks, mut left) = (String::new(), Vec::new(), text);
        while let Some((before, after)) = left.split_once("<<") {
            let Some((path, rest)) = after.split_once(">>") else { break };
            marked.push_str(before);
            let path =
                Path::new(path).ok_or_else(|| TemplateError("a lookback's path has too many parts".to_owned()))?;
            marked.push_str(&format!("{MARK}{}{MARK}", lookbacks.len()));
            lookbacks.push(path);
            left = rest;
        }
        marked.push_str(left);
        Ok(Self { template: templates.parse(&marked)?, lookbacks })
    }

    /// Whether this is that literal text.
    pub(crate) fn is(&self, text: &str) -> bool {
        self.template.is_literal() && self.template.text() == text
    }

    fn render(&self, context: &Context<'_>) -> Result<String, TemplateError> {
        let rendered = if self.template.is_literal() {
            self.template.text().to_owned()
        } else {
            self.template.render(context.data())?
        };
        let text = if self.lookbacks.is_empty() { rendered } else { self.look_back(&rendered, context)? };
        context.spend(text.len())?;
        Ok(text)
    }

    /// Puts what the lookbacks find in place of their marks; a mark may stand there often.
    fn look_back(&self, rendered: &str, context: &Context<'_>) -> Result<String, TemplateError> {
        let mut out = String::with_capacity(rendered.len());
        for (at, piece) in rendered.split(MARK).enumerate() {
            let path = piece.parse::<usize>().ok().filter(|_| at % 2 == 1).and_then(|index| self.lookbacks.get(index));
            match path {
                Some(path) => out.push_str(&context.first_text(path)),
                None => out.push_str(piece),
            }
            if out.len() > TEMPLATE_OUTPUT_BYTES_MAX {
                return Err(TemplateError(format!("the lookbacks made more than {TEMPLATE_OUTPUT_BYTES_MAX} bytes")));
            }
        }
        Ok(out)
    }
}

/// JSON in which every string is a template.
#[derive(Clone, Debug)]
pub(crate) enum Shape {
    Literal(Value),
    Text(Text),
    List(Vec<Shape>),
    Map(Vec<(String, Shape)>),
}

impl Shape {
    fn render(&self, context: &Context<'_>) -> Result<Value, TemplateError> {
        Ok(match self {
            Self::Literal(literal) => literal.clone(),
            Self::Text(text) => Value::String(text.render(context)?),
            Self::List(items) => Value::Array(items.iter().map(|item| item.render(context)).collect::<Result<_, _>>()?),
            Self::Map(entries) => {
                let entry = |(key, item): &(String, Self)| Ok::<_, TemplateError>((key.clone(), item.render(context)?));
                Value::Object(entries.iter().map(entry).collect::<Result<Map<_, _>, _>>()?)
            }
        })
    }

    /// The strings as they were written, for a report whose rendering failed.
    fn raw(&self) -> Value {
        match self {
            Self::Literal(literal) => literal.clone(),
            Self::Text(text) => Value::String(text.template.text().to_owned()),
            Self::List(items) => Value::Array(items.iter().map(Self::raw).collect()),
            Self::Map(entries) => Value::Object(entries.iter().map(|(key, item)| (key.clone(), item.raw())).collect()),
        }
    }
}

/// What templates, lookbacks and transforms of one action look at.
pub(crate) struct Context<'a> {
    document: &'a Document,
    metadata: &'a Metadata,
    value: OnceCell<Value>,
    data: OnceCell<Data>,
    spent: &'a Spent,
}

/// What the actions of one match made so far.
#[derive(Default)]
struct Spent {
    /// Bytes.
    text: Cell<usize>,
    copies: Copies,
}

impl<'a> Context<'a> {
    fn new(document: &'a Document, metadata: &'a Metadata, spent: &'a Spent) -> Self {
        Self { document, metadata, value: OnceCell::new(), data: OnceCell::new(), spent }
    }

    /// Of the same match, with another document.
    fn with_value(&self, document: &'a Document, value: Value) -> Self {
        let (metadata, spent) = (self.metadata, self.spent);
        Self { document, metadata, value: value.into(), data: OnceCell::new(), spent }
    }

    /// Counts a text that was made; an error once there is too much of it.
    fn spend(&self, bytes: usize) -> Result<(), TemplateError> {
        let text = &self.spent.text;
        text.set(text.get().saturating_add(bytes));
        if text.get() > MATCH_TEXT_BYTES_MAX {
            return Err(TemplateError(format!("the texts of one match make more than {MATCH_TEXT_BYTES_MAX} bytes")));
        }
        Ok(())
    }

    /// Counts a whole copy of the document; an error once the match copied too much.
    fn spend_copy(&self) -> Result<(), String> {
        self.spend_bytes(self.document.bytes())
    }

    fn spend_bytes(&self, bytes: usize) -> Result<(), String> {
        self.spent.copies.add(bytes).map_err(|cause| cause.to_string())
    }

    /// The document with `mtd`, in which metadata stands under the resource's name and its alias.
    fn value(&self) -> &Value {
        self.value.get_or_init(|| {
            let mut value = self.document.to_value();
            if let Value::Object(map) = &mut value {
                let found = map.entry("mtd").or_insert_with(|| Value::Object(Map::new()));
                if !found.is_object() {
                    *found = Value::Object(Map::new());
                }
                for (name, metadata) in &self.metadata.0 {
                    let alias: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
                    found[alias] = metadata.clone();
                    found[name] = metadata.clone();
                }
            }
            value
        })
    }

    fn data(&self) -> &Data {
        self.data.get_or_init(|| to_data(self.value()))
    }

    fn first_text(&self, path: &Path) -> String {
        let root = Root { document: self.document, scope: None };
        path.first_value(root).and_then(|node| self.document.scalar_text(node)).unwrap_or_default()
    }
}

/// One match of one rule, about to act.
pub(crate) struct Firing<'a> {
    pub(crate) rule: &'a Arc<Rule>,
    /// The event that completed the rule.
    pub(crate) latest: &'a Document,
    /// The event that reports show.
    pub(crate) reported: &'a Document,
    pub(crate) metadata: &'a Metadata,
}

/// What actions need from outside.
pub(crate) struct Acting<'a> {
    pub(crate) now_ms: i64,
    pub(crate) entropy: u128,
    pub(crate) console_url: Option<&'a str>,
    pub(crate) counters: &'a dyn Counters,
    pub(crate) variables: &'a mut Arc<Variables>,
    /// Whether rules look at detections, so that they must be made into documents.
    pub(crate) has_readers: bool,
    /// Asks whether a false-positive rule drops a detection.
    pub(crate) is_false_positive: &'a mut dyn FnMut(&Document) -> bool,
    pub(crate) effects: &'a mut Vec<Decided>,
    pub(crate) reports_made: &'a mut u32,
}

impl Acting<'_> {
    /// Runs the actions of a match in order; returns the detections that were made, for chaining.
    pub(crate) fn run(&mut self, firing: &Firing<'_>) -> Vec<Document> {
        let spent = Spent::default();
        let latest = Context::new(firing.latest, firing.metadata, &spent);
        let reported = Context::new(firing.reported, firing.metadata, &spent);
        let (mut last_report, mut made) = (None, Vec::new());
        for action in &firing.rule.respond {
            let is_report = matches!(action.does, Effectuate::Report { .. });
            let context = if is_report { &reported } else { &latest };
            if action.suppress.as_ref().is_some_and(|suppress| !self.admits(suppress, firing, action, context)) {
                continue;
            }
            if is_report {
                if let Some(document) = self.report(firing, action, context) {
                    last_report = Some(self.effects.len() - 1);
                    made.extend(document);
                }
                continue;
            }
            let outcome = self.effect(action, context, last_report).unwrap_or_else(|message| Effect::Error {
                failed: action.name.to_owned(),
                place: action.place.to_string(),
                message,
            });
            self.push(firing.rule, outcome);
        }
        made
    }

    fn push(&mut self, rule: &Arc<Rule>, effect: Effect) {
        self.effects.push(Decided { rule: rule.clone(), effect });
    }

    fn admits(&self, suppress: &Suppress, firing: &Firing<'_>, action: &Action, context: &Context<'_>) -> bool {
        let increment = match &suppress.count_path {
            None => 1,
            Some(path) => match first_number(path, context.document) {
                Some(number) => number,
                None => return false,
            },
        };
        let rendered: Vec<String> = suppress
            .keys
            .iter()
            .map(|key| {
                if key.is_literal() {
                    key.text().to_owned()
                } else {
                    key.render(context.data()).unwrap_or_else(|_| key.text().to_owned())
                }
            })
            .collect();
        let field = |name: &str| {
            let routing = context.document.routing()?;
            context.document.child(routing, name).and_then(|node| context.document.text(node))
        };
        // Audit records have no routing: their organization stands at the root.
        let root_oid = context.document.child(0, "oid").and_then(|node| context.document.text(node));
        let (oid, sid) = (field("oid").or(root_oid).unwrap_or_default(), field("sid").unwrap_or_default());
        let scope = if suppress.is_global { ["global", ""] } else { ["sensor", sid] };
        let meta = &firing.rule.meta;
        let private = ["private", &meta.namespace, &meta.name, &action.place];
        let shared = std::iter::once("shared").chain(rendered.iter().map(String::as_str));
        let key = if rendered.is_empty() {
            CounterKey::new([oid].into_iter().chain(scope).chain(private))
        } else {
            CounterKey::new([oid].into_iter().chain(scope).chain(shared))
        };
        let Suppress { period_ms, max_count, min_count, .. } = *suppress;
        self.counters.count(&Activation { key, period_ms, max_count, min_count, increment, now_ms: self.now_ms })
    }

    fn effect(&mut self, action: &Action, context: &Context<'_>, last_report: Option<usize>) -> Result<Effect, String> {
        let sid = || {
            let sid = context.document.sid().filter(|sid| !sid.is_empty());
            sid.map(str::to_owned).ok_or_else(|| "the event has no sensor".to_owned())
        };
        let text = |text: &Text| text.render(context).map_err(|cause| cause.to_string());
        Ok(match &action.does {
            Effectuate::Report { .. } => return Err("a report is made elsewhere".to_owned()),
            Effectuate::Task { command, investigation } => Effect::Task {
                sid: sid()?,
                command: command.render(context).map_err(|cause| cause.to_string())?,
                investigation: investigation.as_ref().map(text).transpose()?,
            },
            Effectuate::AddTag { tag, ttl, is_entire_device } => {
                Effect::AddTag { sid: sid()?, tag: text(tag)?, ttl: *ttl, entire_device: *is_entire_device }
            }
            Effectuate::RemoveTag { tag } => Effect::RemoveTag { sid: sid()?, tag: text(tag)? },
            Effectuate::AddVar { name, value, ttl } => {
                let (sid, name, value) = (sid()?, text(name)?, text(value)?);
                let variables = Arc::make_mut(self.variables);
                variables.add(&name, &value, *ttl, self.now_ms).map_err(|cause| cause.to_string())?;
                Effect::AddVar { sid, name, value, ttl: *ttl }
            }
            Effectuate::DelVar { name, value } => {
                let (sid, name, value) = (sid()?, text(name)?, text(value)?);
                Arc::make_mut(self.variables).remove(&name, &value);
                Effect::DelVar { sid, name, value }
            }
            Effectuate::Output { name } => {
                context.spend_copy()?;
                Effect::Output { name: text(name)?, data: context.document.to_value() }
            }
            Effectuate::Wait { duration_ms } => Effect::Wait { duration_ms: *duration_ms },
            Effectuate::HiveTag { is_added, hive, record, tag } => {
                let (hive_name, record_name, tag) = (text(hive)?, text(record)?, text(tag)?);
                if *is_added {
                    Effect::AddHiveTag { hive_name, record_name, tag }
                } else {
                    Effect::RemoveHiveTag { hive_name, record_name, tag }
                }
            }
            Effectuate::Extension { .. } | Effectuate::Service { .. } | Effectuate::StartAgent(_) => {
                let last_report = last_report.map(|at| &self.effects[at].effect);
                let last_report = last_report.and_then(|effect| match effect {
                    Effect::Report { detection, .. } => Some(detection),
                    _ => None,
                });
                return request(action, context, last_report);
            }
            Effectuate::Sensor => effect::on_sensor(action.name, sid()?)?,
        })
    }

    /// Makes a detection, unless a false-positive rule drops it; as a document if rules read it.
    fn report(&mut self, firing: &Firing<'_>, action: &Action, context: &Context<'_>) -> Option<Option<Document>> {
        let metadata = firing.metadata.0.values().map(bytes_of).sum();
        if let Err(message) = context.spend_copy().and_then(|()| context.spend_bytes(metadata)) {
            let (failed, place) = (action.name.to_owned(), action.place.to_string());
            self.push(firing.rule, Effect::Error { failed, place, message });
            return None;
        }
        let reporting = Reporting { firing, action, context, now_ms: self.now_ms, console_url: self.console_url };
        *self.reports_made += 1;
        let made = reporting.make(self.entropy, *self.reports_made)?;
        for message in made.errors {
            let (failed, place) = (action.name.to_owned(), action.place.to_string());
            self.push(firing.rule, Effect::Error { failed, place, message });
        }
        let document = self.has_readers.then(|| Document::from_value(&made.record));
        if document.as_ref().is_some_and(|document| (self.is_false_positive)(document)) {
            return None;
        }
        self.push(
            firing.rule,
            Effect::Report { name: made.name, published: made.is_published, detection: made.record },
        );
        Some(document)
    }
}

/// Requests to other programs, which may be based on the last report instead of the event.
fn request(action: &Action, event: &Context<'_>, last_report: Option<&Value>) -> Result<Effect, String> {
    let document;
    let based_on_report;
    let context = if action.is_based_on_report() {
        let report =
            last_report.ok_or("no report was made for this match, so there is nothing to base the request on")?;
        event.spend_bytes(bytes_of(report))?;
        document = Document::from_value(report);
        based_on_report = event.with_value(&document, report.clone());
        &based_on_report
    } else {
        event
    };
    let text = |text: &Text| text.render(event).map_err(|cause| cause.to_string());
    let apply = |spec: &Spec| {
        let copies = &context.spent.copies;
        spec.apply(context.value(), context.data(), copies).map_err(|cause| cause.to_string())
    };
    match &action.does {
        Effectuate::Extension { name, action, request, .. } => Ok(Effect::ExtensionRequest {
            extension_name: text(name)?,
            extension_action: text(action)?,
            extension_request: apply(request)?,
            investigation: event.document.investigation().map(str::to_owned),
        }),
        Effectuate::Service { name, request, .. } => {
            let request = request.as_ref().map(|request| request.render(context)).transpose();
            let request = request.map_err(|cause| cause.to_string())?.unwrap_or_else(|| Value::Object(Map::new()));
            Ok(Effect::ServiceRequest { name: text(name)?, request })
        }
        Effectuate::StartAgent(agent) => {
            let mut fields = agent.fields.render(event).map_err(|cause| cause.to_string())?;
            if let Some(data) = &agent.data {
                fields["data"] = apply(data)?;
            }
            Ok(Effect::StartAiAgent { request: fields })
        }
        _ => Err("not a request".to_owned()),
    }
}

fn first_number(path: &Path, document: &Document) -> Option<i64> {
    let mut found = None;
    let _ = path.select_values(Root { document, scope: None }, &Work::of_one_rule(Budget::default()), &mut |node| {
        found = document.number(node);
        if found.is_some() { std::ops::ControlFlow::Break(()) } else { std::ops::ControlFlow::Continue(()) }
    });
    found.map(crate::number::Number::to_i64)
}
