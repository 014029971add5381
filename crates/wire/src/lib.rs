//! What sensor and server say to each other, and how it is framed. Sans-IO.
//!
//! One TLS WebSocket per sensor carries binary WebSocket messages. Each is one
//! **frame**: a protocol version, a flag, and a piece of one protobuf message
//! ([`FromSensor`] or [`FromServer`]). Version and size are checked before
//! anything is decoded.
//!
//! The conversation:
//!
//! 1. The server sends a [`Challenge`] with a fresh nonce.
//! 2. The sensor answers with a [`Hello`]: an enrolment, or its identity with a
//!    signature over the nonce ([`proof_bytes`]).
//! 3. The server answers [`Enrolled`] (the sensor stores the identity and
//!    connects again), [`Refused`], or [`Welcome`].
//! 4. The sensor sends every receipt and event that was never acknowledged; the
//!    server offers what the sensor is owed. Both go on for as long as the link lives.
//!
//! Nothing is acknowledged before it is durable on the side that acknowledges;
//! nothing is forgotten before it is acknowledged.

#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

mod event;
mod frame;
mod key;
mod live;
mod message;

pub use event::{EVENT_DEPTH_MAX, EVENT_TIMES_MS, Unfit};
pub use frame::{Assembler, FRAME_BYTES_MAX, FrameError, MESSAGE_BYTES_MAX, PROTOCOL_VERSION, encode};
pub use key::{InstallationKey, KeyError};
pub use live::{
    LiveClose, LiveEnded, LiveFile, LiveJoined, LiveOpen, LiveOrder, LiveProgress, LiveReport, LiveRun, live_order,
    live_report,
};
pub use message::*;

/// Application protocol (ALPN) by which a sensor asks the TLS listener for its link.
pub const LINK_ALPN: &[u8] = b"muster-link";

/// Path of the WebSocket upgrade; the host is not looked at.
pub const LINK_PATH: &str = "/link";

/// Path prefix of one-time transfers; the token of a [`TransferGrant`] follows.
pub const TRANSFER_PATH: &str = "/transfer/";

/// Path prefix of the files of live sessions; the token of a [`LiveFile`] follows. Unlike a one-time transfer it may
/// be called again, with the offset from which to go on, until the file is whole.
pub const LIVE_FILE_PATH: &str = "/live-file/";

/// The bytes a sensor signs with its Ed25519 key to prove who it is.
///
/// The label keeps a signature made here from being of use anywhere else.
#[must_use]
pub fn proof_bytes(nonce: &[u8], oid: muster_model::Oid, sid: muster_model::Sid) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(80);
    bytes.extend_from_slice(b"muster-link-proof-1");
    bytes.extend_from_slice(nonce);
    bytes.extend_from_slice(oid.0.as_bytes());
    bytes.extend_from_slice(sid.0.as_bytes());
    bytes
}
