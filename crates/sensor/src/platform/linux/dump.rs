//! Images of memory: of a process from `/proc/PID/mem`, of the machine from `/proc/kcore`.
//!
//! An image is an ELF core file with one segment for each readable range, which debuggers and memory analysers read.
//! Source: elf(5), proc(5).

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt as _;

use muster_live::Code;

use super::process::regions;
use crate::live::Failure;
use crate::memory::is_searched;

/// Memory of the machine, as the kernel shows it.
const KCORE: &str = "/proc/kcore";
/// What the physical addresses of the machine are used for.
const IOMEM: &str = "/proc/iomem";

/// Bytes that are read at a time.
const PIECE_BYTES: usize = 256 * 1024;
/// Least readable unit.
const PAGE_BYTES: usize = 4 * 1024;
/// Segments of one image: one more, and ELF writes their number elsewhere.
const SEGMENTS_MAX: usize = 0xfffe;

/// Bytes of the head of an ELF file, and of what is said of each segment.
const HEAD_BYTES: usize = 64;
const ENTRY_BYTES: usize = 56;
/// A segment that is loaded.
const PT_LOAD: u32 = 1;

/// A range of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Segment {
    /// Where it is in what it is read from.
    at: u64,
    virtual_address: u64,
    physical_address: u64,
    bytes: u64,
}

/// Memory that can be read.
pub struct Source {
    memory: File,
    segments: Vec<Segment>,
}

/// Memory of a process.
///
/// # Errors
///
/// `INVALID_PARAMETER` if there is no such process, `ACCESS_DENIED` if the kernel does not let the sensor read it.
pub fn of_process(pid: u32) -> Result<Source, Failure> {
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => Failure::new(Code::INVALID_PARAMETER, format!("no process with id {pid}")),
        io::ErrorKind::PermissionDenied => {
            let text = format!("the kernel does not let the sensor read the memory of process {pid}");
            Failure::new(Code::ACCESS_DENIED, text)
        }
        _ => error.into(),
    };
    let memory = File::open(format!("/proc/{pid}/mem")).map_err(failed)?;
    let regions = regions(pid).map_err(failed)?;
    let segment = |base, bytes| Segment { at: base, virtual_address: base, physical_address: 0, bytes };
    let readable = regions.iter().filter(|region| is_searched(region));
    Source::new(memory, readable.map(|region| segment(region.base, region.bytes)).collect())
}

/// Memory of the machine.
///
/// # Errors
///
/// `NOT_SUPPORTED` if the kernel does not show it to the sensor.
pub fn of_machine() -> Result<Source, Failure> {
    let hidden = |path: &str, error: &dyn std::fmt::Display| {
        let text = format!("this kernel does not show the memory of the machine ({path}: {error}); name a pid");
        Failure::new(Code::NOT_SUPPORTED, text)
    };
    let memory = File::open(KCORE).map_err(|error| hidden(KCORE, &error))?;
    let map = fs::read_to_string(IOMEM).map_err(|error| hidden(IOMEM, &error))?;
    let entries = entries(&memory).map_err(|error| hidden(KCORE, &error))?;
    let segments = physical(entries, &system_ram(&map));
    if segments.is_empty() {
        return Err(hidden(KCORE, &"it names no range of it"));
    }
    Source::new(memory, segments)
}

impl Source {
    fn new(memory: File, segments: Vec<Segment>) -> Result<Self, Failure> {
        if segments.len() > SEGMENTS_MAX {
            let text = format!("it has {} ranges, and an image holds {SEGMENTS_MAX}", segments.len());
            return Err(Failure::new(Code::NO_SYSTEM_RESOURCES, text));
        }
        Ok(Self { memory, segments })
    }

    /// Bytes of the image.
    #[must_use]
    pub fn bytes(&self) -> u64 {
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
    pub fn pieces(&self, write: &mut dyn FnMut(&[u8], usize) -> io::Result<()>) -> io::Result<()> {
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
        if self.memory.read_exact_at(piece, at).is_ok() {
            return 0;
        }
        let (mut missing, mut at) = (0, at);
        for page in piece.chunks_mut(PAGE_BYTES) {
            if self.memory.read_exact_at(page, at).is_err() {
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
        let order = if cfg!(target_endian = "little") { 1 } else { 2 };
        head.extend([0x7f, b'E', b'L', b'F', 2, order, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        let machine: u16 = if cfg!(target_arch = "aarch64") { 183 } else { 62 };
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

/// The segments that an ELF file says it has.
fn entries(file: &File) -> io::Result<Vec<Segment>> {
    let wrong = || io::Error::from(io::ErrorKind::InvalidData);
    let mut head = [0; HEAD_BYTES];
    file.read_exact_at(&mut head, 0)?;
    if !head.starts_with(b"\x7fELF\x02") {
        return Err(wrong());
    }
    let half = |bytes: &[u8], at: usize| u16::from_ne_bytes([bytes[at], bytes[at + 1]]);
    let word = |bytes: &[u8], at: usize| {
        bytes.get(at..at + 8).and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_ne_bytes)
    };
    let (first, length, count) = (word(&head, 32), half(&head, 54), half(&head, 56));
    if usize::from(length) != ENTRY_BYTES {
        return Err(wrong());
    }
    let mut table = vec![0; ENTRY_BYTES * usize::from(count)];
    file.read_exact_at(&mut table, first)?;
    let is_loaded = |entry: &&[u8]| entry.starts_with(&PT_LOAD.to_ne_bytes());
    let segment = |entry: &[u8]| Segment {
        at: word(entry, 8),
        virtual_address: word(entry, 16),
        physical_address: word(entry, 24),
        bytes: word(entry, 40),
    };
    Ok(table.chunks_exact(ENTRY_BYTES).filter(is_loaded).map(segment).collect())
}

/// First and last addresses of what is memory, by the kernel's map; hidden ones are zero, and none then.
fn system_ram(map: &str) -> Vec<(u64, u64)> {
    let range = |line: &str| {
        let (range, what) = line.split_once(" : ")?;
        let (first, last) = range.split_once('-').filter(|_| what == "System RAM" && !range.starts_with(' '))?;
        let address = |text| u64::from_str_radix(text, 16).ok();
        Some((address(first)?, address(last)?)).filter(|(_, last)| *last > 0)
    };
    map.lines().filter_map(range).collect()
}

/// Those segments that show memory of the machine, each byte once: the kernel shows some of it twice, and other
/// things, too.
fn physical(mut entries: Vec<Segment>, ram: &[(u64, u64)]) -> Vec<Segment> {
    entries.sort_unstable_by_key(|segment| std::cmp::Reverse(segment.bytes));
    let mut chosen: Vec<Segment> = Vec::new();
    for segment in entries {
        let first = segment.physical_address;
        let Some(last) = segment.bytes.checked_sub(1).and_then(|rest| first.checked_add(rest)) else { continue };
        let is_memory = ram.iter().any(|(from, to)| *from <= first && last <= *to);
        let is_new = |other: &Segment| last < other.physical_address || other.physical_address + other.bytes <= first;
        if is_memory && chosen.iter().all(is_new) {
            chosen.push(segment);
        }
    }
    chosen.sort_unstable_by_key(|segment| segment.physical_address);
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(at: u64, virtual_address: u64, physical_address: u64, bytes: u64) -> Segment {
        Segment { at, virtual_address, physical_address, bytes }
    }

    #[test]
    fn of_what_the_kernel_shows_only_memory_is_taken_and_once() {
        let map = "00001000-0009fbff : System RAM\n  00001000-00001fff : Kernel code\n000a0000-000bffff : PCI Bus\n\
            00100000-003fffff : System RAM\n";
        assert_eq!(system_ram(map), [(0x1000, 0x9_fbff), (0x10_0000, 0x3f_ffff)]);
        assert_eq!(system_ram("00000000-00000000 : System RAM\n"), []);
        let (low, high) = (segment(1, 0x8000, 0x1000, 0x9_e000), segment(2, 0x9000, 0x10_0000, 0x30_0000));
        let text = segment(3, 0xffff_0000, 0x20_0000, 0x1000);
        let (elsewhere, everything) = (segment(4, 5, u64::MAX, 9), segment(5, 6, 0, u64::MAX / 2));
        let all = vec![text, elsewhere, high, everything, low, segment(6, 7, 0xa_0000, 0x1000)];
        assert_eq!(physical(all, &system_ram(map)), [low, high]);
    }

    #[test]
    fn an_image_is_an_elf_file_whose_segments_are_where_it_says() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("memory");
        fs::write(&path, [vec![1; 5_000], vec![2; 300_000]].concat()).unwrap();
        let segments =
            vec![segment(0, 0x1000, 7, 5_000), segment(5_000, 0x9000, 8, 300_000), segment(900_000, 1, 9, 50)];
        let source = Source::new(File::open(&path).unwrap(), segments).unwrap();
        let (mut image, mut missing) = (Vec::new(), 0);
        source
            .pieces(&mut |piece, unread| {
                image.extend_from_slice(piece);
                missing += unread;
                Ok(())
            })
            .unwrap();
        assert_eq!((image.len() as u64, missing), (source.bytes(), 50));
        let written = folder.path().join("image");
        fs::write(&written, &image).unwrap();
        let read = entries(&File::open(&written).unwrap()).unwrap();
        let of = |number: usize| {
            let at = usize::try_from(read[number].at).unwrap();
            &image[at..at + usize::try_from(read[number].bytes).unwrap()]
        };
        assert_eq!((of(0), of(1), of(2)), (&vec![1; 5_000][..], &vec![2; 300_000][..], &[0; 50][..]));
        assert_eq!((read[1].virtual_address, read[1].physical_address), (0x9000, 8));
    }
}
