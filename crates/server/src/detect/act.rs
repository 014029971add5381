//! Carrying out what rules ask for. One failed action never stops another one.
//!
//! Source: reference/detection-response.md section 13.

use super::save_variables;
use crate::api::ApiError;
use crate::app::App;
use crate::event::Actor;
use crate::organization::Organization;
use crate::sensor::{self, Flag, Place};
use crate::tasking::{EXTENSION, send_direct};
use crate::{errors, extension, hive};
use muster_model::Sid;
use muster_rules::{Decided, Effect, Rule};
use roaring::RoaringBitmap;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

/// Name of the older service behind which the tasking extension stands.
const RELIABLE_TASKING: &str = "reliable-tasking";

/// Runs effects in order; what fails is told to the operators.
pub(super) async fn run(app: &Arc<App>, organization: &Arc<Organization>, effects: Vec<Decided>) {
    for Decided { rule, effect } in effects {
        if let Err(error) = act(app, organization, &rule, effect).await {
            let component = format!("dr-{}/{}", rule.meta.namespace, rule.meta.name);
            errors::report(app, organization.oid, &component, &error.message).await;
        }
    }
}

async fn act(app: &Arc<App>, organization: &Arc<Organization>, rule: &Rule, effect: Effect) -> Result<(), ApiError> {
    let identity = format!("rule/{}.{}", rule.meta.namespace, rule.meta.name);
    let actor = Actor { identity, origin: "system", source: None };
    let flag = async |sid: &str, flag, wanted| {
        let place = place_of(organization, sid)?;
        sensor::set_flag(app, &place, flag, wanted, &actor).await.map_err(ApiError::from)
    };
    match effect {
        Effect::Task { sid, command, investigation } => {
            let line = command_line(&command)?;
            send_direct(app, &place_of(organization, &sid)?, &[&line], investigation.as_deref(), &actor).await
        }
        Effect::AddTag { sid, tag, ttl, entire_device } => {
            let ttl = ttl.and_then(|ttl| u64::try_from(ttl).ok()).filter(|ttl| *ttl > 0).map(Duration::from_secs);
            let ordinals = device_of(organization, &place_of(organization, &sid)?, entire_device);
            sensor::put_tags(app, organization, &ordinals, &[&tag], ttl, &actor).await?;
            Ok(())
        }
        Effect::RemoveTag { sid, tag } => {
            let ordinals = RoaringBitmap::from_iter([place_of(organization, &sid)?.ordinal]);
            sensor::take_tags(app, organization, &ordinals, &[&tag], &actor).await?;
            Ok(())
        }
        Effect::AddVar { sid, .. } | Effect::DelVar { sid, .. } => match sid.parse() {
            Ok(sid) => save_variables(app, organization, sid).await.map_err(ApiError::from),
            Err(_) => Err(ApiError::not_found("the event has no sensor")),
        },
        Effect::IsolateNetwork { sid } => flag(&sid, Flag::Isolation, true).await,
        Effect::RejoinNetwork { sid } => flag(&sid, Flag::Isolation, false).await,
        Effect::Seal { sid } => flag(&sid, Flag::Seal, true).await,
        Effect::Unseal { sid } => flag(&sid, Flag::Seal, false).await,
        Effect::UndeleteSensor { sid } => {
            sensor::undelete(app, &place_of(organization, &sid)?, &actor).await.map_err(ApiError::from)
        }
        Effect::ExtensionRequest { extension_name, extension_action, extension_request } => {
            let (name, action) = (&extension_name, &extension_action);
            extension::request(app, organization, name, action, &extension_request, &actor).await.map(|_| ())
        }
        Effect::ServiceRequest { name, request } if name == RELIABLE_TASKING => {
            let action = request.get("action").and_then(Value::as_str).unwrap_or_default();
            extension::request(app, organization, EXTENSION, action, &request, &actor).await.map(|_| ())
        }
        Effect::ServiceRequest { name, .. } => Err(ApiError::not_found(format!("no such service: {name}"))),
        Effect::Wait { duration_ms } => {
            tokio::time::sleep(Duration::from_millis(u64::try_from(duration_ms).unwrap_or(0))).await;
            Ok(())
        }
        Effect::AddHiveTag { hive_name, record_name, tag } => {
            tag_record(app, organization, (&hive_name, &record_name, &tag), true, &actor).await
        }
        Effect::RemoveHiveTag { hive_name, record_name, tag } => {
            tag_record(app, organization, (&hive_name, &record_name, &tag), false, &actor).await
        }
        Effect::Output { name, .. } => Err(ApiError::not_found(format!(
            "there is no output {name:?} of type tailored; make one, or mend the rule"
        ))),
        Effect::Error { failed, place, message } => {
            Err(ApiError::bad_request(format!("{failed} ({place}): {message}")))
        }
        Effect::StartAiAgent { .. } => Err(unavailable("start ai agent")),
        Effect::ReEnroll { .. } => Err(unavailable("re-enroll")),
        _ => Err(unavailable("this action")),
    }
}

fn unavailable(action: &str) -> ApiError {
    ApiError::bad_request(format!("{action} is not available on this server; remove it from the rule"))
}

fn place_of(organization: &Arc<Organization>, sid: &str) -> Result<Place, ApiError> {
    let sid: Option<Sid> = sid.parse().ok();
    let ordinal = sid.and_then(|sid| organization.state.lock().fleet.ordinal(sid));
    let ordinal = ordinal.ok_or_else(|| ApiError::not_found(format!("no such sensor: {sid:?}")))?;
    Ok(Place { organization: Arc::clone(organization), ordinal })
}

/// The sensor, or all sensors of its device.
fn device_of(organization: &Organization, place: &Place, is_entire: bool) -> RoaringBitmap {
    let state = organization.state.lock();
    let did = state.fleet.row(place.ordinal).and_then(|row| row.sensor.did).filter(|_| is_entire);
    let mut ordinals = did.and_then(|did| state.fleet.on_device(did)).cloned().unwrap_or_default();
    ordinals.insert(place.ordinal);
    ordinals
}

/// A command line of a text, or of a list of arguments.
fn command_line(command: &Value) -> Result<String, ApiError> {
    let wrong = || ApiError::bad_request("a task's command must be text, or a list of texts and numbers");
    match command {
        Value::String(line) => Ok(line.clone()),
        Value::Array(arguments) => {
            let quoted: Option<Vec<String>> = arguments.iter().map(argument).collect();
            quoted.map(|arguments| arguments.join(" ")).ok_or_else(wrong)
        }
        _ => Err(wrong()),
    }
}

fn argument(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(_) | Value::Bool(_) => value.to_string(),
        _ => return None,
    };
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:=@%+,".contains(&byte);
    if !text.is_empty() && text.bytes().all(is_plain) {
        return Some(text);
    }
    Some(format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")))
}

async fn tag_record(
    app: &Arc<App>,
    organization: &Organization,
    (hive_name, key, tag): (&str, &str, &str),
    is_added: bool,
    actor: &Actor,
) -> Result<(), ApiError> {
    let hive = hive::find(hive_name).ok_or_else(|| ApiError::not_found(format!("no such hive: {hive_name}")))?;
    let record = hive::get(app, hive, organization.oid, key)?;
    let mut usr_mtd = record.usr_mtd;
    let had = usr_mtd.tags.iter().any(|have| have == tag);
    if had == is_added {
        return Ok(());
    }
    usr_mtd.tags.retain(|have| have != tag);
    if is_added {
        usr_mtd.tags.push(tag.to_owned());
    }
    let change = hive::Change { data: None, usr_mtd: Some(usr_mtd), etag: Some(record.sys_mtd.etag) };
    hive::set(app, hive, organization.oid, key, change, actor).await.map(|_| ())
}
