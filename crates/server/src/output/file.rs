//! Files below the data directory, one record per line. Source: reference/events.md sections 11.5, 12.
//!
//! A batch is appended and synced before the queue forgets it. A server that is
//! killed in between writes the batch again, into a new file: readers see those
//! records twice (at least once), and never a record that is cut, but for the
//! last line of the file that was open. With compression, every batch is a whole
//! gzip member, so that a file is readable at any time.

use super::Error;
use super::format::Format;
use super::settings;
use super::webhook::{PERIOD_DEFAULT_S, PERIOD_MAX_S};
use crate::{clock, random};
use flate2::Compression;
use flate2::write::GzEncoder;
use muster_model::Timestamp;
use muster_store::Queued;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::Instant;
use uuid::Uuid;

/// Bytes after which a new file begins, unless `max_bytes` says otherwise.
const FILE_BYTES_DEFAULT: u64 = 256 * 1024 * 1024;

/// Longest directory, in bytes.
const DIR_BYTES_MAX: usize = 255;

/// Deepest directory that retention looks into: shard, year, month, day, hour.
const SWEEP_DEPTH_MAX: u32 = 6;

/// Settings of `file`.
#[derive(Clone)]
pub(super) struct Settings {
    dir: PathBuf,
    period: Duration,
    is_compression: bool,
    is_indexing: bool,
    is_no_sharding: bool,
    max_bytes: u64,
    retention: Option<Duration>,
}

impl Settings {
    pub(super) fn read(settings: &settings::Settings<'_>) -> Result<Self, Error> {
        let dir = PathBuf::from(settings.require("dir")?);
        let is_inside = dir.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
        let text = dir.to_string_lossy();
        if !is_inside || text.len() > DIR_BYTES_MAX || text.chars().any(char::is_control) {
            let rule =
                "dir must be a relative path without `..`: files are kept below the data directory of the server";
            return Err(Error::setting(rule));
        }
        let days = settings.number("retention_days", 1, 36_500)?;
        Ok(Self {
            period: Duration::from_secs(settings.number("sec_per_file", 1, PERIOD_MAX_S)?.unwrap_or(PERIOD_DEFAULT_S)),
            is_compression: settings.flag("is_compression")?,
            is_indexing: settings.flag("is_indexing")?,
            is_no_sharding: settings.flag("is_no_sharding")?,
            max_bytes: settings.number("max_bytes", 1, u64::MAX)?.unwrap_or(FILE_BYTES_DEFAULT),
            retention: days.map(|days| Duration::from_secs(days * 86_400)),
            dir,
        })
    }

    /// Path of a new file below the directory of the organization.
    fn path(&self, id: Uuid, number: u64, now: Timestamp) -> PathBuf {
        let mut path: PathBuf = self.dir.components().filter(|part| matches!(part, Component::Normal(_))).collect();
        if !self.is_no_sharding {
            path.push(&id.simple().to_string()[..1]);
        }
        let end = if self.is_compression { ".gz" } else { "" };
        match jiff::Timestamp::from_second(now.as_secs()).map(|now| now.to_zoned(jiff::tz::TimeZone::UTC)) {
            Ok(now) if self.is_indexing => {
                let parts = [i32::from(now.year()), now.month().into(), now.day().into(), now.hour().into()];
                path.extend(parts.map(|part| part.to_string()));
                path.push(format!("d{id}_{number}{end}"));
            }
            _ => path.push(format!("{id}{end}")),
        }
        path
    }
}

struct Open {
    file: File,
    since: Instant,
    bytes: u64,
}

/// The open file of one output.
pub(super) struct Sink {
    settings: Settings,
    root: PathBuf,
    open: Option<Open>,
    /// Files begun so far.
    number: u64,
}

impl Sink {
    /// `root` is the directory of the organization.
    pub(super) fn new(settings: Settings, root: PathBuf) -> Self {
        Self { settings, root, open: None, number: 0 }
    }

    /// Appends records and syncs them. Blocks.
    pub(super) fn write(&mut self, format: &Format, records: &[Queued], now: Timestamp) -> io::Result<()> {
        let lines: Vec<_> = records.iter().filter_map(|record| format.line(&record.body)).collect();
        if lines.is_empty() {
            return Ok(());
        }
        let mut text = format.batch(&lines);
        text.push(b'\n');
        if self.settings.is_compression {
            let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
            gzip.write_all(&text)?;
            text = gzip.finish()?;
        }
        let is_over =
            |open: &Open| open.since.elapsed() >= self.settings.period || open.bytes >= self.settings.max_bytes;
        if self.open.as_ref().is_some_and(is_over) {
            self.open = None;
        }
        let open = match &mut self.open {
            Some(open) => open,
            None => {
                self.sweep();
                self.number += 1;
                let path = self.settings.path(random::uuid(), self.number, now);
                self.open.insert(Open { file: create(&self.root, &path)?, since: Instant::now(), bytes: 0 })
            }
        };
        let written = open.file.write_all(&text).and_then(|()| open.file.sync_data());
        open.bytes += text.len() as u64;
        if written.is_err() {
            // What was written of it stays behind; the next file begins with the whole batch.
            let _ = open.file.set_len(open.bytes - text.len() as u64);
            self.open = None;
        }
        written
    }

    /// Removes files of this output's directory that are older than its retention.
    fn sweep(&self) {
        let Some(age) = self.settings.retention else { return };
        let now = UNIX_EPOCH + Duration::from_micros(clock::now().as_micros().unsigned_abs());
        let Some(before) = now.checked_sub(age) else { return };
        if let Err(error) = sweep(&self.root.join(&self.settings.dir), before, SWEEP_DEPTH_MAX) {
            tracing::warn!(%error, "old files of an output could not be removed");
        }
    }
}

fn sweep(dir: &Path, before: SystemTime, depth: u32) -> io::Result<()> {
    if !dir.is_dir() {
        return Ok(());
    }
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        // Of the entry itself: links are not followed.
        let metadata = entry.metadata()?;
        if metadata.is_dir() && depth > 0 {
            sweep(&entry.path(), before, depth - 1)?;
        } else if metadata.is_file() && metadata.modified()? < before {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Makes a new file and its directories below `root`, none of which may be a link.
fn create(root: &Path, path: &Path) -> io::Result<File> {
    let mut dir = root.to_owned();
    make_dir(&dir)?;
    for part in path.parent().into_iter().flat_map(Path::components) {
        sync_dir_after(&dir, |dir| make_dir(&dir.join(part)))?;
        dir.push(part);
    }
    let full = root.join(path);
    sync_dir_after(&dir, |_| OpenOptions::new().write(true).create_new(true).mode(0o600).open(&full))
}

/// A new name is durable only when its directory is.
fn sync_dir_after<T>(dir: &Path, work: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<T> {
    let done = work(dir)?;
    File::open(dir)?.sync_all()?;
    Ok(done)
}

fn make_dir(dir: &Path) -> io::Result<()> {
    match fs::symlink_metadata(dir) {
        Ok(metadata) if metadata.is_dir() => Ok(()),
        Ok(_) => Err(io::Error::other(format!("{} is not a directory", dir.display()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            DirBuilder::new().recursive(true).mode(0o700).create(dir)
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn settings(value: &Value) -> Settings {
        Settings::read(&settings::Settings(value.as_object().unwrap())).unwrap()
    }

    #[test]
    fn layout() {
        let now = Timestamp::from_secs(1_731_403_200);
        let id = Uuid::from_u128(0xa << 124);
        let path = |value: Value| settings(&value).path(id, 3, now).display().to_string();
        let name = "a0000000-0000-0000-0000-000000000000";
        assert_eq!(path(json!({"dir": "x/./y"})), format!("x/y/a/{name}"));
        assert_eq!(
            path(json!({"dir": "x", "is_indexing": "true", "is_compression": "true", "is_no_sharding": "true"})),
            format!("x/2024/11/12/9/d{name}_3.gz")
        );
    }

    #[test]
    fn links_are_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (root, elsewhere) = (dir.path().join("root"), dir.path().join("elsewhere"));
        fs::create_dir_all(&root).unwrap();
        fs::create_dir_all(&elsewhere).unwrap();
        std::os::unix::fs::symlink(&elsewhere, root.join("x")).unwrap();
        let format = Format::read(&settings::Settings(&serde_json::Map::new()), "").unwrap();
        let records = [Queued { position: 1, body: b"{}".to_vec() }];
        let mut sink = Sink::new(settings(&json!({"dir": "x", "is_no_sharding": "true"})), root);
        let error = sink.write(&format, &records, Timestamp::ZERO).unwrap_err();
        assert!(error.to_string().contains("is not a directory"), "{error}");
        assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0);
    }
}
