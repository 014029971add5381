//! Loads `detect`: nodes, their common keys, and what stands around operators.
//!
//! Source: reference/detection-response.md sections 5, 9 and 10.

use super::cursor::Cursor;
use super::tree::{Kind, Tree};
use super::{LoadError, Loader};
use crate::ast::{Follow, Node, Op, Relation, Repeat, Window};
use jiff::tz::TimeZone;

/// Most nodes in one rule, shared detections included.
pub(super) const NODES_MAX: usize = 20_000;
/// Deepest nesting of nodes, shared detections included.
const NODE_DEPTH_MAX: usize = 64;
/// Largest `count` of a stateful node: that many times are remembered per tracker.
const REPEAT_COUNT_MAX: i64 = 10_000;
/// Largest `within`, in seconds: a year.
const WITHIN_SECONDS_MAX: i64 = 366 * 86_400;

pub(super) const OPERATORS: &[&str] = &[
    "and",
    "ask ai",
    "cidr",
    "contains",
    "ends with",
    "exists",
    "external",
    "is",
    "is 32 bit",
    "is 64 bit",
    "is arm",
    "is carbon_black",
    "is chrome",
    "is gcp",
    "is greater than",
    "is json",
    "is linux",
    "is lower than",
    "is mac",
    "is net",
    "is older than",
    "is platform",
    "is private address",
    "is private ipv4 address",
    "is private ipv6 address",
    "is public address",
    "is public ipv4 address",
    "is public ipv6 address",
    "is tagged",
    "is text",
    "is windows",
    "lookup",
    "matches",
    "or",
    "pivot",
    "scope",
    "starts with",
    "string distance",
    "yara",
];

/// The operators that rules on artifacts may use (section 2.3).
const ARTIFACT_OPERATORS: &[&str] = &[
    "is",
    "and",
    "or",
    "exists",
    "contains",
    "starts with",
    "ends with",
    "is greater than",
    "is lower than",
    "matches",
    "string distance",
    "lookup",
    "external",
    "yara",
];

const FOLLOWS: [(&str, Relation); 3] =
    [("with child", Relation::Child), ("with descendant", Relation::Descendant), ("with events", Relation::Events)];

const NODE_KEYS: &[&str] = &[
    "op",
    "event",
    "events",
    "not",
    "case sensitive",
    "times",
    "file name",
    "sub domain",
    "with child",
    "with descendant",
    "with events",
    "count",
    "within",
    "is stateless",
    "report latest event",
    "target",
    "artifact type",
    "artifact path",
    "artifact source",
    "log type",
    "log path",
    "log source",
    "path",
    "value",
    "re",
    "rules",
    "rule",
    "resource",
    "metadata_rules",
    "max",
    "length of",
    "seconds",
    "cidr",
    "name",
    "tag",
    "truthy",
    "from",
    "to",
    "definition",
    "prompt",
    "data",
    "questions",
    "response_schema",
    "max_tokens",
    "timeout",
    "cache_ttl",
];

/// Where a node stands, which decides what its keys may mean.
#[derive(Clone, Copy, Default)]
pub(super) struct Setting {
    pub(super) is_artifact: bool,
    /// Inside `with …`, where `count` counts events.
    pub(super) is_following: bool,
    /// Under a `not` or `is stateless`, in `scope`, in metadata, in a false-positive rule: no state can be kept.
    pub(super) is_stateless: bool,
    pub(super) depth: usize,
}

impl Setting {
    pub(super) fn deeper(self) -> Self {
        Self { depth: self.depth + 1, ..self }
    }

    pub(super) fn stateless(self) -> Self {
        Self { is_stateless: true, ..self.deeper() }
    }
}

impl Loader<'_> {
    pub(super) fn node(&mut self, at: &Cursor<'_>, setting: Setting) -> Result<Node, LoadError> {
        self.nodes_left = self.nodes_left.checked_sub(1).ok_or_else(|| {
            at.error(
                "rule/too-large",
                format!("the rule has more than {NODES_MAX} nodes"),
                "split it into several rules",
            )
        })?;
        if setting.depth > NODE_DEPTH_MAX {
            let message = format!("nodes nest deeper than {NODE_DEPTH_MAX} levels");
            return Err(at.error("rule/too-large", message, "flatten the rule"));
        }
        let entries = at.entries()?;
        let operator = operator_name(at, setting)?;
        for (key, _) in entries.iter().filter(|entry| !NODE_KEYS.contains(&entry.0.as_str())) {
            self.warn("rule/unknown-key", format!("the key {key} means nothing here"), at.join(key));
        }
        self.reports_latest |= at.flag("report latest event", false)?;
        let is_negated = at.flag("not", false)?;
        let is_stateless = at.flag("is stateless", false)?;
        let inner = if is_negated || is_stateless { setting.stateless() } else { setting.deeper() };
        Ok(Node {
            place: at.place.as_str().into(),
            operator,
            events: event_types(at)?,
            times: windows(at)?,
            is_negated,
            op: self.operator(at, operator, inner)?,
            group: None,
            follow: self.follow(at, setting)?,
            repeat: repeat(at, operator, setting)?,
            is_stateless,
        })
    }

    fn follow(&mut self, at: &Cursor<'_>, setting: Setting) -> Result<Option<Box<Follow>>, LoadError> {
        let mut found = FOLLOWS.iter().filter_map(|(key, relation)| Some((at.get(key)?, *relation)));
        let Some((rule, relation)) = found.next() else { return Ok(None) };
        if found.next().is_some() {
            let message = "with child, with descendant and with events exclude each other";
            return Err(at.error("rule/stateful", message, "put each on a node of its own, under and"));
        }
        self.is_stateful = true;
        if setting.is_artifact {
            return Err(rule.error("rule/stateful", "rules on artifacts cannot be stateful", "remove the key"));
        }
        if setting.is_stateless {
            self.warn(
                "rule/stateful",
                "a node here keeps no state, so what follows never happens".to_owned(),
                rule.place.clone(),
            );
        }
        let inner = Setting { is_following: true, ..setting.deeper() };
        Ok(Some(Box::new(Follow { relation, rule: self.node(&rule, inner)? })))
    }

    pub(super) fn children(&mut self, at: &Cursor<'_>, setting: Setting) -> Result<Vec<Node>, LoadError> {
        let rules = at.need("rules", "give a list of nodes")?;
        let items = rules.items()?;
        if items.is_empty() {
            return Err(rules.error("rule/empty-rules", "rules is empty", "give at least one node"));
        }
        items.iter().map(|item| self.node(item, setting)).collect()
    }

    pub(super) fn external(&mut self, at: &Cursor<'_>, setting: Setting) -> Result<Op, LoadError> {
        let resource = at.need("resource", "name a shared detection, such as lcr://detection/NAME")?;
        let reference = resource.text()?;
        let Some(value) = self.resources.detection(reference) else {
            let message = format!("resource {reference:?} is not available");
            return Err(resource.error("rule/unknown-resource", message, "name a shared detection that exists"));
        };
        let tree = Tree::from_value(value.clone())?;
        let inner = tree.get("detect").unwrap_or(&tree);
        let node = self.node(&Cursor::new(inner, &at.join("resource")), setting)?;
        Ok(Op::External(Box::new(node)))
    }
}

fn operator_name(at: &Cursor<'_>, setting: Setting) -> Result<&'static str, LoadError> {
    let op = at.need("op", "every node needs one of the operators")?;
    let name = op.text()?;
    let Some(operator) = OPERATORS.iter().find(|known| **known == name) else {
        let help = format!("the operators are: {}", OPERATORS.join(", "));
        return Err(op.error("rule/unknown-op", format!("unknown op {name:?}"), help));
    };
    if setting.is_artifact && !ARTIFACT_OPERATORS.contains(operator) {
        let help = format!("rules on artifacts may use: {}", ARTIFACT_OPERATORS.join(", "));
        return Err(op.error("rule/op-not-allowed", format!("op {name:?} does not work on artifacts"), help));
    }
    Ok(operator)
}

fn event_types(at: &Cursor<'_>) -> Result<Box<[Box<str>]>, LoadError> {
    let mut types: Vec<Box<str>> = Vec::new();
    if let Some(event) = at.get("event").filter(|event| !matches!(event.tree.kind, Kind::Null)) {
        types.push(event.label()?.into());
    }
    if let Some(events) = at.get("events").filter(|events| !matches!(events.tree.kind, Kind::Null)) {
        match &events.tree.kind {
            Kind::Text(text) => types.push(text.as_str().into()),
            _ => {
                for item in events.items()? {
                    types.push(item.label()?.into());
                }
            }
        }
    }
    Ok(types.into())
}

fn repeat(at: &Cursor<'_>, operator: &str, setting: Setting) -> Result<Option<Repeat>, LoadError> {
    let Some(count) = at.get("count") else { return Ok(None) };
    let (value, within) = (count.integer()?, at.count_of("within")?);
    if value < 1 {
        return Err(count.error("rule/out-of-range", format!("count is {value}"), "count must be at least 1"));
    }
    if !setting.is_following || (operator == "contains" && within.is_none()) {
        return Ok(None);
    }
    if value > REPEAT_COUNT_MAX || within.is_some_and(|seconds| seconds > WITHIN_SECONDS_MAX) {
        let help = format!("count is at most {REPEAT_COUNT_MAX} and within at most {WITHIN_SECONDS_MAX} seconds");
        return Err(count.error("rule/out-of-range", "count or within is too large", help));
    }
    let count = u32::try_from(value).unwrap_or(u32::MAX);
    Ok(Some(Repeat { count, within_ms: within.map(|seconds| seconds * 1000) }))
}

fn windows(at: &Cursor<'_>) -> Result<Box<[Window]>, LoadError> {
    let Some(times) = at.get("times") else { return Ok(Box::default()) };
    match times.tree.kind {
        Kind::Null => Ok(Box::default()),
        Kind::Map(_) => Ok(Box::new([window(&times)?])),
        _ => times.items()?.iter().map(window).collect(),
    }
}

fn window(at: &Cursor<'_>) -> Result<Window, LoadError> {
    at.entries()?;
    let in_range = |key: &str, least: i64, most: i64| {
        let value = at.integer_of(key)?;
        if value.is_some_and(|value| !(least..=most).contains(&value)) {
            let help = format!("{key} must be from {least} to {most}");
            return Err(at.error("rule/out-of-range", format!("{key} is out of range"), help));
        }
        Ok(value)
    };
    let zone = match at.text_of("tz")? {
        None => None,
        Some(name) => Some(TimeZone::get(&name).map_err(|_| {
            let help = "use an IANA name such as Europe/Paris";
            at.error("rule/unknown-zone", format!("tz {name:?} is not a known time zone"), help)
        })?),
    };
    Ok(Window {
        day_of_week: (in_range("day_of_week_start", 1, 7)?, in_range("day_of_week_end", 1, 7)?),
        time_of_day: (in_range("time_of_day_start", 0, 2359)?, in_range("time_of_day_end", 0, 2359)?),
        day_of_month: in_range("day_of_month", 1, 31)?,
        month_of_year: in_range("month_of_year", 1, 12)?,
        epoch_seconds: (at.integer_of("ts_start")?, at.integer_of("ts_end")?),
        zone,
    })
}
