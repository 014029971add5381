//! The muster sensor: one small agent per endpoint.
//!
//! [`agent`] decides, without any input or output, what follows from each
//! message, answer and instant; a simulation drives it as well as this crate
//! does. Around it: [`journal`] and [`spool`] keep its memory on disk, [`link`]
//! talks to the server, [`executor`] carries commands out, and [`sensor`] ties
//! them together in one thread.
//!
//! # Invariants
//!
//! 1. No task has its effect twice: `Started` is on disk before the effect, and
//!    a task that is found started but not ended is reported as interrupted.
//! 2. No receipt is sent before it is on disk, nor forgotten before the server
//!    acknowledged it.
//! 3. The answer of a task is on disk before its `Finished`.

#![forbid(unsafe_code)]

pub mod agent;
pub mod atom;
pub mod checked;
pub mod clock;
pub mod collector;
pub mod commands;
pub mod executor;
pub mod health;
pub mod history;
pub mod identity;
pub mod journal;
pub mod link;
pub mod platform;
pub mod protection;
pub mod sensor;
pub mod spool;
pub mod state_dir;
