//! Open files of processes.

use std::fs;
use std::io;

use crate::platform::shapes::Handle;

/// Open files of a process.
///
/// # Errors
///
/// What the kernel says when the process is gone or out of reach.
pub fn handles(pid: u32) -> io::Result<Vec<Handle>> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd"))?;
    let handle = |entry: fs::DirEntry| {
        let name = fs::read_link(entry.path()).ok()?.to_string_lossy().into_owned();
        let kind = match name.split(':').next().unwrap_or_default() {
            "socket" => "Socket",
            "pipe" => "Pipe",
            "anon_inode" => "Anon",
            _ => "File",
        };
        Some(Handle { pid, number: entry.file_name().to_str()?.parse().ok()?, kind, name })
    };
    Ok(entries.flatten().filter_map(handle).collect())
}
