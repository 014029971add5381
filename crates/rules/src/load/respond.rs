//! Loads `respond`: actions, their parameters and their suppression.
//!
//! Source: reference/detection-response.md sections 13, 14 and 16.

use super::cursor::Cursor;
use super::duration::parse_ms;
use super::operator::path_from;
use super::tree::Kind;
use super::{LoadError, Loader};
use crate::action::{Action, Agent, Effectuate, Shape, Suppress, Text};
use crate::path::Path;
use crate::template::Template;
use crate::transform::Spec;

/// Longest `wait`, in milliseconds (section 22).
const WAIT_MS_MAX: i64 = 60_000;
/// Shortest and longest suppression period, in milliseconds: 1 s to 720 h (section 14).
const PERIOD_MS: (i64, i64) = (1_000, 720 * 3_600_000);
/// Most actions of one rule.
const ACTIONS_MAX: usize = 256;
/// Most keys of one suppression.
const KEYS_MAX: usize = 64;

const ACTIONS: &[&str] = &[
    "add hive tag",
    "add tag",
    "add var",
    "del var",
    "extension request",
    "isolate network",
    "output",
    "re-enroll",
    "rejoin network",
    "remove hive tag",
    "remove tag",
    "report",
    "seal",
    "service request",
    "start ai agent",
    "task",
    "undelete sensor",
    "unseal",
    "wait",
];

impl Loader<'_> {
    pub(super) fn respond(&mut self, at: &Cursor<'_>, is_artifact: bool) -> Result<Vec<Action>, LoadError> {
        if matches!(at.tree.kind, Kind::Null) {
            return Ok(Vec::new());
        }
        let items = at.items()?;
        if items.len() > ACTIONS_MAX {
            return Err(at.error(
                "rule/too-large",
                format!("respond has more than {ACTIONS_MAX} actions"),
                "split the rule",
            ));
        }
        let mut actions: Vec<Action> = Vec::new();
        for item in &items {
            let action = self.action(item)?;
            let is_report = matches!(action.does, Effectuate::Report { .. });
            if is_artifact && !is_report {
                let help = "rules on artifacts may only report";
                return Err(item.error(
                    "rule/action-not-allowed",
                    format!("action {:?} does not work on artifacts", action.name),
                    help,
                ));
            }
            let has_report = actions.iter().any(|action| matches!(action.does, Effectuate::Report { .. }));
            if action.is_based_on_report() && !has_report {
                let message = "based on report needs a report action before it";
                return Err(item.error("rule/no-report", message, "put a report action above this one"));
            }
            actions.push(action);
        }
        Ok(actions)
    }

    fn action(&mut self, at: &Cursor<'_>) -> Result<Action, LoadError> {
        at.entries()?;
        let name = at.need("action", "every response needs an action")?;
        let Some(known) = ACTIONS.iter().find(|known| Ok(**known) == name.text()) else {
            let help = format!("the actions are: {}", ACTIONS.join(", "));
            return Err(name.error("rule/unknown-action", format!("unknown action {:?}", name.label()?), help));
        };
        let does = match *known {
            "report" => self.report(at)?,
            "task" => Effectuate::Task {
                command: self.command(&at.need("command", "give the command line")?)?,
                investigation: self.optional_text(at, "investigation")?,
            },
            "add tag" => Effectuate::AddTag {
                tag: self.text(at, "tag")?,
                ttl: at.count_of("ttl")?,
                is_entire_device: at.flag("entire_device", false)?,
            },
            "remove tag" => Effectuate::RemoveTag { tag: self.text(at, "tag")? },
            "add var" => Effectuate::AddVar {
                name: self.text(at, "name")?,
                value: self.text(at, "value")?,
                ttl: at.count_of("ttl")?,
            },
            "del var" => Effectuate::DelVar { name: self.text(at, "name")?, value: self.text(at, "value")? },
            "extension request" => self.extension(at)?,
            "service request" => Effectuate::Service {
                name: self.text(at, "name")?,
                request: at.get("request").map(|request| self.shape(&request)).transpose()?,
                is_based_on_report: at.flag("based on report", false)?,
            },
            "output" => Effectuate::Output { name: self.text(at, "name")? },
            "wait" => Effectuate::Wait { duration_ms: wait_ms(&at.need("duration", "give a duration such as 10s")?)? },
            "add hive tag" | "remove hive tag" => Effectuate::HiveTag {
                is_added: *known == "add hive tag",
                hive: self.text(at, "hive name")?,
                record: self.text(at, "record name")?,
                tag: self.text(at, "tag")?,
            },
            "start ai agent" => Effectuate::StartAgent(Box::new(self.agent(at)?)),
            _ => Effectuate::Sensor,
        };
        Ok(Action { name: known, place: at.place.as_str().into(), suppress: self.suppression(at)?, does })
    }

    fn report(&mut self, at: &Cursor<'_>) -> Result<Effectuate, LoadError> {
        let name = at.need("name", "give the name of the detection")?;
        Ok(Effectuate::Report {
            name: self.template(&name, &name.label()?)?,
            is_published: at.flag("publish", true)?,
            priority: at.integer_of("priority")?,
            metadata: self.report_shape(at, "metadata")?,
            detect_data: self.report_shape(at, "detect_data")?,
        })
    }

    fn report_shape(&mut self, at: &Cursor<'_>, key: &str) -> Result<Option<Shape>, LoadError> {
        at.get(key).map(|shape| self.shape(&shape)).transpose()
    }

    fn extension(&mut self, at: &Cursor<'_>) -> Result<Effectuate, LoadError> {
        let request = match at.get("extension request") {
            Some(request) if !matches!(request.tree.kind, Kind::Null) => self.spec(&request)?,
            _ => Spec::empty(),
        };
        Ok(Effectuate::Extension {
            name: self.text(at, "extension name")?,
            action: self.text(at, "extension action")?,
            request,
            is_based_on_report: at.flag("based on report", false)?,
        })
    }

    fn agent(&mut self, at: &Cursor<'_>) -> Result<Agent, LoadError> {
        let has_inline = at.get("prompt").is_some() && at.get("anthropic_secret").is_some();
        if at.get("definition").is_none() && !has_inline {
            let message = "start ai agent needs definition, or prompt and anthropic_secret";
            return Err(at.error("rule/missing-key", message, "give one of the two"));
        }
        let data = match at.get("data") {
            Some(data) => Some(self.spec(&data)?),
            None => None,
        };
        let mut fields = Vec::new();
        for (key, tree) in at.entries()? {
            if !matches!(key.as_str(), "action" | "suppression" | "data") {
                fields.push((key.clone(), self.shape(&Cursor { tree, place: at.join(key) })?));
            }
        }
        Ok(Agent { fields: Shape::Map(fields), data })
    }

    fn suppression(&mut self, at: &Cursor<'_>) -> Result<Option<Suppress>, LoadError> {
        let Some(at) = at.get("suppression").filter(|at| !matches!(at.tree.kind, Kind::Null)) else { return Ok(None) };
        at.entries()?;
        let period = at.need("period", "give a period such as 1h")?;
        let range_help = "period is a duration from 1s to 720h in ns, us, ms, s, m and h, such as 1h30m";
        let period_ms = parse_ms(&period.label()?)
            .filter(|ms| (PERIOD_MS.0..=PERIOD_MS.1).contains(ms))
            .ok_or_else(|| period.error("rule/bad-duration", "period is not a duration in range", range_help))?;
        let max_count = at.need("max_count", "max_count is the last activation that still runs")?.integer()?;
        let mut keys: Vec<Template> = Vec::new();
        if let Some(list) = at.get("keys").filter(|list| !matches!(list.tree.kind, Kind::Null)) {
            for key in list.items()? {
                keys.push(self.template(&key, &key.label()?)?);
            }
        }
        if keys.len() > KEYS_MAX {
            return Err(at.error("rule/too-large", format!("keys has more than {KEYS_MAX} entries"), "use fewer keys"));
        }
        let count_path: Option<Path> = at.get("count_path").map(|path| path_from(&path, &path.label()?)).transpose()?;
        Ok(Some(Suppress {
            max_count,
            min_count: at.integer_of("min_count")?.unwrap_or(0),
            period_ms,
            is_global: at.flag("is_global", false)?,
            keys,
            count_path,
        }))
    }

    fn command(&mut self, at: &Cursor<'_>) -> Result<Shape, LoadError> {
        match &at.tree.kind {
            Kind::List(_) => {
                let items: Result<_, _> =
                    at.items()?.iter().map(|item| self.parse_text(item).map(Shape::Text)).collect();
                Ok(Shape::List(items?))
            }
            _ => self.parse_text(at).map(Shape::Text),
        }
    }

    fn text(&mut self, at: &Cursor<'_>, key: &str) -> Result<Text, LoadError> {
        let value = at.need(key, "")?;
        self.parse_text(&value)
    }

    fn optional_text(&mut self, at: &Cursor<'_>, key: &str) -> Result<Option<Text>, LoadError> {
        let value = at.get(key).filter(|value| !matches!(value.tree.kind, Kind::Null));
        value.map(|value| self.parse_text(&value)).transpose()
    }

    fn parse_text(&mut self, at: &Cursor<'_>) -> Result<Text, LoadError> {
        let text = at.label()?;
        Text::new(self.templates, &text).map_err(|cause| at.error("rule/bad-template", cause.to_string(), ""))
    }

    fn shape(&mut self, at: &Cursor<'_>) -> Result<Shape, LoadError> {
        match &at.tree.kind {
            Kind::Text(_) => self.parse_text(at).map(Shape::Text),
            Kind::List(_) => {
                let items: Result<_, _> = at.items()?.iter().map(|item| self.shape(item)).collect();
                Ok(Shape::List(items?))
            }
            Kind::Map(entries) => {
                let inner =
                    |(key, tree): &(String, _)| Ok((key.clone(), self.shape(&Cursor { tree, place: at.join(key) })?));
                Ok(Shape::Map(entries.iter().map(inner).collect::<Result<_, LoadError>>()?))
            }
            _ => Ok(Shape::Literal(at.tree.to_value())),
        }
    }

    fn spec(&mut self, at: &Cursor<'_>) -> Result<Spec, LoadError> {
        at.entries()?;
        Spec::new(self.templates, &at.tree.to_value())
            .map_err(|cause| at.error("rule/bad-transform", cause.to_string(), ""))
    }
}

fn wait_ms(at: &Cursor<'_>) -> Result<i64, LoadError> {
    let duration = match &at.tree.kind {
        Kind::Number(number) => number.as_i64().and_then(|seconds| seconds.checked_mul(1000)),
        _ => parse_ms(&at.label()?),
    };
    duration.filter(|ms| (0..=WAIT_MS_MAX).contains(ms)).ok_or_else(|| {
        at.error("rule/bad-duration", "duration is not a duration of at most one minute", "write 10s, 500ms or seconds")
    })
}
