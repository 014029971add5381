//! Memory of the machine, from `/proc/kcore`. Source: elf(5), proc(5).

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt as _;

use muster_live::Code;

use crate::live::Failure;
use crate::live::image::{ENTRY_BYTES, HEAD_BYTES, Image, PT_LOAD, Segment};

/// Memory of the machine, as the kernel shows it.
const KCORE: &str = "/proc/kcore";
/// What the physical addresses of the machine are used for.
const IOMEM: &str = "/proc/iomem";

/// Memory of the machine.
///
/// # Errors
///
/// `NOT_SUPPORTED` if the kernel does not show it to the sensor.
pub(crate) fn of_machine() -> Result<Image, Failure> {
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
    Image::new(Box::new(move |piece, at| memory.read_exact_at(piece, at)), segments)
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
        let memory = File::open(&path).unwrap();
        let source = Image::new(Box::new(move |piece, at| memory.read_exact_at(piece, at)), segments).unwrap();
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
