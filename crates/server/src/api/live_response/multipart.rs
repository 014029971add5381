//! Uploads as browsers and clients send them (`multipart/form-data`), read piece by piece.
//!
//! Written by hand, since the pieces go to the disk as they come: nothing is kept but what may be the beginning of a
//! boundary. This file uses nothing else of the server, so that it can be fuzzed alone.

use bytes::{Buf as _, Bytes, BytesMut};
use memchr::memmem;

/// Longest header of one part, in bytes.
const HEADER_BYTES_MAX: usize = 16 * 1024;

/// Longest boundary. Source: RFC 2046 section 5.1.1.
const BOUNDARY_BYTES_MAX: usize = 70;

/// What is wrong with an upload; the text says how to mend it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MultipartError {
    /// Another kind of body.
    #[error("send the file as multipart/form-data with one part named file (curl: --form file=@NAME)")]
    NotMultipart,
    /// The header of a part is too long, or none.
    #[error("the upload has a part whose header cannot be read")]
    Header,
    /// It ends before its last boundary.
    #[error("the upload was cut short")]
    Short,
}

/// What comes next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// A part begins: its name, and the name of its file if it has one.
    Begin(String, Option<String>),
    /// Content of the part.
    Data(Bytes),
    /// The part is over.
    End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before the first boundary.
    Preamble,
    /// Behind a boundary: an end of line, or two hyphens.
    Boundary,
    Header,
    Body,
    /// Behind the last boundary.
    Epilogue,
}

/// Reads an upload.
#[derive(Debug)]
pub struct Multipart {
    /// End of line, two hyphens, boundary.
    delimiter: Vec<u8>,
    buffer: BytesMut,
    state: State,
}

impl Multipart {
    /// An upload whose header says this of its body.
    ///
    /// # Errors
    ///
    /// [`MultipartError::NotMultipart`].
    pub fn of(content_type: &str) -> Result<Self, MultipartError> {
        let (kind, parameters) = content_type.split_once(';').ok_or(MultipartError::NotMultipart)?;
        if !kind.trim().eq_ignore_ascii_case("multipart/form-data") {
            return Err(MultipartError::NotMultipart);
        }
        let boundary = parameter(parameters, "boundary").filter(|boundary| {
            (1..=BOUNDARY_BYTES_MAX).contains(&boundary.len()) && boundary.bytes().all(|byte| byte != b'\r')
        });
        let boundary = boundary.ok_or(MultipartError::NotMultipart)?;
        // The first boundary stands at the beginning of the body, as if a line had ended there.
        Ok(Self {
            delimiter: format!("\r\n--{boundary}").into_bytes(),
            buffer: BytesMut::from(&b"\r\n"[..]),
            state: State::Preamble,
        })
    }

    /// Takes bytes of the body.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.state != State::Epilogue {
            self.buffer.extend_from_slice(bytes);
        }
    }

    /// The next part of it; `None` until more bytes come.
    ///
    /// # Errors
    ///
    /// [`MultipartError::Header`]; nothing more can be read then.
    pub fn next_part(&mut self) -> Result<Option<Part>, MultipartError> {
        loop {
            match self.state {
                State::Preamble => {
                    let Some(at) = self.find_delimiter() else { return Ok(None) };
                    self.buffer.advance(at + self.delimiter.len());
                    self.state = State::Boundary;
                }
                State::Boundary => match self.buffer.get(..2) {
                    None => return Ok(None),
                    Some(b"--") => self.state = State::Epilogue,
                    Some(b"\r\n") => {
                        self.buffer.advance(2);
                        self.state = State::Header;
                    }
                    Some(_) => return Err(MultipartError::Header),
                },
                State::Header => {
                    let Some(end) = memmem::find(&self.buffer, b"\r\n\r\n") else {
                        return if self.buffer.len() > HEADER_BYTES_MAX {
                            Err(MultipartError::Header)
                        } else {
                            Ok(None)
                        };
                    };
                    if end > HEADER_BYTES_MAX {
                        return Err(MultipartError::Header);
                    }
                    let header = self.buffer.split_to(end + 4);
                    self.state = State::Body;
                    return names(&header).map(Some);
                }
                State::Body => return Ok(self.body()),
                State::Epilogue => {
                    self.buffer.clear();
                    return Ok(None);
                }
            }
        }
    }

    /// Content up to the next boundary, or to what may be the beginning of one.
    fn body(&mut self) -> Option<Part> {
        let sure = match self.find_delimiter() {
            Some(0) => {
                self.buffer.advance(self.delimiter.len());
                self.state = State::Boundary;
                return Some(Part::End);
            }
            Some(at) => at,
            None => self.buffer.len().saturating_sub(self.delimiter.len() - 1),
        };
        (sure > 0).then(|| Part::Data(self.buffer.split_to(sure).freeze()))
    }

    fn find_delimiter(&self) -> Option<usize> {
        memmem::find(&self.buffer, &self.delimiter)
    }

    /// Whether the last boundary has come.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.state == State::Epilogue
    }
}

/// The names in the header of a part.
fn names(header: &[u8]) -> Result<Part, MultipartError> {
    let header = String::from_utf8_lossy(header);
    let disposition = header.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.trim().eq_ignore_ascii_case("content-disposition").then_some(value)
    });
    let (kind, parameters) = disposition.and_then(|text| text.split_once(';')).ok_or(MultipartError::Header)?;
    if !kind.trim().eq_ignore_ascii_case("form-data") {
        return Err(MultipartError::Header);
    }
    let name = parameter(parameters, "name").ok_or(MultipartError::Header)?;
    Ok(Part::Begin(name, parameter(parameters, "filename")))
}

/// The value of a parameter; quoted ones may hold anything but a quote, which clients write as `%22`.
fn parameter(text: &str, wanted: &str) -> Option<String> {
    let mut rest = text;
    loop {
        let (name, after) = rest.split_once('=')?;
        let name = name.trim_matches(|char: char| char.is_ascii_whitespace() || char == ';');
        let after = after.trim_start();
        let (value, behind) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => {
                let end = after.find(';').unwrap_or(after.len());
                (after[..end].trim(), &after[end..])
            }
        };
        if name.eq_ignore_ascii_case(wanted) {
            return Some(value.replace("%22", "\"").replace("%0D", "\r").replace("%0A", "\n"));
        }
        rest = behind;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIND: &str = "multipart/form-data; boundary=XyZ";

    /// Name, name of the file, content.
    type Whole = (String, Option<String>, Vec<u8>);

    /// Reads a body that comes in pieces of so many bytes.
    fn read(body: &[u8], bytes: usize) -> Result<(Vec<Whole>, bool), MultipartError> {
        let (mut reader, mut parts) = (Multipart::of(KIND)?, Vec::new());
        for piece in body.chunks(bytes) {
            reader.push(piece);
            while let Some(part) = reader.next_part()? {
                match part {
                    Part::Begin(name, file) => parts.push((name, file, Vec::new())),
                    Part::Data(data) => parts.last_mut().unwrap().2.extend_from_slice(&data),
                    Part::End => {}
                }
            }
        }
        Ok((parts, reader.is_over()))
    }

    fn body(content: &[u8]) -> Vec<u8> {
        let head = b"--XyZ\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a%22 b\xc3\xa4.txt\"\r\n\r\n";
        [&head[..], content, b"\r\n--XyZ--\r\n"].concat()
    }

    #[test]
    fn content_comes_whole_however_it_is_cut() {
        for content in [&b""[..], b"x", b"\r\n--Xy", b"\r\n--Xy\r\n--XyY\r\n\r\n--", b"--XyZ", b"\0\xff\r\n"] {
            for bytes in [1, 2, 3, 7, 1_000] {
                let (parts, is_over) = read(&body(content), bytes).unwrap();
                assert_eq!(parts, [("file".to_owned(), Some("a\" bä.txt".to_owned()), content.to_vec())]);
                assert!(is_over);
            }
        }
    }

    #[test]
    fn what_is_no_upload_is_refused_and_what_is_cut_is_not_over() {
        for kind in
            ["", "text/plain", "multipart/mixed; boundary=x", "multipart/form-data", "multipart/form-data; boundary="]
        {
            assert_eq!(Multipart::of(kind).err(), Some(MultipartError::NotMultipart), "{kind}");
        }
        let whole = body(b"content");
        for cut in 0..whole.len() - 4 {
            assert!(matches!(read(&whole[..cut], 5), Ok((_, false))), "cut at {cut}");
        }
        let endless = [&b"--XyZ\r\n"[..], &vec![b'x'; HEADER_BYTES_MAX + 5]].concat();
        assert_eq!(read(&endless, 4_096), Err(MultipartError::Header));
        assert_eq!(read(b"--XyZ\r\nno header\r\n\r\n", 9), Err(MultipartError::Header));
    }
}
