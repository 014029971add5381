//! Taking tasks back, holding them back, letting them go on.

use crate::api::ApiError;
use crate::app::App;
use crate::clock;
use crate::event::{self, Actor};
use crate::organization::Organization;
use muster_model::TaskId;
use muster_selector::Selector;
use muster_store::Write;
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
    let mut writes = Vec::new();
    for one in &untasked {
        let control = serde_json::to_string(&one.control).map_err(ApiError::internal)?;
        writes.push(Write::PutTaskControl { oid: organization.oid, task: one.number, control });
    }
    let entity = json!({"type": "reliable_task", "name": choice.task_id});
    let detail = json!({"deleted": deleted, "withdrawn": withdrawn});
    let record = event::audit(organization.oid, actor, "reliable task removed", &entity, "untask", &detail, now);
    writes.extend(app.emit(&[record]));
    if let Err(error) = app.store.commit(writes).await {
        organization.state.lock().queue.undo_untask(untasked);
        return Err(error.into());
    }
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
    change(app, organization, id, actor, "pause", |control, _| control.paused = true).await.map(|_| ())
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
    let number = change(app, organization, id, actor, "resume", |control, failed| {
        control.paused = false;
        control.stopped = None;
        control.forgiven = failed;
    })
    .await?;
    super::fan_out(app, organization, number).await;
    Ok(())
}

async fn change(
    app: &Arc<App>,
    organization: &Arc<Organization>,
    id: TaskId,
    actor: &Actor,
    action: &str,
    edit: impl FnOnce(&mut muster_tasking::Control, u64),
) -> Result<u64, ApiError> {
    let unknown = || ApiError::not_found("no such task");
    let (number, before, after) = {
        let mut state = organization.state.lock();
        let task = state.queue.find(id).ok_or_else(unknown)?;
        let (number, before) = (task.number, task.control.clone());
        let mut after = before.clone();
        edit(&mut after, task.failed());
        // At once, so that nothing more goes out while the store is asked.
        state.queue.set_control(number, after.clone());
        (number, before, after)
    };
    let entity = json!({"type": "reliable_task", "name": id});
    let record =
        event::audit(organization.oid, actor, "reliable task changed", &entity, action, &json!({}), clock::now());
    let control = serde_json::to_string(&after).map_err(ApiError::internal)?;
    let mut writes = vec![Write::PutTaskControl { oid: organization.oid, task: number, control }];
    writes.extend(app.emit(&[record]));
    if let Err(error) = app.store.commit(writes).await {
        organization.state.lock().queue.set_control(number, before);
        return Err(error.into());
    }
    Ok(number)
}

/// Stores the control of a task that changed it by itself.
pub(super) async fn store_control(app: &App, organization: &Organization, number: u64) {
    let control = organization.state.lock().queue.task(number).map(|task| serde_json::to_string(&task.control));
    let Some(Ok(control)) = control else { return };
    let write = Write::PutTaskControl { oid: organization.oid, task: number, control };
    if let Err(error) = app.store.commit(vec![write]).await {
        // After a restart the failures are counted again, and stop it again.
        tracing::warn!(%error, "that a task stopped itself could not be stored");
    }
}
