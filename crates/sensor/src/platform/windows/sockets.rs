//! Sockets of the host.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::api::{self, Table};
use crate::platform::shapes::Socket;

/// All TCP and UDP sockets.
///
/// # Errors
///
/// What Windows says.
pub fn sockets() -> io::Result<Vec<Socket>> {
    let mut all = Vec::new();
    for (table, protocol, row) in [
        (Table::Tcp4, "tcp4", tcp4 as fn(&[u32], &'static str) -> Option<Socket>),
        (Table::Tcp6, "tcp6", tcp6),
        (Table::Udp4, "udp4", udp4),
        (Table::Udp6, "udp6", udp6),
    ] {
        let words = api::sockets(table)?;
        let Some((count, rows)) = words.split_first() else { continue };
        let count = usize::try_from(*count).unwrap_or(0);
        all.extend(rows.chunks_exact(length(table)).take(count).filter_map(|words| row(words, protocol)));
    }
    Ok(all)
}

/// Words of a row.
const fn length(table: Table) -> usize {
    match table {
        Table::Tcp4 => 6,
        Table::Tcp6 => 14,
        Table::Udp4 => 3,
        Table::Udp6 => 7,
    }
}

/// State, local address and port, remote address and port, process.
fn tcp4(row: &[u32], protocol: &'static str) -> Option<Socket> {
    let [state, local, local_port, remote, remote_port, pid] = *row else { return None };
    let state = u8::try_from(state).ok();
    Some(Socket { protocol, local: at4(local, local_port), remote: at4(remote, remote_port), pid, state })
}

/// Local address, scope and port, remote ones, state, process.
fn tcp6(row: &[u32], protocol: &'static str) -> Option<Socket> {
    let (local, rest) = row.split_at_checked(6)?;
    let (remote, rest) = rest.split_at_checked(6)?;
    let [state, pid] = *rest else { return None };
    Some(Socket { protocol, local: at6(local)?, remote: at6(remote)?, pid, state: u8::try_from(state).ok() })
}

/// Address, port, process.
fn udp4(row: &[u32], protocol: &'static str) -> Option<Socket> {
    let [local, port, pid] = *row else { return None };
    let nowhere = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0);
    Some(Socket { protocol, local: at4(local, port), remote: nowhere, pid, state: None })
}

/// Address, scope and port, process.
fn udp6(row: &[u32], protocol: &'static str) -> Option<Socket> {
    let (local, rest) = row.split_at_checked(6)?;
    let [pid] = *rest else { return None };
    let nowhere = SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), 0);
    Some(Socket { protocol, local: at6(local)?, remote: nowhere, pid, state: None })
}

fn at4(address: u32, port: u32) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::from(address.to_ne_bytes())), self::port(port))
}

/// Four words of the address, one of its scope, one of the port.
fn at6(words: &[u32]) -> Option<SocketAddr> {
    let (address, [_, port]) = words.split_first_chunk::<4>()? else { return None };
    let mut bytes = [0; 16];
    bytes.iter_mut().zip(address.iter().flat_map(|word| word.to_ne_bytes())).for_each(|(to, byte)| *to = byte);
    Some(SocketAddr::new(IpAddr::V6(Ipv6Addr::from(bytes)), self::port(*port)))
}

/// The lower half holds the port, in the order of the network.
fn port(word: u32) -> u16 {
    let [high, low, ..] = word.to_ne_bytes();
    u16::from_be_bytes([high, low])
}
