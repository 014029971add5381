//! Who is owed which task, and what became of it: pure decisions.
//!
//! Time, randomness and fleet facts are arguments; nothing here does IO.

#![forbid(unsafe_code)]

mod target;

pub use target::{Target, TargetState};
