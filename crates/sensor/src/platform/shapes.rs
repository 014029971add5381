//! What the modules of every system give: descriptions of processes, accounts, services and so on.

use std::net::SocketAddr;

use super::accounts::Id;

/// One process.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields of the published process description")]
pub struct Process {
    pub pid: u32,
    pub parent_pid: u32,
    /// Ticks from boot to its start; with the id it names the process.
    pub start_ticks: u64,
    /// Absent for kernel threads and where it may not be read.
    pub path: Option<String>,
    pub command_line: String,
    pub account: Option<Id>,
    pub threads: u32,
    pub memory_bytes: u64,
    pub created_ms: i64,
}

/// One mapped region of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields of the published region description")]
pub struct Region {
    pub base: u64,
    pub bytes: u64,
    pub kind: u8,
    pub access: u8,
    pub path: Option<String>,
}

/// Where a process stands among others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The process.
    pub pid: u32,
    /// Its process group.
    pub group: u32,
    /// Ticks from boot to its start.
    pub start_ticks: u64,
}

/// What to do to a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control {
    /// End it.
    Kill,
    /// Stop it.
    Suspend,
    /// Let it continue.
    Resume,
}

/// What the kernel told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// A process executes a new image.
    Executed(u32),
    /// A process ended, with this exit code.
    Exited(u32, u32),
}

/// One account.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the columns of the account file")]
pub struct Account {
    pub name: String,
    pub id: Id,
    /// `None` where accounts have no first group.
    pub group: Option<Id>,
    pub full_name: String,
    pub home: String,
    pub shell: String,
    /// The password is locked; `None` when that cannot be read.
    pub is_locked: Option<bool>,
    pub groups: Vec<String>,
}

/// One service; unknown parts are empty. Numbers are the published Windows ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields of the published description")]
pub struct Service {
    pub name: String,
    pub display_name: String,
    pub executable: String,
    pub path: String,
    pub kind: u32,
    pub state: u32,
    pub pid: u32,
}

/// One installed package; unknown parts are empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields of the published description")]
pub struct Package {
    pub name: String,
    pub version: String,
    pub architecture: String,
    pub publisher: String,
    pub source: &'static str,
}

/// One socket. `state` is absent for datagrams.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields of the published connection description")]
pub struct Socket {
    pub protocol: &'static str,
    pub local: SocketAddr,
    pub remote: SocketAddr,
    /// 0 when the owner is unknown.
    pub pid: u32,
    pub state: Option<u8>,
}

/// Version of the operating system; unknown parts are empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is the field of the reply of that name")]
pub struct Version {
    pub name: String,
    pub version: String,
    pub id: String,
    pub kernel: String,
    /// First number after the dash in the kernel release; 0 if there is none.
    pub build: u32,
}

/// One open file of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields of the published description")]
pub struct Handle {
    pub pid: u32,
    pub number: u32,
    pub kind: &'static str,
    pub name: String,
}

/// Why the endpoint could not be isolated or rejoined.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IsolationError {
    /// No address of the server is known, so the link could not be exempted.
    #[error("no address of the server is known, so its link cannot be exempted")]
    NoExemption,
    /// The program is missing.
    #[error("the program nft is not installed")]
    NoProgram,
    /// The sensor may not change the firewall.
    #[error("no permission to change the firewall: {0}")]
    NoPermission(String),
    /// The kernel or the program refused.
    #[error("the firewall refused: {0}")]
    Refused(String),
}
