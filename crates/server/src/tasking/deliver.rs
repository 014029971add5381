//! Handing tasks to links, and taking in what becomes of them.

use super::{ACTIVITY_TARGETS_MAX, EXTENSION, message};
use crate::app::App;
use crate::detect;
use crate::gateway::Link;
use crate::organization::{Organization, State};
use crate::sensor::Place;
use crate::stream::Record;
use crate::{clock, event, random};
use muster_model::{Oid, Sid, TaskId, Timestamp};
use muster_selector::Selector;
use muster_store::{StoreError, Write};
use muster_tasking::{Offer, Queue, Report, TargetState};
use muster_wire::{AckedStep, Receipts, ReceiptsAck, from_server};
use serde_json::{Value, json};
use std::sync::Arc;

/// Offers of the first commit: few, so that the first sensors do not wait for the last.
const OFFERS_FIRST: usize = 256;

/// Each further commit takes twice as many, up to this: a large fan-out must not
/// queue for the store again and again behind the receipts that it causes, and one
/// commit must not keep receipts waiting for more than a few milliseconds.
const OFFERS_MOST: usize = 4_096;

/// Targets whose activity records share a commit: about a millisecond of the store.
const ACTIVITY_PER_COMMIT: usize = 64;

/// Offers a sensor the next task that it is owed, if it is online.
pub async fn deliver_next(app: &Arc<App>, place: &Place) {
    let sent = {
        let _one_at_a_time = place.organization.sensor_changes.lock(&[place.ordinal]).await;
        let offer = {
            let mut state = place.organization.state.lock();
            if !state.is_online(place.ordinal) {
                return;
            }
            state.queue.offer(place.ordinal, clock::now())
        };
        let Some(offer) = offer else { return };
        deliver(app, &place.organization, vec![offer]).await
    };
    tell_of_sending(app, &place.organization, &sent.unwrap_or_default()).await;
}

/// Offers a task to everyone who is online and waits for it.
pub async fn fan_out(app: &Arc<App>, organization: &Arc<Organization>, number: u64) {
    let waiting = {
        let state = organization.state.lock();
        state.queue.waiting(number, &state.online, clock::now(), &mut random::number)
    };
    let choose = |queue: &mut Queue, online: &[u32], now| {
        let offers = queue.offer_each(number, online, now);
        // If its pace lets no more through, the next tick looks again.
        (!offers.is_empty() || !queue.is_paced(number)).then_some(offers)
    };
    hand_out(app, organization, &waiting, choose).await;
}

/// Offers each of these sensors what it is owed first, or what it has not confirmed in time.
pub async fn offer_again(app: &Arc<App>, organization: &Arc<Organization>, ordinals: &[u32]) {
    let choose = |queue: &mut Queue, online: &[u32], now| {
        Some(online.iter().filter_map(|ordinal| queue.offer(*ordinal, now)).collect())
    };
    hand_out(app, organization, ordinals, choose).await;
}

/// Hands out offers in few commits; `choose` makes those of one, or `None` if no more can be made.
///
/// Only the sensors of one commit at a time are kept from other changes: what is
/// decided of a sensor's targets is stored and applied before anything else is.
async fn hand_out(
    app: &Arc<App>,
    organization: &Arc<Organization>,
    mut waiting: &[u32],
    choose: impl Fn(&mut Queue, &[u32], Timestamp) -> Option<Vec<Offer>> + Send,
) {
    let mut count = OFFERS_FIRST;
    let mut sent = Vec::new();
    while !waiting.is_empty() {
        let (some, rest) = waiting.split_at(count.min(waiting.len()));
        waiting = rest;
        count = (count * 2).min(OFFERS_MOST);
        let _one_at_a_time = organization.sensor_changes.lock(some).await;
        let offers = {
            let mut guard = organization.state.lock();
            let state = &mut *guard;
            let online: Vec<u32> = some.iter().copied().filter(|ordinal| state.online.contains(*ordinal)).collect();
            choose(&mut state.queue, &online, clock::now())
        };
        let Some(offers) = offers else { break };
        if offers.is_empty() {
            continue;
        }
        match deliver(app, organization, offers).await {
            Some(some) => sent.extend(some),
            None => {
                organization.state.lock().queue.postpone(rest.iter().copied(), clock::now());
                break;
            }
        }
    }
    // After everyone has the task: records about it must not hold the last ones up.
    tell_of_sending(app, organization, &sent).await;
}

/// What was handed to a link: task, sensor, when.
type Sending = (TaskId, Sid, Timestamp);

/// Makes offers durable, and only then hands them to links; `None` if that was not
/// possible. The caller keeps others from changing these sensors meanwhile.
async fn deliver(app: &Arc<App>, organization: &Arc<Organization>, offers: Vec<Offer>) -> Option<Vec<Sending>> {
    let targets = offers.iter().map(|offer| (offer.number, offer.ordinal, offer.target.clone())).collect();
    if let Err(error) = app.store.commit(vec![Write::PutTargets { oid: organization.oid, targets }]).await {
        tracing::warn!(%error, "tasks could not be marked as sent; they are offered again soon");
        let now = clock::now();
        let mut state = organization.state.lock();
        offers.into_iter().for_each(|offer| state.queue.revert(offer, now));
        return None;
    }
    Some(hand_over(organization, &offers))
}

async fn tell_of_sending(app: &Arc<App>, organization: &Organization, sent: &[Sending]) {
    for some in sent.chunks(ACTIVITY_PER_COMMIT) {
        store_activity(app, organization.oid, activity_of_sending(organization, some)).await;
    }
}

/// Hands offers to links. Gives those whose sending is told of.
fn hand_over(organization: &Organization, offers: &[Offer]) -> Vec<Sending> {
    let now = clock::now();
    let state = organization.state.lock();
    let mut sent = Vec::new();
    for offer in offers {
        let Some(task) = state.queue.task(offer.number) else { continue };
        // It may have been taken back or have run out of time while the store was asked.
        if !task.may_send(offer.ordinal, now) {
            continue;
        }
        let (Some(link), Some(row)) = (state.links.get(&offer.ordinal), state.fleet.row(offer.ordinal)) else {
            continue;
        };
        link.send(from_server::Message::Deliver(message::deliver(task, row.epoch, now)));
        if task.targets().len() <= ACTIVITY_TARGETS_MAX {
            sent.push((task.spec.task_id, row.sensor.sid, now));
        }
    }
    sent
}

fn activity_of_sending(organization: &Organization, sent: &[Sending]) -> Vec<Record> {
    let of_one = |(task_id, sid, at): &Sending| {
        let about = json!({"task_id": task_id, "sid": sid});
        ["try_task", "task_sent"].map(|kind| event::activity(organization.oid, EXTENSION, kind, &about, *at))
    };
    sent.iter().flat_map(of_one).collect()
}

/// Takes in steps that a sensor journalled; acknowledges them once they are stored.
pub async fn receive(app: &Arc<App>, place: &Place, link: &Link, receipts: Receipts) {
    let organization = &place.organization;
    let Some(stopped) = take_in(app, place, &receipts).await else {
        // Not acknowledged: the sensor tells it again at its next connection.
        link.close();
        return;
    };
    let steps = receipts.receipts.into_iter().map(|receipt| AckedStep { task_id: receipt.task_id, step: receipt.step });
    link.send(from_server::Message::ReceiptsAck(ReceiptsAck { steps: steps.collect() }));
    for number in stopped {
        super::control::store_control(app, organization, number).await;
    }
    deliver_next(app, place).await;
}

/// Stores and applies what receipts change. Gives the tasks that hold themselves
/// back from now on; `None` if it could not be stored.
async fn take_in(app: &Arc<App>, place: &Place, receipts: &Receipts) -> Option<Vec<u64>> {
    let organization = &place.organization;
    let _one_at_a_time = organization.sensor_changes.lock(&[place.ordinal]).await;
    let (changed, records) = {
        let state = organization.state.lock();
        let epoch = state.fleet.row(place.ordinal)?.epoch;
        let reports = receipts.receipts.iter().filter_map(|receipt| message::report(receipt, epoch));
        let reports: Vec<Report> = reports.collect();
        let changed = state.queue.receipts(place.ordinal, &reports);
        let targets = changed.into_iter().map(|(number, target)| (number, place.ordinal, target));
        let targets: Vec<_> = targets.collect();
        let records = activity(organization, &state, &targets);
        (targets, records)
    };
    if !changed.is_empty() {
        let writes = vec![Write::PutTargets { oid: organization.oid, targets: changed.clone() }];
        if let Err(error) = detect::emit(app, organization.oid, records, writes).await {
            tracing::warn!(%error, "receipts could not be stored");
            return None;
        }
    }
    let mut state = organization.state.lock();
    let applied =
        changed.into_iter().filter(|(number, ordinal, target)| state.queue.apply(*number, *ordinal, target.clone()));
    Some(applied.map(|(number, _, _)| number).collect())
}

fn activity(organization: &Organization, state: &State, targets: &[(u64, u32, muster_tasking::Target)]) -> Vec<Record> {
    let now = clock::now();
    let mut records = Vec::new();
    for (number, ordinal, target) in targets {
        let Some(task) = state.queue.task(*number).filter(|task| task.targets().len() <= ACTIVITY_TARGETS_MAX) else {
            continue;
        };
        let Some(row) = state.fleet.row(*ordinal).filter(|_| !target.state.is_pending()) else { continue };
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

async fn store_activity(app: &Arc<App>, oid: Oid, records: Vec<Record>) {
    if records.is_empty() {
        return;
    }
    if let Err(error) = detect::emit(app, oid, records, Vec::new()).await {
        tracing::warn!(%error, "activity events could not be stored");
    }
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
///
/// The caller must not keep others from changing these sensors: this does.
pub async fn matching_changed(app: &Arc<App>, organization: &Arc<Organization>, ordinals: &[u32]) {
    let now = clock::now();
    let one_at_a_time = organization.sensor_changes.lock(ordinals).await;
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
    drop(one_at_a_time);
    for ordinal in ordinals {
        let place = Place { organization: Arc::clone(organization), ordinal: *ordinal };
        Box::pin(deliver_next(app, &place)).await;
    }
}
