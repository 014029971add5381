//! The kernel's process connector: executions and exits as they happen.
//!
//! Source: Linux `include/uapi/linux/cn_proc.h`, `connector.h`, `netlink.h`. Numbers
//! are in the byte order of the machine.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::net::netlink::{CONNECTOR, SocketAddrNetlink};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, recv, send, socket_with};

use crate::platform::shapes::Change;

const CN_IDX_PROC: u32 = 1;
const CN_VAL_PROC: u32 = 1;
const PROC_CN_MCAST_LISTEN: u32 = 1;
const PROC_EVENT_EXEC: u32 = 2;
const PROC_EVENT_EXIT: u32 = 0x8000_0000;
const NLMSG_DONE: u16 = 3;
const NETLINK_HEADER_BYTES: usize = 16;
const CONNECTOR_HEADER_BYTES: usize = 20;
/// Length of `what`, `cpu` and `timestamp_ns`.
const EVENT_HEADER_BYTES: usize = 16;
/// How often a listener that hears nothing looks whether it is still needed.
const PATIENCE: Duration = Duration::from_secs(10);

/// An open connector.
#[derive(Debug)]
pub struct Listener(OwnedFd);

impl Listener {
    /// Begins to listen.
    ///
    /// # Errors
    ///
    /// What the kernel says: most often that the sensor lacks the privilege, or is in
    /// a container. `DISABLE_NETLINK` in the environment forbids it.
    pub fn open() -> io::Result<Self> {
        if std::env::var_os("DISABLE_NETLINK").is_some() {
            return Err(io::Error::other("DISABLE_NETLINK is set"));
        }
        let socket = socket_with(AddressFamily::NETLINK, SocketType::DGRAM, SocketFlags::CLOEXEC, Some(CONNECTOR))?;
        bind(&socket, &SocketAddrNetlink::new(0, CN_IDX_PROC))?;
        set_socket_timeout(&socket, Timeout::Recv, Some(PATIENCE))?;
        send(&socket, &subscription(), SendFlags::empty())?;
        let listener = Self(socket);
        listener.expect_answer()?;
        Ok(listener)
    }

    /// The kernel acknowledges a subscription; without that it will never tell anything.
    fn expect_answer(&self) -> io::Result<()> {
        set_socket_timeout(&self.0, Timeout::Recv, Some(Duration::from_millis(500)))?;
        let mut buffer = [0; 4096];
        recv(&self.0, &mut buffer, RecvFlags::empty())?;
        Ok(set_socket_timeout(&self.0, Timeout::Recv, Some(PATIENCE))?)
    }

    /// Waits for changes, some seconds at most, and adds them.
    ///
    /// # Errors
    ///
    /// The kernel told more than was read: some changes are lost.
    pub fn wait(&self, changes: &mut Vec<Change>) -> io::Result<()> {
        let mut buffer = [0; 8192];
        match recv(&self.0, &mut buffer, RecvFlags::empty()) {
            Ok((read, _)) => {
                changes.extend(parse(buffer.get(..read).unwrap_or_default()));
                Ok(())
            }
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }
}

fn subscription() -> Vec<u8> {
    let length = NETLINK_HEADER_BYTES + CONNECTOR_HEADER_BYTES + 4;
    let mut bytes = Vec::with_capacity(length);
    bytes.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_ne_bytes());
    bytes.extend_from_slice(&NLMSG_DONE.to_ne_bytes());
    bytes.extend_from_slice(&[0; 2]);
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(&std::process::id().to_ne_bytes());
    bytes.extend_from_slice(&CN_IDX_PROC.to_ne_bytes());
    bytes.extend_from_slice(&CN_VAL_PROC.to_ne_bytes());
    bytes.extend_from_slice(&[0; 8]);
    bytes.extend_from_slice(&4_u16.to_ne_bytes());
    bytes.extend_from_slice(&[0; 2]);
    bytes.extend_from_slice(&PROC_CN_MCAST_LISTEN.to_ne_bytes());
    bytes
}

/// Reads one datagram; what is not understood is skipped.
fn parse(datagram: &[u8]) -> Option<Change> {
    let event = datagram.get(NETLINK_HEADER_BYTES + CONNECTOR_HEADER_BYTES..)?;
    let number = |at: usize| Some(u32::from_ne_bytes(event.get(at..at + 4)?.try_into().ok()?));
    let (pid, group) = (number(EVENT_HEADER_BYTES)?, number(EVENT_HEADER_BYTES + 4)?);
    match number(0)? {
        PROC_EVENT_EXEC => Some(Change::Executed(group)),
        // Of a group only the leader's end counts; the others are threads.
        PROC_EVENT_EXIT if pid == group => Some(Change::Exited(pid, exit_code(number(EVENT_HEADER_BYTES + 8)?))),
        _ => None,
    }
}

/// As a shell shows it: the exit code, or 128 and the signal.
const fn exit_code(status: u32) -> u32 {
    let signal = status & 0x7f;
    if signal == 0 { (status >> 8) & 0xff } else { 128 + signal }
}

/// What processes are told by: the kernel as they come and go, or looks around.
#[must_use]
pub const fn tier(has_listener: bool) -> &'static str {
    if has_listener { "netlink" } else { "procfs" }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn datagram(numbers: &[u32]) -> Vec<u8> {
        let header = [0; NETLINK_HEADER_BYTES + CONNECTOR_HEADER_BYTES];
        header.into_iter().chain(numbers.iter().flat_map(|number| number.to_ne_bytes())).collect()
    }

    #[test]
    fn executions_and_ends_of_leaders_are_understood_and_nothing_else() {
        assert_eq!(parse(&datagram(&[PROC_EVENT_EXEC, 0, 0, 0, 71, 70])), Some(Change::Executed(70)));
        assert_eq!(parse(&datagram(&[PROC_EVENT_EXIT, 0, 0, 0, 70, 70, 256, 17])), Some(Change::Exited(70, 1)));
        assert_eq!(parse(&datagram(&[PROC_EVENT_EXIT, 0, 0, 0, 71, 70, 0, 17])), None);
        assert_eq!(parse(&datagram(&[1, 0, 0, 0, 70, 70])), None);
        assert_eq!(parse(&datagram(&[PROC_EVENT_EXIT, 0, 0, 0, 70, 70])), None, "cut short");
        assert_eq!(parse(&[]), None);
    }
}
