//! Taking tasks back, ending them, holding them back, letting them go on.

use super::{Choice, Error, Tasking, ask};
use crate::intake::event::Actor;
use crate::organization::Organization;
use muster_model::TaskId;
use muster_selector::Selector;
use muster_store::StoreError;
use muster_tasking::dispatch::Answer;
use std::sync::Arc;

/// Takes back what was not sent yet. Gives how many targets never get it, and
/// how many had it sent without a confirmation (they are not offered it again).
///
/// # Errors
///
/// [`Error::Store`] while the store cannot write; nothing is taken back then.
pub async fn untask(
    tasking: &Arc<Tasking>,
    organization: &Arc<Organization>,
    choice: &Choice,
    actor: &Actor,
) -> Result<(u64, u64), Error> {
    let choice = choice.clone();
    let input = |dispatch: &mut muster_tasking::Dispatch, request, now| dispatch.untask(request, choice, now);
    match ask(tasking, organization, Some(actor), input).await? {
        Answer::Untasked(untasked) => Ok((
            untasked.iter().map(|one| one.deleted.len()).sum(),
            untasked.iter().map(|one| one.withdrawn.len()).sum(),
        )),
        _ => Ok((0, 0)),
    }
}

/// What became of the targets of a task that was cancelled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cancelled {
    /// They never get it.
    pub deleted: u64,
    /// It was sent to them without a confirmation: they are not offered it again, and those that have it end it.
    pub withdrawn: u64,
    /// They have it, and are told to end it.
    pub stopping: u64,
}

/// Ends a task on some sensors, or on all: what is not there yet never gets there, what is there stops.
///
/// # Errors
///
/// [`Unknown`](Answer::Unknown) as `None`; 503 while the store cannot write: then nothing is cancelled.
pub async fn cancel(
    tasking: &Arc<Tasking>,
    organization: &Arc<Organization>,
    id: TaskId,
    selector: Option<Selector>,
    actor: &Actor,
) -> Result<Option<Cancelled>, StoreError> {
    let input = |dispatch: &mut muster_tasking::Dispatch, request, now| dispatch.cancel(request, id, selector, now);
    Ok(match ask(tasking, organization, Some(actor), input).await? {
        Answer::Untasked(all) => Some(Cancelled {
            deleted: all.iter().map(|one| one.deleted.len()).sum(),
            withdrawn: all.iter().map(|one| one.withdrawn.len()).sum(),
            stopping: all.iter().map(|one| one.stopping.len()).sum(),
        }),
        _ => None,
    })
}

/// Holds a task back: what was not sent yet waits.
///
/// # Errors
///
/// [`Error::NoTask`], or [`Error::Store`] while the store cannot write.
pub async fn pause(
    tasking: &Arc<Tasking>,
    organization: &Arc<Organization>,
    id: TaskId,
    actor: &Actor,
) -> Result<(), Error> {
    known(ask(tasking, organization, Some(actor), |dispatch, request, now| dispatch.pause(request, id, now)).await?)
}

/// Lets a task go on that was paused, or that held itself back.
///
/// # Errors
///
/// As [`pause`].
pub async fn resume(
    tasking: &Arc<Tasking>,
    organization: &Arc<Organization>,
    id: TaskId,
    actor: &Actor,
) -> Result<(), Error> {
    known(ask(tasking, organization, Some(actor), |dispatch, request, now| dispatch.resume(request, id, now)).await?)
}

fn known(answer: Answer) -> Result<(), Error> {
    if answer == Answer::Unknown { Err(Error::NoTask) } else { Ok(()) }
}
