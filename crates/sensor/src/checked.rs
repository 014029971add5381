//! Checksummed blocks: how journal, spool and history lie on disk.
//!
//! A block is `magic`, `length: u32` and `sum` (first 8 bytes of the SHA-256 of
//! the payload), then the payload; numbers are big-endian. A block is written
//! with one call, so a crash leaves at most one unfinished block, at the end.

use std::ops::Range;

use aws_lc_rs::digest::{SHA256, digest};

const MAGIC: [u8; 4] = *b"mst\x01";
/// Bytes in front of each payload.
pub const HEADER_BYTES: usize = 16;
/// Longest payload: the largest message of the wire, with room for its envelope.
pub const PAYLOAD_BYTES_MAX: usize = 10 * 1024 * 1024;

/// What stopped a scan before the end of the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// The last block was not written to its end; it begins at this offset.
    TornTail(usize),
    /// A block is damaged although good blocks follow it; it begins at this offset.
    Corrupt(usize),
}

/// Puts a payload into a block.
#[must_use]
pub fn block(payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER_BYTES + payload.len());
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes());
    bytes.extend_from_slice(&sum(payload));
    bytes.extend_from_slice(payload);
    bytes
}

/// Finds the payloads of all good blocks from the start of `bytes`, in order,
/// and tells what damage comes after them.
#[must_use]
pub fn scan(bytes: &[u8]) -> (Vec<Range<usize>>, Option<Damage>) {
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        match payload_at(bytes, at) {
            Some(range) => {
                at = range.end;
                found.push(range);
            }
            None => {
                let damage = if resume(bytes, at + 1).is_some() { Damage::Corrupt(at) } else { Damage::TornTail(at) };
                return (found, Some(damage));
            }
        }
    }
    (found, None)
}

/// The payload of the first good block at or after `from`, for readers that may skip damage.
#[must_use]
pub fn resume(bytes: &[u8], from: usize) -> Option<Range<usize>> {
    let mut from = from;
    while let Some(rest) = bytes.get(from..) {
        let step = rest.windows(MAGIC.len()).position(|window| window == MAGIC)?;
        if let Some(range) = payload_at(bytes, from + step) {
            return Some(range);
        }
        from += step + 1;
    }
    None
}

/// The payload of the block that begins at `at`, if it is whole and good.
#[must_use]
pub fn payload_at(bytes: &[u8], at: usize) -> Option<Range<usize>> {
    let header = bytes.get(at..at.checked_add(HEADER_BYTES)?)?;
    let (magic, rest) = header.split_first_chunk::<4>()?;
    let (length, have) = rest.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    if *magic != MAGIC || length > PAYLOAD_BYTES_MAX {
        return None;
    }
    let start = at + HEADER_BYTES;
    let payload = bytes.get(start..start.checked_add(length)?)?;
    (have == sum(payload)).then_some(start..start + length)
}

fn sum(payload: &[u8]) -> [u8; 8] {
    let mut short = [0; 8];
    short.copy_from_slice(&digest(&SHA256, payload).as_ref()[..8]);
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_tail_is_told_from_damage_in_the_middle() {
        let blocks = [block(b"one"), block(b""), block(b"three")].concat();
        let (all, damage) = scan(&blocks);
        assert_eq!((all.len(), damage), (3, None));
        let last = blocks.len() - block(b"three").len();
        for cut in last + 1..blocks.len() {
            let (found, damage) = scan(&blocks[..cut]);
            assert_eq!((found.len(), damage), (2, Some(Damage::TornTail(last))), "cut at {cut}");
        }
        for at in 0..last {
            let mut damaged = blocks.clone();
            damaged[at] ^= 0x40;
            assert!(matches!(scan(&damaged).1, Some(Damage::Corrupt(_))), "flipped at {at}");
        }
    }
}
