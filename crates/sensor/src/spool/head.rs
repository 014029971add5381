//! The head of a spool: who it is, which numbers it has reserved, and what should be there.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use crate::checked;
use crate::mark::Reach;
use crate::state_dir::{read_optional, write_atomically};

/// How much is in a segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Content {
    /// Bytes of whole, good blocks.
    pub(super) bytes: u64,
    pub(super) events: u64,
}

impl Content {
    /// What is here and not in `found`.
    pub(super) fn beyond(self, found: Self) -> Self {
        Self { bytes: self.bytes.saturating_sub(found.bytes), events: self.events.saturating_sub(found.events) }
    }
}

/// One block: id, reserved number, then number, bytes and events of each segment.
pub(super) struct Head {
    pub(super) id: [u8; 16],
    pub(super) reserved: u64,
    pub(super) segments: BTreeMap<u64, Content>,
}

fn file(dir: &Path) -> PathBuf {
    dir.join("head")
}

/// Whether there is a head, readable or not.
pub(super) fn is_there(dir: &Path) -> bool {
    file(dir).exists()
}

impl Head {
    /// The head of the spool in `dir`; `None` if there is none that can be read.
    pub(super) fn read(dir: &Path) -> io::Result<Option<Self>> {
        let bytes = read_optional(&file(dir))?.unwrap_or_default();
        Ok(checked::payload_at(&bytes, 0).and_then(|range| Self::decode(&bytes[range])))
    }

    fn decode(payload: &[u8]) -> Option<Self> {
        let (id, numbers) = payload.split_first_chunk::<16>()?;
        let (numbers, []) = numbers.as_chunks::<8>() else { return None };
        let numbers: Vec<u64> = numbers.iter().map(|bytes| u64::from_be_bytes(*bytes)).collect();
        let (reserved, segments) = numbers.split_first()?;
        let (segments, []) = segments.as_chunks::<3>() else { return None };
        let segments =
            segments.iter().map(|[number, bytes, events]| (*number, Content { bytes: *bytes, events: *events }));
        Some(Self { id: *id, reserved: *reserved, segments: segments.collect() })
    }

    /// Puts this in place of the head in `dir`, durably.
    pub(super) fn write(&self, dir: &Path) -> io::Result<()> {
        let segments = self.segments.iter().flat_map(|(number, content)| [*number, content.bytes, content.events]);
        let numbers: Vec<u8> = [self.reserved].into_iter().chain(segments).flat_map(u64::to_be_bytes).collect();
        write_atomically(&file(dir), &checked::block(&[&self.id[..], &numbers].concat()))
    }

    /// What each segment holds at least: the mark knows more of the last one than the head,
    /// which is written when a segment begins.
    pub(super) fn expected(&self, mark: Option<Reach>) -> BTreeMap<u64, Content> {
        let mut expected = self.segments.clone();
        if let Some(mark) = mark.filter(|mark| mark.id == self.id)
            && let Some(content) = expected.get_mut(&mark.part)
        {
            content.bytes = content.bytes.max(mark.bytes);
            content.events = content.events.max(mark.count);
        }
        expected
    }
}
