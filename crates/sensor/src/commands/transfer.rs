//! `put`, `artifact_get`, and the payload of `run`. Source: reference/commands.md sections 6.1 and 6.3.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use muster_wire::{ArtifactOffer, Transfer, TransferGrant};
use serde_json::json;
use tokio::time::timeout;

use super::{Failure, Job, Outcome, code, fields, file};
use crate::link::transfer::{self, TransferError};
use crate::platform::files;

/// How long a command waits until the link is up and the server grants.
const GRANT_MAX: Duration = Duration::from_secs(120);
/// Attempts of an upload; its payload id makes them one artifact.
const ATTEMPTS_MAX: u32 = 3;
/// Wait between attempts.
const ATTEMPT_WAIT: Duration = Duration::from_secs(5);
/// Extensions whose files people expect to be able to run.
const EXECUTABLE_EXTENSIONS: &[&str] = &["sh", "bash", "py", "pl", "rb", "bin", "elf", "run"];

pub(super) async fn put(job: Job) -> Outcome {
    let name = job.arguments.text("payload-name").unwrap_or_default().to_owned();
    let path = match job.arguments.text("payload-path") {
        Some(path) => PathBuf::from(path),
        None => private_dir(&job)?.join(base_name(&name)),
    };
    if job.arguments.has("payload-path") {
        job.tools.refuse_if_protected(&path)?;
    }
    if path.is_dir() {
        return Err(Failure::new(code::DIRECTORY, "--payload-path must include the file name"));
    }
    let title = path.file_name().ok_or_else(|| Failure::new(123, "--payload-path names no file"))?.to_string_lossy();
    let partial = Temporary(path.with_file_name(format!(".{title}.{}", crate::random::uuid().simple())));
    job.unless_stopped(place(&job, &name, &partial.0, &path)).await?;
    Ok(fields(json!({"ERROR": code::TRANSFERRED, "FILE_PATH": path.to_string_lossy()})))
}

async fn place(job: &Job, name: &str, partial: &Path, path: &Path) -> Result<(), Failure> {
    fetch(job, name, partial).await?;
    let extension = path.extension().map(|extension| extension.to_string_lossy().to_lowercase());
    let is_executable = extension.is_some_and(|extension| EXECUTABLE_EXTENSIONS.contains(&extension.as_str()))
        || file::begins_with(partial, b"#!");
    files::set_executable(partial, is_executable)?;
    fs::rename(partial, path).map_err(|error| Failure::at(path, &error))?;
    Ok(())
}

/// Gets a payload into a new file, and checks it against the task's conditions.
pub(super) async fn fetch(job: &Job, name: &str, to: &Path) -> Result<(), Failure> {
    let grant = granted(job, Transfer::Payload(name.to_owned())).await?;
    let wanted = &job.run.payload_sha256;
    if !wanted.is_empty() && *wanted != grant.sha256 {
        return Err(Failure::refused(code::CRC, "the payload is not the one that was ordered: its SHA-256 differs"));
    }
    let got = transfer::download(&job.tools.key, &job.tools.route, &grant, to).await;
    got.map(drop).map_err(|error| match error {
        TransferError::Io(error) => Failure::at(to, &error),
        other => failure(&other),
    })
}

async fn granted(job: &Job, wanted: Transfer) -> Result<TransferGrant, Failure> {
    let grant = timeout(GRANT_MAX, job.tools.request_transfer(wanted)).await;
    let grant = grant
        .ok()
        .flatten()
        .ok_or_else(|| Failure::new(code::TIMEOUT, "the server did not answer the request for a transfer"))?;
    if grant.status == 0 {
        return Ok(grant);
    }
    Err(Failure::new(i32::try_from(grant.status).unwrap_or(i32::MAX), grant.error))
}

fn failure(error: &TransferError) -> Failure {
    let code = match error {
        TransferError::Status(status, _) => i32::from(*status),
        TransferError::Digest | TransferError::Offset(_) => code::CRC,
        TransferError::Io(error) => Failure::at(Path::new("/"), error).code,
    };
    Failure::new(code, error.to_string())
}

/// A file or folder that goes with its guard, however the command ends; it may not be there at all.
pub(crate) struct Temporary(pub(crate) PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        // What cannot be removed stays private to the sensor.
        let _ = if self.0.is_dir() { fs::remove_dir_all(&self.0) } else { fs::remove_file(&self.0) };
    }
}

/// A directory that only the sensor can enter.
pub(super) fn private_dir(job: &Job) -> Result<PathBuf, Failure> {
    let dir = job.tools.state_dir.join("tmp");
    files::make_private_dir(&dir)?;
    Ok(dir)
}

/// The last component of a payload name; it must not lead elsewhere.
pub(super) fn base_name(name: &str) -> String {
    Path::new(name).file_name().map_or_else(|| "payload".to_owned(), |name| name.to_string_lossy().into_owned())
}

pub(super) async fn artifact_get(job: Job) -> Outcome {
    let path = PathBuf::from(job.arguments.text("file").unwrap_or_default());
    let payload_id = job.arguments.text("payload-id").map_or_else(|| crate::random::uuid().to_string(), str::to_owned);
    let artifact = Artifact {
        file: &path,
        path: path.to_string_lossy().into_owned(),
        hint: job.arguments.text("type").unwrap_or_default().to_owned(),
        payload_id: payload_id.clone(),
        retention_days: job.arguments.number("days-retention").and_then(|days| u32::try_from(days).ok()).unwrap_or(30),
    };
    let sent = job.unless_stopped(upload(&job, &artifact)).await;
    sent.map_err(|failure| failure.with(fields(json!({"PAYLOAD_ID": &payload_id}))))?;
    Ok(fields(json!({"ERROR": code::TRANSFERRED, "PAYLOAD_ID": payload_id})))
}

/// A file for the artifact store.
pub(super) struct Artifact<'a> {
    /// Where it is.
    pub(super) file: &'a Path,
    /// What it is called.
    pub(super) path: String,
    pub(super) hint: String,
    /// Under which id it is kept; it makes several attempts one artifact.
    pub(super) payload_id: String,
    pub(super) retention_days: u32,
}

/// Uploads a file; tries several times.
async fn upload(job: &Job, artifact: &Artifact<'_>) -> Result<(), Failure> {
    let mut attempts = 1;
    loop {
        match upload_once(job, artifact).await {
            // The server has it: from an earlier attempt, or from an earlier task of that id.
            Err(failure) if failure.code == 409 => return Ok(()),
            Err(failure) if failure.code >= 500 && attempts < ATTEMPTS_MAX => {
                attempts += 1;
                tokio::time::sleep(ATTEMPT_WAIT).await;
            }
            done => return done,
        }
    }
}

/// Uploads a file, or fails.
pub(super) async fn upload_once(job: &Job, artifact: &Artifact<'_>) -> Result<(), Failure> {
    let opened = file::open_regular(artifact.file)?;
    let size = opened.metadata()?.len();
    let offer = ArtifactOffer {
        path: artifact.path.clone(),
        hint: artifact.hint.clone(),
        payload_id: artifact.payload_id.clone(),
        size,
        retention_days: artifact.retention_days,
        investigation_id: job.run.investigation_id.clone(),
    };
    let grant = granted(job, Transfer::Artifact(offer)).await?;
    let sent = transfer::upload(&job.tools.key, &job.tools.route, &grant, opened.into(), size).await;
    sent.map_err(|error| failure(&error))
}
