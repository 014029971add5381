//! A loaded rule: what the text means, with every part checked.
//!
//! Loading turns a rule into these types once; evaluation, the shared plan, the
//! trace and the checks all read them.

use crate::number::Number;
use crate::path::Path;
use crate::pattern::Pattern;
use crate::template::Template;
use ipnet::IpNet;
use jiff::tz::TimeZone;
use std::sync::Arc;

/// The stream a rule listens to.
///
/// Source: reference/detection-response.md section 2.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Target {
    /// Telemetry of sensors and adapters.
    #[default]
    Edr,
    /// Detections made by other rules.
    Detection,
    /// Sensor lifecycle.
    Deployment,
    /// Records of collected artifacts.
    Artifact,
    /// Artifact lifecycle.
    ArtifactEvent,
    /// Periodic ticks.
    Schedule,
    /// Platform audit records.
    Audit,
    /// Billable records.
    Billing,
}

impl Target {
    /// Every target with its name in rules.
    pub const ALL: [(&'static str, Self); 8] = [
        ("edr", Self::Edr),
        ("detection", Self::Detection),
        ("deployment", Self::Deployment),
        ("artifact", Self::Artifact),
        ("artifact_event", Self::ArtifactEvent),
        ("schedule", Self::Schedule),
        ("audit", Self::Audit),
        ("billing", Self::Billing),
    ];

    /// The target with this name; `log` is the old name of `artifact`.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        if name == "log" {
            return Some(Self::Artifact);
        }
        Self::ALL.iter().find(|row| row.0 == name).map(|row| row.1)
    }
}

/// Which artifacts a rule reads; an absent part takes any.
#[derive(Clone, Debug, Default)]
pub(crate) struct ArtifactSelectors {
    pub(crate) kind: Option<Box<str>>,
    pub(crate) path_prefix: Option<Box<str>>,
    pub(crate) source: Option<Box<str>>,
}

/// The condition of a rule.
#[derive(Clone, Debug)]
pub(crate) struct Detect {
    pub(crate) root: Node,
    pub(crate) target: Target,
    pub(crate) artifact: ArtifactSelectors,
    pub(crate) reports_latest: bool,
    pub(crate) is_stateful: bool,
}

/// One operator object.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    /// Where it stands in the rule, such as `detect/rules/0`.
    pub(crate) place: Box<str>,
    /// The operator's name, as written.
    pub(crate) operator: &'static str,
    /// Event types it looks at; empty looks at all.
    pub(crate) events: Box<[Box<str>]>,
    pub(crate) times: Box<[Window]>,
    pub(crate) is_negated: bool,
    pub(crate) op: Op,
    /// Index in the plan's list of groups, where the node is an `or` of texts to look for.
    pub(crate) group: Option<u32>,
    pub(crate) follow: Option<Box<Follow>>,
    pub(crate) repeat: Option<Repeat>,
    pub(crate) is_stateless: bool,
}

impl Node {
    /// Whether its operator alone decides, negated or not.
    pub(crate) fn is_bare(&self) -> bool {
        self.events.is_empty() && self.times.is_empty() && self.follow.is_none() && self.repeat.is_none()
    }
}

#[derive(Clone, Debug)]
pub(crate) enum Op {
    All(Vec<Node>),
    Any(Vec<Node>),
    Scope {
        path: Path,
        rule: Box<Node>,
    },
    /// A shared detection in place of the node.
    External(Box<Node>),
    Test(Leaf),
    Lookup(Box<Lookup>),
    /// Needs something outside of this engine (`pivot`, `ask ai`, `yara`): never matches, even negated.
    Unanswerable,
}

/// A test of one event, shared by all rules that write it alike.
#[derive(Clone, Debug)]
pub(crate) struct Leaf {
    pub(crate) predicate: Arc<Predicate>,
    /// Index in the plan's list of predicates; none outside of a plan, and where the
    /// document is another one (inside `scope` and `metadata_rules`).
    pub(crate) id: Option<u32>,
}

/// What follows an anchor event.
#[derive(Clone, Debug)]
pub(crate) struct Follow {
    pub(crate) relation: Relation,
    pub(crate) rule: Node,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Relation {
    Child,
    Descendant,
    Events,
}

/// `count` and `within`: so many times, within so long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Repeat {
    pub(crate) count: u32,
    pub(crate) within_ms: Option<i64>,
}

/// A time descriptor; absent bounds are open.
#[derive(Clone, Debug, Default)]
pub(crate) struct Window {
    pub(crate) day_of_week: (Option<i64>, Option<i64>),
    pub(crate) time_of_day: (Option<i64>, Option<i64>),
    pub(crate) day_of_month: Option<i64>,
    pub(crate) month_of_year: Option<i64>,
    pub(crate) epoch_seconds: (Option<i64>, Option<i64>),
    pub(crate) zone: Option<TimeZone>,
}

/// `lookup`: a key of a table.
#[derive(Clone, Debug)]
pub(crate) struct Lookup {
    pub(crate) path: Path,
    pub(crate) transform: Transform,
    pub(crate) is_case_sensitive: bool,
    /// The table's own name, or the whole reference for a remote one.
    pub(crate) resource: Box<str>,
    pub(crate) metadata: Option<Node>,
}

/// A condition on the values at one path, or on the sensor. Equal ones are written alike.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Predicate {
    pub(crate) path: Path,
    pub(crate) transform: Transform,
    pub(crate) test: Test,
}

/// What happens to text before it is compared.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Transform {
    pub(crate) is_file_name: bool,
    pub(crate) labels: Option<Labels>,
}

impl Transform {
    pub(crate) fn is_identity(&self) -> bool {
        !self.is_file_name && self.labels.is_none()
    }
}

/// `sub domain`: which labels of a dotted name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Labels {
    /// `:`, each label on its own.
    Each,
    Index(i64),
    Range(Option<i64>, Option<i64>),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Test {
    Exists { is_truthy: bool },
    Compare(Comparison, Operand),
    Matches(Pattern),
    Distance { values: Box<[String]>, max: usize, is_case_sensitive: bool },
    OlderThan { seconds: i64 },
    Network(IpNet),
    Address(AddressClass),
    Platform(Option<i64>),
    Architecture(&'static [i64]),
    Tagged(Box<str>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Comparison {
    Is { is_case_sensitive: bool },
    Contains { is_case_sensitive: bool, count: u32 },
    StartsWith { is_case_sensitive: bool },
    EndsWith { is_case_sensitive: bool },
    Greater { is_length: bool },
    Lower { is_length: bool },
}

impl Comparison {
    pub(crate) fn is_case_sensitive(self) -> bool {
        match self {
            Self::Is { is_case_sensitive }
            | Self::Contains { is_case_sensitive, .. }
            | Self::StartsWith { is_case_sensitive }
            | Self::EndsWith { is_case_sensitive } => is_case_sensitive,
            Self::Greater { .. } | Self::Lower { .. } => true,
        }
    }
}

/// The right side of a comparison.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Operand {
    Literal(Scalar),
    /// `<<path>>`: values of the same event.
    Lookback(Path),
    /// `[[name]]`: values stored for the sensor.
    Variable(Box<str>),
    /// `{{ … }}`: text made from the event.
    Template(Template),
}

/// A literal; text is already folded where case does not matter.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Scalar {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct AddressClass {
    pub(crate) is_public: bool,
    pub(crate) family: Option<Family>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Family {
    V4,
    V6,
}
