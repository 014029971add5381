//! How far a file is known to be durable.
//!
//! A file that only grows looks the same after a torn last write and after a cut of any
//! length. A mark beside it tells the two apart: it says how long the file was when the last
//! write to it had become durable. It is written in place and not flushed itself, so that it
//! costs no second flush: a process that is killed leaves it as it was, and a power failure
//! may set it back but never ahead, since it is written after the file is durable. A mark that
//! is behind only misses a cut that a file system made of its own promises.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::Path;

use crate::checked;
use crate::platform::files;
use crate::state_dir::write_atomically;

const PAYLOAD_BYTES: usize = 16 + 3 * 8;

/// What a mark says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// Random id made with whatever the file belongs to.
    pub id: [u8; 16],
    /// Which file: rises with each one that takes the place of another.
    pub part: u64,
    /// Bytes of it that are durable.
    pub bytes: u64,
    /// Things in them.
    pub count: u64,
}

/// An open mark.
#[derive(Debug)]
pub struct Mark(File);

impl Mark {
    /// What the mark at `path` says; `None` if there is none, or none that can be read.
    ///
    /// # Errors
    ///
    /// What the file system says.
    pub fn read(path: &Path) -> io::Result<Option<Reach>> {
        match fs::read(path) {
            Ok(bytes) => Ok(checked::payload_at(&bytes, 0).and_then(|range| Reach::decode(&bytes[range]))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Makes the mark at `path` say this, durably, whatever it said before.
    ///
    /// # Errors
    ///
    /// What the file system says.
    pub fn create(path: &Path, reach: Reach) -> io::Result<Self> {
        write_atomically(path, &reach.encode())?;
        Ok(Self(OpenOptions::new().write(true).open(path)?))
    }

    /// Moves the mark, in place and unflushed; of what it said nothing else may change
    /// but the two numbers and `part`, so that it always has the same length.
    ///
    /// # Errors
    ///
    /// What the file system says.
    pub fn put(&self, reach: Reach) -> io::Result<()> {
        files::write_all_at(&self.0, &reach.encode(), 0)
    }
}

impl Reach {
    fn encode(&self) -> Vec<u8> {
        let numbers = [self.part, self.bytes, self.count].map(u64::to_be_bytes).concat();
        checked::block(&[&self.id[..], &numbers].concat())
    }

    fn decode(payload: &[u8]) -> Option<Self> {
        let (id, numbers) = payload.split_first_chunk::<16>()?;
        let (numbers, []) = numbers.as_chunks::<8>() else { return None };
        let [part, bytes, count] = numbers else { return None };
        let number = |bytes: &[u8; 8]| u64::from_be_bytes(*bytes);
        Some(Self { id: *id, part: number(part), bytes: number(bytes), count: number(count) })
    }
}

const _: () = assert!(checked::HEADER_BYTES + PAYLOAD_BYTES < 512, "a sector is written whole or not at all");
