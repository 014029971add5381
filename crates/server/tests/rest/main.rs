//! The REST API over real HTTP, with a store in memory.

mod detections;
mod hives;
mod isolation;
mod organization;
mod replay;
mod sensors;
mod world;
