//! Changes that operators and rules make to sensors.

use super::{Flag, Place, wanted_flags};
use crate::app::App;
use crate::event::{self, Actor};
use crate::organization::Organization;
use crate::{clock, detect, tasking};
use muster_model::{Tag, Timestamp};
use muster_store::{SensorRow, StoreError, Write};
use muster_wire::from_server;
use roaring::RoaringBitmap;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// Changes of one commit. A mass change is several commits, each of which is
/// idempotent, so that a failure half way is mended by asking again.
const SENSORS_PER_COMMIT: usize = 2_000;

/// What is told of a change: the audit record.
pub struct Change<'a> {
    /// Who.
    pub actor: &'a Actor,
    /// For people.
    pub message: &'a str,
    /// For programs.
    pub action: &'a str,
    /// More about it.
    pub detail: Value,
}

/// Changes the records of some sensors. `edit` tells whether it changed a record.
/// Gives the number of changed sensors.
///
/// # Errors
///
/// Whatever the store says; sensors of earlier commits stay changed.
pub async fn update(
    app: &Arc<App>,
    organization: &Arc<Organization>,
    ordinals: &RoaringBitmap,
    change: Option<&Change<'_>>,
    edit: impl FnMut(&mut SensorRow) -> bool,
) -> Result<u64, StoreError> {
    update_and_abandon(app, organization, ordinals, change, edit, |_, _| None).await
}

/// Why a change of its record ends what a sensor is owed.
pub(super) struct Abandonment {
    /// For people.
    pub reason: &'static str,
    /// What was under way is lost with the journal that knew of it.
    pub journal_is_lost: bool,
}

/// As [`update`]; `ends` is asked about each record before and after its change.
///
/// The tasks are closed in the same commit as the record changes: if only one of the two
/// were stored, a task of an earlier epoch would be sent again, and run twice.
pub(super) async fn update_and_abandon(
    app: &Arc<App>,
    organization: &Arc<Organization>,
    ordinals: &RoaringBitmap,
    change: Option<&Change<'_>>,
    mut edit: impl FnMut(&mut SensorRow) -> bool,
    ends: impl Fn(&SensorRow, &SensorRow) -> Option<Abandonment>,
) -> Result<u64, StoreError> {
    let all: Vec<u32> = ordinals.iter().collect();
    let mut changed = 0;
    for some in all.chunks(SENSORS_PER_COMMIT) {
        let one_at_a_time = organization.sensor_changes.lock(some).await;
        let (rows, targets) = {
            let state = organization.state.lock();
            let (mut rows, mut targets) = (Vec::new(), Vec::new());
            for before in some.iter().filter_map(|ordinal| state.fleet.row(*ordinal)) {
                let mut row = before.clone();
                if !edit(&mut row) {
                    continue;
                }
                if let Some(end) = ends(before, &row) {
                    let closed = state.queue.abandon(row.ordinal, clock::now(), end.reason, end.journal_is_lost);
                    targets.extend(closed.into_iter().map(|(number, target)| (number, row.ordinal, target)));
                }
                rows.push(row);
            }
            (rows, targets)
        };
        if rows.is_empty() {
            continue;
        }
        let mut records = Vec::new();
        if let Some(change) = change {
            let now = clock::now();
            records.extend(rows.iter().map(|row| {
                let entity = json!({"type": "sensor", "sid": row.sensor.sid, "hostname": row.sensor.hostname});
                event::audit(
                    organization.oid,
                    change.actor,
                    change.message,
                    &entity,
                    change.action,
                    &change.detail,
                    now,
                )
            }));
        }
        let mut writes: Vec<Write> = rows.iter().map(|row| Write::PutSensor(Box::new(row.clone()))).collect();
        if !targets.is_empty() {
            writes.push(Write::PutTargets { oid: organization.oid, targets: targets.clone() });
        }
        writes.extend(app.emit(&records));
        app.store.commit(writes).await?;
        changed += u64::try_from(rows.len()).unwrap_or(0);
        {
            let mut state = organization.state.lock();
            for row in rows {
                state.fleet.put(row);
            }
            for (number, ordinal, target) in targets {
                state.queue.apply(number, ordinal, target);
            }
        }
        drop(one_at_a_time);
        tasking::matching_changed(app, organization, some).await;
    }
    Ok(changed)
}

/// Puts tags on sensors; with a time to live they go away by themselves.
///
/// # Errors
///
/// As [`update`].
pub async fn put_tags(
    app: &Arc<App>,
    organization: &Arc<Organization>,
    ordinals: &RoaringBitmap,
    tags: &[&str],
    ttl: Option<Duration>,
    actor: &Actor,
) -> Result<u64, StoreError> {
    let now = clock::now();
    let by: Arc<str> = actor.identity.as_str().into();
    let new: Vec<Tag> = tags
        .iter()
        .map(|name| Tag {
            name: (*name).into(),
            added_by: Arc::clone(&by),
            added_at: now,
            expires_at: ttl.map(|ttl| now.saturating_add(ttl)),
        })
        .collect();
    let detail = json!({"tags": tags, "ttl": ttl.map(|ttl| ttl.as_secs())});
    let change = Change { actor, message: "tags added", action: "add_tag", detail };
    update(app, organization, ordinals, Some(&change), |row| {
        let mut changed = false;
        for tag in &new {
            let have = row.sensor.tags.iter().find(|have| have.name == tag.name);
            // Putting on what is there for ever changes nothing: a mass tag is cheap to repeat.
            let is_same = have.is_some_and(|have| have.expires_at.is_none() && tag.expires_at.is_none());
            if !is_same {
                row.sensor.put_tag(tag.clone());
                changed = true;
            }
        }
        changed
    })
    .await
}

/// Takes tags off sensors.
///
/// # Errors
///
/// As [`update`].
pub async fn take_tags(
    app: &Arc<App>,
    organization: &Arc<Organization>,
    ordinals: &RoaringBitmap,
    tags: &[&str],
    actor: &Actor,
) -> Result<u64, StoreError> {
    let change = Change { actor, message: "tags removed", action: "remove_tag", detail: json!({"tags": tags}) };
    let edit = |row: &mut SensorRow| tags.iter().filter(|tag| row.sensor.take_tag(tag)).count() > 0;
    update(app, organization, ordinals, Some(&change), edit).await
}

/// Takes off tags whose time has run out; to be called now and then.
///
/// # Errors
///
/// As [`update`].
pub async fn sweep_tags(app: &Arc<App>, organization: &Arc<Organization>, now: Timestamp) -> Result<u64, StoreError> {
    let is_over = |tag: &Tag| tag.expires_at.is_some_and(|at| at <= now);
    let over: RoaringBitmap = {
        let state = organization.state.lock();
        let has_over = |ordinal: &u32| state.fleet.row(*ordinal).is_some_and(|row| row.sensor.tags.iter().any(is_over));
        state.fleet.fading().iter().filter(has_over).collect()
    };
    if over.is_empty() {
        return Ok(0);
    }
    let actor = Actor::system();
    let change = Change { actor: &actor, message: "tags expired", action: "expire_tag", detail: json!({}) };
    update(app, organization, &over, Some(&change), |row| {
        let before = row.sensor.tags.len();
        row.sensor.tags.retain(|tag| !is_over(tag));
        row.sensor.tags.len() != before
    })
    .await
}

/// Sets what the server wants of a sensor, and tells the sensor if it is online.
///
/// # Errors
///
/// As [`update`].
pub async fn set_flag(
    app: &Arc<App>,
    place: &Place,
    flag: Flag,
    wanted: bool,
    actor: &Actor,
) -> Result<(), StoreError> {
    let (message, action) = match (flag, wanted) {
        (Flag::Isolation, true) => ("network isolation requested", "isolate"),
        (Flag::Isolation, false) => ("end of network isolation requested", "rejoin"),
        (Flag::Seal, true) => ("seal requested", "seal"),
        (Flag::Seal, false) => ("end of seal requested", "unseal"),
    };
    let change = Change { actor, message, action, detail: json!({}) };
    let one = RoaringBitmap::from_iter([place.ordinal]);
    update(app, &place.organization, &one, Some(&change), |row| {
        match flag {
            Flag::Isolation => (row.sensor.should_isolate, row.owns_isolation) = (wanted, true),
            Flag::Seal => (row.sensor.should_seal, row.owns_seal) = (wanted, true),
        }
        true
    })
    .await?;
    let state = place.organization.state.lock();
    if let (Some(row), Some(link)) = (state.fleet.row(place.ordinal), state.links.get(&place.ordinal)) {
        link.send(from_server::Message::Flags(wanted_flags(row)));
    }
    Ok(())
}

/// Deletes a sensor: it is cut off, refused from now on, and owed nothing any more.
///
/// # Errors
///
/// As [`update`].
pub async fn delete(app: &Arc<App>, place: &Place, actor: &Actor) -> Result<(), StoreError> {
    let change = Change { actor, message: "sensor deleted", action: "delete_sensor", detail: json!({}) };
    let one = RoaringBitmap::from_iter([place.ordinal]);
    let edit = |row: &mut SensorRow| {
        row.denied_at = Timestamp::ZERO;
        !std::mem::replace(&mut row.sensor.deleted, true)
    };
    let ends =
        |_: &SensorRow, _: &SensorRow| Some(Abandonment { reason: "the sensor was deleted", journal_is_lost: false });
    update_and_abandon(app, &place.organization, &one, Some(&change), edit, ends).await?;
    if let Some(link) = place.organization.state.lock().links.get(&place.ordinal) {
        link.close();
    }
    let sid = place.organization.state.lock().fleet.row(place.ordinal).map(|row| row.sensor.sid);
    if let Some(sid) = sid {
        detect::forget(app, place.organization.oid, sid).await;
    }
    Ok(())
}

/// Takes a deletion back; the sensor may connect again, with its tags and history.
///
/// # Errors
///
/// As [`update`].
pub async fn undelete(app: &Arc<App>, place: &Place, actor: &Actor) -> Result<(), StoreError> {
    let change = Change { actor, message: "sensor undeleted", action: "undelete_sensor", detail: json!({}) };
    let one = RoaringBitmap::from_iter([place.ordinal]);
    let edit = |row: &mut SensorRow| std::mem::replace(&mut row.sensor.deleted, false);
    update(app, &place.organization, &one, Some(&change), edit).await.map(|_| ())
}
