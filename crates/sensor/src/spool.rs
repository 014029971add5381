//! The spool on disk: events wait here until the server has stored them.
//!
//! Events lie in segment files of checked blocks; an index in memory says where.
//! The spool holds 10,000 events and 50 MiB at most (reference/sensor.md section 3):
//! beyond that the oldest telemetry goes first, and answers of tasks only when
//! there is nothing else; losses are counted.
//!
//! # Invariants
//!
//! 1. A sequence number is never given twice under one spool id, whatever is lost
//!    in a crash: numbers are reserved in blocks before they are given.
//! 2. Bytes on disk stay within twice the bound: segments that are mostly dead are
//!    rewritten.

mod segment;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use muster_wire::Event;
use prost::Message as _;

use crate::agent::{self, StorageError};
use crate::state_dir::{read_optional, write_atomically};
use segment::Segment;

/// Events held at most. Source: reference/sensor.md section 3.
pub const EVENTS_MAX: usize = 10_000;
/// Bytes of events held at most. Source: reference/sensor.md section 3.
pub const BYTES_MAX: u64 = 50 * 1024 * 1024;
/// Length after which a segment is closed and another begun.
const SEGMENT_BYTES: u64 = 1024 * 1024;
/// Longest event: what fits into a message of the wire with its envelope.
const EVENT_BYTES_MAX: usize = muster_wire::MESSAGE_BYTES_MAX - 1024;
/// Sequence numbers reserved at a time; each reservation is one small file written.
const RESERVED: u64 = 1 << 20;
/// Highest number that a server may claim to have: a million events a second for ages.
const SEQ_MAX: u64 = 1 << 62;

/// Bounds of a spool; smaller in tests.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Events.
    pub events: usize,
    /// Bytes.
    pub bytes: u64,
    /// Bytes per segment file.
    pub segment_bytes: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { events: EVENTS_MAX, bytes: BYTES_MAX, segment_bytes: SEGMENT_BYTES }
    }
}

/// What was lost because the spool was full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Losses {
    /// Events dropped.
    pub events: u64,
    /// Bytes of dropped events.
    pub bytes: u64,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    seq: u64,
    segment: u64,
    at: u64,
    bytes: u32,
    is_answer: bool,
}

/// An open spool.
#[derive(Debug)]
pub struct Spool {
    dir: PathBuf,
    id: [u8; 16],
    bounds: Bounds,
    index: VecDeque<Place>,
    segments: BTreeMap<u64, Segment>,
    live_bytes: u64,
    next_seq: u64,
    reserved: u64,
    losses: Losses,
}

impl Spool {
    /// Opens the spool in `dir`, or begins one under `fresh_id`. Damaged blocks are
    /// skipped: an event is better lost than the rest with it.
    ///
    /// # Errors
    ///
    /// An [`io::Error`] of the file system.
    pub fn open(dir: &Path, fresh_id: [u8; 16], bounds: Bounds) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        let head = read_optional(&dir.join("head"))?.and_then(|bytes| read_head(&bytes));
        let (id, reserved) = match head {
            Some(head) => head,
            None => {
                for path in segment::list(dir)? {
                    fs::remove_file(path.1)?;
                }
                (fresh_id, 0)
            }
        };
        let mut spool = Self {
            dir: dir.to_owned(),
            id,
            bounds,
            index: VecDeque::new(),
            segments: BTreeMap::new(),
            live_bytes: 0,
            next_seq: reserved + 1,
            reserved,
            losses: Losses::default(),
        };
        spool.reserve()?;
        spool.load()?;
        Ok(spool)
    }

    fn load(&mut self) -> io::Result<()> {
        for (number, path) in segment::list(&self.dir)? {
            let (segment, places) = Segment::load(&path)?;
            for (at, bytes, seq, is_answer) in places {
                self.index.push_back(Place { seq, segment: number, at, bytes, is_answer });
                self.live_bytes += u64::from(bytes);
            }
            self.segments.insert(number, segment);
        }
        self.index.make_contiguous().sort_unstable_by_key(|place| place.seq);
        self.drop_dead_segments()?;
        self.keep_bounds()
    }

    fn reserve(&mut self) -> io::Result<()> {
        self.reserved = self.reserved.max(self.next_seq) + RESERVED;
        let head = [&self.id[..], &self.reserved.to_be_bytes()].concat();
        write_atomically(&self.dir.join("head"), &head)
    }

    /// Random id made with this spool.
    #[must_use]
    pub fn id(&self) -> [u8; 16] {
        self.id
    }

    /// Events and bytes that wait.
    #[must_use]
    pub fn queued(&self) -> (usize, u64) {
        (self.index.len(), self.live_bytes)
    }

    /// Number of the newest event; 0 before the first.
    #[must_use]
    pub fn newest(&self) -> u64 {
        self.next_seq - 1
    }

    /// Whether everything up to this number was acknowledged or lost.
    #[must_use]
    pub fn is_done_with(&self, seq: u64) -> bool {
        self.index.front().is_none_or(|place| place.seq > seq)
    }

    /// What was lost since this spool was opened.
    #[must_use]
    pub fn losses(&self) -> Losses {
        self.losses
    }

    fn put(&mut self, mut event: Event) -> io::Result<u64> {
        if self.next_seq > self.reserved {
            self.reserve()?;
        }
        let seq = self.next_seq;
        event.seq = seq;
        let is_answer = is_answer(&event);
        let payload = event.encode_to_vec();
        if payload.len() > EVENT_BYTES_MAX {
            // It could never be sent, and would hold up everything behind it.
            self.losses = Losses { events: self.losses.events + 1, bytes: self.losses.bytes + payload.len() as u64 };
            return Ok(seq);
        }
        let last = self.segments.last_key_value().filter(|(_, last)| last.bytes() < self.bounds.segment_bytes);
        let number = match last {
            Some((number, _)) => *number,
            None => {
                self.segments.insert(seq, Segment::create(&segment::path(&self.dir, seq))?);
                seq
            }
        };
        let segment = self.segments.get_mut(&number).ok_or(io::ErrorKind::NotFound)?;
        let (at, bytes) = segment.append(&payload)?;
        self.next_seq += 1;
        self.index.push_back(Place { seq, segment: number, at, bytes, is_answer });
        self.live_bytes += u64::from(bytes);
        self.keep_bounds()?;
        Ok(seq)
    }

    fn keep_bounds(&mut self) -> io::Result<()> {
        if self.index.len() <= self.bounds.events && self.live_bytes <= self.bounds.bytes {
            return Ok(());
        }
        // Make room for more than one, so that a full spool is not searched at each event.
        let events_max = self.bounds.events - self.bounds.events / 50;
        let bytes_max = self.bounds.bytes - self.bounds.bytes / 50;
        let (mut count, mut live) = (self.index.len(), self.live_bytes);
        let mut lost = Losses::default();
        for spare_answers in [true, false] {
            self.index.retain(|place| {
                let is_over = count > events_max || live > bytes_max;
                if !is_over || (spare_answers && place.is_answer) {
                    return true;
                }
                count -= 1;
                live -= u64::from(place.bytes);
                lost = Losses { events: lost.events + 1, bytes: lost.bytes + u64::from(place.bytes) };
                false
            });
        }
        self.live_bytes = live;
        self.losses = Losses { events: self.losses.events + lost.events, bytes: self.losses.bytes + lost.bytes };
        self.drop_dead_segments()?;
        self.rewrite_sparse_segments()
    }

    fn forget(&mut self, seq: u64) -> io::Result<()> {
        while let Some(place) = self.index.pop_front_if(|place| place.seq <= seq) {
            self.live_bytes -= u64::from(place.bytes);
        }
        self.drop_dead_segments()
    }

    fn drop_dead_segments(&mut self) -> io::Result<()> {
        let live: std::collections::HashSet<u64> = self.index.iter().map(|place| place.segment).collect();
        let dead: Vec<u64> = self.segments.keys().filter(|number| !live.contains(number)).copied().collect();
        for number in dead {
            self.segments.remove(&number);
            fs::remove_file(segment::path(&self.dir, number))?;
        }
        Ok(())
    }

    fn rewrite_sparse_segments(&mut self) -> io::Result<()> {
        let on_disk: u64 = self.segments.values().map(Segment::bytes).sum();
        if on_disk <= self.bounds.bytes.saturating_add(self.bounds.bytes / 2) {
            return Ok(());
        }
        let numbers: Vec<u64> = self.segments.keys().copied().collect();
        for number in numbers {
            let Some(segment) = self.segments.get_mut(&number) else { continue };
            let mut places: Vec<&mut Place> = self.index.iter_mut().filter(|place| place.segment == number).collect();
            let live: u64 = places.iter().map(|place| u64::from(place.bytes)).sum();
            if live * 2 < segment.bytes() {
                let kept: Vec<(u64, u32)> = places.iter().map(|place| (place.at, place.bytes)).collect();
                let moved = segment.rewrite(&segment::path(&self.dir, number), &kept)?;
                places.iter_mut().zip(moved).for_each(|(place, at)| place.at = at);
            }
        }
        Ok(())
    }

    fn read(&self, seq: u64, events_max: usize, bytes_max: usize) -> io::Result<Vec<Event>> {
        let start = self.index.partition_point(|place| place.seq <= seq);
        let (mut events, mut bytes) = (Vec::new(), 0);
        for place in self.index.iter().skip(start).take(events_max) {
            bytes += place.bytes as usize;
            if bytes > bytes_max && !events.is_empty() {
                break;
            }
            let segment = self.segments.get(&place.segment).ok_or(io::ErrorKind::NotFound)?;
            events.extend(segment.read(place.at, place.bytes)?);
        }
        Ok(events)
    }
}

/// Whether an event answers a task, and so is dropped last.
fn is_answer(event: &Event) -> bool {
    !event.task_id.is_empty() || !event.investigation_id.is_empty()
}

fn read_head(bytes: &[u8]) -> Option<([u8; 16], u64)> {
    let (id, reserved) = bytes.split_first_chunk::<16>()?;
    Some((*id, u64::from_be_bytes(reserved.try_into().ok()?)))
}

impl agent::Spool for Spool {
    fn push(&mut self, event: Event) -> Result<u64, StorageError> {
        let (is_answer, bytes) = (is_answer(&event), event.body.len() as u64);
        match self.put(event) {
            // A full disk must not take the sensor off its link: telemetry is lost and counted.
            Err(_) if !is_answer => {
                self.losses = Losses { events: self.losses.events + 1, bytes: self.losses.bytes + bytes };
                Ok(self.newest())
            }
            put => put.map_err(|error| StorageError(format!("cannot write to the spool: {error}"))),
        }
    }

    fn sync(&mut self) -> Result<(), StorageError> {
        let synced = self.segments.values_mut().try_for_each(Segment::sync);
        synced.map_err(|error| StorageError(format!("cannot flush the spool: {error}")))
    }

    fn read_after(&mut self, seq: u64, events_max: usize, bytes_max: usize) -> Result<Vec<Event>, StorageError> {
        let events = self.read(seq, events_max, bytes_max);
        events.map_err(|error| StorageError(format!("cannot read the spool: {error}")))
    }

    fn acknowledge(&mut self, seq: u64) -> Result<(), StorageError> {
        // Server and sensor may disagree after a state directory was copied back. A number
        // beyond all reason must not use the numbers up.
        if (self.next_seq..SEQ_MAX).contains(&seq) {
            self.next_seq = seq + 1;
        }
        self.forget(seq).map_err(|error| StorageError(format!("cannot shorten the spool: {error}")))
    }
}
