//! Simulation of a server, its sensors, links and disks from one seed.
//!
//! The decisions are the real ones: [`muster_tasking::Queue`] and [`muster_store::Store`]
//! behind the server, [`muster_sensor::agent::Agent`] on each endpoint. Time, links,
//! disks and operators are simulated, and everything that can break does: the
//! server and the sensors die between any two steps, links are cut at any message,
//! half open, slow or doubling, clocks jump, disks fill up.
//!
//! # Invariants (numbers of `ARCHITECTURE.md`)
//!
//! Checked while a run goes on ([`oracle`]) and at its end ([`verify`](mod@verify)): 1 to 7.
//! The same seed gives the same trace, to the byte.

#![forbid(unsafe_code)]

pub mod endpoint;
pub mod kernel;
pub mod net;
pub mod oracle;
pub mod rng;
pub mod server;
pub mod verify;
pub mod world;

pub use oracle::Counts;
pub use world::{Options, Outcome, Sabotage, run};
