//! Who gets a link: enrolment, proof of identity, quota, deletion, clones.
//!
//! Source: reference/sensor.md sections 2, 4, 6.

use super::local::{LocalOwner, LocalSensor};
use super::owner::Admitted;
use crate::access::INSTALLATION_KEY;
use crate::intake::event::{self, Actor};
use crate::link::Link;
use crate::organization::{Organization, Place, STRANGERS, message};
use crate::sensor::Rejection;
use crate::{clock, random, sensor};
use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use muster_model::{Iid, Oid, Sid};
use muster_store::StoreError;
use muster_wire::{Claim, Enrol, Enrolled, Hello, Refusal, Refused, Resume, SensorState, from_server, proof_bytes};
use serde_json::json;
use std::net::IpAddr;
use std::sync::Arc;
use subtle::ConstantTimeEq as _;
use uuid::Uuid;

/// Seconds after which a sensor that was refused for good tries again.
const RETRY_REFUSED_S: u32 = 3_600;

/// Seconds after which a sensor that found the server full or busy tries again.
const RETRY_BUSY_S: u32 = 30;

/// What a sensor is told instead of `Welcome`.
type Answer = Box<from_server::Message>;

/// Decides about a hello.
pub(super) async fn admit(
    owner: &Arc<LocalOwner>,
    hello: &Hello,
    nonce: &[u8],
    source: Option<IpAddr>,
) -> Result<Admitted, Answer> {
    let state = hello.state.clone().unwrap_or_default();
    match &hello.claim {
        Some(Claim::Enrol(enrol)) => {
            let sid = self::enrol(owner, enrol, &state, source).await?;
            let enrolled = Enrolled { sid: sid.0.as_bytes().to_vec() };
            Err(Box::new(from_server::Message::Enrolled(enrolled)))
        }
        Some(Claim::Resume(resume)) => self::resume(owner, resume, &state, nonce, source).await,
        None => Err(refuse(Refusal::Identity, "the hello names no one", RETRY_REFUSED_S)),
    }
}

fn refuse(reason: Refusal, text: &str, retry_after_s: u32) -> Answer {
    Box::new(from_server::Message::Refused(Refused { reason: reason.into(), text: text.to_owned(), retry_after_s }))
}

fn busy(error: &StoreError) -> Answer {
    tracing::warn!(%error, "a sensor was sent away because the store cannot write");
    refuse(Refusal::Busy, "the server cannot write now; try again later", RETRY_BUSY_S)
}

/// An organization; one that someone else has by now is no reason for a sensor to give up.
fn owned(owner: &LocalOwner, oid: Oid) -> Result<Option<Arc<Organization>>, Answer> {
    match owner.organizations.is_lost(oid) {
        true => Err(busy(&StoreError::Deposed(oid))),
        false => Ok(owner.organizations.get(oid)),
    }
}

async fn enrol(
    owner: &Arc<LocalOwner>,
    enrol: &Enrol,
    state: &SensorState,
    source: Option<IpAddr>,
) -> Result<Sid, Answer> {
    let wrong_key = || refuse(Refusal::Key, "unknown or deleted installation key", RETRY_REFUSED_S);
    let oid = Oid(Uuid::from_slice(&enrol.oid).map_err(|_| wrong_key())?);
    let organization = owned(owner, oid)?.ok_or_else(wrong_key)?;
    let own = match enrol.sid.as_slice() {
        [] => None,
        bytes => Some(Sid(Uuid::from_slice(bytes).map_err(|_| wrong_key())?)),
    };
    let enrolled = enrol_in(owner, &organization, enrol, (own, state, source)).await;
    if let Some(own) = own {
        match &enrolled {
            Ok(_) => organization.strangers.gone(own),
            Err(_) => report_stranger(owner, &organization, own, (state, source)).await,
        }
    }
    enrolled
}

async fn enrol_in(
    owner: &Arc<LocalOwner>,
    organization: &Arc<Organization>,
    enrol: &Enrol,
    (own, state, source): (Option<Sid>, &SensorState, Option<IpAddr>),
) -> Result<Sid, Answer> {
    let wrong_key = || refuse(Refusal::Key, "unknown or deleted installation key", RETRY_REFUSED_S);
    let taken = || refuse(Refusal::Identity, "unknown sensor, or a wrong signature", RETRY_REFUSED_S);
    let iid = Iid(Uuid::from_slice(&enrol.iid).map_err(|_| wrong_key())?);
    let key = owner.records.get(organization.oid, INSTALLATION_KEY, &iid.to_string()).ok_or_else(wrong_key)?;
    let secret = crate::access::to_hex(&enrol.secret);
    if !bool::from(key.secret.as_bytes().ct_eq(secret.as_bytes())) {
        return Err(wrong_key());
    }
    if enrol.public_key.len() != 32 {
        return Err(refuse(Refusal::Identity, "the public key must have 32 bytes", RETRY_REFUSED_S));
    }
    if let Some(text) = sensor::no_room(&owner.sensors, organization, iid, key.quota) {
        tell_of_bound(owner, organization.oid, iid, &text, source).await;
        return Err(refuse(Refusal::Quota, &text, RETRY_BUSY_S * 10));
    }
    let most = owner.enrolments_per_minute;
    if let Err(too_many) = owner.enrolments.count(&iid.to_string(), most) {
        let text = format!("more than {most} sensors enrol with this installation key in a minute; the others wait");
        tell_of_bound(owner, organization.oid, iid, &text, source).await;
        return Err(refuse(Refusal::Busy, &text, too_many.retry_after_s));
    }
    let new = sensor::Enrolment { iid, tags: &key.tags, public_key: &enrol.public_key, sid: own, state, source };
    sensor::enrol(&owner.sensors, organization, &new).await.map_err(|error| busy(&error))?.ok_or_else(taken)
}

/// Tells the operators that a key or the organization has met its bound, once a minute while it does.
async fn tell_of_bound(owner: &LocalOwner, oid: Oid, iid: Iid, text: &str, source: Option<IpAddr>) {
    owner.telemetry.enrolments_refused.inc();
    if !crate::errors::report(&owner.records, oid, &format!("installation_keys/{iid}"), text).await {
        return;
    }
    let actor = Actor { source, ..Actor::system() };
    let entity = json!({"type": "installation_key", "name": iid});
    let detail = json!({"error": text});
    let told = event::audit(oid, &actor, "enrolment refused", &entity, "refuse_enrolment", &detail, clock::now());
    if let Err(error) = owner.intake.commit(told).await {
        tracing::warn!(%error, "a refused enrolment could not be told in the audit");
    }
}

/// Tells the operators of a sensor that has an identity of this organization which the server does not know.
async fn report_stranger(
    owner: &Arc<LocalOwner>,
    organization: &Organization,
    sid: Sid,
    (state, source): (&SensorState, Option<IpAddr>),
) {
    // One that is known and could not prove who it is, is no stranger.
    if organization.state.lock().fleet.ordinal(sid).is_none()
        && let Some(text) = organization.strangers.came(sid, &state.hostname, source, clock::now())
    {
        crate::errors::report(&owner.records, organization.oid, STRANGERS, &text).await;
    }
}

async fn resume(
    owner: &Arc<LocalOwner>,
    resume: &Resume,
    state: &SensorState,
    nonce: &[u8],
    source: Option<IpAddr>,
) -> Result<Admitted, Answer> {
    let unknown = || refuse(Refusal::Identity, "unknown sensor, or a wrong signature", RETRY_REFUSED_S);
    let oid = Oid(Uuid::from_slice(&resume.oid).map_err(|_| unknown())?);
    let sid = Sid(Uuid::from_slice(&resume.sid).map_err(|_| unknown())?);
    let organization = owned(owner, oid)?.ok_or_else(unknown)?;
    let (ordinal, public_key) = {
        let state = organization.state.lock();
        let ordinal = state.fleet.ordinal(sid).ok_or_else(unknown)?;
        let row = state.fleet.row(ordinal).ok_or_else(unknown)?;
        (ordinal, row.public_key.clone())
    };
    let key = UnparsedPublicKey::new(&ED25519, &public_key);
    key.verify(&proof_bytes(nonce, oid, sid), &resume.signature).map_err(|_| unknown())?;
    let place = Place { organization: Arc::clone(&organization), ordinal };
    let link = Arc::new(Link::new(random::number()));
    link.reported(state, clock::since_boot());
    let welcome =
        sensor::went_online(&owner.sensors, &place, &link, state, source).await.map_err(
            |rejection| match rejection {
                Rejection::Deleted => refuse(Refusal::Deleted, &rejection.to_string(), RETRY_REFUSED_S),
                Rejection::OverQuota => refuse(Refusal::Quota, &rejection.to_string(), RETRY_BUSY_S * 10),
                Rejection::Store(error) => busy(&error),
            },
        )?;
    let now = clock::now();
    let welcome = message::welcome(&welcome, organization.state.lock().queue.steady(now));
    let sensor = LocalSensor { owner: Arc::clone(owner), place, link: Arc::clone(&link) };
    Ok(Admitted { sensor: Arc::new(sensor), link, welcome })
}
