//! Enrolment, and coming and going of links.

use super::Sensors;
use crate::link::Link;
use crate::organization::{Organization, Place, message};
use crate::profile::{ORGANIZATION, ORGANIZATION_OWNER};
use crate::random;
use crate::tasking::{Tasking, ask, carry_out, tell};
use muster_model::{Iid, Sid};
use muster_store::StoreError;
use muster_tasking::dispatch::{self, Answer, Arrival, Edit, SpoolSeen, Welcome};
use muster_wire::SensorState;
use roaring::RoaringBitmap;
use std::net::IpAddr;
use std::sync::Arc;
use tokio::runtime::Handle;

/// A sensor that asks for an identity.
pub struct Enrolment<'a> {
    /// The installation key.
    pub iid: Iid,
    /// Tags of the key.
    pub tags: &'a [String],
    /// Ed25519 public key of the sensor.
    pub public_key: &'a [u8],
    /// The identity that it has from an earlier state of this server.
    pub sid: Option<Sid>,
    /// What it says of itself.
    pub state: &'a SensorState,
    /// Where it connects from.
    pub source: Option<IpAddr>,
}

/// Why a sensor that proved who it is gets no link.
#[derive(Debug, thiserror::Error)]
pub enum Rejection {
    /// It was deleted.
    #[error("this sensor was deleted")]
    Deleted,
    /// Too many are online.
    #[error("the quota of online sensors is used up")]
    OverQuota,
    /// The store cannot write.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn text_of(source: Option<IpAddr>) -> String {
    source.map(|ip| ip.to_string()).unwrap_or_default()
}

/// Gives a new sensor its identity, or one its own again. `None` if that is taken.
///
/// # Errors
///
/// Whatever the store says.
pub async fn enrol(
    sensors: &Sensors,
    organization: &Arc<Organization>,
    new: &Enrolment<'_>,
) -> Result<Option<Sid>, StoreError> {
    let sid = new.sid.unwrap_or_else(|| Sid(random::uuid()));
    enrol_as(sensors, organization, new, sid).await
}

/// The same for a source of events that has no agent: its identity is given, and new.
///
/// # Errors
///
/// Whatever the store says.
pub async fn enrol_as(
    sensors: &Sensors,
    organization: &Arc<Organization>,
    new: &Enrolment<'_>,
    sid: Sid,
) -> Result<Option<Sid>, StoreError> {
    let (reported, source) = (message::reported(new.state), text_of(new.source));
    let enrolment = dispatch::Enrolment {
        oid: organization.oid,
        sid,
        returns: new.sid.is_some(),
        iid: new.iid,
        tags: new.tags,
        public_key: new.public_key,
        reported: &reported,
        source: &source,
    };
    let answer =
        ask(&sensors.tasking, organization, None, |dispatch, request, now| dispatch.enrol(request, &enrolment, now))
            .await?;
    let is_enrolled = matches!(answer, Answer::Enrolled(_));
    if is_enrolled {
        tracing::info!(%sid, hostname = %new.state.hostname, returns = new.sid.is_some(), "a sensor enrolled");
    }
    Ok(is_enrolled.then_some(sid))
}

/// Takes in a sensor that proved who it is, and makes its link the current one.
///
/// Cancel safe: a link that nobody waits for any more is not taken in.
///
/// # Errors
///
/// [`Rejection`]; the link is then not taken in.
pub async fn went_online(
    sensors: &Sensors,
    place: &Place,
    link: &Arc<Link>,
    state: &SensorState,
    source: Option<IpAddr>,
) -> Result<Welcome, Rejection> {
    let organization = &place.organization;
    let spool = match message::spool_of(state) {
        Some(id) => {
            let (oid, ordinal) = (organization.oid, place.ordinal);
            Some(SpoolSeen { id, stored: sensors.tasking.store.read(move |read| read.spool(oid, ordinal, id)).await? })
        }
        None => None,
    };
    let mut taken = Taken { tasking: &sensors.tasking, place, link, is_kept: false };
    let reported = message::reported(state);
    let (source, quota) = (text_of(source), quota_of(sensors, organization));
    organization.state.lock().add_link(link);
    let input = |dispatch: &mut muster_tasking::Dispatch, request, now| {
        let (ordinal, link) = (place.ordinal, link.id());
        dispatch.connect(Arrival { request, ordinal, link, reported, source, spool, quota }, now)
    };
    match ask(&sensors.tasking, organization, None, input).await? {
        Answer::Welcome(welcome) => {
            taken.is_kept = true;
            Ok(welcome)
        }
        Answer::OverQuota => Err(Rejection::OverQuota),
        _ => Err(Rejection::Deleted),
    }
}

/// Sensors that an organization may have, and have online; 0 is no limit.
pub fn quota_of(sensors: &Sensors, organization: &Organization) -> u32 {
    let profile = sensors.tasking.records.get(ORGANIZATION_OWNER, ORGANIZATION, &organization.oid.to_string());
    match profile.map_or(0, |profile| profile.sensor_quota) {
        0 => sensors.quota,
        own => own,
    }
}

/// Why no more sensors may enrol with a key, if that is so. Deleted sensors do not count.
#[must_use]
pub fn no_room(sensors: &Sensors, organization: &Organization, iid: Iid, of_key: u32) -> Option<String> {
    let quota = quota_of(sensors, organization);
    let state = organization.state.lock();
    if of_key != 0 && state.fleet.enrolled_with(iid) >= u64::from(of_key) {
        return Some(format!("{of_key} sensors are enrolled with this installation key, as many as may be"));
    }
    let is_full = quota != 0 && state.fleet.live().len() >= u64::from(quota);
    is_full.then(|| format!("{quota} sensors are enrolled in the organization, as many as its quota allows"))
}

/// A link that is being taken in. Dropping it before it is kept takes the link out again.
struct Taken<'a> {
    tasking: &'a Arc<Tasking>,
    place: &'a Place,
    link: &'a Link,
    is_kept: bool,
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        if self.is_kept {
            return;
        }
        let (ordinal, link, organization) = (self.place.ordinal, self.link.id(), &self.place.organization);
        let deeds = organization.turn(None, |state, now| {
            state.remove_link(link);
            state.dispatch().disconnected(ordinal, link, now)
        });
        if let (false, Ok(_)) = (deeds.is_empty(), Handle::try_current()) {
            let (tasking, organization) = (Arc::clone(self.tasking), Arc::clone(organization));
            let jobs = tasking.jobs.clone();
            jobs.spawn(async move { carry_out(&tasking, &organization, deeds).await });
        }
    }
}

/// Takes in what a sensor reports at `SYNC`. What could not be stored is told again by the next report.
pub async fn reported(sensors: &Sensors, place: &Place, state: &SensorState) {
    let one = RoaringBitmap::from_iter([place.ordinal]);
    let edit = Edit::Report(Box::new(message::reported(state)));
    tell(&sensors.tasking, &place.organization, |dispatch, now| dispatch.edit(None, &one, edit, now)).await;
}

/// A link ended. Only the current link of a sensor counts.
pub async fn went_offline(sensors: &Sensors, place: &Place, link: &Link) {
    let (ordinal, id) = (place.ordinal, link.id());
    place.organization.state.lock().remove_link(id);
    tell(&sensors.tasking, &place.organization, |dispatch, now| dispatch.disconnected(ordinal, id, now)).await;
}
