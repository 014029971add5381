//! Sensors: their TLS links, from the handshake to the last message.
//!
//! One small task per link, and nothing allocated while it is idle but what TLS
//! and the WebSocket need. Decisions are in [`crate::tasking`] and
//! [`crate::sensor`]; here bytes become messages and messages become bytes.

mod admit;
mod connection;
mod link;

pub use connection::serve;
pub use link::Link;
