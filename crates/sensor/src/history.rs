//! The history: a ring of recent events on disk, sent or not, for `history_dump`.
//!
//! Files of checked blocks; when the ring is full its oldest file goes. Nothing of
//! it is kept in memory, and nothing rests on it: it is never flushed.

use std::collections::{HashSet, VecDeque};
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use muster_wire::Event;
use prost::Message as _;

use crate::checked;
use crate::platform::files;

/// Bytes of the whole ring. Source: reference/sensor.md section 3.
pub const BYTES_MAX: u64 = 60 * 1024 * 1024;
/// Files that the ring consists of; one of them goes at a time.
const FILES: u64 = 15;
/// Events that one dump gives at most: half of what the spool holds.
pub const DUMP_EVENTS_MAX: usize = 5_000;

/// The ring, open for writing.
#[derive(Debug)]
pub struct History {
    dir: PathBuf,
    bytes_max: u64,
    number: u64,
    file: Option<File>,
    bytes: u64,
}

/// Which events to dump; all that is given must fit.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// The event with this atom.
    pub atom: Option<Vec<u8>>,
    /// Everything in the tree under this atom.
    pub root: Option<Vec<u8>>,
    /// Events of this type.
    pub event_type: Option<String>,
}

impl History {
    /// Opens the ring in `dir`, of `bytes_max` bytes; 0 keeps nothing.
    ///
    /// # Errors
    ///
    /// An [`io::Error`] of the file system.
    pub fn open(dir: &Path, bytes_max: u64) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        let number = files(dir)?.last().map_or(0, |(number, _)| number + 1);
        Ok(Self { dir: dir.to_owned(), bytes_max, number, file: None, bytes: 0 })
    }

    /// Adds an event.
    ///
    /// # Errors
    ///
    /// An [`io::Error`] of the file system; the event is then not in the history.
    pub fn push(&mut self, event: &Event) -> io::Result<()> {
        if self.bytes_max == 0 {
            return Ok(());
        }
        if self.bytes >= self.bytes_max / FILES {
            (self.file, self.bytes) = (None, 0);
            self.number += 1;
        }
        let file = match &mut self.file {
            Some(file) => file,
            empty => {
                let path = self.dir.join(format!("{:012}.ring", self.number));
                let all = files(&self.dir)?;
                for (_, old) in all.iter().take(all.len().saturating_sub(FILES as usize - 1)) {
                    fs::remove_file(old)?;
                }
                empty.insert(files::private().create(true).append(true).open(path)?)
            }
        };
        let block = checked::block(&event.encode_to_vec());
        self.bytes += block.len() as u64;
        file.write_all(&block)
    }
}

/// The newest events of the ring in `dir` that pass the filter, oldest first.
///
/// # Errors
///
/// An [`io::Error`] of the file system.
pub fn dump(dir: &Path, filter: &Filter) -> io::Result<Vec<Event>> {
    let mut tree: HashSet<Vec<u8>> = filter.root.iter().cloned().collect();
    let mut found = VecDeque::new();
    for (_, path) in files(dir)? {
        let Ok(bytes) = fs::read(path) else { continue };
        let mut next = checked::resume(&bytes, 0);
        while let Some(range) = next {
            if let Ok(event) = Event::decode(&bytes[range.clone()])
                && passes(&event, filter, &mut tree)
            {
                if found.len() == DUMP_EVENTS_MAX {
                    found.pop_front();
                }
                found.push_back(event);
            }
            next = checked::resume(&bytes, range.end);
        }
    }
    Ok(found.into())
}

/// Atoms appear before their children, so one pass finds a whole tree.
fn passes(event: &Event, filter: &Filter, tree: &mut HashSet<Vec<u8>>) -> bool {
    if filter.root.is_some() {
        if !tree.contains(&event.this_atom) && !tree.contains(&event.parent_atom) {
            return false;
        }
        tree.insert(event.this_atom.clone());
    }
    filter.atom.as_ref().is_none_or(|atom| *atom == event.this_atom)
        && filter.event_type.as_ref().is_none_or(|wanted| *wanted == event.event_type)
}

fn files(dir: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "ring")
            && let Some(number) = path.file_stem().and_then(|stem| stem.to_str()?.parse().ok())
        {
            found.push((number, path));
        }
    }
    found.sort_unstable();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(event_type: &str, this: u8, parent: u8) -> Event {
        Event {
            event_type: event_type.to_owned(),
            this_atom: vec![this; 16],
            parent_atom: vec![parent; 16],
            ..Event::default()
        }
    }

    #[test]
    fn filters_narrow_the_dump_together() {
        let dir = tempfile::tempdir().unwrap();
        let mut history = History::open(dir.path(), BYTES_MAX).unwrap();
        for event in [
            event("NEW_PROCESS", 1, 0),
            event("NEW_PROCESS", 2, 1),
            event("NEW_PROCESS", 3, 9),
            event("NEW_PROCESS", 4, 2),
            event("TERMINATE_PROCESS", 5, 2),
        ] {
            history.push(&event).unwrap();
        }
        let atoms = |filter: Filter| -> Vec<u8> {
            dump(dir.path(), &filter).unwrap().iter().map(|event| event.this_atom[0]).collect()
        };
        assert_eq!(atoms(Filter::default()), [1, 2, 3, 4, 5]);
        let root = Filter { root: Some(vec![2; 16]), ..Filter::default() };
        assert_eq!(atoms(root.clone()), [2, 4, 5]);
        assert_eq!(atoms(Filter { event_type: Some("NEW_PROCESS".to_owned()), ..root }), [2, 4]);
        assert_eq!(atoms(Filter { atom: Some(vec![3; 16]), ..Filter::default() }), [3]);
    }

    #[test]
    fn the_ring_keeps_the_newest_within_its_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let mut history = History::open(dir.path(), 30_000).unwrap();
        (0..2_000).for_each(|_| history.push(&event("OLD", 1, 0)).unwrap());
        drop(history);
        let mut history = History::open(dir.path(), 30_000).unwrap();
        history.push(&event("NEWEST", 2, 0)).unwrap();
        let all = dump(dir.path(), &Filter::default()).unwrap();
        assert_eq!(all.last().unwrap().event_type, "NEWEST");
        let bytes: u64 = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum();
        assert!(bytes <= 33_000 && all.len() > 300, "{bytes} bytes, {} events", all.len());
    }
}
