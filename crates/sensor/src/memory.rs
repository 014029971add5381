//! Memory of processes.

use std::io;

use crate::platform::process::{Memory, regions};
use crate::platform::shapes::Region;

/// Memory is read in pieces of this length, so that one bad page costs little.
const PIECE_BYTES: usize = 64 * 1024;
/// Least readable unit.
const PAGE_BYTES: usize = 4 * 1024;
/// Regions that are no memory of the process's own.
const SKIPPED: &[&str] = &["[vvar]", "[vsyscall]", "[vdso]"];

/// Reads memory; what cannot be read is zero, and its bytes are counted.
///
/// # Errors
///
/// What the system says when the process is gone or out of reach.
pub fn read(pid: u32, base: u64, bytes: usize) -> io::Result<(Vec<u8>, usize)> {
    let memory = Memory::open(pid)?;
    let mut content = vec![0; bytes];
    let mut missing = 0;
    let mut at = 0;
    while at < bytes {
        // Pieces end at page boundaries, where readability changes.
        let address = base.saturating_add(at as u64);
        let to_boundary = PAGE_BYTES - (address % PAGE_BYTES as u64) as usize;
        let end = (at + to_boundary).min(bytes);
        if memory.read_exact_at(&mut content[at..end], address).is_err() {
            content[at..end].fill(0);
            missing += end - at;
        }
        at = end;
    }
    Ok((content, missing))
}

/// Walks the readable memory of a process piece by piece, with overlap of up to
/// `overlap` bytes, until told to stop by `false`. Gives the region's number.
///
/// # Errors
///
/// What the system says when the process is gone or out of reach.
pub fn walk(pid: u32, overlap: usize, mut visit: impl FnMut(usize, u64, &[u8]) -> bool) -> io::Result<()> {
    let memory = Memory::open(pid)?;
    let mut buffer = vec![0; PIECE_BYTES + overlap];
    for (number, region) in regions(pid)?.iter().enumerate() {
        if !is_searched(region) {
            continue;
        }
        let mut at = 0;
        while at < region.bytes {
            let length = usize::try_from(region.bytes - at).unwrap_or(usize::MAX).min(buffer.len());
            let piece = &mut buffer[..length];
            if memory.read_exact_at(piece, region.base + at).is_ok() && !visit(number, region.base + at, piece) {
                return Ok(());
            }
            at += PIECE_BYTES as u64;
        }
    }
    Ok(())
}

/// Whether a region is memory of the process's own that can be read.
pub(crate) fn is_searched(region: &Region) -> bool {
    let is_readable = matches!(region.access, 2 | 3 | 6 | 7);
    let path = region.path.as_deref().unwrap_or_default();
    is_readable && !SKIPPED.contains(&path) && !path.starts_with("/dev/")
}
