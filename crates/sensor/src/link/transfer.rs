//! Files that are too large for the link: HTTP over a TLS connection of their own.

use std::io;
use std::path::Path;

use aws_lc_rs::digest::{Context, SHA256};
use bytes::Bytes;
use futures_util::stream;
use http::{Method, Request, Response, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Empty, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use muster_wire::{InstallationKey, TRANSFER_PATH, TransferGrant};
use tokio::fs::File;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{Route, connect};

/// ALPN of transfers.
const ALPN: &[u8] = b"http/1.1";
/// Bytes read from a file at a time.
const CHUNK_BYTES: usize = 64 * 1024;
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
    let request = request(key, grant, Method::PUT)
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
    let body = Empty::new().map_err(|never| match never {}).boxed_unsync();
    let request = request(key, grant, Method::GET).body(body).map_err(io::Error::other)?;
    let mut body = accepted(send(key, route, request).await?).await?.into_body();
    let mut file = File::options().create_new(true).write(true).mode(0o600).open(to).await?;
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

fn request(key: &InstallationKey, grant: &TransferGrant, method: Method) -> http::request::Builder {
    let builder = Request::builder().method(method).uri(format!("{TRANSFER_PATH}{}", grant.token));
    builder.header(header::HOST, &key.server_name)
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
