//! What is told once in the life of a sensor, over its restarts.

use std::collections::{HashSet, VecDeque};
use std::io::{self, Write as _};
use std::path::PathBuf;

use aws_lc_rs::digest::{SHA256, digest};

use crate::platform::files;
use crate::state_dir::{read_optional, write_atomically};

/// Things that are remembered, 8 bytes each. Source: reference/events.md section 5.2.
const TOLD_MAX: usize = 65_536;
/// Bytes of a digest that stand for a thing.
const MARK_BYTES: usize = 8;

/// A set of things that were told. What does not reach the disk is told twice.
#[derive(Debug)]
pub struct Told {
    path: PathBuf,
    marks: HashSet<[u8; MARK_BYTES]>,
    /// Oldest first.
    order: VecDeque<[u8; MARK_BYTES]>,
}

impl Told {
    /// Reads what earlier sensors on this state directory have told.
    #[must_use]
    pub fn open(path: PathBuf) -> Self {
        let bytes = read_optional(&path).ok().flatten().unwrap_or_default();
        let (mut marks, all) = (HashSet::new(), bytes.as_chunks::<MARK_BYTES>().0);
        let newest = &all[all.len().saturating_sub(TOLD_MAX)..];
        let order: VecDeque<_> = newest.iter().copied().filter(|mark| marks.insert(*mark)).collect();
        let mut told = Self { path, marks, order };
        if told.order.len() * MARK_BYTES != bytes.len() {
            told.rewrite();
        }
        told
    }

    fn mark(what: &str) -> [u8; MARK_BYTES] {
        let digest = digest(&SHA256, what.as_bytes());
        let mut mark = [0; MARK_BYTES];
        mark.copy_from_slice(&digest.as_ref()[..MARK_BYTES]);
        mark
    }

    /// Whether this was told before.
    #[must_use]
    pub fn holds(&self, what: &str) -> bool {
        self.marks.contains(&Self::mark(what))
    }

    /// Remembers that this is told; `false` if it was before.
    pub fn add(&mut self, what: &str) -> bool {
        let mark = Self::mark(what);
        if !self.marks.insert(mark) {
            return false;
        }
        self.order.push_back(mark);
        if self.order.len() > TOLD_MAX {
            // Half of them at a time, so that the file is rarely written anew.
            for old in self.order.drain(..TOLD_MAX / 2) {
                self.marks.remove(&old);
            }
            self.rewrite();
        } else {
            let options = files::private().create(true).append(true).open(&self.path);
            report(options.and_then(|mut file| file.write_all(&mark)));
        }
        true
    }

    fn rewrite(&mut self) {
        let bytes: Vec<u8> = self.order.iter().flatten().copied().collect();
        report(write_atomically(&self.path, &bytes));
    }
}

fn report(written: io::Result<()>) {
    if let Err(error) = written {
        tracing::debug!(%error, "it is not remembered what was told");
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_is_remembered_has_a_bound_and_a_cut_file_is_mended() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("told");
        let marks: Vec<u8> = (0..TOLD_MAX as u64).flat_map(u64::to_be_bytes).chain([1, 2, 3]).collect();
        fs::write(&path, marks).unwrap();
        let mut told = Told::open(path.clone());
        assert_eq!(fs::metadata(&path).unwrap().len(), (TOLD_MAX * MARK_BYTES) as u64);
        assert!(told.add("this") && !told.add("this"));
        assert_eq!(told.marks.len(), TOLD_MAX / 2 + 1);
        assert!(Told::open(path).holds("this"), "the newest stay");
    }
}
