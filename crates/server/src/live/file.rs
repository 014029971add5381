//! Files of live sessions: what is known of them, and where they are.
//!
//! A whole file is named by its SHA-256, so that equal files are there once; one that is on its way has a name of its
//! own, and goes on where it was cut, over a restart of the server too.

use super::error::Error;
use super::filling::Filling;
use super::room::{Live, Numbered, Room, put_file};
use super::session::LiveSession;
use super::stored;
use crate::access::to_hex;
use crate::{clock, files, random};
use muster_model::{Oid, Timestamp};
use parking_lot::RwLock;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::watch;

/// Extension of a file that is on its way.
const PART: &str = "part";

/// What is stored of a file.
#[derive(Clone, Serialize, Deserialize)]
pub struct FileRecord {
    /// UUID by which clients know it.
    pub id: String,
    /// Path on the endpoint, or the name that was uploaded.
    pub name: String,
    /// Bytes, once it is whole.
    pub size: u64,
    /// SHA-256 in hex, once it is whole.
    pub sha256: String,
    /// 0, or the code with which its transfer failed (an HRESULT).
    pub status: u32,
    /// All of it is here.
    pub is_whole: bool,
    /// It was removed, by someone or with the end of the session.
    pub is_deleted: bool,
    /// A client sent it.
    pub is_upload: bool,
    /// What the sensor shows to get or send its content.
    pub token: String,
    /// When it came to be.
    pub at: Timestamp,
}

/// A file in memory.
pub(super) struct Filed {
    /// Its number in the session.
    pub(super) item: u32,
    record: RwLock<FileRecord>,
    /// Bytes that have arrived.
    pub(super) arrived: AtomicU64,
    /// What is being written, if something is.
    pub(super) filling: tokio::sync::Mutex<Option<Filling>>,
    /// Counts the attempts to send it: the newest one counts.
    pub(super) attempts: watch::Sender<u64>,
}

impl Filed {
    fn new(item: u32, record: FileRecord) -> Self {
        let arrived = AtomicU64::new(if record.is_whole { record.size } else { 0 });
        let (filling, attempts) = (tokio::sync::Mutex::new(None), watch::Sender::new(0));
        Self { item, record: RwLock::new(record), arrived, filling, attempts }
    }

    /// What is known of it.
    pub(super) fn record(&self) -> FileRecord {
        self.record.read().clone()
    }

    /// Bytes that have arrived.
    pub(super) fn arrived(&self) -> u64 {
        self.arrived.load(Ordering::Relaxed)
    }
}

/// Files of a session.
#[derive(Default)]
pub(super) struct Files(RwLock<BTreeMap<u32, Arc<Filed>>>);

impl Files {
    /// Those that are not removed, by their number.
    pub(super) fn all(&self) -> Vec<Arc<Filed>> {
        self.0.read().values().filter(|filed| !filed.record.read().is_deleted).cloned().collect()
    }

    /// One that is not removed.
    pub(super) fn find(&self, id: &str) -> Option<Arc<Filed>> {
        let files = self.0.read();
        let is_it = |filed: &&Arc<Filed>| {
            let record = filed.record.read();
            record.id == id && !record.is_deleted
        };
        files.values().find(is_it).cloned()
    }

    fn next(&self) -> u32 {
        self.0.read().keys().last().map_or(0, |last| last + 1)
    }
}

impl Live {
    fn dir(&self, oid: Oid) -> PathBuf {
        self.data_dir.join("live").join(oid.to_string())
    }

    /// Where a whole file is.
    pub(super) fn whole_path(&self, oid: Oid, sha256: &str) -> PathBuf {
        self.dir(oid).join(sha256)
    }

    /// Where a file is while it comes.
    pub(super) fn part_path(&self, oid: Oid, id: &str) -> PathBuf {
        self.dir(oid).join(id).with_extension(PART)
    }

    /// Makes the directory of an organization's files.
    pub(super) fn make_dir(&self, oid: Oid) -> Result<(), Error> {
        Ok(files::make_dir(&self.dir(oid))?)
    }

    /// A file that is to come, with its number; nobody knows it yet.
    pub(super) fn fresh_file(&self, live: &LiveSession, name: &str, is_upload: bool) -> Result<Numbered, Error> {
        if live.files.0.read().len() >= self.limits.files {
            return Err(Error::TooManyFiles(self.limits.files));
        }
        let record = FileRecord {
            id: random::uuid().to_string(),
            name: name.to_owned(),
            size: 0,
            sha256: String::new(),
            status: 0,
            is_whole: false,
            is_deleted: false,
            is_upload,
            token: to_hex(&random::bytes::<32>()),
            at: clock::now(),
        };
        Ok((live.files.next(), record))
    }

    /// Makes a file known.
    pub(super) fn take_file(&self, live: &Arc<LiveSession>, item: u32, record: FileRecord) -> Arc<Filed> {
        let filed = Arc::new(Filed::new(item, record.clone()));
        live.files.0.write().insert(item, Arc::clone(&filed));
        if !record.is_deleted {
            self.tokens.lock().insert(record.token, (Arc::clone(live), Arc::clone(&filed)));
        }
        filed
    }

    /// Forgets a file that was not stored.
    pub(super) fn drop_file(&self, live: &LiveSession, item: u32) {
        if let Some(filed) = live.files.0.write().remove(&item) {
            self.tokens.lock().remove(&filed.record().token);
        }
    }

    /// Takes in the files of a session that was stored.
    pub(super) fn restore_files(&self, room: &Room, live: &Arc<LiveSession>, files: BTreeMap<u32, FileRecord>) {
        for (item, record) in files {
            let size = record.size;
            let is_here = record.is_whole && !record.is_deleted;
            let path = self.part_path(live.oid(), &record.id);
            let filed = self.take_file(live, item, record);
            if is_here {
                room.bytes.fetch_add(size, Ordering::Relaxed);
            } else if let Ok(metadata) = std::fs::metadata(path) {
                filed.arrived.store(metadata.len(), Ordering::Relaxed);
                room.bytes.fetch_add(metadata.len(), Ordering::Relaxed);
            }
        }
    }

    /// Files of a session with the bytes of each that have arrived, by their number.
    ///
    /// # Errors
    ///
    /// None; removed ones are left out.
    #[must_use]
    pub fn files(&self, live: &LiveSession) -> Vec<(FileRecord, u64)> {
        live.files.all().iter().map(|filed| (filed.record(), filed.arrived())).collect()
    }

    /// One file with the bytes of it that have arrived.
    ///
    /// # Errors
    ///
    /// [`Error::NoFile`].
    pub fn file(&self, live: &LiveSession, id: &str) -> Result<(FileRecord, u64), Error> {
        live.files.find(id).map(|filed| (filed.record(), filed.arrived())).ok_or(Error::NoFile)
    }

    /// Removes a file; gives what was known of it.
    ///
    /// # Errors
    ///
    /// [`Error::NoFile`], [`Error::Store`].
    pub async fn delete_file(&self, live: &LiveSession, id: &str) -> Result<(FileRecord, u64), Error> {
        let filed = live.files.find(id).ok_or(Error::NoFile)?;
        let arrived = filed.arrived();
        self.remove_file(live, &filed).await?;
        Ok((filed.record(), arrived))
    }

    /// Removes a file: first it is stored that it is gone, then its content goes, unless another file has the same.
    pub(super) async fn remove_file(&self, live: &LiveSession, filed: &Filed) -> Result<(), Error> {
        let (oid, room) = (live.oid(), self.room(live.oid()));
        let _placing = room.placing.lock().await;
        let record = FileRecord { is_deleted: true, ..filed.record() };
        let row = stored::file(oid, live.number(), filed.item, &record)?;
        self.intake.commit(crate::intake::Beside::writes(vec![put_file(row)])).await?;
        *filed.record.write() = record.clone();
        self.tokens.lock().remove(&record.token);
        filed.attempts.send_modify(|attempts| *attempts += 1);
        room.bytes.fetch_sub(filed.arrived.swap(0, Ordering::Relaxed), Ordering::Relaxed);
        files::remove(&self.part_path(oid, &record.id)).await;
        if record.is_whole && !is_held(&room, &record.sha256) {
            files::remove(&self.whole_path(oid, &record.sha256)).await;
        }
        Ok(())
    }

    /// Gives a whole file its name, and what is known of it now. The caller stores it.
    pub(super) async fn place_file(&self, oid: Oid, record: &FileRecord) -> Result<(), Error> {
        let (from, to) = (self.part_path(oid, &record.id), self.whole_path(oid, &record.sha256));
        tokio::fs::rename(&from, &to).await?;
        // The name is durable when its directory is.
        Ok(tokio::fs::File::open(self.dir(oid)).await?.sync_all().await?)
    }

    /// Lets it be known what has become of a file, once that is stored.
    pub(super) fn know_file(&self, filed: &Filed, record: FileRecord) {
        if record.is_whole {
            filed.arrived.store(record.size, Ordering::Relaxed);
        }
        *filed.record.write() = record;
    }

    /// Removes what a crash left: files that no session knows. Blocks; only at start.
    pub(super) fn tidy(&self) {
        let Ok(organizations) = std::fs::read_dir(self.data_dir.join("live")) else { return };
        for dir in organizations.flatten() {
            let oid = dir.file_name().to_str().and_then(|name| name.parse::<Oid>().ok());
            let room = oid.map(|oid| self.room(oid));
            let records = room.iter().flat_map(|room| room.all()).flat_map(|live| live.files.all());
            let names = records.map(|filed| filed.record()).map(|record| match record.is_whole {
                true => record.sha256,
                false => format!("{}.{PART}", record.id),
            });
            let known: HashSet<String> = names.collect();
            files::tidy_dir(&dir.path(), |name| known.contains(name));
        }
    }
}

/// Whether another file has this content.
fn is_held(room: &Room, sha256: &str) -> bool {
    let has = |filed: Arc<Filed>| {
        let record = filed.record.read();
        record.is_whole && record.sha256 == sha256
    };
    room.all().iter().any(|live| live.files.all().into_iter().any(has))
}
