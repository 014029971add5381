//! `ext-reliable-tasking`: the actions of both generations of documents, and ours.
//!
//! Source: reference/sensor.md section 12, reference/rest-api.md section 10.3.

mod actions;

pub(super) use actions::TABLE;

use super::table::Action;
use super::{Error, Extensions};
use crate::access::{self, Caller, INSTALLATION_KEY};
use crate::intake::event::Actor;
use crate::names;
use crate::organization::Organization;
use crate::tasking::{self, Cancelled, Choice, NewTask, TargetsAsked, TargetsFrom};
use muster_command::Command;
use muster_model::{Oid, Platform, Sid, TaskId};
use muster_selector::{Fleet as _, Selector, Targeting};
use muster_tasking::{Conditions, DEFAULT_TTL_S, Pace, SensorOrder, TargetState, UnknownOrder};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// Targets on a page when the caller names no number.
const PAGE_DEFAULT: usize = 100;

/// Tags that are named to whoever names one that is not there.
const TAGS_SHOWN_MAX: usize = 20;

/// Fields that the published converter fills with their own name.
const OWN_NAMES: &[&str] = &["sid", "tag", "selector", "plat", "context", "task_id"];

/// Carries out an action.
pub async fn request(
    extensions: &Extensions,
    organization: &Arc<Organization>,
    action: &Action,
    data: &Value,
    actor: &Actor,
) -> Result<Value, Error> {
    let meant = if actor.is_rule() { Some(without_own_names(data)?) } else { None };
    let fields = Fields(action.read(meant.as_ref().unwrap_or(data))?);
    let selector = || {
        fields.targets_are_known(extensions, organization)?;
        fields.selector()
    };
    match action.name {
        "task" => task(extensions, organization, &fields, actor).await,
        "list" => Ok(tasking::list(organization, &selector()?)),
        "untask" => untask(extensions, organization, &fields, actor).await,
        "cancel" => cancel(extensions, organization, &fields, actor).await,
        "overview" => Ok(tasking::overview(organization, fields.limit()?, fields.sid()?)),
        "preview" => Ok(tasking::preview(organization, &selector()?, fields.number("limit")?)),
        "commands" => Ok(tasking::commands(fields.text("task")?)?),
        "get" => {
            Ok(tasking::page_of_targets(&extensions.tasking, organization, fields.task_id()?, &fields.targets_asked()?)
                .await?)
        }
        "explain" => {
            let sid = fields.sid()?.ok_or_else(|| Error::invalid("sid is required"))?;
            Ok(tasking::explain(&extensions.tasking, organization, fields.task_id()?, sid).await?)
        }
        "pause" => {
            Ok(tasking::pause(&extensions.tasking, organization, fields.task_id()?, actor).await.map(|()| json!({}))?)
        }
        "resume" => Ok(tasking::resume(&extensions.tasking, organization, fields.task_id()?, actor)
            .await
            .map(|()| json!({}))?),
        // Internal hooks of the published extension; here the gateway does both by itself.
        "signal_attempt" | "signal_received" => Ok(json!({})),
        other => Err(Error::Fault(format!("reliable tasking has no action {other}"))),
    }
}

/// A request of a rule without the fields that hold nothing but their own name: the published converter
/// writes these where the older rule said nothing, and means no sensor group called `tag`.
///
/// Only of rules: in a request of a person, `tag` is a tag like any other. Source: reference/rest-api.md
/// section 11.4.
fn without_own_names(data: &Value) -> Result<Value, Error> {
    let Some(fields) = data.as_object() else { return Ok(data.clone()) };
    let means_itself = |name: &str| fields.get(name).and_then(Value::as_str) == Some(name);
    let targets = ["sid", "tag", "selector", "plat"].into_iter().filter(|name| fields.contains_key(*name));
    let (empty, named): (Vec<&str>, Vec<&str>) = targets.partition(|name| means_itself(name));
    if named.is_empty() && !empty.is_empty() {
        let text = format!(
            "the rule names no target: {} holds nothing but its own name; `muster rule convert` does it right",
            empty.join(" and ")
        );
        return Err(Error::invalid(text));
    }
    let is_meant = |(name, _): &(&String, &Value)| !(OWN_NAMES.contains(&name.as_str()) && means_itself(name));
    Ok(fields.iter().filter(is_meant).map(|(name, value)| (name.clone(), value.clone())).collect())
}

async fn task(
    extensions: &Extensions,
    organization: &Arc<Organization>,
    fields: &Fields,
    actor: &Actor,
) -> Result<Value, Error> {
    let command = fields.text("task")?;
    let command = command.ok_or_else(|| Error::invalid("missing task: task is required, the command line to run"))?;
    if extensions.require_targeting && fields.targeting()?.is_blank() {
        return Err(Error::invalid("one of sid, tag, selector is required; selector * is every sensor"));
    }
    let is_for_all = fields.targeting()?.is_blank();
    let dynamic = fields.flag("dynamic")?;
    if !dynamic {
        fields.targets_are_known(extensions, organization)?;
    }
    let selector = fields.selector()?;
    let new = NewTask {
        command: command.to_owned(),
        selector: selector.clone(),
        context: fields.text("context")?.map(str::to_owned),
        ttl_s: fields.ttl()?,
        task_id: fields.text("task_id")?.map(parse_task_id).transpose()?,
        dynamic,
        urgent: fields.flag("urgent")?,
        conditions: fields.object::<Conditions>("conditions")?,
        pace: fields.object::<Pace>("pace")?.unwrap_or_default(),
    };
    check_digest(new.conditions.as_ref())?;
    let created = tasking::create(&extensions.tasking, organization, new, actor).await?;
    let mut answer = json!({
        "task_id": created.task_id, "total_sensors": created.total, "tasked_sensors": created.tasked,
        "queued_sensors": created.total - created.tasked,
    });
    if is_for_all {
        answer["all_sensors"] = json!(true);
    }
    if created.total == 0 {
        answer["warning"] = json!(nobody(organization, &selector, dynamic));
    }
    Ok(answer)
}

/// What to say of a task without targets.
fn nobody(organization: &Organization, selector: &Selector, dynamic: bool) -> String {
    let text = selector.text();
    let mut warning = match dynamic {
        true => format!("no sensor matches {text} now; those that begin to will get the task"),
        false => format!("no sensor matches {text}, so that nobody gets the task"),
    };
    for label in selector.never_true(&organization.state.lock().fleet) {
        warning.push_str(&format!("; of no sensor it is true that {label}"));
    }
    warning
}

fn no_sensor_id(text: &str) -> Error {
    Error::invalid(format!("sid is not a sensor id: {text:?}; sensor ids are UUIDs, as the list of sensors has them"))
}

/// Checks that a caller may have the payload used that a task names.
///
/// # Errors
///
/// [`access::Error::MissingPermission`].
pub fn require_payload(caller: &Caller, oid: Oid, action: &str, data: &Value) -> Result<(), access::Error> {
    let line = ["task", "command"].into_iter().find_map(|name| data.get(name)).and_then(Value::as_str);
    match line.filter(|_| action == "task").map(Command::parse) {
        // What is no command is refused further on.
        Some(Ok(command)) => tasking::require_payload(caller, oid, &command),
        _ => Ok(()),
    }
}

fn check_digest(conditions: Option<&Conditions>) -> Result<(), Error> {
    let digest = conditions.and_then(|conditions| conditions.payload_sha256.as_deref());
    match digest {
        Some(digest) if digest.len() != 64 || !digest.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
            Err(Error::invalid("conditions.payload_sha256 must be 64 hex digits"))
        }
        _ => Ok(()),
    }
}

async fn untask(
    extensions: &Extensions,
    organization: &Arc<Organization>,
    fields: &Fields,
    actor: &Actor,
) -> Result<Value, Error> {
    let task_id = fields.text("task_id")?;
    if task_id.is_none() && fields.targeting()?.is_blank() {
        return Err(Error::invalid("task_id, or one of sid, tag, selector, is required; selector * is every sensor"));
    }
    let task_id = match task_id {
        None => None,
        Some(text) => {
            let known = text.parse().ok().filter(|id| organization.state.lock().queue.find(*id).is_some());
            Some(known.ok_or_else(|| no_such_task(text))?)
        }
    };
    fields.targets_are_known(extensions, organization)?;
    let selector = (!fields.targeting()?.is_blank()).then(|| fields.selector()).transpose()?;
    let (deleted, withdrawn) =
        tasking::untask(&extensions.tasking, organization, &Choice { task_id, selector }, actor).await?;
    let mut answer = json!({"deleted": deleted});
    if withdrawn > 0 {
        answer["withdrawn"] = json!(withdrawn);
    }
    Ok(answer)
}

async fn cancel(
    extensions: &Extensions,
    organization: &Arc<Organization>,
    fields: &Fields,
    actor: &Actor,
) -> Result<Value, Error> {
    let id = fields.task_id()?;
    fields.targets_are_known(extensions, organization)?;
    let selector = (!fields.targeting()?.is_blank()).then(|| fields.selector()).transpose()?;
    let cancelled = tasking::cancel(&extensions.tasking, organization, id, selector, actor).await?;
    let Cancelled { deleted, withdrawn, stopping } = cancelled.ok_or_else(|| no_such_task(&id.to_string()))?;
    let mut answer = json!({"deleted": deleted, "withdrawn": withdrawn, "stopping": stopping});
    if deleted + withdrawn + stopping == 0 {
        answer["warning"] =
            json!("nothing was cancelled: on every sensor that was named the task has ended, or it is not for it");
    }
    Ok(answer)
}

/// Of a removed or expired task the id is known for some time; of another one nothing can be taken back.
fn no_such_task(text: &str) -> Error {
    Error::NoTask(text.to_owned())
}

fn parse_task_id(text: &str) -> Result<TaskId, Error> {
    text.parse().map_err(|_| Error::invalid("task_id must be a UUID"))
}

/// The fields of a request, as the table of actions has them.
struct Fields(Map<String, Value>);

impl Fields {
    fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    fn text(&self, name: &str) -> Result<Option<&str>, Error> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.as_str()).filter(|text| !text.is_empty())),
            Some(_) => Err(Error::invalid(format!("{name} must be text"))),
        }
    }

    fn flag(&self, name: &str) -> Result<bool, Error> {
        match self.get(name) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(_) => Err(Error::invalid(format!("{name} must be true or false"))),
        }
    }

    fn number(&self, name: &str) -> Result<Option<usize>, Error> {
        let wrong = || Error::invalid(format!("{name} must be a whole number of at least 1"));
        match self.get(name) {
            None => Ok(None),
            Some(value) => {
                let number = value.as_u64().filter(|number| *number > 0).ok_or_else(wrong)?;
                usize::try_from(number).map(Some).map_err(|_| wrong())
            }
        }
    }

    fn limit(&self) -> Result<usize, Error> {
        Ok(self.number("limit")?.unwrap_or(PAGE_DEFAULT))
    }

    /// Which targets of a task to show.
    fn targets_asked(&self) -> Result<TargetsAsked<'_>, Error> {
        let (shown, state) = (self.list("fields")?, self.text("state")?);
        names::require_known(shown.iter().copied(), tasking::TARGET_FIELDS)?;
        let state = match state.map(|name| (name, TargetState::from_name(name))) {
            None => None,
            Some((_, Some(state))) => Some(state),
            Some((name, None)) => {
                let known = TargetState::ALL.map(TargetState::name).join(", ");
                return Err(Error::invalid(format!("unknown state: {name}; one of {known}")));
            }
        };
        Ok(TargetsAsked { state, from: self.targets_from()?, limit: self.limit()?, fields: shown })
    }

    fn targets_from(&self) -> Result<TargetsFrom, Error> {
        let (cursor, sort, offset) = (self.text("cursor")?, self.text("sort")?, self.get("offset"));
        if let Some(cursor) = cursor {
            if sort.is_some() || offset.is_some() {
                return Err(Error::invalid(
                    "a page begins at cursor, or at offset in the order of sort: send one of them",
                ));
            }
            let wrong = || Error::invalid("cursor is not one that was given out");
            return cursor.parse().map(TargetsFrom::After).map_err(|_| wrong());
        }
        let wrong = || Error::invalid("offset must be a whole number of at least 0");
        let offset = offset.map_or(Ok(0), |offset| offset.as_u64().ok_or_else(wrong))?;
        let order = sort.map_or(Ok(SensorOrder::ENROLLED), str::parse);
        let order = order.map_err(|error: UnknownOrder| Error::invalid(error.to_string()))?;
        Ok(TargetsFrom::Offset(offset, order))
    }

    /// Names in a list, or in one text joined by commas.
    fn list(&self, name: &str) -> Result<Vec<&str>, Error> {
        let wrong = || Error::invalid(format!("{name} must be a list of names"));
        match self.get(name) {
            None => Ok(Vec::new()),
            Some(Value::String(text)) => Ok(text.split(',').map(str::trim).filter(|name| !name.is_empty()).collect()),
            Some(Value::Array(items)) => items.iter().map(|item| item.as_str().ok_or_else(wrong)).collect(),
            Some(_) => Err(wrong()),
        }
    }

    fn ttl(&self) -> Result<u64, Error> {
        let wrong = || Error::invalid("ttl must be a whole number of seconds, at least 1");
        match self.get("ttl") {
            None => Ok(DEFAULT_TTL_S),
            // Rules that were converted from older ones carry numbers as text.
            Some(Value::String(text)) => text.parse().map_err(|_| wrong()),
            Some(value) => value.as_u64().ok_or_else(wrong),
        }
    }

    fn sid(&self) -> Result<Option<Sid>, Error> {
        self.text("sid")?.map(|sid| sid.parse().map_err(|_| no_sensor_id(sid))).transpose()
    }

    fn task_id(&self) -> Result<TaskId, Error> {
        let text = self.text("task_id")?.ok_or_else(|| Error::invalid("task_id is required"))?;
        text.parse().map_err(|_| no_such_task(text))
    }

    /// Refuses a sensor, platform or tag that cannot be one, or that nothing ever had: such a request would look
    /// like one that was accepted, and reach nobody.
    fn targets_are_known(&self, extensions: &Extensions, organization: &Organization) -> Result<(), Error> {
        let Targeting { sid, tag, plat, .. } = self.targeting()?;
        if let Some(sid) = sid.filter(|sid| *sid != "*" && sid.parse::<Sid>().is_err()) {
            return Err(no_sensor_id(sid));
        }
        let is_platform = |name: &str| Platform::from_name(name).is_some() || name.parse::<u32>().is_ok();
        if let Some(name) = plat.filter(|name| !is_platform(name)) {
            let known: Vec<&str> = Platform::names().collect();
            let hint = names::nearest(name, &known).map(|near| format!("; did you mean {near}?")).unwrap_or_default();
            return Err(Error::invalid(format!("no such platform: {name}{hint}; one of {}", known.join(", "))));
        }
        if let Some(tag) = tag.filter(|tag| !is_tag(extensions, organization, tag)) {
            let known: Vec<_> = organization.state.lock().fleet.tags();
            let names: Vec<&str> = known.iter().map(|tag| &**tag).take(TAGS_SHOWN_MAX).collect();
            let known = if names.is_empty() { "none yet".to_owned() } else { names.join(", ") };
            return Err(Error::NoTag { tag: tag.to_owned(), known });
        }
        Ok(())
    }

    fn object<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, Error> {
        let parse = |value: &Value| T::deserialize(value);
        self.get(name).map(parse).transpose().map_err(|error| Error::invalid(format!("{name}: {error}")))
    }

    fn targeting(&self) -> Result<Targeting<'_>, Error> {
        let legacy = |name| match self.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.as_str())),
            Some(_) => Err(Error::invalid(format!("{name} must be text"))),
        };
        Ok(Targeting {
            selector: self.text("selector")?,
            sid: legacy("sid")?,
            tag: legacy("tag")?,
            plat: legacy("plat")?,
        })
    }

    fn selector(&self) -> Result<Selector, Error> {
        Selector::from_targeting(self.targeting()?).map_err(Error::Selector)
    }
}

/// Whether a sensor has a tag, or one that enrols with some installation key will have it.
fn is_tag(extensions: &Extensions, organization: &Organization, tag: &str) -> bool {
    let is_carried = organization.state.lock().fleet.tagged(tag).is_some();
    let keys = || extensions.records.list(organization.oid, INSTALLATION_KEY).into_iter();
    is_carried || keys().any(|(_, key)| key.tags.iter().any(|have| have == tag))
}
