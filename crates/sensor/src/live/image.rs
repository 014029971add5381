//! Images of memory: ELF core files with one segment for each range that can be read, which debuggers and analysers of
//! memory read. Source: elf(5).

use std::io;

use muster_live::Code;

use super::Failure;
use crate::memory::is_searched;
use crate::platform::process::{Memory, regions};

/// Bytes that are read at a time.
const PIECE_BYTES: usize = 256 * 1024;
/// Least readable unit.
const PAGE_BYTES: usize = 4 * 1024;
/// Segments of one image: one more, and ELF writes their number elsewhere.
const SEGMENTS_MAX: usize = 0xfffe;

/// Bytes of the head of an ELF file, and of what is said of each segment.
pub(crate) const HEAD_BYTES: usize = 64;
pub(crate) const ENTRY_BYTES: usize = 56;
/// A segment that is loaded.
pub(crate) const PT_LOAD: u32 = 1;

/// A range of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    /// Where it is in what it is read from.
    pub(crate) at: u64,
    pub(crate) virtual_address: u64,
    pub(crate) physical_address: u64,
    pub(crate) bytes: u64,
}

/// Reads all that is asked for, from a place on.
type ReadAt = Box<dyn Fn(&mut [u8], u64) -> io::Result<()>>;

/// Memory that can be read.
pub(crate) struct Image {
    read_at: ReadAt,
    segments: Vec<Segment>,
}

/// Memory of a process.
///
/// # Errors
///
/// `INVALID_PARAMETER` if there is no such process, `ACCESS_DENIED` if the system does not let the sensor read it.
pub(super) fn of_process(pid: u32) -> Result<Image, Failure> {
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => Failure::new(Code::INVALID_PARAMETER, format!("no process with id {pid}")),
        io::ErrorKind::PermissionDenied => {
            let text = format!("the system does not let the sensor read the memory of process {pid}");
            Failure::new(Code::ACCESS_DENIED, text)
        }
        _ => error.into(),
    };
    let memory = Memory::open(pid).map_err(failed)?;
    let regions = regions(pid).map_err(failed)?;
    let segment = |base, bytes| Segment { at: base, virtual_address: base, physical_address: 0, bytes };
    let readable = regions.iter().filter(|region| is_searched(region));
    let segments = readable.map(|region| segment(region.base, region.bytes)).collect();
    Image::new(Box::new(move |piece, at| memory.read_exact_at(piece, at)), segments)
}

impl Image {
    /// An image of these ranges, which are read so.
    pub(crate) fn new(read_at: ReadAt, segments: Vec<Segment>) -> Result<Self, Failure> {
        if segments.len() > SEGMENTS_MAX {
            let text = format!("it has {} ranges, and an image holds {SEGMENTS_MAX}", segments.len());
            return Err(Failure::new(Code::NO_SYSTEM_RESOURCES, text));
        }
        Ok(Self { read_at, segments })
    }

    /// Bytes of the image.
    pub(crate) fn bytes(&self) -> u64 {
        self.head_bytes() + self.segments.iter().map(|segment| segment.bytes).sum::<u64>()
    }

    fn head_bytes(&self) -> u64 {
        let head = HEAD_BYTES + ENTRY_BYTES * self.segments.len();
        head.next_multiple_of(PAGE_BYTES) as u64
    }

    /// Gives the image piece by piece, each with the number of its bytes that could not be read and are zero.
    ///
    /// # Errors
    ///
    /// What `write` says.
    pub(crate) fn pieces(&self, write: &mut dyn FnMut(&[u8], usize) -> io::Result<()>) -> io::Result<()> {
        write(&self.head(), 0)?;
        let mut buffer = vec![0; PIECE_BYTES];
        for segment in &self.segments {
            let mut done = 0;
            while done < segment.bytes {
                let length = usize::try_from(segment.bytes - done).unwrap_or(usize::MAX).min(PIECE_BYTES);
                let piece = &mut buffer[..length];
                let missing = self.read(segment.at + done, piece);
                write(piece, missing)?;
                done += length as u64;
            }
        }
        Ok(())
    }

    /// Reads a piece, page by page where it cannot be read as a whole.
    fn read(&self, at: u64, piece: &mut [u8]) -> usize {
        if (self.read_at)(piece, at).is_ok() {
            return 0;
        }
        let (mut missing, mut at) = (0, at);
        for page in piece.chunks_mut(PAGE_BYTES) {
            if (self.read_at)(page, at).is_err() {
                page.fill(0);
                missing += page.len();
            }
            at += page.len() as u64;
        }
        missing
    }

    /// The head of the image, with what is said of each segment.
    fn head(&self) -> Vec<u8> {
        let mut head = Vec::with_capacity(usize::try_from(self.head_bytes()).unwrap_or(0));
        // 64 bits, in the order of bytes of this machine, version 1.
        let order = if 1_u16.to_ne_bytes()[0] == 1 { 1 } else { 2 };
        head.extend([0x7f, b'E', b'L', b'F', 2, order, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        let machine: u16 = if std::env::consts::ARCH == "aarch64" { 183 } else { 62 };
        for half in [4, machine] {
            head.extend(half.to_ne_bytes());
        }
        head.extend(1_u32.to_ne_bytes());
        for word in [0, HEAD_BYTES as u64, 0] {
            head.extend(word.to_ne_bytes());
        }
        head.extend(0_u32.to_ne_bytes());
        let count = u16::try_from(self.segments.len()).unwrap_or(u16::MAX);
        for half in [HEAD_BYTES as u16, ENTRY_BYTES as u16, count, 0, 0, 0] {
            head.extend(half.to_ne_bytes());
        }
        let mut at = self.head_bytes();
        for segment in &self.segments {
            // Readable.
            for half in [PT_LOAD, 4] {
                head.extend(half.to_ne_bytes());
            }
            let Segment { virtual_address, physical_address, bytes, .. } = *segment;
            for word in [at, virtual_address, physical_address, bytes, bytes, 1] {
                head.extend(word.to_ne_bytes());
            }
            at += bytes;
        }
        head.resize(usize::try_from(self.head_bytes()).unwrap_or(head.len()), 0);
        head
    }
}
