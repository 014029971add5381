//! One file of the spool.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use muster_wire::Event;
use prost::Message as _;

use super::head::Content;
use crate::checked;
use crate::platform::files;

const EXTENSION: &str = "seg";

/// Where an event lies: offset of its payload, length, number, and whether it answers a task.
type Found = (u64, u32, u64, bool);

#[derive(Debug)]
pub(super) struct Segment {
    file: File,
    bytes: u64,
    events: u64,
    /// Bytes that were found in no good block.
    damaged_bytes: u64,
    is_dirty: bool,
}

/// Path of the segment whose first event has this number.
pub(super) fn path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:020}.{EXTENSION}"))
}

/// All segments in `dir`, oldest first.
pub(super) fn list(dir: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let number = path.file_stem().and_then(|stem| stem.to_str()?.parse().ok());
        if let (Some(number), Some(true)) = (number, path.extension().map(|extension| extension == EXTENSION)) {
            found.push((number, path));
        }
    }
    found.sort_unstable();
    Ok(found)
}

impl Segment {
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        let file = files::private().create_new(true).read(true).append(true).open(path)?;
        path.parent().map_or(Ok(()), files::sync_names)?;
        Ok(Self { file, bytes: 0, events: 0, damaged_bytes: 0, is_dirty: false })
    }

    pub(super) fn load(path: &Path) -> io::Result<(Self, Vec<Found>)> {
        let bytes = fs::read(path)?;
        let mut found = Vec::new();
        let mut next = checked::resume(&bytes, 0);
        while let Some(range) = next {
            if let Ok(event) = Event::decode(&bytes[range.clone()]) {
                let is_answer = super::is_answer(&event);
                let length = u32::try_from(range.len()).unwrap_or(u32::MAX);
                found.push((range.start as u64, length, event.seq, is_answer));
            }
            next = checked::resume(&bytes, range.end);
        }
        let file = OpenOptions::new().read(true).append(true).open(path)?;
        let good: u64 = found.iter().map(|(_, length, ..)| u64::from(*length) + checked::HEADER_BYTES as u64).sum();
        let bytes = bytes.len() as u64;
        let events = found.len() as u64;
        Ok((Self { file, bytes, events, damaged_bytes: bytes.saturating_sub(good), is_dirty: true }, found))
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn content(&self) -> Content {
        Content { bytes: self.bytes - self.damaged_bytes, events: self.events }
    }

    /// Appends a payload; gives its offset and length.
    pub(super) fn append(&mut self, payload: &[u8]) -> io::Result<(u64, u32)> {
        let block = checked::block(payload);
        if let Err(error) = self.file.write_all(&block) {
            let _ = self.file.set_len(self.bytes);
            return Err(error);
        }
        let at = self.bytes + checked::HEADER_BYTES as u64;
        self.bytes += block.len() as u64;
        self.events += 1;
        self.is_dirty = true;
        Ok((at, u32::try_from(payload.len()).unwrap_or(u32::MAX)))
    }

    pub(super) fn sync(&mut self) -> io::Result<()> {
        if self.is_dirty {
            self.file.sync_data()?;
            self.is_dirty = false;
        }
        Ok(())
    }

    /// Reads an event; `None` if the disk damaged it since it was written.
    pub(super) fn read(&self, at: u64, bytes: u32) -> io::Result<Option<Event>> {
        let begin = at - checked::HEADER_BYTES as u64;
        let mut block = vec![0; checked::HEADER_BYTES + bytes as usize];
        match files::read_exact_at(&self.file, &mut block, begin) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            read => read?,
        }
        Ok(checked::payload_at(&block, 0).and_then(|range| Event::decode(&block[range]).ok()))
    }

    /// Keeps only these payloads; gives their new offsets.
    pub(super) fn rewrite(&mut self, path: &Path, kept: &[(u64, u32)]) -> io::Result<Vec<u64>> {
        let fresh = path.with_extension("new");
        let file = files::private().create(true).truncate(true).read(true).write(true).open(&fresh)?;
        let mut next = Self { file, bytes: 0, events: 0, damaged_bytes: 0, is_dirty: false };
        let mut moved = Vec::with_capacity(kept.len());
        for (at, bytes) in kept {
            let mut payload = vec![0; *bytes as usize];
            files::read_exact_at(&self.file, &mut payload, *at)?;
            moved.push(next.append(&payload)?.0);
        }
        next.sync()?;
        // Not every system lets a file be replaced while it is open: with this the old one is closed.
        *self = next;
        fs::rename(&fresh, path)?;
        self.file = OpenOptions::new().read(true).append(true).open(path)?;
        Ok(moved)
    }
}
