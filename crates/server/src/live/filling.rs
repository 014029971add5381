//! Content of files on its way: from clients, from sensors, and to them.

use super::error::Error;
use super::file::{FileRecord, Filed};
use super::room::{Live, put_file};
use super::session::LiveSession;
use super::stored;
use crate::access::to_hex;
use crate::arrival::{Arrival, read_past};
use crate::files::{self, Content};
use crate::intake::Beside;
use crate::intake::event::Actor;
use aws_lc_rs::digest::{Context, SHA256};
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use http_body_util::BodyDataStream;
use hyper::body::Incoming;
use muster_live::{Code, Found};
use muster_model::Oid;
use muster_wire::LiveEnded;
use serde_json::json;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::task::{JoinHandle, spawn_blocking};

/// Bytes that are read and digested at a time when a transfer goes on after a restart.
const CHUNK_BYTES: usize = 256 * 1024;

/// Bytes that are written at a time; about as many may come in meanwhile.
const LOT_BYTES: usize = 256 * 1024;

/// Bytes after which the disk is told to take them, while more come. What a file leaves for its end holds up every commit
/// that is synced meanwhile.
const UNSYNCED_BYTES: u64 = 16 * 1024 * 1024;

/// A file that is being written, up to where it is whole. What came is in here also when who brought it is gone.
pub(super) struct Filling {
    file: Arc<File>,
    digest: Context,
    /// Bytes that are written.
    size: u64,
    /// What came after those.
    lot: Vec<Bytes>,
    lot_bytes: usize,
    /// The lot before that, on its way to the disk.
    writing: Option<JoinHandle<io::Result<(Context, u64)>>>,
    /// Bytes that the disk was told to take.
    synced: u64,
    syncing: Option<JoinHandle<io::Result<()>>>,
}

/// What a sensor is told of the content that it sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Bytes that are here.
    pub size: u64,
}

impl Filling {
    /// Goes on with what is there, or begins.
    async fn open(live: &Live, oid: Oid, record: &FileRecord) -> Result<Self, Error> {
        live.make_dir(oid)?;
        let path = live.part_path(oid, &record.id);
        let opened = spawn_blocking(move || {
            let mut options = File::options();
            let file = options.read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
            let (mut digest, mut size) = (Context::new(&SHA256), 0_u64);
            let mut chunk = vec![0; CHUNK_BYTES];
            loop {
                let read = (&file).read(&mut chunk)?;
                if read == 0 {
                    break io::Result::Ok((file, digest, size));
                }
                digest.update(&chunk[..read]);
                size += read as u64;
            }
        });
        let (file, digest, size) = opened.await.map_err(io::Error::other)??;
        Ok(Self {
            file: Arc::new(file),
            digest,
            size,
            lot: Vec::new(),
            lot_bytes: 0,
            writing: None,
            synced: size,
            syncing: None,
        })
    }

    /// Takes a piece in. Cancel safe, as all that follows.
    async fn take(&mut self, piece: Bytes) -> Result<(), Error> {
        self.lot_bytes += piece.len();
        self.lot.push(piece);
        if self.lot_bytes >= LOT_BYTES { self.begin_lot().await } else { Ok(()) }
    }

    /// Begins to write what came, as soon as what came before it is written.
    async fn begin_lot(&mut self) -> Result<(), Error> {
        self.end_lot().await?;
        if self.lot.is_empty() {
            return Ok(());
        }
        let (file, digest, at) = (Arc::clone(&self.file), self.digest.clone(), self.size);
        let lot = std::mem::take(&mut self.lot);
        self.lot_bytes = 0;
        self.writing = Some(spawn_blocking(move || write_lot(&file, digest, at, &lot)));
        Ok(())
    }

    /// Waits for what is being written. If that fails, what came behind it has no place either.
    async fn end_lot(&mut self) -> Result<(), Error> {
        let Some(writing) = &mut self.writing else { return Ok(()) };
        let written = writing.await.map_err(io::Error::other).flatten();
        self.writing = None;
        match written {
            Ok((digest, size)) => (self.digest, self.size) = (digest, size),
            Err(error) => {
                (self.lot, self.lot_bytes) = (Vec::new(), 0);
                return Err(error.into());
            }
        }
        if self.size - self.synced >= UNSYNCED_BYTES {
            self.begin_sync().await?;
        }
        Ok(())
    }

    /// Has the disk take what is written, as soon as it has taken what was written before.
    async fn begin_sync(&mut self) -> Result<(), Error> {
        self.end_sync().await?;
        let file = Arc::clone(&self.file);
        self.synced = self.size;
        self.syncing = Some(spawn_blocking(move || file.sync_data()));
        Ok(())
    }

    /// Waits until the disk has taken it. It says only once that it could not.
    async fn end_sync(&mut self) -> Result<(), Error> {
        let Some(syncing) = &mut self.syncing else { return Ok(()) };
        let synced = syncing.await.map_err(io::Error::other).flatten();
        self.syncing = None;
        Ok(synced?)
    }

    /// Waits until all that came is written.
    async fn settle(&mut self) -> Result<(), Error> {
        self.begin_lot().await?;
        self.end_lot().await
    }

    /// Makes what is written durable.
    async fn sync(&mut self) -> Result<(), Error> {
        self.end_sync().await?;
        let file = Arc::clone(&self.file);
        Ok(spawn_blocking(move || file.sync_all()).await.map_err(io::Error::other)??)
    }

    fn sha256(&self) -> String {
        to_hex(self.digest.clone().finish().as_ref())
    }
}

/// Writes and digests pieces from `at` on; gives where they end. What a failed write left behind is cut off. Blocks.
fn write_lot(file: &File, mut digest: Context, at: u64, lot: &[Bytes]) -> io::Result<(Context, u64)> {
    let mut size = at;
    for piece in lot {
        if let Err(error) = file.write_all_at(piece, size) {
            // If that fails, too, it is written over.
            let _ = file.set_len(at);
            return Err(error);
        }
        digest.update(piece);
        size += piece.len() as u64;
    }
    Ok((digest, size))
}

impl Live {
    /// Counts bytes that arrive, and refuses those that are too many.
    fn count(&self, oid: Oid, filed: &Filed, bytes: usize) -> Result<(), Error> {
        let (room, bytes) = (self.room(oid), bytes as u64);
        let all = room.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let own = filed.arrived.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if all <= self.limits.bytes && own <= self.limits.file_bytes {
            return Ok(());
        }
        room.bytes.fetch_sub(bytes, Ordering::Relaxed);
        filed.arrived.fetch_sub(bytes, Ordering::Relaxed);
        Err(Error::TooLarge(self.limits.bytes, self.limits.file_bytes))
    }

    /// Takes in what comes, and waits until it is written. What came is kept, also if the rest does not come.
    async fn fill(
        &self,
        oid: Oid,
        filed: &Filed,
        filling: &mut Filling,
        pieces: impl Stream<Item = Result<Bytes, Error>>,
    ) -> Result<(), Error> {
        let mut pieces = pin!(pieces);
        let come = async {
            while let Some(piece) = pieces.next().await {
                let piece = piece?;
                self.count(oid, filed, piece.len())?;
                filling.take(piece).await?;
            }
            Ok(())
        };
        let come = come.await;
        come.and(self.settle(oid, filed, filling).await)
    }

    /// Waits until all that came is written, and counts what is.
    async fn settle(&self, oid: Oid, filed: &Filed, filling: &mut Filling) -> Result<(), Error> {
        let settled = filling.settle().await;
        let lost = filed.arrived.swap(filling.size, Ordering::Relaxed).saturating_sub(filling.size);
        self.room(oid).bytes.fetch_sub(lost, Ordering::Relaxed);
        settled
    }

    /// Takes in a file that a client sends.
    ///
    /// # Errors
    ///
    /// [`Error`]; nothing is kept then.
    pub async fn upload<E>(
        &self,
        live: &Arc<LiveSession>,
        name: &str,
        mut pieces: impl Stream<Item = Result<Bytes, E>> + Unpin,
        actor: &Actor,
    ) -> Result<FileRecord, Error>
    where
        Error: From<E>,
    {
        live.state().require_open()?;
        let oid = live.oid();
        let (item, mut record) = {
            let _turn = live.turn.lock().await;
            let (item, record) = self.fresh_file(live, name, true)?;
            self.take_file(live, item, record.clone());
            (item, record)
        };
        let filed = live.files.find(&record.id).ok_or(Error::NoFile)?;
        let received = async {
            let mut filling = Filling::open(self, oid, &record).await?;
            let come = pieces.by_ref().map(|piece| piece.map_err(Error::from));
            self.fill(oid, &filed, &mut filling, come).await?;
            filling.sync().await?;
            Ok::<_, Error>((filling.size, filling.sha256()))
        };
        match received.await {
            Ok((size, sha256)) => (record.size, record.sha256, record.is_whole) = (size, sha256, true),
            Err(error) => {
                self.give_up(live, &filed).await;
                read_past(pieces).await;
                return Err(error);
            }
        }
        let kept = async {
            let room = self.room(oid);
            let _placing = room.placing.lock().await;
            self.place_file(oid, &record).await?;
            let sid = live.sid();
            let detail = json!({"file": record.name, "size": record.size, "sha256": record.sha256});
            let told = super::room::told(oid, actor, "live file uploaded", "live_upload", &sid, live.id(), &detail);
            let row = stored::file(oid, live.number(), item, &record)?;
            self.intake.commit(Beside::from(told).and([put_file(row)])).await?;
            self.know_file(&filed, record.clone());
            Ok(())
        };
        if let Err(error) = kept.await {
            self.give_up(live, &filed).await;
            return Err(error);
        }
        // Who uploads works with the session.
        let _ = self.keep_alive(live).await;
        Ok(record)
    }

    /// Takes back an upload that did not come to be.
    async fn give_up(&self, live: &LiveSession, filed: &Filed) {
        self.drop_file(live, filed.item);
        self.remove_part(live.oid(), filed).await;
    }

    /// Removes what came of a file that will not be whole.
    async fn remove_part(&self, oid: Oid, filed: &Filed) {
        self.room(oid).bytes.fetch_sub(filed.arrived.swap(0, Ordering::Relaxed), Ordering::Relaxed);
        files::remove(&self.part_path(oid, &filed.record().id)).await;
    }

    fn of_token(&self, token: &str) -> Result<(Arc<LiveSession>, Arc<Filed>), Error> {
        self.tokens.lock().get(token).cloned().ok_or(Error::NoFile)
    }

    /// Takes in content that a sensor sends, from `offset` on. What comes is kept, also if the rest does not come.
    ///
    /// # Errors
    ///
    /// [`Error::Offset`] says where it goes on.
    pub async fn receive(&self, token: &str, offset: u64, mut body: Incoming) -> Result<Sent, Error> {
        let (live, filed) = self.of_token(token)?;
        let oid = live.oid();
        let mut attempts = filed.attempts.subscribe();
        filed.attempts.send_modify(|attempts| *attempts += 1);
        attempts.mark_unchanged();
        let mut slot = filed.filling.lock().await;
        let record = filed.record();
        if record.is_whole || record.is_upload || record.is_deleted || record.status != 0 {
            return Err(Error::NoFile);
        }
        if slot.is_none() {
            *slot = Some(Filling::open(self, oid, &record).await?);
        }
        let Some(filling) = slot.as_mut() else { return Err(Error::NoFile) };
        // An attempt that was cut may have left something that is not written yet.
        self.settle(oid, &filed, filling).await?;
        if filling.size != offset {
            return Err(Error::Offset(filling.size));
        }
        let source = (Arrival::begin(), &mut body, &mut attempts);
        let pieces = stream::try_unfold(source, |(mut arrival, body, attempts)| async move {
            tokio::select! {
                piece = arrival.next(body) => Ok(piece?.map(|piece| (piece, (arrival, body, attempts)))),
                // A newer attempt takes over: this one was cut, and does not know.
                _ = attempts.changed() => Err(Error::Offset(0)),
            }
        });
        let come = match self.fill(oid, &filed, filling, pieces).await {
            Ok(()) => filling.sync().await,
            cut => cut,
        };
        match come {
            Ok(()) => Ok(Sent { size: filling.size }),
            Err(Error::Offset(_)) => Err(Error::Offset(filling.size)),
            Err(error @ Error::Arrival(_)) => Err(error),
            Err(error) => {
                if matches!(error, Error::DiskFull | Error::Disk(_)) {
                    // A full disk needs the room to store anything at all, such as that this failed; and what a disk
                    // did not take once it says nothing of the next time.
                    *slot = None;
                    self.remove_part(oid, &filed).await;
                }
                // Another attempt need not wait for the rest.
                drop(slot);
                read_past(BodyDataStream::new(body)).await;
                Err(error)
            }
        }
    }

    /// How much of a file has arrived.
    ///
    /// # Errors
    ///
    /// [`Error::NoFile`].
    pub async fn arrived_of(&self, token: &str) -> Result<Sent, Error> {
        let (live, filed) = self.of_token(token)?;
        // An attempt that still waits for the rest gives way.
        filed.attempts.send_modify(|attempts| *attempts += 1);
        let mut slot = filed.filling.lock().await;
        if slot.is_none() {
            *slot = Some(Filling::open(self, live.oid(), &filed.record()).await?);
        }
        let Some(filling) = slot.as_mut() else { return Err(Error::NoFile) };
        self.settle(live.oid(), &filed, filling).await?;
        Ok(Sent { size: filling.size })
    }

    /// The content of a file for a sensor, from `offset` on, with its length.
    ///
    /// # Errors
    ///
    /// [`Error::NoFile`].
    pub async fn content_of(&self, token: &str, offset: u64) -> Result<(u64, Content), Error> {
        let (live, filed) = self.of_token(token)?;
        let record = filed.record();
        if !record.is_whole {
            return Err(Error::NotWhole);
        }
        let path = self.whole_path(live.oid(), &record.sha256);
        files::read_from(&path, offset).await.map_err(|_| Error::NoFile)
    }

    /// The content of a file for a client, with its length.
    ///
    /// # Errors
    ///
    /// [`Error::NoFile`], [`Error::NotWhole`].
    pub async fn content(&self, live: &LiveSession, id: &str) -> Result<(u64, Content), Error> {
        let record = live.files.find(id).ok_or(Error::NoFile)?.record();
        if !record.is_whole {
            return Err(Error::NotWhole);
        }
        files::read_from(&self.whole_path(live.oid(), &record.sha256), 0).await.map_err(|_| Error::NoFile)
    }

    /// What became of the file that a command fetched: checked against what the sensor says it sent, and given its
    /// name. Gives the record to be stored; a file that is not right ends the command in an error.
    pub(super) async fn finish_file(
        &self,
        live: &LiveSession,
        filed: &Filed,
        ended: &mut LiveEnded,
    ) -> Result<FileRecord, Error> {
        let (oid, mut record) = (live.oid(), filed.record());
        if record.is_whole || record.is_deleted {
            return Ok(record);
        }
        let mut slot = filed.filling.lock().await;
        if ended.code == 0 {
            if slot.is_none() {
                *slot = Some(Filling::open(self, oid, &record).await?);
            }
            let said = serde_json::from_slice::<Found>(&ended.found).unwrap_or_default();
            let come = slot.as_ref().map(|filling| (filling.size, filling.sha256())).unwrap_or_default();
            if Some(come.0) == said.bytes && Some(&come.1) == said.sha256.as_ref() {
                (record.size, record.sha256, record.is_whole) = (come.0, come.1, true);
                let room = self.room(oid);
                let _placing = room.placing.lock().await;
                self.place_file(oid, &record).await?;
                *slot = None;
                return Ok(record);
            }
            ended.code = Code::IO_DEVICE.0;
            ended.text = "what arrived is not what the endpoint sent: its size or digest differs".to_owned();
        }
        *slot = None;
        record.status = Code(ended.code).hresult();
        self.remove_part(oid, filed).await;
        Ok(record)
    }
}
