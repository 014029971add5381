//! Accepting a reliable task.

use super::{EXTENSION, fan_out};
use crate::api::ApiError;
use crate::app::App;
use crate::detect;
use crate::event::{self, Actor};
use crate::organization::Organization;
use crate::{clock, payload, random};
use muster_command::Command;
use muster_model::TaskId;
use muster_selector::Selector;
use muster_store::{StoreError, TaskRow, Write};
use muster_tasking::{Conditions, Control, Pace, Spec, Task};
use roaring::RoaringBitmap;
use serde_json::json;
use std::sync::Arc;

/// What an operator asks for.
pub struct NewTask {
    /// One command line.
    pub command: String,
    /// Which sensors.
    pub selector: Selector,
    /// Becomes the investigation id.
    pub context: Option<String>,
    /// Time to live in seconds.
    pub ttl_s: u64,
    /// Makes the request idempotent.
    pub task_id: Option<TaskId>,
    /// Follow the selector until expiry.
    pub dynamic: bool,
    /// Overtake.
    pub urgent: bool,
    /// Checked by the sensor.
    pub conditions: Option<Conditions>,
    /// How fast.
    pub pace: Pace,
}

/// What became of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Created {
    /// Its id.
    pub task_id: TaskId,
    /// Targets.
    pub total: u64,
    /// Of those, online: it was sent to them.
    pub tasked: u64,
}

impl Created {
    fn of(spec: &Spec) -> Self {
        Self { task_id: spec.task_id, total: spec.total, tasked: spec.tasked }
    }
}

/// Accepts a task: answers after it is durable.
///
/// # Errors
///
/// 400 for a command or bound that is wrong, 409 for an id that is taken by
/// another request, 503 while the store cannot write.
pub async fn create(
    app: &Arc<App>,
    organization: &Arc<Organization>,
    new: NewTask,
    actor: &Actor,
) -> Result<Created, ApiError> {
    let command = Command::parse(&new.command).map_err(|error| ApiError::bad_request(error.to_string()))?;
    payload::require(app, organization.oid, &command)?;
    let now = clock::now();
    let mut spec = Spec {
        task_id: new.task_id.unwrap_or_else(|| TaskId(random::uuid())),
        command: new.command,
        selector: new.selector.text().to_owned(),
        context: new.context.filter(|context| !context.is_empty()),
        ttl_s: new.ttl_s,
        created_at: now,
        created_by: actor.identity.clone(),
        dynamic: new.dynamic,
        urgent: new.urgent,
        conditions: new.conditions,
        pace: new.pace,
        total: 0,
        tasked: 0,
    };
    spec.check().map_err(|error| ApiError::bad_request(error.to_string()))?;
    if let Some(earlier) = same_id(organization, &spec)? {
        return Ok(earlier);
    }
    let (number, targets, control) = {
        let mut state = organization.state.lock();
        let targets = new.selector.select(&state.fleet);
        let unsupported = unsupported(&state.fleet, &targets, &command);
        let reachable = &targets - &unsupported;
        spec.total = targets.len();
        spec.tasked = reachable.intersection_len(&state.online);
        let number = state.queue.next_number();
        state.queue.reserve(number);
        (number, targets, Control { unsupported, ..Control::default() })
    };
    store(app, organization, number, &spec, &control, &targets, actor).await?;
    let created = Created::of(&spec);
    organization.state.lock().queue.insert(Task::new(number, spec, control, targets));
    let (app, organization) = (Arc::clone(app), Arc::clone(organization));
    let jobs = app.jobs.clone();
    jobs.spawn(async move { fan_out(&app, &organization, number).await });
    Ok(created)
}

fn same_id(organization: &Organization, spec: &Spec) -> Result<Option<Created>, ApiError> {
    let state = organization.state.lock();
    match state.queue.find(spec.task_id) {
        None => Ok(None),
        Some(task) if task.spec.asks_the_same(spec) => Ok(Some(Created::of(&task.spec))),
        Some(_) => Err(ApiError::conflict("task_id is taken by a request that asks for something else")),
    }
}

fn unsupported(fleet: &crate::fleet::Fleet, targets: &RoaringBitmap, command: &Command) -> RoaringBitmap {
    let of_kind = fleet.kinds().filter(|(platform, architecture, _)| !command.spec.supports(*platform, *architecture));
    of_kind.fold(RoaringBitmap::new(), |all, (_, _, set)| all | (set & targets))
}

async fn store(
    app: &Arc<App>,
    organization: &Organization,
    number: u64,
    spec: &Spec,
    control: &Control,
    targets: &RoaringBitmap,
    actor: &Actor,
) -> Result<(), ApiError> {
    let oid = organization.oid;
    let text = |value: serde_json::Result<String>| value.map_err(ApiError::internal);
    let row = TaskRow {
        oid,
        number,
        task_id: spec.task_id,
        spec: text(serde_json::to_string(spec))?,
        control: text(serde_json::to_string(control))?,
        targets: targets.clone(),
    };
    let about = json!({
        "task_id": spec.task_id, "task": spec.command, "selector": spec.selector, "context": spec.context,
        "ttl": spec.ttl_s, "total_sensors": spec.total,
    });
    let entity = json!({"type": "reliable_task", "name": spec.task_id});
    let records = [
        event::activity(oid, EXTENSION, "add_task", &about, spec.created_at),
        event::audit(oid, actor, "reliable task created", &entity, "reliable_task", &about, spec.created_at),
    ];
    match detect::emit(app, oid, records.into(), vec![Write::CreateTask(Box::new(row))]).await {
        Ok(()) => Ok(()),
        Err(StoreError::Conflict(_)) => Err(ApiError::conflict("task_id is taken")),
        Err(error) => Err(error.into()),
    }
}
