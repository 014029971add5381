//! `memdump`: an image of the memory of a process, or of the machine. Source: reference/live-response.md section 5.15.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use muster_live::{Code, Dump, Found};
use muster_wire::LiveProgress;
use tokio::time::{Instant, sleep};

use super::archive::Archive;
use super::files::refuse_own;
use super::image::{self, Image};
use super::{Failure, Job, Outcome};
use crate::commands::Temporary;
use crate::executor::{ToSensor, block_until};
use crate::platform::{dump, files, live};

/// How often it is said how far a dump is.
const SAY_EVERY: Duration = Duration::from_millis(250);
/// Bytes that are written at a time.
const WRITE_BYTES: usize = 1024 * 1024;

/// Which image, and where to.
#[derive(Clone)]
pub(super) struct Wanted {
    /// Where it is to be; compressed, `.zip` is appended.
    pub(super) path: PathBuf,
    /// Of this process; else of the machine.
    pub(super) pid: Option<u32>,
    /// As an archive.
    pub(super) compress: bool,
}

/// Writes an image: beside its place first, and there only when it is whole.
pub(super) async fn dump(job: &Job, wanted: &Wanted) -> Outcome {
    let tools = Arc::clone(&job.tools);
    let is_given_up = Arc::new(AtomicBool::new(false));
    let (to_sensor, session, command) = (tools.to_sensor.clone(), job.session, job.command);
    let say = move |dump: Dump| {
        let found = serde_json::to_vec(&Found { dump: Some(dump), ..Found::default() }).unwrap_or_default();
        // Nobody misses one that finds no room.
        let _ = to_sensor.try_send(ToSensor::LiveProgress(session, LiveProgress { command, found }));
    };
    let work = {
        let (tools, wanted, is_given_up) = (Arc::clone(&tools), wanted.clone(), Arc::clone(&is_given_up));
        move || {
            let path = wanted.target()?;
            refuse_own(&tools, &path)?;
            write(&wanted, &path, &|| is_given_up.load(Ordering::Relaxed), &say)
        }
    };
    match block_until(&tools, sleep(job.timeout), work).await? {
        Ok(outcome) => outcome,
        Err(()) => {
            is_given_up.store(true, Ordering::Relaxed);
            Err(Failure::new(Code::TIMEOUT, format!("given up after {} s; nothing is kept", job.timeout.as_secs())))
        }
    }
}

impl Wanted {
    /// The file that comes to be.
    fn target(&self) -> Result<PathBuf, Failure> {
        let name = self.path.file_name().ok_or_else(|| Failure::new(Code::INVALID_NAME, "the path names no file"))?;
        let mut name = name.to_owned();
        if self.compress {
            name.push(".zip");
        }
        Ok(self.path.with_file_name(name))
    }
}

fn write(wanted: &Wanted, path: &Path, is_given_up: &dyn Fn() -> bool, say: &dyn Fn(Dump)) -> Outcome {
    let above = path.parent().filter(|above| above.is_dir());
    let above = above
        .ok_or_else(|| Failure::new(Code::PATH_NOT_FOUND, format!("there is no directory for {}", path.display())))?;
    if path.is_dir() {
        return Err(Failure::new(Code::ACCESS_DENIED, format!("{} is a directory", path.display())));
    }
    let source = match wanted.pid {
        Some(pid) => image::of_process(pid)?,
        None => dump::of_machine()?,
    };
    let free = files::free_bytes(above).map_err(|error| Failure::at(above, &error))?;
    // Nobody knows how much less an archive takes.
    if !wanted.compress && free < source.bytes() {
        let text = format!("the image has {} bytes, and {} are free", source.bytes(), free);
        return Err(Failure::new(Code::DISK_FULL, text));
    }
    let name = wanted.path.file_name().unwrap_or_default().to_string_lossy();
    let beside = format!(".{}.{}", live::shortened(&name), crate::random::uuid().simple());
    let partial = Temporary(path.with_file_name(beside));
    let failed = |error: io::Error| Failure::at(path, &error);
    let file = files::private().write(true).create_new(true).open(&partial.0).map_err(failed)?;
    let mut progress = Progress { last: Instant::now(), compress: wanted.compress, all: source.bytes(), say };
    let unreadable = if wanted.compress {
        let mut archive = Archive::new(BufWriter::with_capacity(WRITE_BYTES, file), &name).map_err(failed)?;
        let unreadable = copy(&source, &mut archive, is_given_up, &mut progress).map_err(failed)?;
        keep(archive.finish().map_err(failed)?).map_err(failed)?;
        unreadable
    } else {
        let mut to = BufWriter::with_capacity(WRITE_BYTES, file);
        let unreadable = copy(&source, &mut to, is_given_up, &mut progress).map_err(failed)?;
        keep(to).map_err(failed)?;
        unreadable
    };
    fs::rename(&partial.0, path).map_err(failed)?;
    let dump = Dump { complete: true, percent: 100, unreadable, ..Dump::default() };
    Ok(Found { dump: Some(dump), bytes: Some(source.bytes()), ..Found::default() })
}

fn keep(to: BufWriter<File>) -> io::Result<()> {
    to.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
}

/// Copies an image; gives the number of bytes that could not be read.
fn copy(
    source: &Image,
    to: &mut dyn Write,
    is_given_up: &dyn Fn() -> bool,
    progress: &mut Progress<'_>,
) -> io::Result<u64> {
    let (mut done, mut unreadable) = (0_u64, 0_u64);
    progress.say(0, 0);
    source.pieces(&mut |piece, missing| {
        if is_given_up() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        to.write_all(piece)?;
        done += piece.len() as u64;
        unreadable += missing as u64;
        if progress.last.elapsed() >= SAY_EVERY {
            progress.say(done, unreadable);
        }
        Ok(())
    })?;
    Ok(unreadable)
}

/// Says now and then how far a dump is.
struct Progress<'a> {
    last: Instant,
    compress: bool,
    all: u64,
    say: &'a dyn Fn(Dump),
}

impl Progress<'_> {
    fn say(&mut self, done: u64, unreadable: u64) {
        self.last = Instant::now();
        let percent = u8::try_from(u128::from(done) * 100 / u128::from(self.all.max(1))).unwrap_or(100).min(99);
        (self.say)(Dump { dumping: true, compressing: self.compress, percent, unreadable, ..Dump::default() });
    }
}
