//! Live sessions: an operator talks to one endpoint now. Both ends, and what is said between them, without IO.
//!
//! * [`Order`] is a command that was checked; the server reads it from requests, the sensor carries it out.
//! * [`Session`] is the server's end: who may order what when, and what became of it.
//! * [`Endpoint`] is the sensor's end: what begins when, and what is kept until the server has stored it.
//!
//! Time is an argument of everything. What a [`Session`] decides is stored before it is said or answered; its
//! methods give a [`Step`] that names what changed and what to say.
//!
//! # Invariants
//!
//! 1. A command has its effect at most once: it is marked as sent, durably, before it is sent; a sensor knows the
//!    numbers that it was given; and a run of the sensor never gets what was sent to an earlier run.
//! 2. A session that has ended begins nothing more.
//! 3. What the sensor said of the end of a command is not lost: the sensor keeps it until it is stored.
//!
//! Source: reference/live-response.md.

#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

mod code;
mod endpoint;
mod found;
mod id;
mod order;
mod session;

pub use code::Code;
pub use endpoint::{Act, Endpoint};
pub use found::{Dump, Entry, Found, ProcessFound, RegistryValue};
pub use id::SessionId;
pub use order::{Name, Order, OrderError, VALUE_TYPES};
pub use session::{
    About, COMMANDS_MAX, Cancel, Command, Ended, Issued, Kind, Refusal, Say, Session, State, Status, Step, Timers,
    TimersError,
};
