//! Frames: `version: u16 big-endian`, `flags: u8`, then a piece of a message.
//!
//! A WebSocket buffer never shrinks, so each frame is small and a long message
//! travels in several; only a link that has one under way pays for it.

use prost::Message;

/// Version of the frame layout and of the meaning of messages. Fields may be
/// added without raising it: both sides ignore what they do not know.
pub const PROTOCOL_VERSION: u16 = 1;

/// Longest frame, header included: what an idle link may keep allocated.
pub const FRAME_BYTES_MAX: usize = 16 * 1024;

/// Longest reassembled message: the largest reply part (8 MiB, reference/events.md
/// section 3) with room for its envelope.
pub const MESSAGE_BYTES_MAX: usize = 9 * 1024 * 1024;

const HEADER_BYTES: usize = 3;
const MORE: u8 = 1;

/// Why a frame was not accepted; the link is closed on each of them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// Shorter than its header.
    #[error("frame is shorter than its header")]
    Short,
    /// The other side speaks another protocol version.
    #[error("protocol version {theirs} is not {PROTOCOL_VERSION}")]
    Version {
        /// What the frame names.
        theirs: u16,
    },
    /// Unknown flag bits.
    #[error("unknown frame flags {0:#x}")]
    Flags(u8),
    /// A frame above [`FRAME_BYTES_MAX`], or a message above [`MESSAGE_BYTES_MAX`].
    #[error("message or frame is too long")]
    TooLong,
    /// Not a message of this protocol.
    #[error("message cannot be decoded")]
    Decode(#[from] prost::DecodeError),
}

/// Encodes a message into one or more frames, to be sent in order.
///
/// # Errors
///
/// [`FrameError::TooLong`] if the message exceeds [`MESSAGE_BYTES_MAX`].
pub fn encode(message: &impl Message) -> Result<Vec<Vec<u8>>, FrameError> {
    let length = message.encoded_len();
    if length > MESSAGE_BYTES_MAX {
        return Err(FrameError::TooLong);
    }
    let piece_bytes = FRAME_BYTES_MAX - HEADER_BYTES;
    if length <= piece_bytes {
        let mut frame = Vec::with_capacity(HEADER_BYTES + length);
        put_header(&mut frame, 0);
        message.encode_raw(&mut frame);
        return Ok(vec![frame]);
    }
    let body = message.encode_to_vec();
    let pieces = body.chunks(piece_bytes);
    let last = pieces.len() - 1;
    Ok(pieces
        .enumerate()
        .map(|(at, piece)| {
            let mut frame = Vec::with_capacity(HEADER_BYTES + piece.len());
            put_header(&mut frame, if at == last { 0 } else { MORE });
            frame.extend_from_slice(piece);
            frame
        })
        .collect())
}

fn put_header(frame: &mut Vec<u8>, flags: u8) {
    frame.extend_from_slice(&PROTOCOL_VERSION.to_be_bytes());
    frame.push(flags);
}

/// Puts the frames of one direction of a link together again.
#[derive(Debug, Default)]
pub struct Assembler {
    pending: Vec<u8>,
}

impl Assembler {
    /// Takes the next frame; gives the message that it completes, if it does.
    ///
    /// # Errors
    ///
    /// Any [`FrameError`]; the assembler must not be used again after one.
    pub fn push<M: Message + Default>(&mut self, frame: &[u8]) -> Result<Option<M>, FrameError> {
        let [v0, v1, flags, piece @ ..] = frame else { return Err(FrameError::Short) };
        let theirs = u16::from_be_bytes([*v0, *v1]);
        if theirs != PROTOCOL_VERSION {
            return Err(FrameError::Version { theirs });
        }
        if flags & !MORE != 0 {
            return Err(FrameError::Flags(*flags));
        }
        if frame.len() > FRAME_BYTES_MAX || self.pending.len() + piece.len() > MESSAGE_BYTES_MAX {
            return Err(FrameError::TooLong);
        }
        if flags & MORE != 0 {
            self.pending.extend_from_slice(piece);
            return Ok(None);
        }
        if self.pending.is_empty() {
            return Ok(Some(M::decode(piece)?));
        }
        self.pending.extend_from_slice(piece);
        let whole = std::mem::take(&mut self.pending);
        Ok(Some(M::decode(whole.as_slice())?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Event, Events, FromSensor, from_sensor};

    fn with_body(bytes: usize) -> FromSensor {
        let event = Event { body: vec![7; bytes], ..Event::default() };
        FromSensor { message: Some(from_sensor::Message::Events(Events { events: vec![event] })) }
    }

    #[test]
    fn a_long_message_travels_in_small_frames() {
        let message = with_body(100_000);
        let frames = encode(&message).unwrap();
        assert!(frames.len() > 6 && frames.iter().all(|frame| frame.len() <= FRAME_BYTES_MAX));

        let mut assembler = Assembler::default();
        let mut whole = None;
        for frame in &frames {
            assert!(whole.is_none());
            whole = assembler.push::<FromSensor>(frame).unwrap();
        }
        assert_eq!(whole, Some(message));
    }

    #[test]
    fn bounds_hold_before_anything_is_decoded() {
        assert_eq!(encode(&with_body(MESSAGE_BYTES_MAX)), Err(FrameError::TooLong));
        let mut assembler = Assembler::default();
        assert_eq!(assembler.push::<FromSensor>(&[0, 9, 0]), Err(FrameError::Version { theirs: 9 }));
        assert_eq!(assembler.push::<FromSensor>(&[0, 1]), Err(FrameError::Short));
        assert_eq!(assembler.push::<FromSensor>(&[0, 1, 4]), Err(FrameError::Flags(4)));
        let endless = [&[0, 1, 1][..], &[0; FRAME_BYTES_MAX - 3]].concat();
        let refused = (0..1000).find_map(|_| assembler.push::<FromSensor>(&endless).err());
        assert_eq!(refused, Some(FrameError::TooLong));
    }
}
