//! Linux.

pub mod accounts;
pub mod children;
pub mod dump;
pub mod errors;
pub mod files;
pub mod handles;
pub mod host;
pub mod installation;
pub mod isolation;
pub mod live;
pub mod packages;
pub mod power;
pub mod process;
pub mod process_events;
pub mod registry;
pub mod seal;
pub mod service_manager;
pub mod services;
pub mod sockets;
pub mod system;
