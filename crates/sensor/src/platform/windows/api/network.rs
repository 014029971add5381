//! The network.

use std::ffi::c_void;
use std::io;
use std::mem::size_of_val;
use std::ptr::null;

use windows_sys::Win32::Foundation::{ERROR_INSUFFICIENT_BUFFER, ERROR_SUCCESS};
use windows_sys::Win32::NetworkManagement::IpHelper::{
    GetAdaptersAddresses, GetExtendedTcpTable, GetExtendedUdpTable, IP_ADAPTER_ADDRESSES_LH, TCP_TABLE_OWNER_PID_ALL,
    UDP_TABLE_OWNER_PID,
};
use windows_sys::Win32::NetworkManagement::Ndis::IfOperStatusUp;
use windows_sys::Win32::Networking::WinSock::{AF_INET, AF_INET6};

/// What is said of all adapters fits into so many units of 8 bytes; Microsoft names 15 KB as usual.
const FACTS_UNITS: usize = 32 * 1024;

/// The hardware address of the first adapter that is up and has one (`GetAdaptersAddresses`).
#[must_use]
pub fn mac_address() -> Option<[u8; 6]> {
    // Of units of 8 bytes, so that the structures in it are aligned.
    let mut facts = vec![0_u64; FACTS_UNITS];
    let mut bytes = size_of_val(facts.as_slice()) as u32;
    let first = facts.as_mut_ptr().cast::<IP_ADAPTER_ADDRESSES_LH>();
    // SAFETY: the buffer has the length that is said; the reserved pointer must be null. Family 0 is any.
    let status = unsafe { GetAdaptersAddresses(0, 0, null(), first, &raw mut bytes) };
    let mut next = if status == ERROR_SUCCESS { first.cast_const() } else { null() };
    while !next.is_null() {
        // SAFETY: the call has written a list of such structures into the buffer, which lives on.
        let adapter = unsafe { &*next };
        let address = adapter.PhysicalAddress;
        if adapter.PhysicalAddressLength == 6 && adapter.OperStatus == IfOperStatusUp && address != [0; 8] {
            return address.first_chunk().copied();
        }
        next = adapter.Next;
    }
    None
}

/// Which sockets a table lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Table {
    Tcp4,
    Tcp6,
    Udp4,
    Udp6,
}

/// Sockets that a table holds at most: as many as there are ports, four times.
const TABLE_WORDS_MAX: usize = 4 * 65_536 * 14;

/// A table of sockets as Windows gives it: how many rows, then the rows, in words of 32 bits (`GetExtendedTcpTable`,
/// `GetExtendedUdpTable`).
pub fn sockets(table: Table) -> io::Result<Vec<u32>> {
    let mut words = vec![0_u32; 16 * 1024];
    loop {
        let mut bytes = size_of_val(words.as_slice()) as u32;
        let family = u32::from(if matches!(table, Table::Tcp4 | Table::Udp4) { AF_INET } else { AF_INET6 });
        let to = words.as_mut_ptr().cast::<c_void>();
        // SAFETY: the buffer has the length that is said; rows of all four tables consist of words of 32 bits.
        let status = unsafe {
            match table {
                Table::Tcp4 | Table::Tcp6 => {
                    GetExtendedTcpTable(to, &raw mut bytes, 0, family, TCP_TABLE_OWNER_PID_ALL, 0)
                }
                Table::Udp4 | Table::Udp6 => GetExtendedUdpTable(to, &raw mut bytes, 0, family, UDP_TABLE_OWNER_PID, 0),
            }
        };
        match status {
            ERROR_SUCCESS => return Ok(words),
            ERROR_INSUFFICIENT_BUFFER if words.len() < TABLE_WORDS_MAX => words.resize(words.len() * 2, 0),
            error => return Err(io::Error::from_raw_os_error(error.cast_signed())),
        }
    }
}
