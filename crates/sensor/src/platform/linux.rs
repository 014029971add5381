//! Linux.

pub mod host;
pub mod system;
