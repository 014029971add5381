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
//!    in a crash: numbers are reserved in blocks before they are given. Each time the
//!    spool is opened it goes on at a random distance, so that a copy that is put back,
//!    or another machine that has one, gives other numbers than the spool gave after it was copied.
//! 2. Bytes on disk stay within twice the bound: segments that are mostly dead are
//!    rewritten.
//! 3. What is missing or damaged when the spool is opened is counted and told: the head
//!    lists the segments with what is in them, and a mark says the same of the last one.

mod head;
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
use crate::mark::{Mark, Reach};
use head::{Content, Head};
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

/// What was lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Losses {
    /// Events dropped because the spool was full.
    pub events: u64,
    /// Bytes of dropped events.
    pub bytes: u64,
    /// Events that no server would take: too long, nested too deep, of an impossible time.
    pub refused_events: u64,
    /// Bytes of them.
    pub refused_bytes: u64,
    /// Events that were damaged or missing on disk, at most: the server may have had some of them.
    pub damaged_events: u64,
    /// Bytes of them.
    pub damaged_bytes: u64,
}

impl Losses {
    fn drop_event(&mut self, bytes: u64) {
        self.events += 1;
        self.bytes += bytes;
    }

    fn refuse(&mut self, bytes: usize) {
        self.refused_events += 1;
        self.refused_bytes += bytes as u64;
    }

    fn damage(&mut self, content: Content) {
        self.damaged_events += content.events;
        self.damaged_bytes += content.bytes;
    }

    /// What came to these after `earlier`.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        Self {
            events: self.events - earlier.events,
            bytes: self.bytes - earlier.bytes,
            refused_events: self.refused_events - earlier.refused_events,
            refused_bytes: self.refused_bytes - earlier.refused_bytes,
            damaged_events: self.damaged_events - earlier.damaged_events,
            damaged_bytes: self.damaged_bytes - earlier.damaged_bytes,
        }
    }
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
    mark: Option<Mark>,
    /// What was found damaged, for the log.
    damage: Vec<String>,
}

impl Spool {
    /// Opens the spool in `dir`, or begins one under `fresh_id`, which is random. Damaged blocks are
    /// skipped: an event is better lost than the rest with it. See [`Spool::damage`].
    ///
    /// # Errors
    ///
    /// An [`io::Error`] of the file system.
    pub fn open(dir: &Path, fresh_id: [u8; 16], bounds: Bounds) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        let head = Head::read(dir)?;
        let (id, reserved) = head.as_ref().map_or((fresh_id, 0), |head| (head.id, head.reserved));
        let mut spool = Self {
            dir: dir.to_owned(),
            id,
            bounds,
            index: VecDeque::new(),
            segments: BTreeMap::new(),
            live_bytes: 0,
            next_seq: reserved + 1 + leap(fresh_id),
            reserved,
            losses: Losses::default(),
            mark: None,
            damage: Vec::new(),
        };
        match head {
            Some(head) => spool.load(&head)?,
            None => spool.begin_anew()?,
        }
        spool.reserve()?;
        spool.drop_dead_segments()?;
        spool.keep_bounds()?;
        // What is damaged is told once: the mark says what is left.
        spool.segments.values_mut().try_for_each(Segment::sync)?;
        spool.mark_end()?;
        Ok(spool)
    }

    fn load(&mut self, head: &Head) -> io::Result<()> {
        let expected = head.expected(Mark::read(&self.mark_file())?);
        for (number, path) in segment::list(&self.dir)? {
            let (segment, places) = Segment::load(&path)?;
            for (at, bytes, seq, is_answer) in places {
                self.index.push_back(Place { seq, segment: number, at, bytes, is_answer });
                self.live_bytes += u64::from(bytes);
            }
            self.segments.insert(number, segment);
        }
        self.index.make_contiguous().sort_unstable_by_key(|place| place.seq);
        for (number, expected) in expected {
            let found = self.segments.get(&number).map(Segment::content);
            let lost = expected.beyond(found.unwrap_or_default());
            if lost.events > 0 {
                let what = if found.is_some() { "is damaged" } else { "is missing" };
                self.damaged(lost, &format!("segment {number} {what}"));
            }
        }
        Ok(())
    }

    /// Without its head it is not known which numbers were given: what is there cannot be sent.
    fn begin_anew(&mut self) -> io::Result<()> {
        let mut lost = Content::default();
        for (_, path) in segment::list(&self.dir)? {
            let content = Segment::load(&path)?.0.content();
            lost = Content { events: lost.events + content.events, bytes: lost.bytes + content.bytes };
            fs::remove_file(path)?;
        }
        if lost.events > 0 || head::is_there(&self.dir) || Mark::read(&self.mark_file())?.is_some() {
            self.damaged(lost, "its head is damaged or missing");
        }
        Ok(())
    }

    fn damaged(&mut self, lost: Content, why: &str) {
        self.losses.damage(lost);
        let Content { events, bytes } = lost;
        self.damage.push(format!("{why}: up to {events} events with {bytes} bytes are lost"));
    }

    /// What was found damaged when this spool was opened, and since; each is given once.
    pub fn damage(&mut self) -> Vec<String> {
        std::mem::take(&mut self.damage)
    }

    fn mark_file(&self) -> PathBuf {
        self.dir.join("mark")
    }

    fn reserve(&mut self) -> io::Result<()> {
        self.reserved = self.reserved.max(self.next_seq) + RESERVED;
        self.write_head()
    }

    fn write_head(&self) -> io::Result<()> {
        let segments = self.segments.iter().map(|(number, segment)| (*number, segment.content())).collect();
        Head { id: self.id, reserved: self.reserved, segments }.write(&self.dir)
    }

    /// Goes on under another id, with what is there.
    ///
    /// # Errors
    ///
    /// An [`io::Error`] of the file system: it has the id of before.
    pub fn renew(&mut self, fresh_id: [u8; 16]) -> io::Result<()> {
        let before = std::mem::replace(&mut self.id, fresh_id);
        self.write_head().inspect_err(|_| self.id = before)
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
        if payload.len() > EVENT_BYTES_MAX || event.check().is_err() {
            // It could never be sent, and would hold up everything behind it; or the server would not take it.
            self.losses.refuse(payload.len());
            return Ok(seq);
        }
        let last = self.segments.last_key_value().filter(|(_, last)| last.bytes() < self.bounds.segment_bytes);
        let number = match last {
            Some((number, _)) => *number,
            None => {
                self.segments.insert(seq, Segment::create(&segment::path(&self.dir, seq))?);
                self.write_head()?;
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
        for spare_answers in [true, false] {
            self.index.retain(|place| {
                let is_over = count > events_max || live > bytes_max;
                if !is_over || (spare_answers && place.is_answer) {
                    return true;
                }
                count -= 1;
                live -= u64::from(place.bytes);
                self.losses.drop_event(place.bytes.into());
                false
            });
        }
        self.live_bytes = live;
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
        if dead.is_empty() {
            return Ok(());
        }
        dead.iter().for_each(|number| drop(self.segments.remove(number)));
        // First, so that what is removed is never missed. On a full disk it fails: making room
        // matters more than that after a crash something may be told as lost that is not.
        let _ = self.write_head();
        dead.into_iter().try_for_each(|number| fs::remove_file(segment::path(&self.dir, number)))
    }

    fn rewrite_sparse_segments(&mut self) -> io::Result<()> {
        let on_disk: u64 = self.segments.values().map(Segment::bytes).sum();
        if on_disk <= self.bounds.bytes.saturating_add(self.bounds.bytes / 2) {
            return Ok(());
        }
        let numbers: Vec<u64> = self.segments.keys().copied().collect();
        // What a segment holds shrinks before the head can say so: meanwhile it says nothing.
        Head { id: self.id, reserved: self.reserved, segments: BTreeMap::new() }.write(&self.dir)?;
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
        self.mark_end()?;
        self.write_head()
    }

    /// Says how much of the last segment is durable.
    fn mark_end(&mut self) -> io::Result<()> {
        let Some((number, last)) = self.segments.last_key_value() else { return Ok(()) };
        let Content { bytes, events } = last.content();
        let reach = Reach { id: self.id, part: *number, bytes, count: events };
        match &self.mark {
            Some(mark) => mark.put(reach),
            None => {
                self.mark = Some(Mark::create(&self.mark_file(), reach)?);
                Ok(())
            }
        }
    }

    fn read(&mut self, seq: u64, events_max: usize, bytes_max: usize) -> io::Result<Vec<Event>> {
        let start = self.index.partition_point(|place| place.seq <= seq);
        let (mut events, mut bytes, mut damaged) = (Vec::new(), 0, Vec::new());
        for place in self.index.iter().skip(start).take(events_max) {
            bytes += place.bytes as usize;
            if bytes > bytes_max && !events.is_empty() {
                break;
            }
            let segment = self.segments.get(&place.segment).ok_or(io::ErrorKind::NotFound)?;
            match segment.read(place.at, place.bytes)? {
                Some(event) => events.push(event),
                None => damaged.push(*place),
            }
        }
        let is_all_damaged = events.is_empty() && !damaged.is_empty();
        for place in damaged {
            self.index.retain(|other| other.seq != place.seq);
            self.live_bytes -= u64::from(place.bytes);
            let lost = Content { events: 1, bytes: place.bytes.into() };
            self.damaged(lost, &format!("event {} of segment {} is damaged", place.seq, place.segment));
        }
        // Nothing would say that there is more.
        if is_all_damaged { self.read(seq, events_max, bytes_max) } else { Ok(events) }
    }
}

/// How many numbers are passed over when a spool is opened: up to 32 bits, far more than are given until the next time, and
/// few enough for a thousand million times.
fn leap([a, b, c, d, ..]: [u8; 16]) -> u64 {
    u32::from_be_bytes([a, b, c, d]).into()
}

/// Whether an event answers a task, and so is dropped last.
fn is_answer(event: &Event) -> bool {
    !event.task_id.is_empty() || !event.investigation_id.is_empty()
}

impl agent::Spool for Spool {
    fn push(&mut self, event: Event) -> Result<u64, StorageError> {
        let (is_answer, bytes) = (is_answer(&event), event.body.len() as u64);
        match self.put(event) {
            // A full disk must not take the sensor off its link: telemetry is lost and counted.
            Err(_) if !is_answer => {
                self.losses.drop_event(bytes);
                Ok(self.newest())
            }
            put => put.map_err(|error| StorageError(format!("cannot write to the spool: {error}"))),
        }
    }

    fn sync(&mut self) -> Result<(), StorageError> {
        let synced = self.segments.values_mut().try_for_each(Segment::sync).and_then(|()| self.mark_end());
        synced.map_err(|error| StorageError(format!("cannot flush the spool: {error}")))
    }

    fn read_after(&mut self, seq: u64, events_max: usize, bytes_max: usize) -> Result<Vec<Event>, StorageError> {
        let events = self.read(seq, events_max, bytes_max);
        events.map_err(|error| StorageError(format!("cannot read the spool: {error}")))
    }

    fn newest(&self) -> u64 {
        self.newest()
    }

    fn acknowledge(&mut self, seq: u64) -> Result<(), StorageError> {
        self.forget(seq).map_err(|error| StorageError(format!("cannot shorten the spool: {error}")))
    }
}
