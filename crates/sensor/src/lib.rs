//! The muster sensor: one small agent per endpoint.
//!
//! [`agent`] decides, without any input or output, what follows from each
//! message, answer and instant; a simulation drives it as well as this crate
//! does. Around it: [`journal`] and [`spool`] keep its memory on disk, [`link`]
//! talks to the server, [`executor`] carries commands out, and [`sensor`] ties
//! them together in one thread.
//!
//! # Environment
//!
//! `LC_INSTALLATION_KEY` or `MUSTER_INSTALL_KEY` (key), `LC_DATA_DIRECTORY` (state
//! directory), `LC_PROXY` (`host:port`), `LC_VERBOSE`, `RUST_LOG`, `DISABLE_NETLINK` (poll processes). For tests:
//! `MUSTER_TEST_BACKOFF_MS` (first wait before connecting again),
//! `MUSTER_TEST_CRASH_AT` (number of the step after which the program dies),
//! `MUSTER_TEST_SANDBOX` and `MUSTER_TEST_NAMESPACE` (see [`guard`]).
//!
//! # Invariants
//!
//! 1. No task has its effect twice: `Started` is on disk before the effect, and
//!    a task that is found started but not ended is reported as interrupted.
//! 2. No receipt is sent before it is on disk, nor forgotten before the server
//!    acknowledged it.
//! 3. The answer of a task is on disk before its `Finished`.

#![allow(clippy::disallowed_types, reason = "a program that is built for size has no second kind of lock")]
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used))]

pub mod agent;
pub mod atom;
pub mod checked;
pub mod clock;
pub mod collector;
pub mod commands;
pub mod digest;
pub mod executor;
pub mod guard;
pub mod health;
pub mod history;
pub mod identity;
pub mod image;
pub mod journal;
pub mod link;
pub mod live;
pub mod mark;
pub mod memory;
pub mod platform;
pub mod protection;
pub mod random;
pub mod registry;
pub mod sensor;
pub mod spool;
pub mod state_dir;
pub mod stop;
pub mod told;
