//! Processes, from `/proc`.

use std::fs;
use std::io;
use std::os::unix::fs::FileExt as _;

use procfs::process::{MMPermissions, MMapPath, Process as Entry};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::platform::shapes::{Control, Process, Region, Standing};

/// Longest command line that is reported. Source: reference/events.md section 3.
const COMMAND_LINE_BYTES_MAX: usize = 32 * 1024;

/// Ids of all processes, not of threads.
#[must_use]
pub fn pids() -> Vec<u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// Whether this is the process that a system begins with.
#[must_use]
pub const fn is_first(pid: u32) -> bool {
    pid == 1
}

/// Describes a process; `None` if it is gone.
#[must_use]
pub fn describe(pid: u32) -> Option<Process> {
    let entry = Entry::new(i32::try_from(pid).ok()?).ok()?;
    let stat = entry.stat().ok()?;
    let path = entry.exe().ok().map(|path| {
        let path = path.to_string_lossy().into_owned();
        path.strip_suffix(" (deleted)").map(str::to_owned).unwrap_or(path)
    });
    let seconds = i64::try_from(procfs::boot_time_secs().unwrap_or(0)).unwrap_or(0);
    let ticks_ms = stat.starttime.saturating_mul(1_000) / procfs::ticks_per_second().max(1);
    Some(Process {
        pid,
        parent_pid: u32::try_from(stat.ppid).unwrap_or(0),
        start_ticks: stat.starttime,
        path,
        command_line: command_line(&entry.cmdline().unwrap_or_default()),
        account: entry.uid().ok(),
        threads: u32::try_from(stat.num_threads).unwrap_or(0),
        memory_bytes: stat.rss.saturating_mul(procfs::page_size()),
        created_ms: seconds.saturating_mul(1_000).saturating_add(i64::try_from(ticks_ms).unwrap_or(0)),
    })
}

/// Short name of a process, which those without a program have, too; empty if it is gone.
#[must_use]
pub fn short_name(pid: u32) -> String {
    fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default().trim_end().to_owned()
}

/// Opens the program that a process runs, whatever became of its path; `None` if the
/// process is gone, has none, or is out of reach.
#[must_use]
pub fn open_image(pid: u32) -> Option<fs::File> {
    fs::File::open(format!("/proc/{pid}/exe")).ok()
}

fn command_line(arguments: &[String]) -> String {
    let quoted = |argument: &String| {
        let is_plain = !argument.is_empty() && !argument.contains(char::is_whitespace);
        if is_plain { argument.clone() } else { format!("\"{}\"", argument.replace('"', "\\\"")) }
    };
    let mut line = arguments.iter().map(quoted).collect::<Vec<_>>().join(" ");
    line.truncate(line.floor_char_boundary(COMMAND_LINE_BYTES_MAX));
    line
}

/// Ticks from boot to the start of a process; `None` if it is gone.
#[must_use]
pub fn start_ticks(pid: u32) -> Option<u64> {
    Some(Entry::new(i32::try_from(pid).ok()?).ok()?.stat().ok()?.starttime)
}

/// Where a process stands; `None` if it is gone, or dead and not yet reaped.
#[must_use]
pub fn standing(pid: u32) -> Option<Standing> {
    let stat = Entry::new(i32::try_from(pid).ok()?).ok()?.stat().ok()?;
    let group = u32::try_from(stat.pgrp).ok()?;
    (stat.state != 'Z').then_some(Standing { pid, group, start_ticks: stat.starttime })
}

/// The mapped regions of a process.
///
/// # Errors
///
/// [`io::ErrorKind::NotFound`] if there is no such process; else what the kernel says.
pub fn regions(pid: u32) -> io::Result<Vec<Region>> {
    let not_found = || io::Error::from(io::ErrorKind::NotFound);
    let entry = Entry::new(i32::try_from(pid).map_err(|_| not_found())?).map_err(io_error)?;
    let maps = entry.maps().map_err(io_error)?;
    Ok(maps
        .into_iter()
        .map(|map| Region {
            base: map.address.0,
            bytes: map.address.1.saturating_sub(map.address.0),
            kind: if map.perms.contains(MMPermissions::SHARED) { 2 } else { 3 },
            access: access(map.perms),
            path: name(&map.pathname),
        })
        .collect())
}

/// The memory of a process.
#[derive(Debug)]
pub struct Memory(fs::File);

impl Memory {
    /// Opens it.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::NotFound`] if there is no such process; else what the kernel says.
    pub fn open(pid: u32) -> io::Result<Self> {
        fs::File::open(format!("/proc/{pid}/mem")).map(Self)
    }

    /// Reads what is at an address, and all that is asked for.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub fn read_exact_at(&self, buffer: &mut [u8], address: u64) -> io::Result<()> {
        self.0.read_exact_at(buffer, address)
    }
}

fn io_error(error: procfs::ProcError) -> io::Error {
    match error {
        procfs::ProcError::PermissionDenied(_) => io::ErrorKind::PermissionDenied.into(),
        procfs::ProcError::NotFound(_) => io::ErrorKind::NotFound.into(),
        procfs::ProcError::Io(error, _) => error,
        other => io::Error::other(other.to_string()),
    }
}

/// `MEMORY_ACCESS`. Source: reference/commands.md section 7.
fn access(permissions: MMPermissions) -> u8 {
    let has = |flag| permissions.contains(flag);
    match (has(MMPermissions::READ), has(MMPermissions::WRITE), has(MMPermissions::EXECUTE)) {
        (false, false, true) => 1,
        (true, false, true) => 2,
        (true, true, true) => 3,
        (false, false, false) => 5,
        (true, false, false) => 6,
        (true, true, false) => 7,
        (false, true, false) => 9,
        (false, true, true) => 10,
    }
}

fn name(path: &MMapPath) -> Option<String> {
    Some(match path {
        MMapPath::Path(path) => path.to_string_lossy().into_owned(),
        MMapPath::Heap => "[heap]".to_owned(),
        MMapPath::Stack => "[stack]".to_owned(),
        MMapPath::Vdso => "[vdso]".to_owned(),
        MMapPath::Vvar => "[vvar]".to_owned(),
        MMapPath::Vsyscall => "[vsyscall]".to_owned(),
        MMapPath::Other(name) => name.clone(),
        _ => return None,
    })
}

/// Signals a process. With `start_ticks` only if it is still the one that started
/// then: the kernel's handle is taken first and cannot change its meaning.
///
/// # Errors
///
/// `ESRCH` if it is gone; else what the kernel says.
pub fn control(pid: u32, expected_ticks: Option<u64>, control: Control) -> io::Result<()> {
    let gone = || io::Error::from(rustix::io::Errno::SRCH);
    let handle = pidfd_open(Pid::from_raw(pid.cast_signed()).ok_or_else(gone)?, PidfdFlags::empty())?;
    if expected_ticks.is_some_and(|ticks| start_ticks(pid) != Some(ticks)) {
        return Err(gone());
    }
    let signal = match control {
        Control::Kill => Signal::KILL,
        Control::Suspend => Signal::STOP,
        Control::Resume => Signal::CONT,
    };
    Ok(pidfd_send_signal(handle, signal)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_with_blanks_are_quoted() {
        let line =
            |arguments: &[&str]| command_line(&arguments.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>());
        assert_eq!(line(&["sh", "-c", "echo \"a b\""]), r#"sh -c "echo \"a b\"""#);
        assert_eq!(line(&["x", ""]), r#"x """#);
        assert_eq!(line(&[]), "");
    }

    #[test]
    fn the_process_of_the_test_is_found_with_its_own_image() {
        let own = describe(std::process::id()).unwrap();
        assert_eq!(own.path.as_deref(), std::env::current_exe().unwrap().to_str());
        assert_eq!(Some(own.start_ticks), start_ticks(own.pid));
        assert!(own.threads >= 1 && own.memory_bytes > 0 && pids().contains(&own.pid));
    }

    #[test]
    fn a_process_that_is_not_the_expected_one_is_left_alone() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let ticks = start_ticks(child.id()).unwrap();
        assert!(control(child.id(), Some(ticks + 1), Control::Kill).is_err());
        assert!(child.try_wait().unwrap().is_none(), "it still runs");
        control(child.id(), Some(ticks), Control::Kill).unwrap();
        assert!(!child.wait().unwrap().success());
    }
}
