//! `ext-reliable-tasking`: the actions of both generations of documents, and ours.
//!
//! Source: reference/sensor.md section 12, reference/rest-api.md section 10.3.

use crate::api::ApiError;
use crate::app::App;
use crate::event::Actor;
use crate::organization::Organization;
use crate::tasking::{self, Choice, NewTask};
use muster_model::{Sid, TaskId};
use muster_selector::{Selector, Targeting};
use muster_tasking::{Conditions, DEFAULT_TTL_S, Pace};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::str::FromStr;
use std::sync::Arc;

/// Targets on a page when the caller names no number.
const PAGE_DEFAULT: usize = 100;

const ACTIONS: &[&str] = &[
    "task",
    "list",
    "untask",
    "get",
    "overview",
    "explain",
    "preview",
    "pause",
    "resume",
    "signal_attempt",
    "signal_received",
];

/// Fields that the published converter fills with their own name.
const OWN_NAMES: &[&str] = &["sid", "tag", "selector", "plat", "context", "task_id"];

/// Carries out an action.
pub async fn request(
    app: &Arc<App>,
    organization: &Arc<Organization>,
    action: &str,
    data: &Value,
    actor: &Actor,
) -> Result<Value, ApiError> {
    let meant = if actor.is_rule() { Some(without_own_names(data)?) } else { None };
    let fields = Fields(meant.as_ref().unwrap_or(data));
    match action {
        "task" => task(app, organization, &fields, actor).await,
        "list" => Ok(tasking::list(organization, &fields.selector()?)),
        "untask" => untask(app, organization, &fields, actor).await,
        "overview" => Ok(tasking::overview(organization, fields.limit()?)),
        "preview" => Ok(tasking::preview(organization, &fields.selector()?, fields.number("limit")?)),
        "get" => {
            let (state, cursor) = (fields.text("state")?, fields.text("cursor")?);
            tasking::page_of_targets(app, organization, fields.task_id()?, state, cursor, fields.limit()?).await
        }
        "explain" => {
            let sid = fields.text("sid")?.ok_or_else(|| ApiError::bad_request("sid is required"))?;
            let sid: Sid = sid.parse().map_err(|_| ApiError::not_found("sensor not found"))?;
            tasking::explain(app, organization, fields.task_id()?, sid).await
        }
        "pause" => tasking::pause(app, organization, fields.task_id()?, actor).await.map(|()| json!({})),
        "resume" => tasking::resume(app, organization, fields.task_id()?, actor).await.map(|()| json!({})),
        // Internal hooks of the published extension; here the gateway does both by itself.
        "signal_attempt" | "signal_received" => Ok(json!({})),
        other => Err(ApiError::bad_request(format!("unknown action: {other}; one of {}", ACTIONS.join(", ")))),
    }
}

/// A request of a rule without the fields that hold nothing but their own name: the published converter
/// writes these where the older rule said nothing, and means no sensor group called `tag`.
///
/// Only of rules: in a request of a person, `tag` is a tag like any other. Source: reference/rest-api.md
/// section 11.4.
fn without_own_names(data: &Value) -> Result<Value, ApiError> {
    let Some(fields) = data.as_object() else { return Ok(data.clone()) };
    let means_itself = |name: &str| fields.get(name).and_then(Value::as_str) == Some(name);
    let targets = ["sid", "tag", "selector", "plat"].into_iter().filter(|name| fields.contains_key(*name));
    let (empty, named): (Vec<&str>, Vec<&str>) = targets.partition(|name| means_itself(name));
    if named.is_empty() && !empty.is_empty() {
        let text = format!(
            "the rule names no target: {} holds nothing but its own name; `muster rule convert` does it right",
            empty.join(" and ")
        );
        return Err(ApiError::bad_request(text));
    }
    let is_meant = |(name, _): &(&String, &Value)| !(OWN_NAMES.contains(&name.as_str()) && means_itself(name));
    Ok(fields.iter().filter(is_meant).map(|(name, value)| (name.clone(), value.clone())).collect())
}

async fn task(
    app: &Arc<App>,
    organization: &Arc<Organization>,
    fields: &Fields<'_>,
    actor: &Actor,
) -> Result<Value, ApiError> {
    let command = fields.text("task")?.or(fields.text("command")?);
    let command =
        command.ok_or_else(|| ApiError::bad_request("missing task: task is required, the command line to run"))?;
    if app.config.require_targeting && fields.targeting()?.is_blank() {
        return Err(ApiError::bad_request("one of sid, tag, selector is required; selector * is every sensor"));
    }
    let new = NewTask {
        command: command.to_owned(),
        selector: fields.selector()?,
        context: fields.text("context")?.or(fields.text("inv_id")?).map(str::to_owned),
        ttl_s: fields.ttl()?,
        task_id: fields.text("task_id")?.map(parse_task_id).transpose()?,
        dynamic: fields.flag("dynamic")?,
        urgent: fields.flag("urgent")?,
        conditions: fields.object::<Conditions>("conditions")?,
        pace: fields.object::<Pace>("pace")?.unwrap_or_default(),
    };
    check_digest(new.conditions.as_ref())?;
    let created = tasking::create(app, organization, new, actor).await?;
    Ok(json!({
        "task_id": created.task_id, "total_sensors": created.total, "tasked_sensors": created.tasked,
        "queued_sensors": created.total - created.tasked,
    }))
}

fn check_digest(conditions: Option<&Conditions>) -> Result<(), ApiError> {
    let digest = conditions.and_then(|conditions| conditions.payload_sha256.as_deref());
    match digest {
        Some(digest) if digest.len() != 64 || !digest.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
            Err(ApiError::bad_request("conditions.payload_sha256 must be 64 hex digits"))
        }
        _ => Ok(()),
    }
}

async fn untask(
    app: &Arc<App>,
    organization: &Arc<Organization>,
    fields: &Fields<'_>,
    actor: &Actor,
) -> Result<Value, ApiError> {
    let task_id = fields.text("task_id")?;
    if task_id.is_none() && fields.targeting()?.is_blank() {
        return Err(ApiError::bad_request(
            "task_id, or one of sid, tag, selector, is required; selector * is every sensor",
        ));
    }
    // The published examples use ids that are no UUIDs: nothing has such an id, which is not an error.
    let task_id = match task_id.map(TaskId::from_str) {
        Some(Err(_)) => return Ok(json!({"deleted": 0})),
        Some(Ok(id)) => Some(id),
        None => None,
    };
    let selector = (!fields.targeting()?.is_blank()).then(|| fields.selector()).transpose()?;
    let (deleted, withdrawn) = tasking::untask(app, organization, &Choice { task_id, selector }, actor).await?;
    let mut answer = json!({"deleted": deleted});
    if withdrawn > 0 {
        answer["withdrawn"] = json!(withdrawn);
    }
    Ok(answer)
}

fn parse_task_id(text: &str) -> Result<TaskId, ApiError> {
    text.parse().map_err(|_| ApiError::bad_request("task_id must be a UUID"))
}

/// The fields of a request; a field that is null counts as absent.
struct Fields<'a>(&'a Value);

impl<'a> Fields<'a> {
    fn get(&self, name: &str) -> Option<&'a Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    fn text(&self, name: &str) -> Result<Option<&'a str>, ApiError> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.as_str()).filter(|text| !text.is_empty())),
            Some(_) => Err(ApiError::bad_request(format!("{name} must be text"))),
        }
    }

    fn flag(&self, name: &str) -> Result<bool, ApiError> {
        match self.get(name) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(_) => Err(ApiError::bad_request(format!("{name} must be true or false"))),
        }
    }

    fn number(&self, name: &str) -> Result<Option<usize>, ApiError> {
        let wrong = || ApiError::bad_request(format!("{name} must be a whole number of at least 1"));
        match self.get(name) {
            None => Ok(None),
            Some(value) => {
                let number = value.as_u64().filter(|number| *number > 0).ok_or_else(wrong)?;
                usize::try_from(number).map(Some).map_err(|_| wrong())
            }
        }
    }

    fn limit(&self) -> Result<usize, ApiError> {
        Ok(self.number("limit")?.unwrap_or(PAGE_DEFAULT))
    }

    fn ttl(&self) -> Result<u64, ApiError> {
        let wrong = || ApiError::bad_request("ttl must be a whole number of seconds, at least 1");
        match self.get("ttl") {
            None => Ok(DEFAULT_TTL_S),
            // Rules that were converted from older ones carry numbers as text.
            Some(Value::String(text)) => text.parse().map_err(|_| wrong()),
            Some(value) => value.as_u64().ok_or_else(wrong),
        }
    }

    fn task_id(&self) -> Result<TaskId, ApiError> {
        let text = self.text("task_id")?.ok_or_else(|| ApiError::bad_request("task_id is required"))?;
        text.parse().map_err(|_| ApiError::not_found("no such task"))
    }

    fn object<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, ApiError> {
        let parse = |value: &Value| T::deserialize(value);
        self.get(name).map(parse).transpose().map_err(|error| ApiError::bad_request(format!("{name}: {error}")))
    }

    fn targeting(&self) -> Result<Targeting<'a>, ApiError> {
        let legacy = |name| match self.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.as_str())),
            Some(_) => Err(ApiError::bad_request(format!("{name} must be text"))),
        };
        Ok(Targeting {
            selector: self.text("selector")?,
            sid: legacy("sid")?,
            tag: legacy("tag")?,
            plat: legacy("plat")?,
        })
    }

    fn selector(&self) -> Result<Selector, ApiError> {
        Selector::from_targeting(self.targeting()?).map_err(|error| invalid_selector(&error))
    }
}

/// 400 in the published wording. Source: reference/selectors.md section 6.
pub fn invalid_selector(error: &muster_selector::SelectorError) -> ApiError {
    ApiError::bad_request(format!("invalid selector: {error}")).with_code("invalid_selector")
}
