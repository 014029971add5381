//! The journal on disk: what keeps a task from having its effect twice.
//!
//! One append-only file of checked blocks (module `checked`). The first block is the
//! [`Header`]: a random id that names the journal, and how it was last rewritten; each
//! further block holds the records of one append, so that an append is durable as a whole
//! or not at all. Beside it a [`Mark`] says how much of it is durable.
//!
//! # Invariants
//!
//! 1. An append has returned `Ok` only if `fdatasync` did, and after it the mark was moved.
//! 2. A torn last block beyond the mark is cut off: nothing was done that rests on it.
//! 3. Damage in front of good blocks, or an end before the mark, means that steps were
//!    lost. The journal is then put aside and a new one begun under a new id, by which
//!    the server knows that tasks of the old one must not be offered again.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use prost::Message as _;

use crate::agent::{self, Batch, Ledger, Record, StorageError};
use crate::checked::{self, Damage};
use crate::mark::{Mark, Reach};
use crate::state_dir::write_atomically;

/// Growth since the last compaction after which another is due; a few thousand tasks.
const GROWN_BYTES: u64 = 2 * 1024 * 1024;
const ID_BYTES: usize = 16;
/// Name of the file beside the journal that says how much of it is durable.
pub const MARK_FILE: &str = "journal_mark";

/// An open journal.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    /// `None` after it could not be rewritten: what is on disk has to be looked at first.
    files: Option<Files>,
    header: Header,
    bytes: u64,
}

#[derive(Debug)]
struct Files {
    journal: File,
    mark: Mark,
}

/// The first block of a journal.
#[derive(Clone, Copy, Debug)]
struct Header {
    id: [u8; ID_BYTES],
    /// Counts how often it was begun or rewritten.
    generation: u64,
    /// Length of what it began with in this generation, without this header.
    base_bytes: u64,
}

const HEADER_BYTES: u64 = (checked::HEADER_BYTES + ID_BYTES + 2 * 8) as u64;

impl Header {
    fn block(&self) -> Vec<u8> {
        let numbers = [self.generation, self.base_bytes].map(u64::to_be_bytes).concat();
        checked::block(&[&self.id[..], &numbers].concat())
    }

    fn read(payload: &[u8]) -> Option<Self> {
        let (id, numbers) = payload.split_first_chunk::<ID_BYTES>()?;
        let (numbers, []) = numbers.as_chunks::<8>() else { return None };
        let [generation, base_bytes] = numbers else { return None };
        let number = |bytes: &[u8; 8]| u64::from_be_bytes(*bytes);
        Some(Self { id: *id, generation: number(generation), base_bytes: number(base_bytes) })
    }

    /// Length of the file at the beginning of this generation.
    fn compacted_bytes(&self) -> u64 {
        HEADER_BYTES + self.base_bytes
    }

    fn reach(&self, bytes: u64) -> Reach {
        Reach { id: self.id, part: self.generation, bytes, count: 0 }
    }

    /// What is wrong with a journal that ends at `end` and has so many blocks of records; `None` if nothing is.
    fn objection(&self, end: u64, appends: usize, mark: Option<Reach>) -> Option<String> {
        let short_of = |bytes: u64| Some(format!("{} bytes that were durable are missing", bytes.saturating_sub(end)));
        if end < self.compacted_bytes() {
            return short_of(self.compacted_bytes());
        }
        match mark.filter(|mark| mark.id == self.id) {
            Some(mark) if mark.part > self.generation => Some("it was set back to an older state".to_owned()),
            Some(mark) if mark.part == self.generation && end < mark.bytes => short_of(mark.bytes),
            // Rewritten, and then the process died before the mark followed.
            Some(_) => None,
            // Begun, and then the process died before there was a mark.
            None if appends == 0 => None,
            None => Some("nothing says how much of it there was".to_owned()),
        }
    }
}

/// What was found when a journal was opened.
#[derive(Debug)]
pub struct Opened {
    /// The journal, ready to append.
    pub journal: Journal,
    /// What it says.
    pub ledger: Ledger,
    /// What was wrong with the file, for the log.
    pub repair: Option<String>,
}

impl Journal {
    /// Opens the journal at `path`, or begins one under `fresh_id` if there is none
    /// or if what is there cannot be trusted.
    ///
    /// # Errors
    ///
    /// An [`io::Error`] of the file system.
    pub fn open(path: &Path, fresh_id: [u8; ID_BYTES]) -> io::Result<Opened> {
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error),
        };
        let (blocks, damage) = checked::scan(&bytes);
        let header = blocks.first().and_then(|range| Header::read(&bytes[range.clone()]));
        let (Some(header), None | Some(Damage::TornTail(_))) = (header, damage) else {
            let is_there = (!bytes.is_empty()).then_some("it cannot be read to its end");
            return Self::begin(path, fresh_id, is_there);
        };
        let end = match damage {
            Some(Damage::TornTail(at)) => at,
            _ => bytes.len(),
        };
        let mark = Mark::read(&mark_of(path))?;
        if let Some(objection) = header.objection(end as u64, blocks.len() - 1, mark) {
            return Self::begin(path, fresh_id, Some(&objection));
        }
        let mut ledger = Ledger::default();
        for range in &blocks[1..] {
            let Ok(batch) = Batch::decode(&bytes[range.clone()]) else {
                return Self::begin(path, fresh_id, Some("it holds something else"));
            };
            batch.into_records().for_each(|record| ledger.apply(&record));
        }
        let file = OpenOptions::new().append(true).open(path)?;
        let mut repair = None;
        if end < bytes.len() {
            file.set_len(end as u64)?;
            repair = Some(format!("cut {} unfinished bytes off the journal", bytes.len() - end));
        }
        // What was read may not have been flushed by the process that wrote it.
        file.sync_all()?;
        let mark = Mark::create(&mark_of(path), header.reach(end as u64))?;
        let files = Some(Files { journal: file, mark });
        Ok(Opened { journal: Self { path: path.to_owned(), files, header, bytes: end as u64 }, ledger, repair })
    }

    fn begin(path: &Path, id: [u8; ID_BYTES], objection: Option<&str>) -> io::Result<Opened> {
        let repair = match objection {
            Some(objection) => {
                let aside = path.with_extension("damaged");
                fs::rename(path, &aside)?;
                let aside = aside.display();
                Some(format!("the journal is lost: {objection}; put aside as {aside}, a new one begins"))
            }
            None => None,
        };
        let header = Header { id, generation: 1, base_bytes: 0 };
        let (file, bytes) = write_whole(path, &header.block())?;
        let mark = Mark::create(&mark_of(path), header.reach(bytes))?;
        let journal = Self { path: path.to_owned(), files: Some(Files { journal: file, mark }), header, bytes };
        Ok(Opened { journal, ledger: Ledger::default(), repair })
    }

    /// Length of the file.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Random id made with this journal.
    #[must_use]
    pub fn id(&self) -> [u8; ID_BYTES] {
        self.header.id
    }
}

fn mark_of(journal: &Path) -> PathBuf {
    journal.with_file_name(MARK_FILE)
}

impl agent::Journal for Journal {
    fn append(&mut self, records: &[Record]) -> Result<(), StorageError> {
        let block = checked::block(&Batch::of(records).encode_to_vec());
        let Some(Files { journal, mark }) = &mut self.files else {
            return Err(StorageError(format!("the journal {} was not rewritten", self.path.display())));
        };
        let written = journal.write_all(&block).and_then(|()| journal.sync_data());
        if let Err(error) = written {
            // Whatever part was written must not stand in front of a later block.
            let _ = journal.set_len(self.bytes);
            return Err(failed("append to the journal", &self.path, &error));
        }
        self.bytes += block.len() as u64;
        let marked = mark.put(self.header.reach(self.bytes));
        marked.map_err(|error| failed("mark the end of the journal", &self.path, &error))
    }

    fn is_grown(&self) -> bool {
        self.bytes > self.header.compacted_bytes().saturating_mul(2).saturating_add(GROWN_BYTES)
    }

    fn replace(&mut self, records: &[Record]) -> Result<(), StorageError> {
        let mut base = Vec::new();
        // Several blocks: one could exceed the longest payload.
        for part in records.chunks(1_024) {
            for small in split(part) {
                base.extend_from_slice(&checked::block(&Batch::of(small).encode_to_vec()));
            }
        }
        let header = Header { generation: self.header.generation + 1, base_bytes: base.len() as u64, ..self.header };
        // Not every system lets a file be replaced while it is open.
        self.files = None;
        let written = write_whole(&self.path, &[header.block(), base].concat()).and_then(|(journal, bytes)| {
            let mark = Mark::create(&mark_of(&self.path), header.reach(bytes))?;
            Ok((Files { journal, mark }, bytes))
        });
        let (files, bytes) = written.map_err(|error| failed("rewrite the journal", &self.path, &error))?;
        (self.files, self.header, self.bytes) = (Some(files), header, bytes);
        Ok(())
    }
}

/// Cuts records into runs whose encoded size stays below the longest payload.
fn split(records: &[Record]) -> Vec<&[Record]> {
    let (mut runs, mut start, mut bytes) = (Vec::new(), 0, 0);
    for (at, record) in records.iter().enumerate() {
        let length = Batch::of(std::slice::from_ref(record)).encoded_len();
        if bytes + length > checked::PAYLOAD_BYTES_MAX / 2 && at > start {
            runs.push(&records[start..at]);
            (start, bytes) = (at, 0);
        }
        bytes += length;
    }
    runs.push(&records[start..]);
    runs
}

/// Puts a new file in place of an old one, durably; gives it open for appending.
fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<(File, u64)> {
    write_atomically(path, bytes)?;
    Ok((OpenOptions::new().append(true).open(path)?, bytes.len() as u64))
}

fn failed(what: &str, path: &Path, error: &io::Error) -> StorageError {
    StorageError(format!("cannot {what} {}: {error}", path.display()))
}

#[cfg(test)]
mod tests;
