//! From a body to a text whose signature is right, in bounded memory.
//!
//! The signature is over the text, also where the body is compressed. To know whether it is right, the text must be
//! unpacked; a body of a stranger is unpacked piece by piece and forgotten, and only then once more to be kept.

use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use muster_webhook::Incremental;
use muster_webhook::extension::{TEXT_BYTES_MAX, WIRE_BYTES_MAX};
use std::io::Read;

/// A piece that is unpacked at once.
const PIECE_BYTES: usize = 64 * 1024;

/// Why a body is not looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    #[error("invalid signature")]
    Signature,
    #[error("the body is too large: 16 MiB compressed, 64 MiB as text")]
    TooLarge,
    #[error("the body is not valid gzip")]
    Gzip,
}

impl Refused {
    pub(crate) fn status(self) -> u16 {
        match self {
            Self::Signature => 401,
            Self::TooLarge => 413,
            Self::Gzip => 400,
        }
    }
}

/// The text, if its signature is right. Without a secret every signature is.
pub(crate) fn verified(secret: Option<&str>, signature: &str, body: Bytes, is_gzip: bool) -> Result<Bytes, Refused> {
    let is_right = |incremental: Incremental| secret.is_none() || incremental.is_signed(signature);
    let mut incremental = Incremental::new(secret.unwrap_or_default());
    if !is_gzip {
        incremental.update(&body);
        return if is_right(incremental) { Ok(body) } else { Err(Refused::Signature) };
    }
    if body.len() > WIRE_BYTES_MAX {
        return Err(Refused::TooLarge);
    }
    let size = unpack(&body, |piece| incremental.update(piece))?;
    if !is_right(incremental) {
        return Err(Refused::Signature);
    }
    let mut text = Vec::with_capacity(size);
    unpack(&body, |piece| text.extend_from_slice(piece))?;
    Ok(text.into())
}

/// Unpacks into `take`, up to the bound; gives the size of the text.
fn unpack(body: &[u8], mut take: impl FnMut(&[u8])) -> Result<usize, Refused> {
    let mut decoder = MultiGzDecoder::new(body);
    let (mut piece, mut size) = (vec![0; PIECE_BYTES], 0);
    loop {
        match decoder.read(&mut piece) {
            Ok(0) => return Ok(size),
            Ok(length) => {
                size += length;
                if size > TEXT_BYTES_MAX {
                    return Err(Refused::TooLarge);
                }
                take(piece.get(..length).unwrap_or_default());
            }
            Err(_) => return Err(Refused::Gzip),
        }
    }
}
