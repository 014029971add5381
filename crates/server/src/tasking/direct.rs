//! Direct tasking: now, or not at all. Source: reference/sensor.md section 10.

use super::{Error, Tasking};
use crate::intake::Beside;
use crate::intake::event::{self, Actor};
use crate::organization::Place;
use crate::replay::{Sent, Turn};
use crate::{clock, payload, random};
use muster_command::Command;
use muster_model::Timestamp;
use muster_store::Write;
use muster_tasking::CONTEXT_BYTES_MAX;
use muster_wire::{Deliver, from_server};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;
use uuid::Uuid;

/// A direct task that did not begin within this time is dropped.
/// Source: reference/sensor.md section 10.2.
pub const DIRECT_LIFETIME: Duration = Duration::from_secs(60);

/// Sensors come back to a server that was restarted within this time, if they are not gone.
const COME_BACK_MAX: Duration = Duration::from_secs(10);

/// How often it is looked whether a sensor came back.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Command lines in one call.
pub(super) const COMMANDS_MAX: usize = 100;

/// An order to send command lines. It may be given again with the same id after a restart: a sensor
/// that has the tasks already does not run them again.
pub struct Order {
    /// Id of the first task, from which those of the others follow.
    pub task_id: Uuid,
    /// From then on it is too late.
    pub until: Timestamp,
    /// It was told to operators.
    pub is_told: bool,
    /// To be stored when it is told.
    pub beside: Vec<Write>,
}

/// Sends a command line that a rule ordered.
///
/// # Errors
///
/// As [`send_direct`], and [`Error::Late`] if its time has passed.
pub async fn send_ordered(
    tasking: &Arc<Tasking>,
    place: &Place,
    command: &str,
    investigation_id: Option<&str>,
    actor: &Actor,
    order: Order,
) -> Result<(), Error> {
    if clock::now() >= order.until {
        return Err(Error::Late);
    }
    send(tasking, place, &[command], investigation_id, actor, Some(order)).await
}

/// Sends command lines to a sensor, in order.
///
/// # Errors
///
/// If any of them is wrong (nothing is sent then), or the sensor is offline or takes no more tasks.
pub async fn send_direct(
    tasking: &Arc<Tasking>,
    place: &Place,
    commands: &[&str],
    investigation_id: Option<&str>,
    actor: &Actor,
) -> Result<(), Error> {
    send(tasking, place, commands, investigation_id, actor, None).await
}

/// Sends command lines to a sensor, in order, unless the call with this digest has done so. What an earlier
/// server stored is sent again, with the same ids: it may have ended before it sent anything.
///
/// # Errors
///
/// As [`send_direct`].
pub async fn send_once(
    tasking: &Arc<Tasking>,
    place: &Place,
    commands: &[&str],
    investigation_id: Option<&str>,
    actor: &Actor,
    digest: &str,
) -> Result<(), Error> {
    let organization = &place.organization;
    let epoch = || organization.state.lock().fleet.row(place.ordinal).map_or(0, |row| row.epoch);
    let order = |sent: &Sent, is_told, beside| Order { task_id: sent.task_id, until: sent.until, is_told, beside };
    match tasking.replays.claim(organization.oid, digest).await {
        Turn::Done => Ok(()),
        Turn::Resumed(sent) => {
            let give_up = sent.until.min(clock::now().saturating_add(COME_BACK_MAX));
            let is_online = || organization.state.lock().is_online(place.ordinal);
            while !is_online() && clock::now() < give_up {
                sleep(LOOK_EVERY).await;
            }
            if !is_online() || clock::now() >= sent.until || epoch() != sent.epoch {
                return Ok(());
            }
            send(tasking, place, commands, investigation_id, actor, Some(order(&sent, true, Vec::new()))).await
        }
        Turn::First(claim) => {
            let until = clock::now().saturating_add(DIRECT_LIFETIME);
            let sent = Sent { task_id: random::uuid(), until, epoch: epoch() };
            let order = order(&sent, false, claim.writes(&sent));
            let done = send(tasking, place, commands, investigation_id, actor, Some(order)).await;
            if done.is_ok() {
                claim.done()
            } else {
                claim.failed()
            }
            done
        }
    }
}

async fn send(
    tasking: &Arc<Tasking>,
    place: &Place,
    commands: &[&str],
    investigation_id: Option<&str>,
    actor: &Actor,
    order: Option<Order>,
) -> Result<(), Error> {
    if commands.is_empty() {
        return Err(Error::NoCommand);
    }
    if commands.len() > COMMANDS_MAX {
        return Err(Error::TooManyCommands);
    }
    if investigation_id.is_some_and(|id| id.len() > CONTEXT_BYTES_MAX) {
        return Err(Error::ContextTooLong);
    }
    let oid = place.organization.oid;
    let mut parsed = Vec::new();
    for line in commands {
        let command = Command::parse(line)?;
        payload::require(&tasking.records, oid, &command)?;
        parsed.push(command);
    }
    let now = clock::now();
    let until = order.as_ref().map_or_else(|| now.saturating_add(DIRECT_LIFETIME), |order| order.until);
    let (link, epoch, entity, ends_at) = {
        let state = place.organization.state.lock();
        let row = state.fleet.row(place.ordinal).ok_or(Error::NoSensor)?;
        for command in &parsed {
            command.require_support(row.sensor.platform, row.sensor.architecture)?;
        }
        let link = state.link(place.ordinal).cloned().ok_or(Error::Offline)?;
        if link.is_full() {
            return Err(Error::SensorFull);
        }
        let entity = json!({"type": "sensor", "sid": row.sensor.sid, "hostname": row.sensor.hostname});
        (link, row.epoch, entity, state.queue.steady(until))
    };
    let tell = |line: &&str| {
        let detail = json!({"task": line, "investigation_id": investigation_id});
        event::audit(oid, actor, "sensor tasked", &entity, "task", &detail, now)
    };
    let task_id = order.as_ref().map(|order| order.task_id);
    if order.as_ref().is_none_or(|order| !order.is_told) {
        let records: Vec<_> = commands.iter().map(tell).collect();
        let beside = order.into_iter().flat_map(|order| order.beside);
        tasking.intake.commit(Beside::from(records).and(beside)).await?;
    }
    for (at, (line, command)) in commands.iter().zip(parsed).enumerate() {
        tasking.direct.sent(place, command);
        let id = match task_id {
            Some(first) if at > 0 => Uuid::new_v5(&first, &at.to_be_bytes()),
            Some(first) => first,
            None => random::uuid(),
        };
        link.send(from_server::Message::Deliver(Deliver {
            task_id: id.as_bytes().to_vec(),
            epoch,
            command: (*line).to_owned(),
            investigation_id: investigation_id.unwrap_or_default().to_owned(),
            not_after_ms: ends_at.as_millis(),
            lifetime_ms: u64::try_from(until.since(now).as_millis()).unwrap_or(u64::MAX),
            wants_receipts: false,
            conditions: None,
            urgent: false,
        }));
    }
    Ok(())
}
