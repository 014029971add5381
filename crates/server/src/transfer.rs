//! One-time transfers: what is too large for a link travels by HTTP.
//!
//! A transfer is granted to someone who was authorized already, as a random
//! token in a URL; the token works once and for a short time.
//! Source: reference/rest-api.md section 7.10.

use crate::access::Caller;
use crate::artifact::{self, Offer};
use crate::files::{self, Files, Shelf};
use crate::intake::event::Actor;
use crate::organization::Place;
use crate::payload::PAYLOAD;
use crate::records::Records;
use crate::tasking::{Moved, Tasking, may_move};
use crate::{clock, random};
use muster_model::{Oid, Sid};
use muster_wire::{TRANSFER_PATH, Transfer, TransferGrant, TransferRequest};
use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How long a grant may wait to be used.
const GRANT_TTL: Duration = Duration::from_secs(10 * 60);

/// Grants that may wait per organization, for its clients.
const CLIENT_GRANTS_MAX: usize = 10_000;

/// Grants that may wait per sensor: a sensor moves few files at once.
const SENSOR_GRANTS_MAX: usize = 64;

/// Why a file does not travel.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// All grants that may wait are waiting.
    #[error("too many transfers were asked for and not begun; wait and try again")]
    TooManyWaiting,
    /// The token is good for nothing.
    #[error("this transfer is unknown, used or expired; ask for a new one")]
    Unknown,
    /// The token is for the other direction.
    #[error("this transfer is an upload")]
    IsUpload,
    /// A sensor asked for no file.
    #[error("the request names nothing to move")]
    NothingNamed,
    /// The sensor is not known any more.
    #[error("sensor not found")]
    NoSensor,
    /// The sensor asked for what none of its tasks moves.
    #[error("no task that this sensor has moves this file")]
    NoTask,
    /// There is no payload of this name.
    #[error("payload not found")]
    NoPayload,
    /// The artifact would not be taken.
    #[error(transparent)]
    Artifact(#[from] artifact::Error),
    /// The file cannot be moved.
    #[error(transparent)]
    File(#[from] files::Error),
}

/// What a token is good for.
pub enum What {
    /// An upload that becomes the payload of this name.
    PutPayload {
        /// Name.
        name: String,
        /// Who asked.
        actor: Actor,
    },
    /// An upload that becomes an artifact.
    PutArtifact(Box<Offer>),
    /// A download of a kept file.
    Get {
        /// Where it is kept.
        shelf: Shelf,
        /// Its name there.
        name: String,
    },
}

/// Who asked for a transfer, and with which right: both are looked at again when it begins.
pub struct Grantee {
    /// The client.
    pub caller: Caller,
    /// The permission.
    pub permission: &'static str,
}

struct Granted {
    oid: Oid,
    sid: Option<Sid>,
    what: What,
    grantee: Option<Grantee>,
}

#[derive(Default)]
struct Table {
    by_token: HashMap<String, Granted>,
    /// Oldest first: all live equally long.
    order: VecDeque<(Instant, String)>,
    waiting: HashMap<(Oid, Option<Sid>), usize>,
}

impl Table {
    fn take(&mut self, token: &str) -> Option<Granted> {
        let granted = self.by_token.remove(token)?;
        let key = (granted.oid, granted.sid);
        if let Some(waiting) = self.waiting.get_mut(&key) {
            *waiting = waiting.saturating_sub(1);
            if *waiting == 0 {
                self.waiting.remove(&key);
            }
        }
        Some(granted)
    }

    fn forget_expired(&mut self, now: Instant) {
        while self.order.front().is_some_and(|(until, _)| *until <= now) {
            if let Some((_, token)) = self.order.pop_front() {
                self.take(&token);
            }
        }
    }
}

/// Whether a caller still has a permission in an organization.
pub type MayStill = Box<dyn Fn(Caller, Oid, &str) -> bool + Send + Sync>;

/// What transfers need of the server.
pub struct Ports {
    /// Payloads, and whoever was granted something.
    pub records: Arc<Records>,
    /// Asked of whoever was granted something, by a key or in the console.
    pub may_still: MayStill,
    /// What is moved.
    pub files: Arc<Files>,
    /// Which tasks sensors have.
    pub tasking: Arc<Tasking>,
    /// Longest file, in bytes.
    pub file_bytes: u64,
}

/// Transfers that were granted and not used yet.
pub struct Transfers {
    ports: Ports,
    grants: Grants,
}

#[derive(Default)]
struct Grants(Mutex<Table>);

impl Transfers {
    /// Nothing is granted yet.
    #[must_use]
    pub fn new(ports: Ports) -> Self {
        Self { ports, grants: Grants::default() }
    }

    /// Makes a token.
    ///
    /// # Errors
    ///
    /// [`Error::TooManyWaiting`].
    pub fn grant(&self, oid: Oid, to: Grantee, what: What) -> Result<String, Error> {
        self.grants.grant(oid, None, Some(to), what)
    }

    /// Uses a token up, if it is for this direction and whoever asked for it still may do it: a key that is deleted,
    /// and a session that ends, takes its addresses with it.
    ///
    /// # Errors
    ///
    /// [`Error::Unknown`] for a token that is unknown, used, expired or revoked.
    pub fn take(&self, token: &str, is_upload: bool) -> Result<(Oid, What), Error> {
        let Granted { oid, what, grantee, .. } = self.grants.take(token, is_upload)?;
        // The address of whoever uses it may be another: what it was given to is the address that asked.
        let is_open =
            grantee.is_none_or(|Grantee { caller, permission }| (self.ports.may_still)(caller, oid, permission));
        if is_open { Ok((oid, what)) } else { Err(Error::Unknown) }
    }

    /// Grants a sensor what it asks for.
    ///
    /// # Errors
    ///
    /// If it asks for nothing, for what is not there, or for more than may be granted.
    pub fn grant_to(&self, place: &Place, request: TransferRequest) -> Result<TransferGrant, Error> {
        let moved = match &request.transfer {
            Some(Transfer::Artifact(_)) => Moved::Artifact,
            Some(Transfer::Payload(name)) => Moved::Payload(name),
            None => return Err(Error::NothingNamed),
        };
        if !may_move(&self.ports.tasking.direct, place, moved, clock::now()) {
            return Err(Error::NoTask);
        }
        let grant = match request.transfer {
            Some(Transfer::Artifact(offer)) => self.to_artifact(place, offer)?,
            Some(Transfer::Payload(name)) => self.of_payload(place, &name)?,
            None => return Err(Error::NothingNamed),
        };
        Ok(TransferGrant { id: request.id, ..grant })
    }

    fn to_artifact(&self, place: &Place, offer: muster_wire::ArtifactOffer) -> Result<TransferGrant, Error> {
        let (oid, sid) = (place.organization.oid, sid_of(place)?);
        let bytes_max = self.ports.file_bytes;
        if offer.size > bytes_max {
            return Err(files::Error::TooLarge(bytes_max).into());
        }
        let offer = Offer::of_sensor(sid, offer)?;
        artifact::require_new(&self.ports.records, oid, &offer)?;
        let payload_id = offer.payload_id.clone();
        let token = self.grants.grant(oid, Some(sid), None, What::PutArtifact(Box::new(offer)))?;
        Ok(TransferGrant { token, payload_id, ..TransferGrant::default() })
    }

    fn of_payload(&self, place: &Place, name: &str) -> Result<TransferGrant, Error> {
        let (oid, sid) = (place.organization.oid, sid_of(place)?);
        let payload = self.ports.records.get(oid, PAYLOAD, name).ok_or(Error::NoPayload)?;
        let what = What::Get { shelf: Shelf::Payloads, name: payload.sha256.clone() };
        let token = self.grants.grant(oid, Some(sid), None, what)?;
        let sha256 = u8_pairs(&payload.sha256);
        Ok(TransferGrant { token, sha256, size: payload.size, ..TransferGrant::default() })
    }

    /// Opens the file behind a download.
    ///
    /// # Errors
    ///
    /// If the token or the file is gone.
    pub async fn open(&self, token: &str) -> Result<(u64, files::Content), Error> {
        let (oid, what) = self.take(token, false)?;
        match what {
            What::Get { shelf, name } => Ok(files::read(&self.ports.files.path(shelf, oid, &name)).await?),
            What::PutPayload { .. } | What::PutArtifact(_) => Err(Error::IsUpload),
        }
    }
}

impl Grants {
    fn grant(&self, oid: Oid, sid: Option<Sid>, grantee: Option<Grantee>, what: What) -> Result<String, Error> {
        let now = Instant::now();
        let mut table = self.0.lock();
        table.forget_expired(now);
        let waiting = table.waiting.entry((oid, sid)).or_default();
        if *waiting >= if sid.is_some() { SENSOR_GRANTS_MAX } else { CLIENT_GRANTS_MAX } {
            return Err(Error::TooManyWaiting);
        }
        *waiting += 1;
        let token = crate::access::to_hex(&random::bytes::<32>());
        let until = now + GRANT_TTL;
        table.order.push_back((until, token.clone()));
        table.by_token.insert(token.clone(), Granted { oid, sid, what, grantee });
        Ok(token)
    }

    /// Uses a token up, if it is for this direction.
    ///
    /// # Errors
    ///
    /// [`Error::Unknown`] for a token that is unknown, used or expired.
    fn take(&self, token: &str, is_upload: bool) -> Result<Granted, Error> {
        let mut table = self.0.lock();
        table.forget_expired(Instant::now());
        let granted = table.by_token.get(token).ok_or(Error::Unknown)?;
        if matches!(granted.what, What::Get { .. }) == is_upload {
            return Err(Error::Unknown);
        }
        table.take(token).ok_or(Error::Unknown)
    }
}

/// URL of a token, below the address that the client used.
#[must_use]
pub fn url(base: &str, token: &str) -> String {
    format!("{base}{TRANSFER_PATH}{token}")
}

fn sid_of(place: &Place) -> Result<Sid, Error> {
    let state = place.organization.state.lock();
    let row = state.fleet.row(place.ordinal).ok_or(Error::NoSensor)?;
    Ok(row.sensor.sid)
}

/// Bytes of lower-case hex.
fn u8_pairs(hex: &str) -> Vec<u8> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16).unwrap_or_default();
    let byte = |pair: &[u8]| u8::try_from(pair.iter().fold(0, |sum, byte| sum * 16 + digit(byte))).unwrap_or_default();
    hex.as_bytes().chunks(2).map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn get() -> What {
        What::Get { shelf: Shelf::Payloads, name: "x".into() }
    }

    #[test]
    fn a_token_works_once_and_in_one_direction() {
        let transfers = Grants::default();
        let oid = Oid(Uuid::from_u128(1));
        let token = transfers.grant(oid, None, None, get()).unwrap();
        assert!(transfers.take(&token, true).is_err());
        assert!(transfers.take(&token, false).is_ok());
        assert!(transfers.take(&token, false).is_err());
    }

    #[test]
    fn one_sensor_cannot_use_up_the_grants_of_others() {
        let transfers = Grants::default();
        let (oid, sid) = (Oid(Uuid::from_u128(1)), Some(Sid(Uuid::from_u128(2))));
        let tokens: Vec<String> =
            (0..SENSOR_GRANTS_MAX).map(|_| transfers.grant(oid, sid, None, get()).unwrap()).collect();
        assert!(matches!(transfers.grant(oid, sid, None, get()), Err(Error::TooManyWaiting)));
        assert!(transfers.grant(oid, Some(Sid(Uuid::from_u128(3))), None, get()).is_ok());
        assert!(transfers.take(&tokens[0], false).is_ok());
        assert!(transfers.grant(oid, sid, None, get()).is_ok());
    }

    #[test]
    fn expired_grants_are_forgotten() {
        let transfers = Grants::default();
        let oid = Oid(Uuid::from_u128(1));
        transfers.grant(oid, None, None, get()).unwrap();
        let mut table = transfers.0.lock();
        table.forget_expired(Instant::now() + GRANT_TTL);
        assert!(table.by_token.is_empty() && table.order.is_empty() && table.waiting.is_empty());
    }
}
