//! Any bytes on a link are refused or are messages, in both directions. A message
//! survives being encoded, and arrives the same however it is cut into frames.
//!
//! The first byte chooses the direction and how the rest is read: as frames, each
//! after its length in two bytes, or as one message to be cut into frames.

#![no_main]

use libfuzzer_sys::fuzz_target;
use muster_wire::{Assembler, FRAME_BYTES_MAX, FromSensor, FromServer, PROTOCOL_VERSION, encode};
use prost::Message;
use std::fmt::Debug;

const SERVER_SPEAKS: u8 = 1;
const IS_MESSAGE: u8 = 2;
const MORE: u8 = 1;

fuzz_target!(|data: &[u8]| {
    let Some((how, rest)) = data.split_first() else { return };
    match (how & SERVER_SPEAKS != 0, how & IS_MESSAGE != 0) {
        (false, false) => frames::<FromSensor>(rest),
        (false, true) => message::<FromSensor>(usize::from(how >> 2), rest),
        (true, false) => frames::<FromServer>(rest),
        (true, true) => message::<FromServer>(usize::from(how >> 2), rest),
    }
});

fn frames<M: Message + Default + PartialEq + Debug>(mut data: &[u8]) {
    let mut assembler = Assembler::default();
    while let Some((length, rest)) = data.split_first_chunk::<2>() {
        let length = usize::from(u16::from_be_bytes(*length)).min(rest.len());
        let (frame, after) = rest.split_at(length);
        data = after;
        match assembler.push::<M>(frame) {
            Ok(Some(message)) => encoded_and_decoded(&message),
            Ok(None) => assert!(frame.len() <= FRAME_BYTES_MAX),
            // The link is closed.
            Err(_) => return,
        }
    }
}

/// The bytes of one message, whole and in pieces of `piece` bytes.
fn message<M: Message + Default + PartialEq + Debug>(piece: usize, body: &[u8]) {
    let whole = assembled::<M>(&[body]);
    assert_eq!(whole, M::decode(body).ok());
    let pieces: Vec<&[u8]> = body.chunks(piece.max(1)).collect();
    if !pieces.is_empty() {
        assert_eq!(assembled::<M>(&pieces), whole, "in pieces of {piece} bytes");
    }
    if let Some(message) = whole {
        encoded_and_decoded(&message);
    }
}

fn assembled<M: Message + Default + Debug>(pieces: &[&[u8]]) -> Option<M> {
    let mut assembler = Assembler::default();
    let (last, first) = pieces.split_last()?;
    let framed = |flags: u8, piece: &[u8]| [&PROTOCOL_VERSION.to_be_bytes()[..], &[flags], piece].concat();
    for piece in first {
        assert!(assembler.push::<M>(&framed(MORE, piece)).is_ok_and(|message| message.is_none()));
    }
    assembler.push::<M>(&framed(0, last)).ok().map(|message| message.expect("the last frame completes its message"))
}

fn encoded_and_decoded<M: Message + Default + PartialEq + Debug>(message: &M) {
    let mut assembler = Assembler::default();
    let frames = encode(message).expect("what arrived is no longer than what may be sent");
    let mut arrived = None;
    for frame in &frames {
        assert!(frame.len() <= FRAME_BYTES_MAX && arrived.is_none());
        arrived = assembler.push::<M>(frame).expect("our own frames are accepted");
    }
    assert_eq!(arrived.as_ref(), Some(message));
}
