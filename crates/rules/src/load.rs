//! Loads rules from YAML, JSON or a parsed value, with errors that say where and what to do.
//!
//! Source: reference/detection-response.md sections 1, 18, 20 and 21.

mod cursor;
mod duration;
mod error;
mod file;
mod node;
mod operator;
mod respond;
mod tests_of_rule;
mod tree;

pub use error::{LoadError, Warning};
pub use file::{WrittenRule, read_rules};
pub(crate) use operator::DISTANCE_CHARS_MAX;
pub use tests_of_rule::{TestEvent, TestOutcome};
pub use tree::RULE_BYTES_MAX;

use crate::action::Action;
use crate::ast::{ArtifactSelectors, Detect, Node, Target};
use crate::template::{Template, Templates};
use cursor::Cursor;
use node::Setting;
use serde_json::Value;
use sha2::{Digest, Sha256};
pub(crate) use tree::{Kind, Tree};

/// What rules refer to. A lookup that is not there finds nothing, as one that is disabled does; a rule that names it has a
/// warning, and cannot be tried.
pub trait Resources {
    /// Whether a lookup is there, or disabled: by its record name, or by the whole reference if it is remote.
    fn has_lookup(&self, _name: &str) -> bool {
        false
    }

    /// The metadata of a key in a lookup; null counts as absent.
    fn find(&self, _lookup: &str, _key: &str) -> Option<&Value> {
        None
    }

    /// The shared detection behind a reference such as `lcr://detection/NAME`.
    fn detection(&self, _reference: &str) -> Option<&Value> {
        None
    }
}

/// Nothing to refer to.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoResources;

impl Resources for NoResources {}

/// What a rule's record says about it, beside the rule itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuleMeta {
    /// The record's key; unique in its namespace.
    pub name: String,
    /// `general`, `managed` or `service`.
    pub namespace: String,
    /// Identity of the last author.
    pub author: String,
    /// Labels of the record, copied to detections.
    pub tags: Vec<String>,
    /// Changes with each write of the record; empty where there is none.
    pub etag: String,
}

impl RuleMeta {
    /// A rule of the general namespace.
    #[must_use]
    pub fn general(name: &str) -> Self {
        Self { name: name.to_owned(), namespace: "general".to_owned(), ..Self::default() }
    }
}

/// A loaded rule.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Name, namespace and labels.
    pub meta: RuleMeta,
    /// What loads but is probably a mistake.
    pub warnings: Vec<Warning>,
    /// The lookups that it names.
    pub(crate) lookups: Vec<Box<str>>,
    /// Of the first lookup that was not there when the rule was loaded.
    pub(crate) missing_lookup: Option<LoadError>,
    pub(crate) detect: Detect,
    pub(crate) respond: Vec<Action>,
    /// Changes with the name and the body: state of an older body must not be used.
    pub(crate) fingerprint: u64,
}

impl Rule {
    /// The stream the rule listens to.
    #[must_use]
    pub fn target(&self) -> Target {
        self.detect.target
    }

    /// Whether the rule looks something up in a lookup of this name.
    #[must_use]
    pub fn names_lookup(&self, name: &str) -> bool {
        self.lookups.iter().any(|lookup| **lookup == *name)
    }

    /// What is wrong with the first lookup that the rule names and that was not there when it was loaded: the rule works,
    /// and finds nothing there.
    #[must_use]
    pub fn missing_lookup(&self) -> Option<&LoadError> {
        self.missing_lookup.as_ref()
    }

    /// Whether the rule waits for later events.
    #[must_use]
    pub fn is_stateful(&self) -> bool {
        self.detect.is_stateful
    }
}

/// A loaded false-positive rule: detections it matches vanish.
#[derive(Clone, Debug)]
pub struct FalsePositive {
    /// The record's key.
    pub name: String,
    /// Changes with each write of the record; empty until it is given one.
    pub etag: String,
    pub(crate) node: Node,
}

/// Loads rules against one set of resources.
pub struct RuleLoader<'a> {
    resources: &'a dyn Resources,
    templates: Templates,
    needs_lookups: bool,
}

impl<'a> RuleLoader<'a> {
    /// `anon_seed` is the private seed of the template function `anon`.
    #[must_use]
    pub fn new(resources: &'a dyn Resources, anon_seed: &str) -> Self {
        Self { resources, templates: Templates::new(anon_seed), needs_lookups: false }
    }

    /// Refuses rules that name a lookup which is not there: for trials, of which the outcome would say nothing.
    #[must_use]
    pub fn needing_lookups(self) -> Self {
        Self { needs_lookups: true, ..self }
    }

    /// Loads a rule from YAML or JSON text and runs its unit tests.
    ///
    /// # Errors
    ///
    /// [`LoadError`] for the first thing that is wrong, or the first unit test that fails.
    pub fn rule(&self, meta: RuleMeta, text: &str) -> Result<Rule, LoadError> {
        let tree = Tree::from_text(text)?;
        self.load(meta, &tree, &tree.to_value().to_string())
    }

    /// Loads a rule from a parsed value and runs its unit tests.
    ///
    /// # Errors
    ///
    /// As [`RuleLoader::rule`], without line and column.
    pub fn rule_value(&self, meta: RuleMeta, value: &Value) -> Result<Rule, LoadError> {
        let text = value.to_string();
        self.load(meta, &Tree::from_value(value.clone())?, &text)
    }

    /// As [`RuleLoader::rule_value`], without its unit tests: for a rule that passed them when it was set.
    ///
    /// # Errors
    ///
    /// As [`RuleLoader::rule_value`].
    pub fn tested_rule(&self, meta: RuleMeta, value: Value) -> Result<Rule, LoadError> {
        let text = value.to_string();
        self.load_untested(meta, &Tree::from_value(value)?, &text, true)
    }

    /// Loads a false-positive rule: a bare node, or one under `detection` or `detect`.
    ///
    /// # Errors
    ///
    /// [`LoadError`] for the first thing that is wrong; state and tests do not exist here.
    pub fn false_positive(&self, name: &str, value: &Value) -> Result<FalsePositive, LoadError> {
        let tree = Tree::from_value(value.clone())?;
        let inner = ["detection", "detect", "data"].iter().find_map(|key| tree.get(key)).unwrap_or(&tree);
        let mut loader = self.loader(false);
        let setting = Setting { is_stateless: true, ..Setting::default() };
        let node = loader.node(&Cursor::new(inner, "data"), setting)?;
        if loader.is_stateful {
            return Err(Cursor::new(inner, "data").error(
                "rule/stateful",
                "a false-positive rule cannot be stateful",
                "",
            ));
        }
        Ok(FalsePositive { name: name.to_owned(), etag: String::new(), node })
    }

    fn loader(&self, is_tested: bool) -> Loader<'_> {
        Loader {
            resources: self.resources,
            templates: &self.templates,
            warnings: Vec::new(),
            lookups: Vec::new(),
            missing_lookup: None,
            is_tested,
            nodes_left: node::NODES_MAX,
            reports_latest: false,
            is_stateful: false,
        }
    }

    fn load(&self, meta: RuleMeta, tree: &Tree, text: &str) -> Result<Rule, LoadError> {
        let rule = self.load_untested(meta, tree, text, false)?;
        let has_tests = tree.get("tests").is_some_and(|tests| !matches!(tests.kind, Kind::Null));
        if let Some(missing) = rule.missing_lookup.as_ref().filter(|_| has_tests || self.needs_lookups) {
            return Err(missing.clone());
        }
        if let Some(tests) = Cursor::new(tree, "").get("tests") {
            tests_of_rule::check(&rule, &tests, self.resources)?;
        }
        Ok(rule)
    }

    /// `text` is the tree as JSON.
    fn load_untested(&self, meta: RuleMeta, tree: &Tree, text: &str, is_tested: bool) -> Result<Rule, LoadError> {
        let root = Cursor::new(tree, "");
        root.entries()?;
        let mut loader = self.loader(is_tested);
        let detect = loader.detect(&root)?;
        let is_artifact = detect.target == Target::Artifact;
        let respond = match root.get("respond") {
            Some(respond) if !matches!(respond.tree.kind, Kind::Null) => loader.respond(&respond, is_artifact)?,
            _ => Vec::new(),
        };
        let Loader { warnings, lookups, missing_lookup, .. } = loader;
        Ok(Rule { fingerprint: fingerprint(&meta, text), meta, warnings, lookups, missing_lookup, detect, respond })
    }
}

/// The state of loading one rule.
pub(super) struct Loader<'a> {
    resources: &'a dyn Resources,
    templates: &'a Templates,
    warnings: Vec<Warning>,
    lookups: Vec<Box<str>>,
    missing_lookup: Option<LoadError>,
    /// The rule was right when it was set: what takes long to find out is not asked again.
    is_tested: bool,
    nodes_left: usize,
    reports_latest: bool,
    is_stateful: bool,
}

impl Loader<'_> {
    fn warn(&mut self, code: &'static str, message: String, place: String) {
        self.warnings.push(Warning { code, message, place });
    }

    fn template(&self, at: &Cursor<'_>, text: &str) -> Result<Template, LoadError> {
        let help = "templates are Go's text/template";
        self.templates.parse(text).map_err(|cause| at.error("rule/bad-template", cause.to_string(), help))
    }

    fn detect(&mut self, root: &Cursor<'_>) -> Result<Detect, LoadError> {
        let at = root.need("detect", "a rule needs detect and respond")?;
        at.entries()?;
        let outside = root.get("target");
        if outside.is_some() {
            self.warn("rule/misplaced-target", "target belongs inside detect".to_owned(), "target".to_owned());
        }
        let target = match at.get("target").or(outside) {
            None => Target::default(),
            Some(target) => {
                let name = target.label()?;
                let names: Vec<_> = Target::ALL.iter().map(|row| row.0).collect();
                let help = format!("the targets are: {}", names.join(", "));
                Target::from_name(&name)
                    .ok_or_else(|| target.error("rule/unknown-target", format!("unknown target {name:?}"), help))?
            }
        };
        let is_artifact = target == Target::Artifact;
        let mut node = self.node(&at, Setting { is_artifact, ..Setting::default() })?;
        if target == Target::Detection {
            node.events = detection_names(&node.events);
        }
        let selector = |name: &str| -> Result<Option<Box<str>>, LoadError> {
            let value = match at.text_of(&format!("artifact {name}"))? {
                Some(value) => Some(value),
                None => at.text_of(&format!("log {name}"))?,
            };
            Ok(value.map(Into::into))
        };
        let artifact =
            ArtifactSelectors { kind: selector("type")?, path_prefix: selector("path")?, source: selector("source")? };
        let (reports_latest, is_stateful) = (self.reports_latest, self.is_stateful);
        Ok(Detect { root: node, target, artifact, reports_latest, is_stateful })
    }
}

/// Older spellings of a filter on detections: `*` and `_*` are any, `_NAME` is NAME (section 2.1).
fn detection_names(events: &[Box<str>]) -> Box<[Box<str>]> {
    if events.iter().any(|event| matches!(&**event, "*" | "_*")) {
        return Box::default();
    }
    let mut names: Vec<Box<str>> = events.to_vec();
    let bare = |event: &str| event.strip_prefix('_').filter(|name| !name.starts_with('_')).map(Into::into);
    names.extend(events.iter().filter_map(|event| bare(event)));
    names.into()
}

fn fingerprint(meta: &RuleMeta, text: &str) -> u64 {
    let mut hasher = Sha256::new();
    for part in [&meta.namespace, &meta.name, text] {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    hasher.finalize()[..8].iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}
