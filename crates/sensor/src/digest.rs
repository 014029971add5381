//! Digests of files.

use std::io::{self, Read};

use aws_lc_rs::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY, SHA256};
use md5::{Digest as _, Md5};

use crate::atom;

/// On the heap of whoever asks, which is small in the sensor's own threads.
const BUFFER_BYTES: usize = 16 * 1024;

/// Digests of some content, as lower-case hexadecimal text.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Digests {
    pub sha256: String,
    pub sha1: String,
    pub md5: String,
    /// Length of the content.
    pub bytes: u64,
}

impl Digests {
    /// Reads the content to its end, or to `bytes_max`, or until it is told that its time is over.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::FileTooLarge`] if there is more, [`io::ErrorKind::TimedOut`] if its time is over before; else
    /// that of the reader.
    pub fn of(content: &mut impl Read, bytes_max: u64, is_over: impl Fn() -> bool) -> io::Result<Self> {
        let (mut sha256, mut sha1) = (Context::new(&SHA256), Context::new(&SHA1_FOR_LEGACY_USE_ONLY));
        let mut md5 = Md5::new();
        let (mut buffer, mut bytes) = (vec![0; BUFFER_BYTES], 0_u64);
        loop {
            let read = content.read(&mut buffer)?;
            if read == 0 {
                break;
            }
            bytes += read as u64;
            if bytes > bytes_max {
                return Err(io::ErrorKind::FileTooLarge.into());
            }
            if is_over() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            sha256.update(&buffer[..read]);
            sha1.update(&buffer[..read]);
            md5.update(&buffer[..read]);
        }
        Ok(Self {
            sha256: atom::text(sha256.finish().as_ref()),
            sha1: atom::text(sha1.finish().as_ref()),
            md5: atom::text(&md5.finalize()),
            bytes,
        })
    }

    /// Whether one of these, in either case, is a digest of the content; its length tells the kind.
    #[must_use]
    pub fn are_among(&self, wanted: &[String]) -> bool {
        wanted
            .iter()
            .any(|digest| [&self.sha256, &self.sha1, &self.md5].iter().any(|own| own.eq_ignore_ascii_case(digest)))
    }
}
