//! Carrying out what rules ask for, from the stored queue. One failed action never stops another one.
//!
//! An action is taken out of the store after it was carried out: a server that dies in between
//! carries it out again. Tags, flags and tags of records are the same after that; tasks have ids
//! that are made of the action's, so that the queue or the sensor knows them again.
//!
//! Source: reference/detection-response.md section 13.

use super::action::Action;
use super::trouble::Trouble;
use super::{Detect, Detector};
use crate::intake::event::Actor;
use crate::organization::Organization;
use crate::organization::Place;
use crate::sensor::{self, Flag};
use crate::service::{Asked, By};
use crate::tasking::{DIRECT_LIFETIME, EXTENSION, Order, send_ordered};
use crate::{clock, extension, hive, tasking};
use muster_model::Sid;
use muster_rules::Effect;
use muster_store::StoreError;
use roaring::RoaringBitmap;
use serde_json::{Value, json};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::time::sleep;
use uuid::Uuid;

/// Name of the older service behind which the tasking extension stands.
const RELIABLE_TASKING: &str = "reliable-tasking";

/// While the store cannot write, an action is tried again after this long, doubling.
const RETRY_MIN: Duration = Duration::from_millis(250);
const RETRY_MAX: Duration = Duration::from_secs(30);

/// How often it is looked whether a sensor is back for a task that waited when the server started.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// A record's tag is set on the record as it is: so often it is read again when someone changes it meanwhile.
const TAG_TRIES: usize = 5;

/// Why an action was not carried out.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error("no such sensor: {0:?}")]
    NoSensor(String),
    #[error("no such hive: {0}")]
    NoHive(String),
    #[error("a task's command must be text, or a list of texts and numbers")]
    Command,
    #[error(transparent)]
    Tasking(#[from] tasking::Error),
    #[error(transparent)]
    Extension(#[from] extension::Error),
    #[error(transparent)]
    Service(#[from] crate::service::Error),
    #[error(transparent)]
    Hive(#[from] hive::Error),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Failed {
    /// What the store said, if that is why.
    fn of_store(&self) -> Option<&StoreError> {
        match self {
            Self::Store(error) => Some(error),
            Self::Tasking(error) => error.of_store(),
            Self::Extension(error) => error.of_store(),
            Self::Hive(error) => error.of_store(),
            Self::Service(crate::service::Error::Store(error)) => Some(error),
            _ => None,
        }
    }

    /// What operators are told. What is wrong with the server itself is for its log.
    fn text(&self) -> String {
        let is_fault = match self.of_store() {
            Some(StoreError::Conflict(_)) => false,
            Some(_) => true,
            None => matches!(self, Self::Extension(extension::Error::Fault(_)) | Self::Hive(hive::Error::Fault(_))),
        };
        if !is_fault {
            return self.to_string();
        }
        tracing::error!(error = %self, "an action of a rule failed inside the server");
        "the server failed to carry this out; its log says why".to_owned()
    }
}

/// Has the actions of these sensors carried out.
pub(super) fn begin(detect: &Arc<Detect>, detector: &Arc<Detector>, sids: Vec<Option<Sid>>) {
    for sid in sids {
        detect.detectors.spawn(detector.oid, run(Arc::downgrade(detect), Arc::clone(detector), sid));
    }
}

/// Carries out the actions of one sensor in order, until none waits.
async fn run(detect: Weak<Detect>, detector: Arc<Detector>, sid: Option<Sid>) {
    while let Some(action) = detector.pending.next(sid) {
        if let Effect::Wait { duration_ms } = action.ordered.effect {
            sleep(Duration::from_millis(u64::try_from(duration_ms).unwrap_or(0))).await;
        }
        let Some(detect) = detect.upgrade() else { return };
        if let Some(organization) = detect.organizations.get(detector.oid) {
            carry_out(&detect, &organization, &detector, &action).await;
        }
        remove(&detect, &detector, &action).await;
        detector.pending.done(sid);
    }
}

/// Carries out one action; what fails is told to the operators, but a store that cannot write is waited for.
async fn carry_out(detect: &Arc<Detect>, organization: &Arc<Organization>, detector: &Detector, action: &Action) {
    let mut pause = RETRY_MIN;
    loop {
        let done = {
            // Closed never: the detector is there.
            let _permit = detector.pending.acting.acquire().await;
            act(detect, organization, action).await
        };
        match done {
            Ok(()) => return,
            Err(failed)
                if matches!(
                    failed.of_store(),
                    Some(StoreError::Full | StoreError::Busy | StoreError::Unavailable(_))
                ) =>
            {
                sleep(pause).await;
                pause = (pause * 2).min(RETRY_MAX);
            }
            Err(failed) => {
                let ordered = &action.ordered;
                Trouble::of_rule(detector.oid, &ordered.namespace, &ordered.rule, &failed.text()).tell(detect);
                return;
            }
        }
    }
}

/// Takes an action out of the store. One that fails is repeated: the action was carried out.
async fn remove(detect: &Detect, detector: &Detector, action: &Action) {
    let mut pause = RETRY_MIN;
    while let Err(error) = detect.store.commit(vec![action.removal(detector.oid)]).await {
        tracing::warn!(oid = %detector.oid, %error, "an action that was carried out could not be taken out of its queue");
        sleep(pause).await;
        pause = (pause * 2).min(RETRY_MAX);
    }
}

async fn act(detect: &Arc<Detect>, organization: &Arc<Organization>, action: &Action) -> Result<(), Failed> {
    let ordered = &action.ordered;
    let identity = format!("rule/{}.{}", ordered.namespace, ordered.rule);
    let actor = Actor { identity, origin: "system", source: None, called_by: None };
    let flag = async |sid: &str, flag, wanted| {
        let place = place_of(organization, sid)?;
        sensor::set_flag(&detect.sensors, &place, flag, wanted, &actor).await.map_err(Failed::from)
    };
    match &ordered.effect {
        Effect::Task { sid, command, investigation } => {
            let place = place_of(organization, sid)?;
            task(detect, &place, action, &command_line(command)?, investigation.as_deref(), &actor).await
        }
        Effect::AddTag { sid, tag, ttl, entire_device } => {
            let ttl = ttl.and_then(|ttl| u64::try_from(ttl).ok()).filter(|ttl| *ttl > 0).map(Duration::from_secs);
            let ordinals = device_of(organization, &place_of(organization, sid)?, *entire_device);
            sensor::put_tags(&detect.sensors, organization, &ordinals, &[tag], ttl, &actor).await?;
            Ok(())
        }
        Effect::RemoveTag { sid, tag } => {
            let ordinals = RoaringBitmap::from_iter([place_of(organization, sid)?.ordinal]);
            sensor::take_tags(&detect.sensors, organization, &ordinals, &[tag], &actor).await?;
            Ok(())
        }
        Effect::IsolateNetwork { sid } => flag(sid, Flag::Isolation, true).await,
        Effect::RejoinNetwork { sid } => flag(sid, Flag::Isolation, false).await,
        Effect::Seal { sid } => flag(sid, Flag::Seal, true).await,
        Effect::Unseal { sid } => flag(sid, Flag::Seal, false).await,
        Effect::UndeleteSensor { sid } => {
            sensor::undelete(&detect.sensors, &place_of(organization, sid)?, &actor).await.map_err(Failed::from)
        }
        Effect::ExtensionRequest {
            extension_name: name,
            extension_action: action,
            extension_request,
            investigation,
        } if !extension::is_built_in(name) => {
            let data = extension_request.as_object().cloned().unwrap_or_default();
            let by = By::Rule(&ordered.namespace, &ordered.rule);
            let asked = Asked { action, data, inv_id: investigation.as_deref().unwrap_or_default(), by };
            Ok(detect.services.act_later(organization.oid, name, asked, ordered.id).await?)
        }
        Effect::ExtensionRequest { extension_name, extension_action, extension_request, .. } => {
            let data = identified(ordered.id, extension_name, extension_action, extension_request);
            Ok(extension::request(&detect.extensions, organization, extension_name, extension_action, &data, &actor)
                .await
                .map(|_| ())?)
        }
        Effect::ServiceRequest { name, request } if name == RELIABLE_TASKING => {
            let action = request.get("action").and_then(Value::as_str).unwrap_or_default();
            let data = identified(ordered.id, EXTENSION, action, request);
            Ok(extension::request(&detect.extensions, organization, EXTENSION, action, &data, &actor)
                .await
                .map(|_| ())?)
        }
        Effect::ServiceRequest { name, request } => {
            let data = request.as_object().cloned().unwrap_or_default();
            // The id of the action: should it be carried out twice, the service can tell.
            Ok(detect.services.request_later(organization.oid, name, &data, ordered.id).await?)
        }
        Effect::AddHiveTag { hive_name, record_name, tag } => {
            tag_record(detect, organization, (hive_name, record_name, tag), true, &actor).await
        }
        Effect::RemoveHiveTag { hive_name, record_name, tag } => {
            tag_record(detect, organization, (hive_name, record_name, tag), false, &actor).await
        }
        // Waited before, and all others are done with the event.
        _ => Ok(()),
    }
}

async fn task(
    detect: &Arc<Detect>,
    place: &Place,
    action: &Action,
    line: &str,
    investigation: Option<&str>,
    actor: &Actor,
) -> Result<(), Failed> {
    let ordered = &action.ordered;
    let until = ordered.at.saturating_add(DIRECT_LIFETIME);
    if action.is_resumed {
        // Sensors need a moment to come back to a server that was restarted.
        while clock::now() < until && !place.organization.state.lock().is_online(place.ordinal) {
            sleep(LOOK_EVERY).await;
        }
    }
    let order = Order {
        task_id: ordered.id,
        until,
        is_told: ordered.is_begun,
        beside: action.begun(place.organization.oid).into_iter().collect(),
    };
    Ok(send_ordered(&detect.tasking, place, line, investigation, actor, order).await?)
}

/// A request with an id of its own, so that it makes no second task when it is repeated.
fn identified(id: Uuid, extension: &str, action: &str, request: &Value) -> Value {
    let mut request = request.clone();
    if extension == EXTENSION
        && action == "task"
        && let Some(fields) = request.as_object_mut()
        && fields.get("task_id").is_none_or(Value::is_null)
    {
        fields.insert("task_id".into(), json!(id));
    }
    request
}

fn place_of(organization: &Arc<Organization>, sid: &str) -> Result<Place, Failed> {
    let ordinal = sid.parse().ok().and_then(|sid: Sid| organization.state.lock().fleet.ordinal(sid));
    let ordinal = ordinal.ok_or_else(|| Failed::NoSensor(sid.to_owned()))?;
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
fn command_line(command: &Value) -> Result<String, Failed> {
    match command {
        Value::String(line) => Ok(line.clone()),
        Value::Array(arguments) => {
            let quoted: Option<Vec<String>> = arguments.iter().map(argument).collect();
            quoted.map(|arguments| arguments.join(" ")).ok_or(Failed::Command)
        }
        _ => Err(Failed::Command),
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
    detect: &Arc<Detect>,
    organization: &Organization,
    (hive_name, key, tag): (&str, &str, &str),
    is_added: bool,
    actor: &Actor,
) -> Result<(), Failed> {
    let hive = hive::find(hive_name).ok_or_else(|| Failed::NoHive(hive_name.to_owned()))?;
    let mut tries = 0;
    loop {
        let record = hive::get(&detect.hives, hive, organization.oid, key)?;
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
        tries += 1;
        match hive::set(&detect.hives, hive, organization.oid, key, change, actor).await {
            Err(hive::Error::EtagMismatch) if tries < TAG_TRIES => {}
            done => return Ok(done.map(|_| ())?),
        }
    }
}
