//! Accepting a reliable task.

use super::{Error, Tasking, ask};
use crate::intake::event::Actor;
use crate::organization::Organization;
use crate::{clock, payload, random};
use muster_command::Command;
use muster_model::TaskId;
use muster_selector::Selector;
use muster_tasking::dispatch::{Answer, Order};
use muster_tasking::{Conditions, Pace, Spec};
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

/// Accepts a task: answers after it is durable.
///
/// # Errors
///
/// For a command or bound that is wrong, [`Error::IdTaken`] for an id that is taken by
/// another request, [`Error::Store`] while the store cannot write.
pub async fn create(
    tasking: &Arc<Tasking>,
    organization: &Arc<Organization>,
    new: NewTask,
    actor: &Actor,
) -> Result<Created, Error> {
    let command = Command::parse(&new.command)?;
    payload::require(&tasking.records, organization.oid, &command)?;
    let now = clock::now();
    let spec = Spec {
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
        clock_us: 0,
    };
    spec.check()?;
    let order = Order { spec, command, selector: new.selector };
    match ask(tasking, organization, Some(actor), |dispatch, request, now| dispatch.create(request, order, now)).await?
    {
        Answer::Created { task_id, total, tasked } => Ok(Created { task_id, total, tasked }),
        _ => Err(Error::IdTaken),
    }
}
