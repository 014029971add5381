//! The REST API over real HTTP, with a store in memory.

mod actions;
mod artifacts;
mod claims;
mod commits;
mod console;
mod deliveries;
#[path = "../support/described.rs"]
mod described;
mod detections;
mod extensions;
mod flair;
mod hives;
mod hooks;
mod infrastructure;
mod isolation;
mod live;
mod organization;
mod outputs;
mod pages;
mod permitted;
mod published;
mod records;
mod replay;
mod rights;
mod sensors;
mod services;
mod strict;
mod told;
mod world;
