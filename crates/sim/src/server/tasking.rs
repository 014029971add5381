//! Reliable tasking; as `tasking/{create,deliver,control,tick}.rs` of the server.

use std::rc::Rc;

use muster_command::Command;
use muster_model::{TaskId, Timestamp};
use muster_selector::Selector;
use muster_server::tasking::message;
use muster_store::{StoreError, TaskRow, Write};
use muster_tasking::{Conditions, Control, ControlChange, Offer, Pace, Queue, Report, Spec, Target, Task};
use muster_wire::{AckedStep, Receipts, ReceiptsAck, from_server};
use roaring::RoaringBitmap;

use super::link::ServerLink;
use super::{Node, OID};
use crate::world::Sabotage;

/// As in `tasking/deliver.rs`, but small, so that several commits are seen.
const OFFERS_PER_COMMIT: usize = 3;

/// What an operator asks for.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "the fields are those of `muster_tasking::Spec`")]
pub struct NewTask {
    pub task_id: TaskId,
    pub command: &'static str,
    pub selector: &'static str,
    pub ttl_s: u64,
    pub dynamic: bool,
    pub urgent: bool,
    pub conditions: Option<Conditions>,
    pub pace: Pace,
}

/// Accepts a task: answers with its targets after it is durable.
///
/// # Errors
///
/// Whatever the store says.
pub async fn create(node: &Rc<Node>, new: &NewTask) -> Result<RoaringBitmap, StoreError> {
    let command = Command::parse(new.command).map_err(|error| StoreError::Failed(error.to_string()))?;
    let selector = Selector::parse(new.selector).map_err(|error| StoreError::Failed(error.to_string()))?;
    let spec = spec(new, node.now());
    if let Some(task) = node.state.borrow().queue.find(new.task_id) {
        return Ok(task.targets().clone());
    }
    let (number, targets, control) = {
        let mut state = node.state.borrow_mut();
        let chosen = state.fleet.iter().filter(|row| !row.sensor.deleted && selector.selects(&row.sensor));
        let targets: RoaringBitmap = chosen.map(|row| row.ordinal).collect();
        let unable = |ordinal: &u32| {
            let row = state.row(*ordinal);
            row.is_some_and(|row| !command.spec.supports(row.sensor.platform, row.sensor.architecture))
        };
        let unsupported = targets.iter().filter(unable).collect();
        let number = state.queue.next_number();
        state.queue.reserve(number);
        (number, targets, Control { unsupported, ..Control::default() })
    };
    if targets.is_empty() && !spec.dynamic {
        return Ok(targets);
    }
    let text = |value: serde_json::Result<String>| value.map_err(|error| StoreError::Failed(error.to_string()));
    let row = TaskRow {
        oid: OID,
        number,
        task_id: spec.task_id,
        spec: text(serde_json::to_string(&spec))?,
        control: text(serde_json::to_string(&control))?,
        targets: targets.clone(),
    };
    node.commit(vec![Write::CreateTask(Box::new(row))]).await?;
    node.state.borrow_mut().queue.insert(Task::new(number, spec, control, targets.clone()));
    let shared = Rc::clone(node);
    node.spawn(async move { fan_out(&shared, number).await });
    Ok(targets)
}

fn spec(new: &NewTask, now: Timestamp) -> Spec {
    Spec {
        task_id: new.task_id,
        command: new.command.to_owned(),
        selector: new.selector.to_owned(),
        context: None,
        ttl_s: new.ttl_s,
        created_at: now,
        created_by: "operator".to_owned(),
        dynamic: new.dynamic,
        urgent: new.urgent,
        conditions: new.conditions.clone(),
        pace: new.pace.clone(),
        total: 0,
        tasked: 0,
    }
}

pub(super) async fn deliver_next(node: &Rc<Node>, ordinal: u32) {
    let _one_at_a_time = node.sensor_changes.lock(node).await;
    let offer = {
        let now = node.now();
        let mut state = node.state.borrow_mut();
        if !state.links.contains_key(&ordinal) {
            return;
        }
        state.queue.offer(ordinal, now)
    };
    if let Some(offer) = offer {
        deliver(node, vec![offer]).await;
    }
}

async fn fan_out(node: &Rc<Node>, number: u64) {
    let waiting = {
        let now = node.now();
        let state = node.state.borrow();
        state.queue.waiting(number, &state.online, now, &mut || node.site.kernel.random())
    };
    let choose = |queue: &mut Queue, online: &[u32], now| {
        let offers = queue.offer_each(number, online, now);
        (!offers.is_empty() || !queue.is_paced(number)).then_some(offers)
    };
    hand_out(node, &waiting, choose).await;
}

async fn offer_again(node: &Rc<Node>, ordinals: &[u32]) {
    let choose = |queue: &mut Queue, online: &[u32], now| {
        Some(online.iter().filter_map(|ordinal| queue.offer(*ordinal, now)).collect())
    };
    hand_out(node, ordinals, choose).await;
}

async fn hand_out(
    node: &Rc<Node>,
    mut waiting: &[u32],
    choose: impl Fn(&mut Queue, &[u32], Timestamp) -> Option<Vec<Offer>>,
) {
    while !waiting.is_empty() {
        let (some, rest) = waiting.split_at(OFFERS_PER_COMMIT.min(waiting.len()));
        waiting = rest;
        let _one_at_a_time = node.sensor_changes.lock(node).await;
        let offers = {
            let now = node.now();
            let mut guard = node.state.borrow_mut();
            let state = &mut *guard;
            let online: Vec<u32> = some.iter().copied().filter(|ordinal| state.online.contains(*ordinal)).collect();
            choose(&mut state.queue, &online, now)
        };
        let Some(offers) = offers else { return };
        if !offers.is_empty() && !deliver(node, offers).await {
            return node.state.borrow_mut().queue.postpone(rest.iter().copied(), node.now());
        }
    }
}

/// Makes offers durable, and only then hands them to links; tells whether that was possible.
async fn deliver(node: &Rc<Node>, offers: Vec<Offer>) -> bool {
    if node.site.sabotage == Some(Sabotage::SendBeforeStore) {
        hand_over(node, &offers);
    }
    let targets = offers.iter().map(|offer| (offer.number, offer.ordinal, offer.target.clone())).collect();
    if node.commit(vec![Write::PutTargets { oid: OID, targets }]).await.is_err() {
        let now = node.now();
        let mut state = node.state.borrow_mut();
        offers.into_iter().for_each(|offer| state.queue.revert(offer, now));
        return false;
    }
    hand_over(node, &offers);
    true
}

fn hand_over(node: &Node, offers: &[Offer]) {
    let now = node.now();
    let state = node.state.borrow();
    for offer in offers {
        let Some(task) = state.queue.task(offer.number) else { continue };
        if !task.may_send(offer.ordinal, now) {
            continue;
        }
        let (Some(link), Some(row)) = (state.links.get(&offer.ordinal), state.row(offer.ordinal)) else { continue };
        link.send(node, from_server::Message::Deliver(message::deliver(task, row.epoch, now)));
        node.site.kernel.note(|| {
            format!(
                "server: sends task {} to sensor {} (attempt {})",
                offer.number, offer.ordinal, offer.target.attempts
            )
        });
    }
}

/// Takes in steps that a sensor journalled; acknowledges them once they are stored.
pub(super) async fn receive(node: &Rc<Node>, ordinal: u32, link: &ServerLink, receipts: Receipts) {
    let one_at_a_time = node.sensor_changes.lock(node).await;
    let changed: Vec<(u64, u32, Target)> = {
        let state = node.state.borrow();
        let epoch = state.row(ordinal).map_or(0, |row| row.epoch);
        let reports = receipts.receipts.iter().filter_map(|receipt| message::report(receipt, epoch));
        let reports: Vec<Report> = reports.collect();
        let changed = state.queue.receipts(ordinal, &reports);
        changed.into_iter().map(|(number, target)| (number, ordinal, target)).collect()
    };
    if !changed.is_empty() {
        let writes = vec![Write::PutTargets { oid: OID, targets: changed.clone() }];
        if node.commit(writes).await.is_err() {
            link.close(node);
            return;
        }
    }
    let mut stopped = Vec::new();
    for (number, ordinal, target) in changed {
        node.site.kernel.note(|| format!("server: task {number} is {} on sensor {ordinal}", target.state));
        if node.state.borrow_mut().queue.apply(number, ordinal, target) {
            stopped.push(number);
        }
    }
    drop(one_at_a_time);
    let steps = receipts.receipts.into_iter().map(|receipt| AckedStep { task_id: receipt.task_id, step: receipt.step });
    link.send(node, from_server::Message::ReceiptsAck(ReceiptsAck { steps: steps.collect() }));
    for number in stopped {
        store_control(node, number).await;
    }
    deliver_next(node, ordinal).await;
}

async fn store_control(node: &Node, number: u64) {
    let _one_at_a_time = node.control_changes.lock(node).await;
    store_control_as_it_is(node, number).await;
}

async fn store_control_as_it_is(node: &Node, number: u64) {
    let control = node.state.borrow().queue.task(number).map(|task| serde_json::to_string(&task.control));
    let Some(Ok(control)) = control else { return };
    // After a restart the failures are counted again, and stop it again.
    let _ = node.commit(vec![Write::PutTaskControl { oid: OID, task: number, control }]).await;
}

async fn put_targets(node: &Node, targets: Vec<(u64, u32, Target)>) -> Result<(), StoreError> {
    if targets.is_empty() {
        return Ok(());
    }
    node.commit(vec![Write::PutTargets { oid: OID, targets: targets.clone() }]).await?;
    let mut state = node.state.borrow_mut();
    for (number, ordinal, target) in targets {
        state.queue.apply(number, ordinal, target);
    }
    Ok(())
}

/// Sensors enrolled or changed: dynamic tasks gain and lose them.
pub(super) async fn matching_changed(node: &Rc<Node>, ordinals: &[u32]) {
    let one_at_a_time = node.sensor_changes.lock(node).await;
    let now = node.now();
    let targets: Vec<_> = {
        let state = node.state.borrow();
        let mut targets = Vec::new();
        for number in state.queue.dynamic(now) {
            let Some(task) = state.queue.task(number) else { continue };
            let Ok(selector) = Selector::parse(&task.spec.selector) else { continue };
            let Ok(command) = Command::parse(&task.spec.command) else { continue };
            for ordinal in ordinals {
                let Some(row) = state.row(*ordinal) else { continue };
                let is_able = command.spec.supports(row.sensor.platform, row.sensor.architecture);
                let change = if is_able && selector.selects(&row.sensor) {
                    state.queue.join(number, *ordinal, now)
                } else {
                    state.queue.leave(number, *ordinal, now)
                };
                targets.extend(change.map(|target| (number, *ordinal, target)));
            }
        }
        targets
    };
    if targets.is_empty() || put_targets(node, targets).await.is_err() {
        return;
    }
    drop(one_at_a_time);
    for ordinal in ordinals {
        deliver_next(node, *ordinal).await;
    }
}

/// What an untask took back.
#[derive(Clone, Debug, Default)]
pub struct Untasking {
    /// Task and targets that never get it.
    pub deleted: Vec<(TaskId, RoaringBitmap)>,
}

/// Takes back what was not sent yet.
///
/// # Errors
///
/// Whatever the store says; nothing is taken back then.
pub async fn untask(
    node: &Rc<Node>,
    task_id: Option<TaskId>,
    sensors: Option<RoaringBitmap>,
) -> Result<Untasking, StoreError> {
    let _one_at_a_time = node.control_changes.lock(node).await;
    let now = node.now();
    let untasked = {
        let mut state = node.state.borrow_mut();
        let number = match task_id {
            Some(id) => match state.queue.find(id) {
                Some(task) => Some(task.number),
                None => return Ok(Untasking::default()),
            },
            None => None,
        };
        state.queue.untask(number, sensors.as_ref(), now)
    };
    let mut writes = Vec::new();
    for one in &untasked {
        let control = serde_json::to_string(&one.control).map_err(|error| StoreError::Failed(error.to_string()))?;
        writes.push(Write::PutTaskControl { oid: OID, task: one.number, control });
    }
    if node.site.sabotage != Some(Sabotage::ForgetRemoval)
        && let Err(error) = node.commit(writes).await
    {
        let now = node.now();
        untasked.iter().for_each(|one| node.state.borrow_mut().queue.undo_change(one, now));
        return Err(error);
    }
    let mut state = node.state.borrow_mut();
    for one in &untasked {
        state.queue.apply_change(one);
    }
    let deleted =
        untasked.into_iter().filter_map(|one| Some((state.queue.task(one.number)?.spec.task_id, one.deleted)));
    Ok(Untasking { deleted: deleted.collect() })
}

/// Holds a task back.
///
/// # Errors
///
/// Whatever the store says.
pub async fn pause(node: &Rc<Node>, id: TaskId) -> Result<(), StoreError> {
    let _one_at_a_time = node.control_changes.lock(node).await;
    let change = node.state.borrow_mut().queue.pause(id);
    store_change(node, change).await.map(|_| ())
}

/// Lets a task go on.
///
/// # Errors
///
/// Whatever the store says.
pub async fn resume(node: &Rc<Node>, id: TaskId) -> Result<(), StoreError> {
    let one_at_a_time = node.control_changes.lock(node).await;
    let change = node.state.borrow().queue.resume(id);
    let number = store_change(node, change).await?;
    drop(one_at_a_time);
    if let Some(number) = number {
        fan_out(node, number).await;
    }
    Ok(())
}

async fn store_change(node: &Node, change: Option<ControlChange>) -> Result<Option<u64>, StoreError> {
    let Some(change) = change else { return Ok(None) };
    let control = serde_json::to_string(&change.control).map_err(|error| StoreError::Failed(error.to_string()))?;
    let write = Write::PutTaskControl { oid: OID, task: change.number, control };
    if let Err(error) = node.commit(vec![write]).await {
        node.state.borrow_mut().queue.undo_change(&change, node.now());
        return Err(error);
    }
    let stops = node.state.borrow_mut().queue.apply_change(&change);
    if stops {
        store_control_as_it_is(node, change.number).await;
    }
    Ok(Some(change.number))
}

pub(super) async fn tick(node: &Rc<Node>) {
    let (again, paced) = {
        let now = node.now();
        let mut guard = node.state.borrow_mut();
        let state = &mut *guard;
        let (mut again, gone): (Vec<u32>, Vec<u32>) =
            state.queue.overdue(now).into_iter().partition(|ordinal| state.online.contains(*ordinal));
        gone.into_iter().for_each(|ordinal| state.queue.disconnected(ordinal));
        again.extend(state.queue.take_postponed(now) & &state.online);
        state.queue.expire(now);
        (again, state.queue.paced(now))
    };
    offer_again(node, &again).await;
    for number in paced {
        fan_out(node, number).await;
    }
}
