//! Sensors: their TLS links, from the handshake to the last message.
//!
//! One small task per link, and nothing allocated while it is idle but what TLS
//! and the WebSocket need. What a sensor's messages make the server do is done in
//! two lanes beside that task's loop (one for events, which a rule's `wait` may
//! hold, one for everything else), so what goes out never waits for what comes in. Decisions are in [`crate::tasking`] and
//! [`crate::sensor`]; here bytes become messages and messages become bytes.
//!
//! The edge (`connection`, `incoming`, `lane`) has the socket, and knows of the rest of the server what `owner` says;
//! the owner (`local`, `admit`, `events`) has the organization.

mod admit;
mod connection;
mod events;
mod incoming;
mod lane;
mod local;
mod owner;

pub use connection::{Edge, serve};
pub use events::receive as receive_events;
pub use local::{LocalOwner, Refuse, grant as grant_transfer};
pub use owner::{Admitted, Attached, Attaching, Owner};
