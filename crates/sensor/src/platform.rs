//! What differs between operating systems. Each system has the same modules with the same functions; whoever uses
//! them names no system, and nothing else in this crate depends on one (docs/adr/0033-a-system-is-a-set-of-modules.md).

use std::net::UdpSocket;

pub mod shapes;

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
pub use linux::*;

#[cfg(windows)]
mod windows;
#[cfg(windows)]
pub use windows::*;

/// Source address of the default route; empty if there is none.
#[must_use]
pub fn internal_ip() -> String {
    // Connecting a datagram socket sends nothing; it only chooses a route.
    let chosen = UdpSocket::bind("0.0.0.0:0").and_then(|socket| {
        socket.connect("192.0.2.1:9")?;
        socket.local_addr()
    });
    chosen.map(|address| address.ip().to_string()).unwrap_or_default()
}
