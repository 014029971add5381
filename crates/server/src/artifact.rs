//! Artifacts: files of endpoints and of other sources, kept for a while.
//!
//! They come from sensors as one-time transfers, and from anyone with an
//! ingestion key by `POST /ingest`, in one piece or in parts.
//! Source: reference/rest-api.md section 7.10, reference/events.md section 9.

mod error;
mod rule;

pub use error::Error;
pub use rule::{ARTIFACT_RULE, ARTIFACT_RULES_MAX, check_rule};

use crate::files::{self, Files, Received, Shelf, Upload};
use crate::intake::event::{self, Actor};
use crate::intake::{Beside, Intake, Record};
use crate::organization::Organizations;
use crate::records::{Kind, Records};
use crate::{clock, random};
use hyper::body::Incoming;
use muster_model::{Oid, Sensor, Sid, Timestamp};
use muster_store::{Expect, StoreError, Write};
use muster_wire::ArtifactOffer;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Artifacts of organizations, by payload id.
pub const ARTIFACT: Kind<Artifact> = Kind::expiring("artifact", |artifact| Some(artifact.expires_at));

/// Artifacts per organization: their records are held in memory.
const ARTIFACTS_MAX: usize = 100_000;

/// Longest payload id, in bytes: it is a file name.
const ID_BYTES_MAX: usize = 128;

/// Longest path, hint and source, in bytes.
const TEXT_BYTES_MAX: usize = 4_096;

/// Longest retention, in days.
const RETENTION_DAYS_MAX: u32 = 3_650;

/// Bytes of every part but the last one. A file whose size is a multiple of it comes without a last
/// part. Source: reference/rest-api.md section 7.10.
pub const PART_BYTES: u64 = 15 * 1024 * 1024;

/// Uploads in parts that may be open per organization.
const PARTS_MAX: usize = 64;

/// An upload in parts that is silent for so long is over.
const PARTS_SILENCE: Duration = Duration::from_secs(120);

/// How often old artifacts and silent uploads are looked for.
const SWEEP: Duration = Duration::from_secs(30);

/// What artifacts need of the server.
pub struct Ports {
    /// The records.
    pub records: Arc<Records>,
    /// The one way for records to be stored and told.
    pub intake: Arc<Intake>,
    /// Their files.
    pub files: Arc<Files>,
    /// The sensors that they come from.
    pub organizations: Arc<Organizations>,
    /// Who reads them.
    pub readers: Arc<dyn Readers>,
    /// Longest file, in bytes.
    pub file_bytes: u64,
    /// Days for which they are kept if whoever sent one does not say.
    pub retention_days: u32,
}

/// The artifacts of all organizations.
pub struct Artifacts {
    ports: Ports,
    parts: Parts,
}

/// Those who read what is in artifacts: the rules, in the room that stands above this one.
pub trait Readers: Send + Sync {
    /// Plans to read an artifact that is about to be kept; nothing if nobody wants to.
    ///
    /// # Errors
    ///
    /// [`StoreError::Failed`] if the plan cannot be written down.
    fn plan(self: Arc<Self>, oid: Oid, payload_id: &str, artifact: &Artifact) -> Result<Option<Reading>, StoreError>;
}

/// A reading that is planned.
pub struct Reading {
    /// Stored in the commit that keeps the artifact.
    pub plan: Write,
    /// Begins, once that is stored.
    pub begin: Box<dyn FnOnce() + Send>,
}

impl Artifacts {
    /// Artifacts over these records and files.
    #[must_use]
    pub fn new(ports: Ports) -> Self {
        Self { ports, parts: Parts::default() }
    }
}

/// An artifact; its bytes are in a file named by its payload id.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Artifact {
    /// Where it was; may be empty.
    pub path: String,
    /// Type word.
    pub hint: String,
    /// Sensor id, or the name that the sender gave.
    pub source: String,
    /// The sensor, if one sent it.
    pub sid: Option<Sid>,
    /// Bytes.
    pub size: u64,
    /// SHA-256, hex.
    pub sha256: String,
    /// When it was complete.
    pub created_at: Timestamp,
    /// When it goes.
    pub expires_at: Timestamp,
}

/// What is known of an artifact before it comes.
#[derive(Clone, Debug)]
pub struct Offer {
    /// Its id; decides whether it is known already.
    pub payload_id: String,
    path: String,
    hint: String,
    source: String,
    sid: Option<Sid>,
    /// Bytes that it has, where that was said: it may have no more.
    pub size: Option<u64>,
    retention_days: u32,
    investigation_id: String,
    /// Who sent it, if no sensor did.
    actor: Option<Actor>,
}

impl Offer {
    /// An offer of a sensor.
    ///
    /// # Errors
    ///
    /// [`Error::Id`].
    pub fn of_sensor(sid: Sid, offer: ArtifactOffer) -> Result<Self, Error> {
        let source = sid.to_string();
        let mut made = Self::new(&offer.payload_id, &offer.path, &offer.hint, &source, offer.retention_days)?;
        made.sid = Some(sid);
        made.size = Some(offer.size);
        made.investigation_id = offer.investigation_id;
        Ok(made)
    }

    /// An offer of some other source. An empty id lets the server choose; 0 days is the default.
    ///
    /// # Errors
    ///
    /// [`Error::Id`].
    pub fn new(payload_id: &str, path: &str, hint: &str, source: &str, retention_days: u32) -> Result<Self, Error> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if payload_id.len() > ID_BYTES_MAX || payload_id.starts_with('.') || !payload_id.bytes().all(is_plain) {
            return Err(Error::Id);
        }
        let text = |text: &str| text[..text.floor_char_boundary(TEXT_BYTES_MAX)].to_owned();
        Ok(Self {
            payload_id: if payload_id.is_empty() { random::uuid().to_string() } else { payload_id.to_owned() },
            path: text(path),
            hint: if hint.is_empty() { "auto".to_owned() } else { text(hint) },
            source: text(source),
            sid: None,
            size: None,
            retention_days: retention_days.min(RETENTION_DAYS_MAX),
            investigation_id: String::new(),
            actor: None,
        })
    }

    /// The same, which is told in the audit to come from someone with a key.
    #[must_use]
    pub fn sent_by(self, actor: Actor) -> Self {
        Self { actor: Some(actor), ..self }
    }
}

/// Checks that there is no artifact of this id, and room for one. Whoever gave it that id before is told that it is there,
/// and all others that the id is taken: theirs is not kept.
///
/// # Errors
///
/// [`Error::Known`], [`Error::Taken`] or [`Error::TooMany`].
pub fn require_new(records: &Records, oid: Oid, offer: &Offer) -> Result<(), Error> {
    if let Some(known) = records.get(oid, ARTIFACT, &offer.payload_id) {
        let is_same =
            known.sid == offer.sid && known.path == offer.path && offer.size.is_none_or(|size| size == known.size);
        let id = offer.payload_id.clone();
        return Err(if is_same { Error::Known(id) } else { Error::Taken(id) });
    }
    if records.count(oid, ARTIFACT) >= ARTIFACTS_MAX {
        return Err(Error::TooMany);
    }
    Ok(())
}

/// Keeps an artifact, and tells of it (`ingest`), in one commit.
///
/// # Errors
///
/// [`Error::Known`], or what kept the file or the record from being stored; nothing is kept then.
pub async fn keep(artifacts: &Artifacts, oid: Oid, offer: Offer, received: Received) -> Result<String, Error> {
    let Ports { records, files, .. } = &artifacts.ports;
    let _one_at_a_time = files.placing.lock().await;
    require_new(records, oid, &offer)?;
    let now = clock::now();
    let days = if offer.retention_days == 0 { artifacts.ports.retention_days } else { offer.retention_days };
    let artifact = Artifact {
        path: offer.path,
        hint: offer.hint,
        source: offer.source,
        sid: offer.sid,
        size: received.size,
        sha256: received.sha256.clone(),
        created_at: now,
        expires_at: now.saturating_add(Duration::from_secs(u64::from(days) * 86_400)),
    };
    let mut record = told(&artifacts.ports, oid, "ingest", &offer.payload_id, &artifact, json!({}));
    record.investigation_id = Some(offer.investigation_id).filter(|id| !id.is_empty());
    let reading = Arc::clone(&artifacts.ports.readers).plan(oid, &offer.payload_id, &artifact)?;
    let (plan, begin) = reading.map(|Reading { plan, begin }| (plan, begin)).unzip();
    let audit = offer.actor.map(|actor| {
        let entity = json!({"type": "artifact", "name": offer.payload_id});
        let detail = json!({"path": artifact.path, "size": artifact.size});
        event::audit(oid, &actor, "artifact ingested", &entity, "ingest_artifact", &detail, now)
    });
    let beside = Beside::from([vec![record], audit.into_iter().collect()].concat()).and(plan);
    let place = files.path(Shelf::Artifacts, oid, &offer.payload_id);
    received.keep(&place).await?;
    match records.put(oid, ARTIFACT, &offer.payload_id, &artifact, Expect::Absent, beside).await {
        Ok(_) => {
            begin.into_iter().for_each(|begin| begin());
            Ok(offer.payload_id)
        }
        Err(error) => {
            files::remove(&place).await;
            Err(error.into())
        }
    }
}

/// The artifact event of this type.
fn told(ports: &Ports, oid: Oid, event_type: &str, payload_id: &str, artifact: &Artifact, more: Value) -> Record {
    let mut body = json!({"size": artifact.size, "source": artifact.source, "original_path": artifact.path});
    if let (Some(body), Value::Object(more)) = (body.as_object_mut(), more) {
        body.extend(more);
    }
    let log = (payload_id, artifact.hint.as_str());
    with_sensor(&ports.organizations, oid, artifact, |sensor| {
        event::artifact(oid, sensor, event_type, log, &body, clock::now())
    })
}

/// What the records in an artifact have in common, and the `routing` of what is made of them.
pub(crate) fn record(
    organizations: &Organizations,
    oid: Oid,
    payload_id: &str,
    artifact: &Artifact,
) -> (Record, Value) {
    let log = (payload_id, artifact.hint.as_str());
    with_sensor(organizations, oid, artifact, |sensor| event::artifact_record(oid, sensor, log, artifact.created_at))
}

/// Does something with the sensor that an artifact came from, if it did and is still known.
fn with_sensor<T>(
    organizations: &Organizations,
    oid: Oid,
    artifact: &Artifact,
    make: impl FnOnce(Option<&Sensor>) -> T,
) -> T {
    let organization = organizations.get(oid);
    let state = organization.as_ref().map(|organization| organization.state.lock());
    let row = state.as_ref().zip(artifact.sid).and_then(|(state, sid)| state.fleet.find(sid));
    make(row.map(|row| &row.sensor))
}

/// Tells that an artifact was prepared for download (`export_complete`), together with the audit record of that.
///
/// # Errors
///
/// Whatever the store says.
pub async fn exported(
    artifacts: &Artifacts,
    oid: Oid,
    payload_id: &str,
    artifact: &Artifact,
    audit: Record,
) -> Result<(), StoreError> {
    let Ports { intake, .. } = &artifacts.ports;
    let more = json!({"export_id": random::uuid()});
    let record = told(&artifacts.ports, oid, "export_complete", payload_id, artifact, more);
    intake.commit(vec![audit, record]).await
}

/// Which part of an upload a request brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// All of it.
    Whole,
    /// This one, from 0; more will come.
    Number(u32),
    /// The last one.
    Last,
}

impl Part {
    /// Reads `lc-part`.
    ///
    /// # Errors
    ///
    /// [`Error::Part`].
    pub fn parse(text: Option<&str>) -> Result<Self, Error> {
        match text {
            None | Some("") => Ok(Self::Whole),
            Some("done") => Ok(Self::Last),
            Some(number) => number.parse().map(Self::Number).map_err(|_| Error::Part),
        }
    }
}

struct Partial {
    upload: Upload,
    offer: Offer,
    next: u32,
    last_bytes: u64,
    touched: Instant,
}

/// Uploads in parts that are not complete.
#[derive(Default)]
struct Parts(Mutex<HashMap<(Oid, String), Partial>>);

impl Parts {
    /// Takes an upload out while a part of it is written: two parts at once cannot both be next.
    fn take(&self, oid: Oid, payload_id: &str) -> Option<Partial> {
        self.0.lock().remove(&(oid, payload_id.to_owned()))
    }

    fn put(&self, oid: Oid, partial: Partial) -> Result<(), Error> {
        let mut parts = self.0.lock();
        if parts.keys().filter(|(owner, _)| *owner == oid).count() >= PARTS_MAX {
            return Err(Error::TooManyParts);
        }
        parts.insert((oid, partial.offer.payload_id.clone()), partial);
        Ok(())
    }

    fn take_silent(&self, now: Instant) -> Vec<(Oid, Partial)> {
        let mut parts = self.0.lock();
        let is_silent = |_: &(Oid, String), partial: &mut Partial| now.duration_since(partial.touched) > PARTS_SILENCE;
        parts.extract_if(is_silent).map(|((oid, _), partial)| (oid, partial)).collect()
    }
}

/// Takes in a whole artifact or a part of one; gives its id.
///
/// # Errors
///
/// [`Error::Known`], or [`Error::PartOutOfTurn`]: the upload begins again then.
pub async fn ingest(
    artifacts: &Artifacts,
    oid: Oid,
    offer: Offer,
    part: Part,
    body: Incoming,
) -> Result<String, Error> {
    let Ports { records, files, file_bytes, .. } = &artifacts.ports;
    require_new(records, oid, &offer)?;
    let begun = match part {
        Part::Whole => None,
        Part::Number(_) | Part::Last => artifacts.parts.take(oid, &offer.payload_id),
    };
    let mut partial = match (begun, part) {
        (_, Part::Whole | Part::Number(0)) | (None, Part::Last) => {
            let upload = files.begin().await?;
            Partial { upload, offer, next: 0, last_bytes: 0, touched: Instant::now() }
        }
        (Some(begun), Part::Last) => begun,
        (Some(begun), Part::Number(number)) if begun.next == number => begun,
        (begun, Part::Number(number)) => {
            return Err(Error::PartOutOfTurn { came: number, due: begun.map_or(0, |begun| begun.next) });
        }
    };
    let before = partial.upload.size();
    partial.upload.append(body, *file_bytes).await?;
    let payload_id = partial.offer.payload_id.clone();
    if let Part::Number(number) = part {
        partial.next = number.saturating_add(1);
        partial.last_bytes = partial.upload.size() - before;
        partial.touched = Instant::now();
        artifacts.parts.put(oid, partial)?;
        return Ok(payload_id);
    }
    let received = partial.upload.finish().await?;
    keep(artifacts, oid, partial.offer, received).await
}

/// Completes silent uploads and forgets old artifacts, until dropped.
pub async fn run(artifacts: Arc<Artifacts>) {
    loop {
        tokio::time::sleep(SWEEP).await;
        for (oid, partial) in artifacts.parts.take_silent(Instant::now()) {
            // Only a full part can have been the last one: else the sender broke off.
            if partial.last_bytes != PART_BYTES {
                continue;
            }
            let kept = match partial.upload.finish().await {
                Ok(received) => keep(&artifacts, oid, partial.offer, received).await,
                Err(error) => Err(error.into()),
            };
            if let Err(error) = kept {
                tracing::warn!(%oid, %error, "an upload in parts could not be completed");
            }
        }
        forget_expired(&artifacts, clock::now()).await;
    }
}

/// Forgets artifacts whose time is over.
pub async fn forget_expired(artifacts: &Artifacts, now: Timestamp) {
    let Ports { records, files, .. } = &artifacts.ports;
    for (oid, payload_id) in records.expired(ARTIFACT, now) {
        let _one_at_a_time = files.placing.lock().await;
        match records.delete(oid, ARTIFACT, &payload_id, Vec::new()).await {
            Ok(_) => files::remove(&files.path(Shelf::Artifacts, oid, &payload_id)).await,
            Err(error) => tracing::warn!(%oid, %error, "an old artifact could not be forgotten"),
        }
    }
}
