//! The disk of an endpoint: the journal and spool of the agent, with crashes at every write.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use muster_sensor::agent::{Journal, Ledger, Record, Spool, StorageError};
use muster_wire::{Event, Step};

use crate::kernel::Kernel;
use crate::oracle::{Fate, SharedTruth};
use crate::world::Sabotage;

/// Events that the spool holds; far fewer than on a real endpoint, so that runs get there.
pub const EVENTS_MAX: usize = 120;

/// Records after which the journal is rewritten.
const GROWN_RECORDS: usize = 150;

/// Numbers of events that are passed over at most when a process starts.
const LEAP_MAX: u64 = 1 << 32;

/// What ends a process at one of its writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Death {
    /// The process alone: what it wrote is with the operating system.
    Killed,
    /// The endpoint: what was not flushed is lost.
    PowerLost,
}

/// An earlier state of journal and spool.
struct Copy {
    records: Vec<Record>,
    flushed: usize,
    events: VecDeque<Event>,
    next_seq: u64,
    synced_seq: u64,
}

/// One endpoint's disk; outlives every process on it.
pub struct Disk {
    kernel: Rc<Kernel>,
    truth: SharedTruth,
    host: usize,
    sabotage: Option<Sabotage>,
    /// Random id made with the journal.
    pub journal_id: [u8; 16],
    /// Random id made with the spool.
    pub spool_id: [u8; 16],
    records: Vec<Record>,
    /// Records that are on disk for certain.
    flushed: usize,
    grown_at: usize,
    copy: Option<Copy>,
    events: VecDeque<Event>,
    next_seq: u64,
    synced_seq: u64,
    /// No room at all.
    pub is_full: bool,
    /// After so many writes the process dies, in this way.
    pub dies_in: Option<(u64, Death)>,
    /// It did.
    pub death: Option<Death>,
}

impl Disk {
    /// A new disk.
    #[must_use]
    pub fn new(kernel: Rc<Kernel>, truth: SharedTruth, host: usize, sabotage: Option<Sabotage>) -> Self {
        let (journal_id, spool_id) = (kernel.id(), kernel.id());
        Self {
            kernel,
            truth,
            host,
            sabotage,
            journal_id,
            spool_id,
            records: Vec::new(),
            flushed: 0,
            grown_at: 0,
            copy: None,
            events: VecDeque::new(),
            next_seq: 1,
            synced_seq: 0,
            is_full: false,
            dies_in: None,
            death: None,
        }
    }

    /// What the journal says.
    #[must_use]
    pub fn ledger(&self) -> Ledger {
        let mut ledger = Ledger::default();
        self.records.iter().for_each(|record| ledger.apply(record));
        ledger
    }

    /// Events that wait for the server.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.events.len()
    }

    /// Forgets what was not flushed, if the power went.
    pub fn settle_death(&mut self, death: Death) {
        self.dies_in = None;
        self.death = None;
        if death == Death::Killed {
            return;
        }
        self.records.truncate(self.flushed);
        let newest = self.events.back().map_or(self.synced_seq, |event| event.seq.max(self.synced_seq));
        let keep = self.synced_seq + self.kernel.below(newest - self.synced_seq + 1);
        while let Some(lost) = self.events.pop_back_if(|event| event.seq > keep) {
            self.truth.borrow_mut().spooled(self.host, self.spool_id, lost.seq, Fate::Lost);
        }
    }

    /// Makes a copy of everything, or puts an earlier one in its place, as a snapshot of a virtual machine does.
    /// Tells whether it is an earlier one now.
    pub fn copy_or_set_back(&mut self) -> bool {
        let Some(copy) = self.copy.take() else {
            self.copy = Some(self.copy());
            return false;
        };
        for event in self.events.iter().filter(|event| event.seq >= copy.next_seq) {
            self.truth.borrow_mut().spooled(self.host, self.spool_id, event.seq, Fate::Lost);
        }
        self.put(copy);
        true
    }

    fn copy(&self) -> Copy {
        Copy {
            records: self.records.clone(),
            flushed: self.flushed,
            events: self.events.clone(),
            next_seq: self.next_seq,
            synced_seq: self.synced_seq,
        }
    }

    fn put(&mut self, copy: Copy) {
        (self.records, self.flushed, self.grown_at) = (copy.records, copy.flushed, 0);
        (self.events, self.next_seq, self.synced_seq) = (copy.events, copy.next_seq, copy.synced_seq);
    }

    /// The disk of another machine with the same on it.
    #[must_use]
    pub fn copied(&self, host: usize) -> Self {
        let mut disk = Self::new(Rc::clone(&self.kernel), Rc::clone(&self.truth), host, self.sabotage);
        (disk.journal_id, disk.spool_id) = (self.journal_id, self.spool_id);
        disk.put(self.copy());
        disk
    }

    /// The spool goes on under another id, as `Spool::renew` does.
    pub fn renew_spool(&mut self) {
        let before = std::mem::replace(&mut self.spool_id, self.kernel.id());
        let mut truth = self.truth.borrow_mut();
        for event in &self.events {
            truth.spooled(self.host, before, event.seq, Fate::Moved);
            truth.spooled(self.host, self.spool_id, event.seq, Fate::Kept);
        }
    }

    /// The journal is lost, and perhaps the spool with it.
    pub fn wipe(&mut self, spool_too: bool) {
        self.journal_id = self.kernel.id();
        // A copy of a lost journal is one of another epoch.
        self.copy = None;
        self.records.clear();
        self.flushed = 0;
        self.grown_at = 0;
        if spool_too {
            for event in std::mem::take(&mut self.events) {
                self.truth.borrow_mut().spooled(self.host, self.spool_id, event.seq, Fate::Lost);
            }
            self.spool_id = self.kernel.id();
            (self.next_seq, self.synced_seq) = (1, 0);
        }
    }

    /// Cuts the journal short, as a file system may that breaks its promises.
    pub fn cut(&mut self) {
        let kept = self.kernel.index(self.flushed + 1);
        self.records.truncate(kept);
    }

    /// Opens journal and spool as `Journal::open` and `Spool::open` do: a journal that ends before its mark is a lost
    /// one, and numbers of events go on at a random distance.
    pub fn open(&mut self) {
        self.next_seq += self.kernel.below(LEAP_MAX);
        if self.records.len() >= self.flushed {
            return;
        }
        if self.sabotage == Some(Sabotage::BelieveCutJournal) {
            self.flushed = self.records.len();
        } else {
            self.wipe(false);
        }
    }

    /// One write: tells whether it happens, and fails if the process dies at it or there is no room.
    fn write(&mut self) -> (bool, Result<(), StorageError>) {
        if self.death.is_some() {
            return (false, Err(StorageError("the process is dead".to_owned())));
        }
        if let Some((left, death)) = self.dies_in.as_mut() {
            if *left > 0 {
                *left -= 1;
            } else {
                self.death = Some(*death);
                return (self.kernel.chance(50), Err(StorageError("the process dies".to_owned())));
            }
        }
        if self.is_full {
            return (false, Err(StorageError("no space left on device".to_owned())));
        }
        (true, Ok(()))
    }

    fn evict(&mut self) {
        if self.events.len() < EVENTS_MAX {
            return;
        }
        let at = self.events.iter().position(|event| event.task_id.is_empty()).unwrap_or(0);
        if let Some(dropped) = self.events.remove(at) {
            self.truth.borrow_mut().spooled(self.host, self.spool_id, dropped.seq, Fate::Dropped);
        }
    }
}

/// The disk as the agent's journal and, a second one, as its spool.
pub struct Half<'a>(pub &'a RefCell<Disk>);

impl Journal for Half<'_> {
    fn append(&mut self, records: &[Record]) -> Result<(), StorageError> {
        self.0.borrow_mut().append(records)
    }
    fn is_grown(&self) -> bool {
        let disk = self.0.borrow();
        disk.records.len() > disk.grown_at + GROWN_RECORDS
    }
    fn replace(&mut self, records: &[Record]) -> Result<(), StorageError> {
        self.0.borrow_mut().replace(records)
    }
}

impl Spool for Half<'_> {
    fn push(&mut self, event: Event) -> Result<u64, StorageError> {
        self.0.borrow_mut().push(event)
    }
    fn sync(&mut self) -> Result<(), StorageError> {
        self.0.borrow_mut().sync()
    }
    fn read_after(&mut self, seq: u64, events_max: usize, bytes_max: usize) -> Result<Vec<Event>, StorageError> {
        Ok(self.0.borrow().read_after(seq, events_max, bytes_max))
    }
    fn newest(&self) -> u64 {
        let disk = self.0.borrow();
        if disk.sabotage == Some(Sabotage::TrustCopiedSpool) { u64::MAX } else { disk.next_seq - 1 }
    }
    fn acknowledge(&mut self, seq: u64) -> Result<(), StorageError> {
        self.0.borrow_mut().acknowledge(seq)
    }
}

impl Disk {
    fn append(&mut self, records: &[Record]) -> Result<(), StorageError> {
        let (happens, result) = self.write();
        if happens {
            self.records.extend_from_slice(records);
            if self.sabotage != Some(Sabotage::RunBeforeJournal) || self.kernel.chance(50) {
                self.flushed = self.records.len();
            }
        }
        if happens {
            let mut truth = self.truth.borrow_mut();
            for record in records {
                match record {
                    Record::Step(receipt) if receipt.step() == Step::Started => {
                        truth.started(self.host, &receipt.task_id);
                    }
                    Record::Step(receipt) if receipt.step() == Step::Finished => {
                        truth.ended(self.host, &receipt.task_id, self.synced_seq);
                    }
                    Record::Step(receipt) if receipt.step() == Step::Cancelled => {
                        truth.cancelled(self.host, &receipt.task_id);
                    }
                    _ => {}
                }
            }
        }
        result
    }

    fn replace(&mut self, records: &[Record]) -> Result<(), StorageError> {
        let (happens, result) = self.write();
        if happens {
            self.records = records.to_vec();
            self.flushed = self.records.len();
            self.grown_at = self.records.len();
        }
        result
    }

    fn push(&mut self, mut event: Event) -> Result<u64, StorageError> {
        let (happens, result) = self.write();
        let seq = self.next_seq;
        // A number that was begun is never used again.
        self.next_seq += 1;
        if happens {
            self.evict();
            event.seq = seq;
            let mut truth = self.truth.borrow_mut();
            truth.spooled(self.host, self.spool_id, seq, Fate::Kept);
            truth.spoke(self.host, &event, seq);
            drop(truth);
            self.events.push_back(event);
        }
        result.map(|()| seq)
    }

    fn sync(&mut self) -> Result<(), StorageError> {
        let (happens, result) = self.write();
        if happens {
            self.synced_seq = self.next_seq - 1;
        }
        result
    }

    fn read_after(&self, seq: u64, events_max: usize, bytes_max: usize) -> Vec<Event> {
        let mut bytes = 0;
        let wanted = self.events.iter().filter(|event| event.seq > seq).take(events_max);
        let within = wanted.take_while(|event| {
            let is_first = bytes == 0;
            bytes += event.body.len();
            is_first || bytes <= bytes_max
        });
        within.cloned().collect()
    }

    fn acknowledge(&mut self, seq: u64) -> Result<(), StorageError> {
        let (happens, result) = self.write();
        if happens {
            self.events.retain(|event| event.seq > seq);
        }
        result
    }
}
