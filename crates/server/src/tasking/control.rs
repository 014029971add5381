//! Taking tasks back, holding them back, letting them go on.

use crate::api::ApiError;
use crate::app::App;
use crate::clock;
use crate::event::{self, Actor};
use crate::organization::Organization;
use crate::stream::Record;
use muster_model::{Oid, TaskId};
use muster_selector::Selector;
use muster_store::Write;
use muster_tasking::ControlChange;
use serde_json::json;
use std::sync::Arc;

/// What to take back.
pub struct Choice {
    /// Only of this task; `None` is of all.
    pub task_id: Option<TaskId>,
    /// Only of these sensors; `None` is of all.
    pub selector: Option<Selector>,
}

/// Takes back what was not sent yet. Gives how many targets never get it, and
/// how many had it sent without a confirmation (they are not offered it again).
///
/// # Errors
///
/// 503 while the store cannot write; nothing is taken back then.
pub async fn untask(
    app: &Arc<App>,
    organization: &Arc<Organization>,
    choice: &Choice,
    actor: &Actor,
) -> Result<(u64, u64), ApiError> {
    let _one_at_a_time = organization.control_changes.lock().await;
    let now = clock::now();
    let untasked = {
        let mut state = organization.state.lock();
        let number = match choice.task_id {
            Some(id) => match state.queue.find(id) {
                Some(task) => Some(task.number),
                None => return Ok((0, 0)),
            },
            None => None,
        };
        let sensors = choice.selector.as_ref().filter(|selector| !selector.is_all());
        let sensors = sensors.map(|selector| selector.select(&state.fleet));
        state.queue.untask(number, sensors.as_ref(), now)
    };
    if untasked.is_empty() {
        return Ok((0, 0));
    }
    let deleted = untasked.iter().map(|one| one.deleted.len()).sum();
    let withdrawn = untasked.iter().map(|one| one.withdrawn.len()).sum();
    let entity = json!({"type": "reliable_task", "name": choice.task_id});
    let detail = json!({"deleted": deleted, "withdrawn": withdrawn});
    let record = event::audit(organization.oid, actor, "reliable task removed", &entity, "untask", &detail, now);
    store_changes(app, organization, &untasked, record).await?;
    Ok((deleted, withdrawn))
}

/// Holds a task back: what was not sent yet waits.
///
/// # Errors
///
/// 404 for an unknown task, 503 while the store cannot write.
pub async fn pause(
    app: &Arc<App>,
    organization: &Arc<Organization>,
    id: TaskId,
    actor: &Actor,
) -> Result<(), ApiError> {
    let _one_at_a_time = organization.control_changes.lock().await;
    let change = organization.state.lock().queue.pause(id).ok_or_else(no_such_task)?;
    store_changes(app, organization, &[change], changed(organization, id, actor, "pause")).await
}

/// Lets a task go on that was paused, or that held itself back.
///
/// # Errors
///
/// As [`pause`].
pub async fn resume(
    app: &Arc<App>,
    organization: &Arc<Organization>,
    id: TaskId,
    actor: &Actor,
) -> Result<(), ApiError> {
    let one_at_a_time = organization.control_changes.lock().await;
    let change = organization.state.lock().queue.resume(id).ok_or_else(no_such_task)?;
    let number = change.number;
    store_changes(app, organization, &[change], changed(organization, id, actor, "resume")).await?;
    drop(one_at_a_time);
    super::fan_out(app, organization, number).await;
    Ok(())
}

fn no_such_task() -> ApiError {
    ApiError::not_found("no such task")
}

fn changed(organization: &Organization, id: TaskId, actor: &Actor, action: &str) -> Record {
    let entity = json!({"type": "reliable_task", "name": id});
    event::audit(organization.oid, actor, "reliable task changed", &entity, action, &json!({}), clock::now())
}

/// Stores changes and their audit record, and applies them; gives all up if that
/// fails. The caller lets no other change begin meanwhile.
async fn store_changes(
    app: &App,
    organization: &Organization,
    changes: &[ControlChange],
    record: Record,
) -> Result<(), ApiError> {
    if let Err(error) = commit(app, organization.oid, changes, record).await {
        let mut state = organization.state.lock();
        let now = clock::now();
        changes.iter().for_each(|change| state.queue.undo_change(change, now));
        return Err(error);
    }
    let stopped: Vec<u64> = {
        let mut state = organization.state.lock();
        let stop = changes.iter().filter(|change| state.queue.apply_change(change));
        stop.map(|change| change.number).collect()
    };
    for number in stopped {
        store_as_it_is(app, organization, number).await;
    }
    Ok(())
}

async fn commit(app: &App, oid: Oid, changes: &[ControlChange], record: Record) -> Result<(), ApiError> {
    let mut writes = Vec::with_capacity(changes.len());
    for change in changes {
        let control = serde_json::to_string(&change.control).map_err(ApiError::internal)?;
        writes.push(Write::PutTaskControl { oid, task: change.number, control });
    }
    writes.extend(app.emit(&[record]));
    Ok(app.store.commit(writes).await?)
}

/// Stores the control of a task that changed it by itself.
pub(super) async fn store_control(app: &App, organization: &Organization, number: u64) {
    let _one_at_a_time = organization.control_changes.lock().await;
    store_as_it_is(app, organization, number).await;
}

async fn store_as_it_is(app: &App, organization: &Organization, number: u64) {
    let control = organization.state.lock().queue.task(number).map(|task| serde_json::to_string(&task.control));
    let Some(Ok(control)) = control else { return };
    let write = Write::PutTaskControl { oid: organization.oid, task: number, control };
    if let Err(error) = app.store.commit(vec![write]).await {
        // After a restart the failures are counted again, and stop it again.
        tracing::warn!(%error, "that a task stopped itself could not be stored");
    }
}
