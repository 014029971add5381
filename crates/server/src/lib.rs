//! The muster server: REST API, sensor gateway, tasking, streams and outputs.
//!
//! Where to start: [`Server::start`] builds the [`app::App`] and its listeners.
//! A request comes in through [`api`], a sensor through [`gateway`]; both call
//! the use cases in [`tasking`], [`sensor`] and [`intake`], which decide under
//! one lock per organization, make the decision durable through the store, and
//! only then act on it. What happens is told by [`intake`] alone.

#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used))]

pub mod access;
pub mod address;
pub mod api;
pub mod app;
pub mod arrival;
pub mod artifact;
pub mod clock;
pub mod config;
pub mod console;
#[cfg(unix)]
pub mod control;
pub mod damage;
pub mod detect;
pub mod errors;
pub mod extension;
pub mod files;
pub mod gateway;
mod held;
pub mod hive;
pub mod hook;
pub mod intake;
pub mod jobs;
pub mod link;
pub mod live;
mod meter;
mod names;
pub mod nature;
pub mod organization;
pub mod output;
mod payload;
pub mod pki;
pub mod profile;
pub mod random;
pub mod records;
mod replay;
pub mod retention;
pub mod sealing;
pub mod sensor;
mod server;
pub mod service;
pub mod settings;
pub mod tasking;
pub mod telemetry;
pub mod transfer;
pub mod turns;

pub use pki::SERVER_NAME;
pub use server::{Server, StartError};

/// Of whatever the server is built into, and of its libraries in C (docs/adr/0041).
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;
