//! `get file` and `put file`: files travel by HTTP, and go on where they were cut.
//! Source: reference/live-response.md sections 5.1, 5.2 and 6.3.

use std::fs;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;
use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};
use muster_live::{Code, Found};
use muster_wire::LiveFile;
use tokio::time::sleep;

use super::files::refuse_own;
use super::{Failure, Job, Outcome};
use crate::atom;
use crate::commands::Temporary;
use crate::commands::file::open_regular;
use crate::link::transfer::{self, Piece, TransferError};
use crate::platform::{errors, files, live};

/// Wait before a transfer that was cut goes on; twice as long each time, up to the longest.
const WAIT_FIRST: Duration = Duration::from_millis(200);
const WAIT_LONGEST: Duration = Duration::from_secs(10);
/// Bytes that are read and digested again at a time, before a transfer goes on.
const CHUNK_BYTES: usize = 256 * 1024;

fn file(job: &Job) -> Result<&LiveFile, Failure> {
    job.file.as_ref().ok_or_else(|| Failure::new(Code::INVALID_PARAMETER, "the server named no file to move"))
}

/// What is tried again, and until when is the command's own time; everything else ends the command.
fn is_cut(error: &TransferError) -> bool {
    matches!(error, TransferError::Io(_) | TransferError::Status(408 | 429 | 500.., _))
        && !matches!(error, TransferError::Status(507, _))
}

fn failure(error: &TransferError) -> Failure {
    let code = match error {
        TransferError::Status(413 | 507, _) => Code::DISK_FULL,
        TransferError::Status(..) => Code::OPERATION_ABORTED,
        TransferError::Digest | TransferError::Offset(_) => Code::IO_DEVICE,
        TransferError::Io(error) => errors::of_session(error),
    };
    Failure::new(code, error.to_string())
}

/// Waits between attempts.
struct Patience(Duration);

impl Patience {
    async fn wait(&mut self) {
        sleep(self.0).await;
        self.0 = (self.0 * 2).min(WAIT_LONGEST);
    }
}

/// Sends a file of the endpoint, from `offset` on, `count` bytes or all.
pub(super) async fn get(job: &Job, path: &Path, offset: u64, count: Option<u64>) -> Outcome {
    let token = &file(job)?.token;
    let (key, route) = (&job.tools.key, &job.tools.route);
    let mut patience = Patience(WAIT_FIRST);
    let mut sent = 0;
    loop {
        let (source, mut digest) = begin(path, offset, sent)?;
        let piece = Piece { token, offset: sent, source, count: count.map(|count| count.saturating_sub(sent)) };
        match transfer::send_piece(key, route, piece, &mut digest).await {
            Ok(bytes) => {
                let sha256 = atom::text(digest.finish().as_ref());
                return Ok(Found { bytes: Some(sent + bytes), sha256: Some(sha256), ..Found::default() });
            }
            // What arrived of the attempt before is kept, and all of it is in the next answer.
            Err(TransferError::Offset(have)) => sent = have,
            Err(error) if is_cut(&error) => {
                patience.wait().await;
                sent = match transfer::arrived(key, route, token).await {
                    Ok(have) => have,
                    Err(error) if is_cut(&error) => sent,
                    Err(error) => return Err(failure(&error)),
                };
            }
            Err(error) => return Err(failure(&error)),
        }
    }
}

/// The file, where it goes on, and the digest of what was sent of it before.
fn begin(path: &Path, offset: u64, sent: u64) -> Result<(fs::File, Context), Failure> {
    let mut source = open_regular(path).map_err(|failure| match failure.code {
        // A directory cannot be got. Source: reference/live-response.md section 5.2.
        267 => Failure::from(failure).with_code(Code::ACCESS_DENIED),
        _ => failure.into(),
    })?;
    let failed = |error: io::Error| Failure::at(path, &error);
    source.seek(SeekFrom::Start(offset)).map_err(failed)?;
    let mut digest = Context::new(&SHA256);
    let (mut left, mut chunk) = (sent, vec![0; if sent > 0 { CHUNK_BYTES } else { 0 }]);
    while left > 0 {
        let want = usize::try_from(left).unwrap_or(usize::MAX).min(chunk.len());
        let read = source.read(&mut chunk[..want]).map_err(failed)?;
        if read == 0 {
            return Err(Failure::new(Code::IO_DEVICE, "the file became shorter while it was sent"));
        }
        digest.update(&chunk[..read]);
        left -= read as u64;
    }
    Ok((source, digest))
}

/// Writes a stored file to the endpoint: beside its place first, and there only when it is whole.
pub(super) async fn put(job: &Job, path: &Path) -> Outcome {
    let wanted = file(job)?;
    refuse_own(&job.tools, path)?;
    if path.is_dir() {
        return Err(Failure::new(Code::ACCESS_DENIED, format!("{} is a directory", path.display())));
    }
    let name = path.file_name().ok_or_else(|| Failure::new(Code::INVALID_NAME, "the path names no file"))?;
    if !path.parent().is_some_and(Path::is_dir) {
        return Err(Failure::new(Code::PATH_NOT_FOUND, format!("there is no directory for {}", path.display())));
    }
    let beside = format!(".{}.{}", live::shortened(&name.to_string_lossy()), crate::random::uuid().simple());
    let partial = Temporary(path.with_file_name(beside));
    let mut patience = Patience(WAIT_FIRST);
    let sha256 = loop {
        match transfer::receive_pieces(&job.tools.key, &job.tools.route, wanted, &partial.0).await {
            Ok(sha256) => break sha256,
            Err(TransferError::Io(error)) if transfer::disk_error(&error).is_some() => {
                return Err(Failure::at(path, transfer::disk_error(&error).unwrap_or(&error)));
            }
            Err(error) if is_cut(&error) => patience.wait().await,
            Err(error) => return Err(failure(&error)),
        }
    };
    files::take_over_mode(path, &partial.0).map_err(|error| Failure::at(path, &error))?;
    fs::rename(&partial.0, path).map_err(|error| Failure::at(path, &error))?;
    Ok(Found { bytes: Some(wanted.size), sha256: Some(atom::text(&sha256)), ..Found::default() })
}
