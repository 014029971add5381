//! Linux.

pub mod accounts;
pub mod host;
pub mod packages;
pub mod process;
pub mod services;
pub mod sockets;
pub mod system;
