//! The way to the server.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::sync::{Mutex, PoisonError};

use muster_wire::InstallationKey;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Addresses that are pinned at most: more than any balanced name has.
const PINNED_MAX: usize = 16;
/// Longest answer of a proxy to `CONNECT`.
const ANSWER_BYTES_MAX: usize = 4 * 1024;

/// How to reach the server: by its name, by pinned addresses while the endpoint is
/// isolated and no name can be resolved, or through a proxy.
#[derive(Debug, Default)]
pub struct Route {
    /// `host:port` of an HTTP proxy without authentication.
    proxy: Option<String>,
    pinned: Mutex<Vec<SocketAddr>>,
    last: Mutex<Option<SocketAddr>>,
}

impl Route {
    /// A way through this proxy, or a direct one. Source: reference/sensor.md section 3 (`LC_PROXY`).
    #[must_use]
    pub fn new(proxy: Option<String>) -> Self {
        Self { proxy, ..Self::default() }
    }

    /// Uses only these addresses; none means that the name is resolved.
    pub fn pin(&self, addresses: Vec<SocketAddr>) {
        *self.pinned.lock().unwrap_or_else(PoisonError::into_inner) = addresses;
    }

    /// The addresses in use instead of the name.
    #[must_use]
    pub fn pinned(&self) -> Vec<SocketAddr> {
        self.pinned.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Every address that the server, or the proxy in front of it, may be reached at:
    /// pinned, last used, resolved. Blocks.
    #[must_use]
    pub fn addresses(&self, key: &InstallationKey) -> Vec<SocketAddr> {
        let mut all = self.pinned();
        all.extend(*self.last.lock().unwrap_or_else(PoisonError::into_inner));
        all.extend(self.first_hop(key).to_socket_addrs().into_iter().flatten());
        all.sort_unstable();
        all.dedup();
        all.truncate(PINNED_MAX);
        all
    }

    fn first_hop<'a>(&'a self, key: &'a InstallationKey) -> &'a str {
        self.proxy.as_deref().unwrap_or(&key.address)
    }

    /// Opens a connection over which the server can be spoken to.
    pub(super) async fn open(&self, key: &InstallationKey) -> io::Result<TcpStream> {
        let pinned = self.pinned();
        let mut tcp = if pinned.is_empty() {
            TcpStream::connect(self.first_hop(key)).await?
        } else {
            TcpStream::connect(pinned.as_slice()).await?
        };
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = tcp.peer_addr().ok();
        if self.proxy.is_some() {
            pass(&mut tcp, &key.address).await?;
        }
        Ok(tcp)
    }
}

/// Asks a proxy to lead on to `address`.
async fn pass(tcp: &mut TcpStream, address: &str) -> io::Result<()> {
    tcp.write_all(format!("CONNECT {address} HTTP/1.1\r\nHost: {address}\r\n\r\n").as_bytes()).await?;
    let mut answer = Vec::new();
    // Byte by byte: what follows the answer belongs to the server.
    while !answer.ends_with(b"\r\n\r\n") {
        if answer.len() >= ANSWER_BYTES_MAX {
            return Err(io::Error::other("the answer of the proxy is too long"));
        }
        answer.push(tcp.read_u8().await?);
    }
    let status = String::from_utf8_lossy(&answer).lines().next().unwrap_or_default().to_owned();
    match status.split(' ').nth(1) {
        Some("200") => Ok(()),
        _ => Err(io::Error::other(format!("the proxy refused: {status}"))),
    }
}
