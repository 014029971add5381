//! The journal on disk: what keeps a task from having its effect twice.
//!
//! One append-only file of checked blocks (module `checked`). The first block names the
//! journal by a random id; each further one holds the records of one append, so
//! that an append is durable as a whole or not at all.
//!
//! # Invariants
//!
//! 1. An append has returned `Ok` only if `fdatasync` did.
//! 2. A torn last block is cut off: nothing was done that rests on it.
//! 3. Damage in front of good blocks means that steps were lost. The journal is
//!    then put aside and a new one begun under a new id, by which the server
//!    knows that tasks of the old one must not be offered again.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use prost::Message as _;

use crate::agent::{self, Batch, Ledger, Record, StorageError};
use crate::checked::{self, Damage};

/// Growth since the last compaction after which another is due; a few thousand tasks.
const GROWN_BYTES: u64 = 2 * 1024 * 1024;
const ID_BYTES: usize = 16;

/// An open journal.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    id: [u8; ID_BYTES],
    bytes: u64,
    compacted_bytes: u64,
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
        let id = blocks.first().and_then(|range| <[u8; ID_BYTES]>::try_from(&bytes[range.clone()]).ok());
        let (Some(id), None | Some(Damage::TornTail(_))) = (id, damage) else {
            return Self::begin(path, fresh_id, !bytes.is_empty());
        };
        let mut ledger = Ledger::default();
        for range in &blocks[1..] {
            let Ok(batch) = Batch::decode(&bytes[range.clone()]) else { return Self::begin(path, fresh_id, true) };
            batch.into_records().for_each(|record| ledger.apply(&record));
        }
        let file = OpenOptions::new().append(true).open(path)?;
        let mut end = bytes.len();
        let mut repair = None;
        if let Some(Damage::TornTail(at)) = damage {
            file.set_len(at as u64)?;
            file.sync_all()?;
            repair = Some(format!("cut {} unfinished bytes off the journal", end - at));
            end = at;
        }
        let journal = Self { path: path.to_owned(), file, id, bytes: end as u64, compacted_bytes: 0 };
        Ok(Opened { journal, ledger, repair })
    }

    fn begin(path: &Path, id: [u8; ID_BYTES], is_damaged: bool) -> io::Result<Opened> {
        let repair = if is_damaged {
            let aside = path.with_extension("damaged");
            fs::rename(path, &aside)?;
            Some(format!("the journal is damaged; put aside as {}, a new one begins", aside.display()))
        } else {
            None
        };
        let (file, bytes) = write_whole(path, &checked::block(&id))?;
        let journal = Self { path: path.to_owned(), file, id, bytes, compacted_bytes: bytes };
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
        self.id
    }
}

impl agent::Journal for Journal {
    fn append(&mut self, records: &[Record]) -> Result<(), StorageError> {
        let block = checked::block(&Batch::of(records).encode_to_vec());
        let written = self.file.write_all(&block).and_then(|()| self.file.sync_data());
        if let Err(error) = written {
            // Whatever part was written must not stand in front of a later block.
            let _ = self.file.set_len(self.bytes);
            return Err(failed("append to the journal", &self.path, &error));
        }
        self.bytes += block.len() as u64;
        Ok(())
    }

    fn is_grown(&self) -> bool {
        self.bytes > self.compacted_bytes.saturating_mul(2).saturating_add(GROWN_BYTES)
    }

    fn replace(&mut self, records: &[Record]) -> Result<(), StorageError> {
        let mut whole = checked::block(&self.id);
        // Several blocks: one could exceed the longest payload.
        for part in records.chunks(1_024) {
            for small in split(part) {
                whole.extend_from_slice(&checked::block(&Batch::of(small).encode_to_vec()));
            }
        }
        let written = write_whole(&self.path, &whole);
        let (file, bytes) = written.map_err(|error| failed("rewrite the journal", &self.path, &error))?;
        (self.file, self.bytes, self.compacted_bytes) = (file, bytes, bytes);
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
    let fresh = path.with_extension("new");
    let mut file = OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&fresh)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&fresh, path)?;
    if let Some(parent) = path.parent() {
        File::open(parent)?.sync_all()?;
    }
    Ok((OpenOptions::new().append(true).open(path)?, bytes.len() as u64))
}

fn failed(what: &str, path: &Path, error: &io::Error) -> StorageError {
    StorageError(format!("cannot {what} {}: {error}", path.display()))
}

#[cfg(test)]
mod tests;
