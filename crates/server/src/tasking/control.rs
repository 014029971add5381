//! Taking tasks back, holding them back, letting them go on.

use super::{Choice, ask};
use crate::api::ApiError;
use crate::app::App;
use crate::intake::event::Actor;
use crate::organization::Organization;
use muster_model::TaskId;
use muster_tasking::dispatch::Answer;
use std::sync::Arc;

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
    let choice = choice.clone();
    let input = |dispatch: &mut muster_tasking::Dispatch, request, now| dispatch.untask(request, choice, now);
    match ask(app, organization, Some(actor), input).await? {
        Answer::Untasked(untasked) => Ok((
            untasked.iter().map(|one| one.deleted.len()).sum(),
            untasked.iter().map(|one| one.withdrawn.len()).sum(),
        )),
        _ => Ok((0, 0)),
    }
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
    known(ask(app, organization, Some(actor), |dispatch, request, now| dispatch.pause(request, id, now)).await?)
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
    known(ask(app, organization, Some(actor), |dispatch, request, now| dispatch.resume(request, id, now)).await?)
}

fn known(answer: Answer) -> Result<(), ApiError> {
    if answer == Answer::Unknown { Err(ApiError::not_found("no such task")) } else { Ok(()) }
}
