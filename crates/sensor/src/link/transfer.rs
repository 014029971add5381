//! Files that are too large for the link: HTTP over a TLS connection of their own.

use std::io::{self, Read as _, Write as _};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::digest::{Context, SHA256};
use bytes::Bytes;
use futures_util::stream;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Empty, Limited, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use muster_wire::{InstallationKey, LIVE_FILE_PATH, LiveFile, TRANSFER_PATH, TransferGrant};
use tokio::fs::{File, OpenOptions};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use super::{Route, connect};
use crate::platform::files;

/// ALPN of transfers.
const ALPN: &[u8] = b"http/1.1";
/// Bytes read from a file at a time.
const CHUNK_BYTES: usize = 64 * 1024;
/// The same of a file of a live session, where speed counts; also about what is written to one at a time.
const PIECE_BYTES: usize = 256 * 1024;
/// So much of a file comes while what came before is written.
const LOTS_AHEAD: usize = 4;
/// Bytes after which the disk is told to take them.
const UNSYNCED_BYTES: usize = 16 * 1024 * 1024;
/// Longest error text that is taken from an answer.
const ERROR_BYTES_MAX: usize = 1_024;

type Body = UnsyncBoxBody<Bytes, io::Error>;

/// Why a transfer failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransferError {
    /// The server refused it: HTTP status and its words.
    #[error("the server refused the transfer: {1} (HTTP {0})")]
    Status(u16, String),
    /// The connection failed.
    #[error("the transfer failed: {0}")]
    Io(#[from] io::Error),
    /// What came is not what was granted.
    #[error("the payload has another SHA-256 than the server said")]
    Digest,
    /// The server has so many bytes already.
    #[error("the server goes on at byte {0}")]
    Offset(u64),
}

/// What the server has of a file that comes in pieces.
#[derive(serde::Deserialize)]
struct Arrived {
    size: u64,
}

/// A piece of a file of a live session.
pub struct Piece<'a> {
    /// Token of the file.
    pub token: &'a str,
    /// Bytes that went before.
    pub offset: u64,
    /// Where to read it.
    pub source: std::fs::File,
    /// Bytes of the piece; `None` is all that there is.
    pub count: Option<u64>,
}

/// Puts the rest of a file into the server, and into the digest; gives its bytes. They count as sent only then.
///
/// # Errors
///
/// [`TransferError::Offset`] if the server has more or fewer bytes than went before; else as [`upload`].
pub async fn send_piece(
    key: &InstallationKey,
    route: &Route,
    piece: Piece<'_>,
    digest: &mut Context,
) -> Result<u64, TransferError> {
    let outgoing =
        Outgoing { rest: piece.source.take(piece.count.unwrap_or(u64::MAX)), digest: digest.clone(), bytes: 0 };
    let at_end = Arc::new(Mutex::new(None));
    let (first, end) = (spawn_blocking(|| outgoing.read_on()), Arc::clone(&at_end));
    let chunks = stream::try_unfold((first, end), |(reading, end)| async move {
        let (outgoing, chunk) = reading.await.map_err(io::Error::other)??;
        if chunk.is_empty() {
            *end.lock().unwrap_or_else(PoisonError::into_inner) = Some((outgoing.digest, outgoing.bytes));
            return Ok(None);
        }
        Ok::<_, io::Error>(Some((Frame::data(chunk), (spawn_blocking(|| outgoing.read_on()), end))))
    });
    let path = format!("{LIVE_FILE_PATH}{}?offset={}", piece.token, piece.offset);
    let request = request(key, &path, Method::PUT).body(StreamBody::new(chunks).boxed_unsync());
    let response = send(key, route, request.map_err(io::Error::other)?).await?;
    if response.status() == StatusCode::CONFLICT {
        return Err(TransferError::Offset(arrived_in(response).await?));
    }
    accepted(response).await?;
    // Who accepted it before its end has not read it.
    let at_end = at_end.lock().unwrap_or_else(PoisonError::into_inner).take();
    let (whole, bytes) = at_end.ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))?;
    *digest = whole;
    Ok(bytes)
}

/// A file on its way out: the next chunk is read and digested while the one before goes.
struct Outgoing {
    rest: io::Take<std::fs::File>,
    digest: Context,
    /// Bytes that were read.
    bytes: u64,
}

impl Outgoing {
    /// Gives the next chunk; an empty one is the end. Blocks.
    fn read_on(mut self) -> io::Result<(Self, Bytes)> {
        let mut chunk = Vec::with_capacity(PIECE_BYTES);
        self.rest.by_ref().take(PIECE_BYTES as u64).read_to_end(&mut chunk)?;
        self.digest.update(&chunk);
        self.bytes += chunk.len() as u64;
        Ok((self, chunk.into()))
    }
}

/// Bytes of a file of a live session that the server has.
///
/// # Errors
///
/// As [`upload`].
pub async fn arrived(key: &InstallationKey, route: &Route, token: &str) -> Result<u64, TransferError> {
    let request = request(key, &format!("{LIVE_FILE_PATH}{token}"), Method::POST).body(empty());
    arrived_in(accepted(send(key, route, request.map_err(io::Error::other)?).await?).await?).await
}

async fn arrived_in(response: Response<Incoming>) -> Result<u64, TransferError> {
    let bytes = Limited::new(response.into_body(), ERROR_BYTES_MAX).collect().await.map_err(io::Error::other)?;
    let arrived: Arrived = serde_json::from_slice(&bytes.to_bytes()).map_err(io::Error::other)?;
    Ok(arrived.size)
}

/// Gets the rest of a file of a live session, behind what an earlier attempt left in `to`, and checks all of it; gives
/// its SHA-256.
///
/// # Errors
///
/// Any [`TransferError`] but [`TransferError::Offset`].
pub async fn receive_pieces(
    key: &InstallationKey,
    route: &Route,
    wanted: &LiveFile,
    to: &Path,
) -> Result<Vec<u8>, TransferError> {
    let path = to.to_owned();
    let begun = spawn_blocking(move || Incomplete::open(&path)).await.map_err(io::Error::other)?.map_err(of_disk)?;
    let mut have = begun.bytes;
    let (lots, inbox) = mpsc::channel(LOTS_AHEAD);
    let writing = spawn_blocking(move || begun.write(inbox));
    let come = async {
        if have < wanted.size {
            let path = format!("{LIVE_FILE_PATH}{}?offset={have}", wanted.token);
            let request = request(key, &path, Method::GET).body(empty()).map_err(io::Error::other)?;
            let body = accepted(send(key, route, request).await?).await?.into_body();
            have += hand_over(body, wanted.size - have, &lots).await?;
        }
        Ok(())
    };
    let come: Result<(), TransferError> = come.await;
    drop(lots);
    // Also if the rest did not come: the next attempt goes on behind what is written.
    let digest = writing.await.map_err(io::Error::other)?.map_err(of_disk)?;
    come?;
    match have.cmp(&wanted.size) {
        std::cmp::Ordering::Equal if digest == wanted.sha256 => Ok(digest),
        std::cmp::Ordering::Less => Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
        _ => Err(TransferError::Digest),
    }
}

/// Hands over what comes in lots, until whoever writes them gives up; gives its bytes, of which there may be so many.
async fn hand_over(mut body: Incoming, bytes_max: u64, lots: &mpsc::Sender<Vec<Bytes>>) -> Result<u64, TransferError> {
    let (mut lot, mut lot_bytes, mut bytes) = (Vec::new(), 0, 0);
    let mut come = Ok(());
    while let Some(frame) = body.frame().await {
        let data = match frame.map(Frame::into_data) {
            Ok(Ok(data)) => data,
            Ok(Err(_)) => continue,
            Err(error) => {
                come = Err(io::Error::other(error).into());
                break;
            }
        };
        bytes += data.len() as u64;
        if bytes > bytes_max {
            return Err(TransferError::Digest);
        }
        lot_bytes += data.len();
        lot.push(data);
        if lot_bytes >= PIECE_BYTES {
            lot_bytes = 0;
            if lots.send(std::mem::take(&mut lot)).await.is_err() {
                return Ok(bytes);
            }
        }
    }
    // Nobody who takes it: what went wrong, the writer says.
    let _ = lots.send(lot).await;
    come.map(|()| bytes)
}

/// A file on its way in.
struct Incomplete {
    file: std::fs::File,
    digest: Context,
    /// Bytes that are there.
    bytes: u64,
}

impl Incomplete {
    /// Goes on behind what an earlier attempt left. Blocks.
    fn open(path: &Path) -> io::Result<Self> {
        let file = files::private().create(true).truncate(false).read(true).write(true).open(path)?;
        let mut begun = Self { file, digest: Context::new(&SHA256), bytes: 0 };
        let mut chunk = vec![0; PIECE_BYTES];
        loop {
            let read = begun.file.read(&mut chunk)?;
            if read == 0 {
                return Ok(begun);
            }
            begun.digest.update(&chunk[..read]);
            begun.bytes += read as u64;
        }
    }

    /// Writes and digests lots until no more come, and makes them durable; gives the SHA-256. Blocks.
    fn write(mut self, mut lots: mpsc::Receiver<Vec<Bytes>>) -> io::Result<Vec<u8>> {
        let mut unsynced = 0;
        while let Some(lot) = lots.blocking_recv() {
            for piece in lot {
                self.file.write_all(&piece)?;
                self.digest.update(&piece);
                unsynced += piece.len();
            }
            // The disk takes it while more comes, and not all of it at the end.
            if unsynced >= UNSYNCED_BYTES {
                self.file.sync_data()?;
                unsynced = 0;
            }
        }
        self.file.sync_all()?;
        Ok(self.digest.finish().as_ref().to_vec())
    }
}

/// An error of the disk and not of the connection: it does not go away by itself.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
struct OfDisk(io::Error);

fn of_disk(error: io::Error) -> io::Error {
    io::Error::new(error.kind(), OfDisk(error))
}

/// What the disk said, if it was the disk.
#[must_use]
pub fn disk_error(error: &io::Error) -> Option<&io::Error> {
    error.get_ref()?.downcast_ref::<OfDisk>().map(|OfDisk(error)| error)
}

/// Puts `bytes` bytes of a file to the address of the grant.
///
/// # Errors
///
/// Any [`TransferError`] but [`TransferError::Digest`].
pub async fn upload(
    key: &InstallationKey,
    route: &Route,
    grant: &TransferGrant,
    file: File,
    bytes: u64,
) -> Result<(), TransferError> {
    let chunks = stream::try_unfold(file.take(bytes), |mut file| async move {
        let mut chunk = vec![0; CHUNK_BYTES];
        let read = file.read(&mut chunk).await?;
        chunk.truncate(read);
        Ok::<_, io::Error>((read > 0).then(|| (Frame::data(Bytes::from(chunk)), file)))
    });
    let request = request(key, &granted(grant), Method::PUT)
        .header(header::CONTENT_LENGTH, bytes)
        .body(StreamBody::new(chunks).boxed_unsync())
        .map_err(io::Error::other)?;
    accepted(send(key, route, request).await?).await.map(drop)
}

/// Gets what was granted into a new file and checks it; gives its SHA-256.
///
/// # Errors
///
/// Any [`TransferError`]; the file may then be there in part.
pub async fn download(
    key: &InstallationKey,
    route: &Route,
    grant: &TransferGrant,
    to: &Path,
) -> Result<Vec<u8>, TransferError> {
    let request = request(key, &granted(grant), Method::GET).body(empty()).map_err(io::Error::other)?;
    let mut body = accepted(send(key, route, request).await?).await?.into_body();
    let mut file = OpenOptions::from(files::private()).create_new(true).write(true).open(to).await?;
    let (mut digest, mut bytes) = (Context::new(&SHA256), 0_u64);
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(io::Error::other)?.into_data() else { continue };
        bytes += data.len() as u64;
        if bytes > grant.size {
            return Err(TransferError::Digest);
        }
        digest.update(&data);
        file.write_all(&data).await?;
    }
    file.sync_all().await?;
    let digest = digest.finish().as_ref().to_vec();
    if digest == grant.sha256 { Ok(digest) } else { Err(TransferError::Digest) }
}

fn request(key: &InstallationKey, path: &str, method: Method) -> http::request::Builder {
    Request::builder().method(method).uri(path).header(header::HOST, &key.server_name)
}

fn granted(grant: &TransferGrant) -> String {
    format!("{TRANSFER_PATH}{}", grant.token)
}

fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

async fn send(key: &InstallationKey, route: &Route, request: Request<Body>) -> io::Result<Response<Incoming>> {
    let tls = connect(key, route, ALPN).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(tls)).await.map_err(io::Error::other)?;
    // The connection ends with its sender, when the body has been read.
    tokio::spawn(connection);
    sender.send_request(request).await.map_err(io::Error::other)
}

async fn accepted(response: Response<Incoming>) -> Result<Response<Incoming>, TransferError> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let mut text = Vec::new();
    let mut body = response.into_body();
    while let Some(Ok(frame)) = body.frame().await {
        text.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data));
        if text.len() > ERROR_BYTES_MAX {
            text.truncate(ERROR_BYTES_MAX);
            break;
        }
    }
    Err(TransferError::Status(status.as_u16(), String::from_utf8_lossy(&text).into_owned()))
}
