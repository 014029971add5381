//! Sockets of the host's network name space.

use std::collections::HashMap;
use std::io;

use procfs::net::{TcpNetEntry, TcpState, UdpNetEntry};
use procfs::process::FDTarget;

use crate::platform::shapes::Socket;

/// All TCP and UDP sockets.
///
/// # Errors
///
/// None: families that this kernel lacks have no sockets.
pub fn sockets() -> io::Result<Vec<Socket>> {
    let owners = owners();
    let owner = |inode: u64| owners.get(&inode).copied().unwrap_or(0);
    let tcp = |protocol, entries: Vec<TcpNetEntry>| {
        entries.into_iter().map(move |entry| Socket {
            protocol,
            local: entry.local_address,
            remote: entry.remote_address,
            pid: owner(entry.inode),
            state: Some(state(&entry.state)),
        })
    };
    let udp = |protocol, entries: Vec<UdpNetEntry>| {
        entries.into_iter().map(move |entry| Socket {
            protocol,
            local: entry.local_address,
            remote: entry.remote_address,
            pid: owner(entry.inode),
            state: None,
        })
    };
    Ok(tcp("tcp4", procfs::net::tcp().unwrap_or_default())
        .chain(tcp("tcp6", procfs::net::tcp6().unwrap_or_default()))
        .chain(udp("udp4", procfs::net::udp().unwrap_or_default()))
        .chain(udp("udp6", procfs::net::udp6().unwrap_or_default()))
        .collect())
}

fn owners() -> HashMap<u64, u32> {
    let mut owners = HashMap::new();
    for process in procfs::process::all_processes().into_iter().flatten().flatten() {
        let pid = u32::try_from(process.pid()).unwrap_or(0);
        for descriptor in process.fd().into_iter().flatten().flatten() {
            if let FDTarget::Socket(inode) = descriptor.target {
                owners.entry(inode).or_insert(pid);
            }
        }
    }
    owners
}

/// `STATE`. Source: reference/commands.md section 7.
fn state(state: &TcpState) -> u8 {
    match state {
        TcpState::Close => 1,
        TcpState::Listen => 2,
        TcpState::SynSent => 3,
        TcpState::SynRecv | TcpState::NewSynRecv => 4,
        TcpState::Established => 5,
        TcpState::FinWait1 => 6,
        TcpState::FinWait2 => 7,
        TcpState::CloseWait => 8,
        TcpState::Closing => 9,
        TcpState::LastAck => 10,
        TcpState::TimeWait => 11,
    }
}
