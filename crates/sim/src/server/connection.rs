//! Connections and sensor records; as `gateway/{connection,admit}.rs` and
//! `sensor/{presence,change}.rs` of the server. Signatures are taken as proven.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;

use muster_model::{Architecture, Iid, Platform, Sensor, Sid, Tag, Timestamp};
use muster_store::{SensorRow, StoreError, Write};
use muster_wire::{
    Challenge, Claim, Enrolled, Hello, Refusal, Refused, SensorState, Welcome, from_sensor, from_server,
};
use uuid::Uuid;

use super::link::ServerLink;
use super::{Node, OID, ingest, tasking};
use crate::kernel::{LinkId, MS};

/// As in `gateway/admit.rs`, but short enough to be seen within a run.
const RETRY_REFUSED_S: u32 = 300;
const RETRY_BUSY_S: u32 = 30;

pub(super) fn accept(node: &Rc<Node>, id: LinkId) {
    let link = ServerLink::new(id);
    node.connections.borrow_mut().insert(id, Rc::clone(&link));
    let (shared, served) = (Rc::clone(node), Rc::clone(&link));
    let job = node.spawn(async move {
        serve(&shared, &served).await;
        shared.connections.borrow_mut().remove(&served.id);
        shared.site.net.borrow_mut().close_down(served.id);
    });
    link.job.set(job);
}

pub(super) fn arrive(node: &Node, id: LinkId, is_end: bool) {
    let Some(link) = node.connections.borrow().get(&id).cloned() else { return };
    if is_end {
        link.is_gone.set(true);
    } else if let Some(message) = node.site.net.borrow_mut().take_up(id) {
        link.heard.borrow_mut().push_back(message);
    }
    link.wake(node);
}

async fn serve(node: &Rc<Node>, link: &Rc<ServerLink>) {
    let challenge = from_server::Message::Challenge(Challenge { nonce: vec![7; 32] });
    node.site.net.borrow_mut().send_down(link.id, challenge);
    let heard = poll_fn(|_| match link.heard.borrow_mut().pop_front() {
        Some(message) => Poll::Ready(Some(message)),
        None if link.is_gone.get() => Poll::Ready(None),
        None => Poll::Pending,
    });
    let Some(from_sensor::Message::Hello(hello)) = heard.await else { return };
    let (ordinal, welcome) = match admit(node, &hello, link).await {
        Ok(admitted) => admitted,
        Err(answer) => {
            node.site.net.borrow_mut().send_down(link.id, answer);
            node.pause(MS).await;
            return;
        }
    };
    node.site.net.borrow_mut().send_down(link.id, from_server::Message::Welcome(welcome));
    tasking::deliver_next(node, ordinal).await;
    exchange(node, ordinal, link).await;
    went_offline(node, ordinal, link);
}

async fn exchange(node: &Rc<Node>, ordinal: u32, link: &Rc<ServerLink>) {
    loop {
        let is_last = link.is_closed.get();
        for message in link.waiting.take() {
            node.site.net.borrow_mut().send_down(link.id, message);
        }
        if is_last {
            return;
        }
        let heard = link.heard.borrow_mut().pop_front();
        match heard {
            Some(from_sensor::Message::Receipts(receipts)) => tasking::receive(node, ordinal, link, receipts).await,
            Some(from_sensor::Message::Events(events)) => ingest::receive(node, ordinal, link, events).await,
            Some(from_sensor::Message::Hello(_)) => link.close(node),
            Some(from_sensor::Message::Sync(_) | from_sensor::Message::Transfer(_)) => {}
            None if link.is_gone.get() => return,
            None => {
                poll_fn(|_| {
                    let has_news = !link.waiting.borrow().is_empty() || !link.heard.borrow().is_empty();
                    if has_news || link.is_gone.get() || link.is_closed.get() { Poll::Ready(()) } else { Poll::Pending }
                })
                .await;
            }
        }
    }
}

fn refuse(reason: Refusal, retry_after_s: u32) -> from_server::Message {
    from_server::Message::Refused(Refused { reason: reason.into(), text: String::new(), retry_after_s })
}

async fn admit(node: &Rc<Node>, hello: &Hello, link: &Rc<ServerLink>) -> Result<(u32, Welcome), from_server::Message> {
    let busy = |_: StoreError| refuse(Refusal::Busy, RETRY_BUSY_S);
    let state = hello.state.clone().unwrap_or_default();
    match &hello.claim {
        Some(Claim::Enrol(new)) => {
            let sid = enrol(node, &new.public_key, &state).await.map_err(busy)?;
            Err(from_server::Message::Enrolled(Enrolled { sid: sid.0.as_bytes().to_vec() }))
        }
        Some(Claim::Resume(resume)) => {
            let unknown = || refuse(Refusal::Identity, RETRY_REFUSED_S);
            let sid = Sid(Uuid::from_slice(&resume.sid).map_err(|_| unknown())?);
            let (ordinal, deleted) = {
                let state = node.state.borrow();
                let row = state.fleet.iter().find(|row| row.sensor.sid == sid).ok_or_else(unknown)?;
                (row.ordinal, row.sensor.deleted)
            };
            if deleted {
                return Err(refuse(Refusal::Deleted, RETRY_REFUSED_S));
            }
            went_online(node, ordinal, link, &state).await.map(|welcome| (ordinal, welcome)).map_err(busy)
        }
        None => Err(refuse(Refusal::Identity, RETRY_REFUSED_S)),
    }
}

async fn enrol(node: &Rc<Node>, public_key: &[u8], state: &SensorState) -> Result<Sid, StoreError> {
    let row = {
        let _one_at_a_time = node.sensor_changes.lock(node).await;
        let ordinal = u32::try_from(node.state.borrow().fleet.len()).unwrap_or(u32::MAX);
        let row = new_row(ordinal, Sid(Uuid::from_bytes(node.site.kernel.id())), public_key, state, node.now());
        node.commit(vec![Write::PutSensor(Box::new(row.clone()))]).await?;
        node.state.borrow_mut().put(row.clone());
        row
    };
    tasking::matching_changed(node, &[row.ordinal]).await;
    Ok(row.sensor.sid)
}

fn new_row(ordinal: u32, sid: Sid, public_key: &[u8], state: &SensorState, now: Timestamp) -> SensorRow {
    let iid = Iid(Uuid::from_u128(9));
    let mut sensor = Sensor::enrolled(sid, OID, iid, Platform(state.platform), Architecture::X64, now);
    sensor.hostname = state.hostname.as_str().into();
    SensorRow::enrolled(ordinal, sensor, public_key)
}

async fn update(node: &Rc<Node>, ordinals: &[u32], edit: impl FnMut(&mut SensorRow) -> bool) -> Result<(), StoreError> {
    update_and_abandon(node, ordinals, edit, |_, _| None).await
}

/// Changes records of sensors: decide on a copy, store, apply; as `sensor::change::update_and_abandon`.
/// `ends` tells whether what the sensor is owed ends, and if so, whether its journal is lost.
async fn update_and_abandon(
    node: &Rc<Node>,
    ordinals: &[u32],
    mut edit: impl FnMut(&mut SensorRow) -> bool,
    ends: impl Fn(&SensorRow, &SensorRow) -> Option<bool>,
) -> Result<(), StoreError> {
    let one_at_a_time = node.sensor_changes.lock(node).await;
    let now = node.now();
    let (mut rows, mut targets) = (Vec::new(), Vec::new());
    for before in ordinals.iter().filter_map(|ordinal| node.state.borrow().row(*ordinal).cloned()) {
        let mut row = before.clone();
        if !edit(&mut row) {
            continue;
        }
        if let Some(journal_is_lost) = ends(&before, &row) {
            let closed = node.state.borrow().queue.abandon(row.ordinal, now, "the sensor is gone", journal_is_lost);
            targets.extend(closed.into_iter().map(|(number, target)| (number, row.ordinal, target)));
        }
        rows.push(row);
    }
    if rows.is_empty() {
        return Ok(());
    }
    let mut writes: Vec<Write> = rows.iter().map(|row| Write::PutSensor(Box::new(row.clone()))).collect();
    if !targets.is_empty() {
        writes.push(Write::PutTargets { oid: OID, targets: targets.clone() });
    }
    node.commit(writes).await?;
    rows.into_iter().for_each(|row| node.state.borrow_mut().put(row));
    for (number, ordinal, target) in targets {
        node.state.borrow_mut().queue.apply(number, ordinal, target);
    }
    drop(one_at_a_time);
    tasking::matching_changed(node, ordinals).await;
    Ok(())
}

async fn went_online(
    node: &Rc<Node>,
    ordinal: u32,
    link: &Rc<ServerLink>,
    reported: &SensorState,
) -> Result<Welcome, StoreError> {
    let edit = |row: &mut SensorRow| {
        let lost_journal = !row.journal_id.is_empty() && row.journal_id != reported.journal_id;
        row.epoch += u64::from(lost_journal);
        row.journal_id.clone_from(&reported.journal_id);
        row.boot_id.clone_from(&reported.boot_id);
        true
    };
    let ends = |before: &SensorRow, after: &SensorRow| (before.epoch != after.epoch).then_some(true);
    update_and_abandon(node, &[ordinal], edit, ends).await?;
    let spool = spool(node, ordinal, reported).await?;
    let mut state = node.state.borrow_mut();
    state.spools.extend(spool.map(|spool| (ordinal, spool)));
    let spool_seq = spool.map_or(0, |(_, seq)| seq);
    if let Some(replaced) = state.links.insert(ordinal, Rc::clone(link)) {
        replaced.close(node);
    }
    state.online.insert(ordinal);
    state.queue.disconnected(ordinal);
    let row = state.row(ordinal).ok_or_else(|| StoreError::Failed("the sensor vanished".into()))?;
    node.site.kernel.note(|| format!("server: sensor {ordinal} is online in epoch {}", row.epoch));
    Ok(Welcome { server_now_ms: node.now().as_millis(), epoch: row.epoch, flags: None, sleeper: false, spool_seq })
}

async fn spool(node: &Node, ordinal: u32, reported: &SensorState) -> Result<Option<([u8; 16], u64)>, StoreError> {
    let Ok(spool_id) = <[u8; 16]>::try_from(reported.spool_id.as_slice()) else { return Ok(None) };
    node.pause(2 * MS).await;
    let stored = node.site.store.read_blocking(|read| read.spool(OID, ordinal, spool_id))?;
    node.pause(2 * MS).await;
    if stored.is_none() {
        node.commit(vec![Write::PutSpool { oid: OID, ordinal, spool_id, seq: 0, after: None }]).await?;
    }
    Ok(Some((spool_id, stored.unwrap_or(0))))
}

fn went_offline(node: &Node, ordinal: u32, link: &ServerLink) {
    let mut state = node.state.borrow_mut();
    let is_current = state.links.get(&ordinal).is_some_and(|have| have.id == link.id);
    if !is_current {
        return;
    }
    state.links.remove(&ordinal);
    state.online.remove(ordinal);
    state.spools.remove(&ordinal);
    state.queue.disconnected(ordinal);
    node.site.kernel.note(|| format!("server: sensor {ordinal} is offline"));
}

/// What an operator changes of a sensor.
#[derive(Clone, Copy, Debug)]
pub enum Edit {
    /// Puts a tag on.
    Tag(&'static str),
    /// Takes a tag off.
    Untag(&'static str),
}

/// Changes tags; as `put_tags` and `take_tags`.
///
/// # Errors
///
/// Whatever the store says.
pub async fn edit_sensors(node: &Rc<Node>, ordinals: &[u32], edit: Edit) -> Result<(), StoreError> {
    let now = node.now();
    update(node, ordinals, |row| match edit {
        Edit::Tag(name) => {
            row.sensor.put_tag(Tag { name: name.into(), added_by: "op".into(), added_at: now, expires_at: None });
            true
        }
        Edit::Untag(name) => row.sensor.take_tag(name),
    })
    .await
}

/// Deletes a sensor.
///
/// # Errors
///
/// Whatever the store says.
pub async fn delete(node: &Rc<Node>, ordinal: u32) -> Result<(), StoreError> {
    let edit = |row: &mut SensorRow| !std::mem::replace(&mut row.sensor.deleted, true);
    update_and_abandon(node, &[ordinal], edit, |_, _| Some(false)).await?;
    if let Some(link) = node.state.borrow().links.get(&ordinal) {
        link.close(node);
    }
    Ok(())
}

/// Takes a deletion back.
///
/// # Errors
///
/// Whatever the store says.
pub async fn undelete(node: &Rc<Node>, ordinal: u32) -> Result<(), StoreError> {
    update(node, &[ordinal], |row| std::mem::replace(&mut row.sensor.deleted, false)).await
}
