//! An archive (zip) with one file in it, written in one go however large that is.
//!
//! Source: PKWARE's APPNOTE.TXT 6.3.10. Sizes are those of ZIP64 throughout, so that one form serves every length.

use std::io::{self, Write};

use flate2::write::DeflateEncoder;
use flate2::{Compression, Crc};

/// Version that is needed to read it: ZIP64.
const VERSION: u16 = 45;
/// Sizes stand behind the content; names are UTF-8.
const FLAGS: u16 = 0x0808;
const DEFLATE: u16 = 8;
/// 1980-01-01: the archive does not say when.
const DATE: u16 = 0x21;
/// In place of a size that stands elsewhere.
const ELSEWHERE: u32 = u32::MAX;
/// Tag of the field that holds large sizes.
const LARGE: u16 = 1;

/// The archive, while its file is written to it.
pub(super) struct Archive<W: Write> {
    name: String,
    header_bytes: u64,
    content: DeflateEncoder<Counting<W>>,
    crc: Crc,
    bytes: u64,
}

struct Counting<W> {
    to: W,
    bytes: u64,
}

impl<W: Write> Write for Counting<W> {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        let written = self.to.write(piece)?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// Numbers, little-endian, one behind the other.
#[derive(Default)]
struct Record(Vec<u8>);

impl Record {
    fn u16(mut self, number: u16) -> Self {
        self.0.extend(number.to_le_bytes());
        self
    }

    fn u32(mut self, number: u32) -> Self {
        self.0.extend(number.to_le_bytes());
        self
    }

    fn u64(mut self, number: u64) -> Self {
        self.0.extend(number.to_le_bytes());
        self
    }

    fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.extend(bytes);
        self
    }
}

/// Length of a name; it is that of a file, and so short.
fn length(name: &str) -> u16 {
    u16::try_from(name.len()).unwrap_or(u16::MAX)
}

impl<W: Write> Archive<W> {
    /// Begins an archive with a file of this name.
    pub(super) fn new(mut to: W, name: &str) -> io::Result<Self> {
        let header = Record::default().u32(0x0403_4b50).u16(VERSION).u16(FLAGS).u16(DEFLATE).u16(0).u16(DATE);
        let header = header.u32(0).u32(ELSEWHERE).u32(ELSEWHERE).u16(length(name)).u16(20).bytes(name.as_bytes());
        let header = header.u16(LARGE).u16(16).u64(0).u64(0).0;
        to.write_all(&header)?;
        let content = DeflateEncoder::new(Counting { to, bytes: 0 }, Compression::fast());
        Ok(Self { name: name.to_owned(), header_bytes: header.len() as u64, content, crc: Crc::new(), bytes: 0 })
    }

    /// Ends the archive; gives what it was written to.
    pub(super) fn finish(self) -> io::Result<W> {
        let (crc, bytes) = (self.crc.sum(), self.bytes);
        let Counting { mut to, bytes: packed } = self.content.finish()?;
        let sizes = Record::default().u32(0x0807_4b50).u32(crc).u64(packed).u64(bytes).0;
        let directory_at = self.header_bytes + packed + sizes.len() as u64;
        let name = self.name.as_bytes();
        let entry = Record::default().u32(0x0201_4b50).u16(VERSION).u16(VERSION).u16(FLAGS).u16(DEFLATE).u16(0);
        let entry = entry.u16(DATE).u32(crc).u32(ELSEWHERE).u32(ELSEWHERE).u16(length(&self.name)).u16(28);
        let entry = entry.u16(0).u16(0).u16(0).u32(0).u32(ELSEWHERE).bytes(name);
        let entry = entry.u16(LARGE).u16(24).u64(bytes).u64(packed).u64(0).0;
        let entry_bytes = entry.len() as u64;
        let end = Record::default().u32(0x0606_4b50).u64(44).u16(VERSION).u16(VERSION).u32(0).u32(0).u64(1).u64(1);
        let end = end.u64(entry_bytes).u64(directory_at);
        let end = end.u32(0x0706_4b50).u32(0).u64(directory_at + entry_bytes).u32(1);
        let end = end.u32(0x0605_4b50).u16(0).u16(0).u16(1).u16(1).u32(ELSEWHERE).u32(ELSEWHERE).u16(0).0;
        to.write_all(&[sizes, entry, end].concat())?;
        Ok(to)
    }
}

impl<W: Write> Write for Archive<W> {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        let written = self.content.write(piece)?;
        self.crc.update(&piece[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.content.flush()
    }
}
