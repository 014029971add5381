//! Changes that operators and rules make to sensors.

use super::{Flag, Sensors};
use crate::intake::event::Actor;
use crate::organization::{Organization, Place};
use crate::tasking::ask;
use muster_store::StoreError;
use muster_tasking::dispatch::{Answer, Edit};
use roaring::RoaringBitmap;
use std::sync::Arc;
use std::time::Duration;

/// Changes the records of some sensors. Gives the number of changed sensors.
///
/// # Errors
///
/// Whatever the store says; of many sensors, some stay changed. Asking again mends it.
async fn edit(
    sensors: &Sensors,
    organization: &Arc<Organization>,
    ordinals: &RoaringBitmap,
    edit: Edit,
    actor: &Actor,
) -> Result<u64, StoreError> {
    let input =
        |dispatch: &mut muster_tasking::Dispatch, request, now| dispatch.edit(Some(request), ordinals, edit, now);
    match ask(&sensors.tasking, organization, Some(actor), input).await? {
        Answer::Changed(changed) => Ok(changed),
        _ => Ok(0),
    }
}

fn one(place: &Place) -> RoaringBitmap {
    RoaringBitmap::from_iter([place.ordinal])
}

/// Puts tags on sensors; with a time to live they go away by themselves.
///
/// # Errors
///
/// Whatever the store says; of many sensors, some stay changed. Asking again mends it.
pub async fn put_tags(
    sensors: &Sensors,
    organization: &Arc<Organization>,
    ordinals: &RoaringBitmap,
    tags: &[&str],
    ttl: Option<Duration>,
    actor: &Actor,
) -> Result<u64, StoreError> {
    let names = tags.iter().map(|name| (*name).into()).collect();
    let by = actor.identity.as_str().into();
    edit(sensors, organization, ordinals, Edit::PutTags { names, ttl, by }, actor).await
}

/// Takes tags off sensors.
///
/// # Errors
///
/// As [`put_tags`].
pub async fn take_tags(
    sensors: &Sensors,
    organization: &Arc<Organization>,
    ordinals: &RoaringBitmap,
    tags: &[&str],
    actor: &Actor,
) -> Result<u64, StoreError> {
    let names = tags.iter().map(|name| (*name).into()).collect();
    edit(sensors, organization, ordinals, Edit::TakeTags(names), actor).await
}

/// Sets what the server wants of a sensor, and tells the sensor if it is online.
///
/// # Errors
///
/// Whatever the store says; nothing changes then.
pub async fn set_flag(
    sensors: &Sensors,
    place: &Place,
    flag: Flag,
    wanted: bool,
    actor: &Actor,
) -> Result<(), StoreError> {
    edit(sensors, &place.organization, &one(place), Edit::Flag(flag, wanted), actor).await.map(|_| ())
}

/// Deletes a sensor: it is cut off, refused from now on, and owed nothing any more.
///
/// # Errors
///
/// As [`set_flag`].
pub async fn delete(sensors: &Sensors, place: &Place, actor: &Actor) -> Result<(), StoreError> {
    edit(sensors, &place.organization, &one(place), Edit::Delete, actor).await?;
    let sid = place.organization.state.lock().fleet.row(place.ordinal).map(|row| row.sensor.sid);
    if let Some(sid) = sid {
        sensors.tasking.intake.forget(place.organization.oid, sid).await;
    }
    Ok(())
}

/// Takes a deletion back; the sensor may connect again, with its tags and history.
///
/// # Errors
///
/// As [`set_flag`].
pub async fn undelete(sensors: &Sensors, place: &Place, actor: &Actor) -> Result<(), StoreError> {
    edit(sensors, &place.organization, &one(place), Edit::Undelete, actor).await.map(|_| ())
}
