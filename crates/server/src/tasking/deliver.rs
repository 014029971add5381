//! Handing tasks to links, and taking in what becomes of them.

use super::{ACTIVITY_TARGETS_MAX, EXTENSION};
use crate::app::App;
use crate::detect;
use crate::gateway::Link;
use crate::organization::{Organization, State};
use crate::sensor::Place;
use crate::stream::Record;
use crate::{clock, event, random};
use muster_model::{Oid, TaskId, Timestamp};
use muster_selector::Selector;
use muster_store::{StoreError, Write};
use muster_tasking::{Offer, Report, TargetState, Task};
use muster_wire::{AckedStep, Conditions, Deliver, Receipt, Receipts, ReceiptsAck, Step, from_server};
use serde_json::{Value, json};
use std::sync::Arc;
use uuid::Uuid;

/// Offers of one commit: enough to share a disk sync, few enough that the first
/// sensors do not wait for the last.
const OFFERS_PER_COMMIT: usize = 256;

/// Readable reasons of endpoints are cut at this many bytes.
const ERROR_BYTES_MAX: usize = 1_024;

/// Offers a sensor the next task that it is owed, if it is online.
pub async fn deliver_next(app: &Arc<App>, place: &Place) {
    let offer = {
        let mut state = place.organization.state.lock();
        if !state.is_online(place.ordinal) {
            return;
        }
        state.queue.offer(place.ordinal, clock::now())
    };
    if let Some(offer) = offer {
        deliver(app, &place.organization, vec![offer]).await;
    }
}

/// Offers a task to everyone who is online and waits for it.
pub async fn fan_out(app: &Arc<App>, organization: &Arc<Organization>, number: u64) {
    let offers = {
        let mut guard = organization.state.lock();
        let state = &mut *guard;
        state.queue.fan_out(number, &state.online, clock::now(), &mut random::number)
    };
    deliver(app, organization, offers).await;
}

/// Makes offers durable, and only then hands them to links.
pub(super) async fn deliver(app: &Arc<App>, organization: &Arc<Organization>, offers: Vec<Offer>) {
    let mut offers = offers.into_iter();
    loop {
        let some: Vec<Offer> = offers.by_ref().take(OFFERS_PER_COMMIT).collect();
        if some.is_empty() {
            return;
        }
        let targets = some.iter().map(|offer| (offer.number, offer.ordinal, offer.target.clone())).collect();
        let stored = app.store.commit(vec![Write::PutTargets { oid: organization.oid, targets }]).await;
        if let Err(error) = stored {
            tracing::warn!(%error, "tasks could not be marked as sent; they are offered again later");
            let mut state = organization.state.lock();
            some.into_iter().chain(offers).for_each(|offer| state.queue.revert(offer));
            return;
        }
        let records = hand_over(organization, &some);
        store_activity(app, organization.oid, &records).await;
    }
}

fn hand_over(organization: &Organization, offers: &[Offer]) -> Vec<Record> {
    let now = clock::now();
    let state = organization.state.lock();
    let mut records = Vec::new();
    for offer in offers {
        let Some(task) = state.queue.task(offer.number) else { continue };
        // It may have been taken back or have run out of time while the store was asked.
        if !task.open().contains(offer.ordinal) || now >= task.spec.expires_at() {
            continue;
        }
        let (Some(link), Some(row)) = (state.links.get(&offer.ordinal), state.fleet.row(offer.ordinal)) else {
            continue;
        };
        link.send(from_server::Message::Deliver(message(task, row.epoch, now)));
        if task.targets().len() <= ACTIVITY_TARGETS_MAX {
            let about = json!({"task_id": task.spec.task_id, "sid": row.sensor.sid});
            records.push(event::activity(organization.oid, EXTENSION, "try_task", &about, now));
            records.push(event::activity(organization.oid, EXTENSION, "task_sent", &about, now));
        }
    }
    records
}

fn message(task: &Task, epoch: u64, now: Timestamp) -> Deliver {
    let expires_at = task.spec.expires_at();
    Deliver {
        task_id: task.spec.task_id.0.as_bytes().to_vec(),
        epoch,
        command: task.spec.command.clone(),
        investigation_id: task.spec.investigation_id(),
        not_after_ms: expires_at.as_millis(),
        lifetime_ms: u64::try_from(expires_at.since(now).as_millis()).unwrap_or(u64::MAX),
        wants_receipts: true,
        conditions: task.spec.conditions.as_ref().map(conditions),
    }
}

fn conditions(conditions: &muster_tasking::Conditions) -> Conditions {
    let window = conditions.window;
    Conditions {
        window_start_min: window.map_or(0, |window| window.start_min.into()),
        window_end_min: window.map_or(0, |window| window.end_min.into()),
        weekdays: window.map_or(0, |window| window.weekdays.0.into()),
        payload_sha256: conditions.payload_sha256.as_deref().and_then(from_hex).unwrap_or_default(),
    }
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes().chunks(2);
    digits.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

/// Takes in steps that a sensor journalled; acknowledges them once they are stored.
pub async fn receive(app: &Arc<App>, place: &Place, link: &Link, receipts: Receipts) {
    let organization = &place.organization;
    let (changed, records) = {
        let state = organization.state.lock();
        let reports: Vec<Report> =
            receipts.receipts.iter().filter_map(|receipt| report(&state, place, receipt)).collect();
        let changed = state.queue.receipts(place.ordinal, &reports);
        let targets = changed.iter().map(|(number, target)| (*number, place.ordinal, target.clone()));
        let targets: Vec<_> = targets.collect();
        let records = activity(organization, &state, &targets);
        (targets, records)
    };
    if !changed.is_empty() {
        let mut writes = vec![Write::PutTargets { oid: organization.oid, targets: changed.clone() }];
        let (kept, pass) = detect::emit(app, organization.oid, &records);
        writes.extend(kept);
        if let Err(error) = app.store.commit(writes).await {
            // Not acknowledged: the sensor tells it again at its next connection.
            tracing::warn!(%error, "receipts could not be stored");
            link.close();
            return;
        }
        pass.queue(app);
    }
    let mut stopped = Vec::new();
    {
        let mut state = organization.state.lock();
        for (number, ordinal, target) in changed {
            if state.queue.apply(number, ordinal, target) {
                stopped.push(number);
            }
        }
    }
    let steps = receipts.receipts.into_iter().map(|receipt| AckedStep { task_id: receipt.task_id, step: receipt.step });
    link.send(from_server::Message::ReceiptsAck(ReceiptsAck { steps: steps.collect() }));
    for number in stopped {
        super::control::store_control(app, organization, number).await;
    }
    deliver_next(app, place).await;
}

fn report(state: &State, place: &Place, receipt: &Receipt) -> Option<Report> {
    let row = state.fleet.row(place.ordinal)?;
    if receipt.epoch != row.epoch {
        return None;
    }
    let code = receipt.code;
    let known = match receipt.step() {
        Step::Unspecified => return None,
        Step::Confirmed => TargetState::Confirmed,
        Step::Started => TargetState::Started,
        Step::Finished => TargetState::Finished,
        Step::Interrupted => TargetState::Interrupted,
        Step::Refused => TargetState::Refused,
        Step::NotNow => TargetState::NotNow,
        Step::Unsupported => TargetState::Unsupported,
        Step::Expired => TargetState::Expired,
    };
    let mut error: String = receipt.error.chars().take(ERROR_BYTES_MAX / 4).collect();
    error.retain(|character| character == '\n' || !character.is_control());
    Some(Report {
        task_id: TaskId(Uuid::from_slice(&receipt.task_id).ok()?),
        state: known,
        at: Timestamp::from_millis(receipt.at_ms),
        code,
        error: (!error.is_empty()).then(|| error.into()),
    })
}

fn activity(organization: &Organization, state: &State, targets: &[(u64, u32, muster_tasking::Target)]) -> Vec<Record> {
    let now = clock::now();
    let mut records = Vec::new();
    for (number, ordinal, target) in targets {
        let Some(task) = state.queue.task(*number).filter(|task| task.targets().len() <= ACTIVITY_TARGETS_MAX) else {
            continue;
        };
        let Some(row) = state.fleet.row(*ordinal) else { continue };
        let was_pending = task.state_of(*ordinal).is_some_and(TargetState::is_pending);
        let mut about = json!({"task_id": task.spec.task_id, "sid": row.sensor.sid});
        if was_pending {
            records.push(event::activity(organization.oid, EXTENSION, "task_done", &about, now));
        }
        if target.has_failed() {
            let text = match (&target.error, target.state) {
                (Some(error), _) => error.to_string(),
                (None, TargetState::Unsupported) => "UNSUPPORTED_FOR_PLATFORM".to_owned(),
                (None, state) => format!("{state} with {}", target.code),
            };
            about["error"] = Value::String(text);
            records.push(event::activity(organization.oid, EXTENSION, "task_failure", &about, now));
        }
    }
    records
}

async fn store_activity(app: &Arc<App>, oid: Oid, records: &[Record]) {
    if records.is_empty() {
        return;
    }
    let (writes, pass) = detect::emit(app, oid, records);
    match app.store.commit(writes).await {
        Ok(()) => pass.queue(app),
        Err(error) => tracing::warn!(%error, "activity events could not be stored"),
    }
}

/// A sensor is gone or began a new epoch: closes what it was owed.
///
/// # Errors
///
/// Whatever the store says; nothing is closed then.
pub async fn abandon(app: &Arc<App>, place: &Place, reason: &str, lost_journal: bool) -> Result<(), StoreError> {
    let organization = &place.organization;
    let targets: Vec<_> = {
        let state = organization.state.lock();
        let changed = state.queue.abandon(place.ordinal, clock::now(), reason, lost_journal);
        changed.into_iter().map(|(number, target)| (number, place.ordinal, target)).collect()
    };
    put_targets(app, organization, targets).await
}

async fn put_targets(
    app: &App,
    organization: &Organization,
    targets: Vec<(u64, u32, muster_tasking::Target)>,
) -> Result<(), StoreError> {
    if targets.is_empty() {
        return Ok(());
    }
    app.store.commit(vec![Write::PutTargets { oid: organization.oid, targets: targets.clone() }]).await?;
    let mut state = organization.state.lock();
    for (number, ordinal, target) in targets {
        state.queue.apply(number, ordinal, target);
    }
    Ok(())
}

/// Sensors enrolled or changed: dynamic tasks gain and lose them.
pub async fn matching_changed(app: &Arc<App>, organization: &Arc<Organization>, ordinals: &[u32]) {
    let now = clock::now();
    let targets: Vec<_> = {
        let state = organization.state.lock();
        let dynamic = state.queue.dynamic(now);
        let tasks = dynamic.iter().filter_map(|number| {
            let task = state.queue.task(*number)?;
            let command = muster_command::Command::parse(&task.spec.command).ok()?;
            Some((*number, Selector::parse(&task.spec.selector).ok()?, command))
        });
        let mut targets = Vec::new();
        for (number, selector, command) in tasks {
            for ordinal in ordinals {
                let Some(row) = state.fleet.row(*ordinal) else { continue };
                let is_able = command.spec.supports(row.sensor.platform, row.sensor.architecture);
                let matches = is_able && selector.selects(&row.sensor);
                let change = if matches {
                    state.queue.join(number, *ordinal, now)
                } else {
                    state.queue.leave(number, *ordinal, now)
                };
                targets.extend(change.map(|target| (number, *ordinal, target)));
            }
        }
        targets
    };
    if targets.is_empty() {
        return;
    }
    if let Err(error) = put_targets(app, organization, targets).await {
        tracing::warn!(%error, "a dynamic task could not follow its selector; the next change will mend it");
        return;
    }
    for ordinal in ordinals {
        let place = Place { organization: Arc::clone(organization), ordinal: *ordinal };
        Box::pin(deliver_next(app, &place)).await;
    }
}
