//! Processes.

use std::fs::File;
use std::io;
use std::os::windows::io::OwnedHandle;

use windows_sys::Win32::System::Memory::{
    MEM_COMMIT, MEM_IMAGE, MEM_MAPPED, PAGE_EXECUTE, PAGE_EXECUTE_READ, PAGE_EXECUTE_READWRITE, PAGE_EXECUTE_WRITECOPY,
    PAGE_GUARD, PAGE_NOACCESS, PAGE_READONLY, PAGE_READWRITE, PAGE_WRITECOPY,
};
use windows_sys::Win32::System::Threading::{
    PROCESS_QUERY_INFORMATION, PROCESS_QUERY_LIMITED_INFORMATION, PROCESS_SYNCHRONIZE, PROCESS_TERMINATE,
    PROCESS_VM_READ,
};

use super::api::{self, SnapshotEntry};
use crate::platform::shapes::{Control, Process, Region, Standing};

/// The idle process and the kernel.
const FIRST: [u32; 2] = [0, 4];
/// From 1601 to 1970, in milliseconds.
const EPOCH_MS: i64 = 11_644_473_600_000;

/// Ids of all processes.
#[must_use]
pub fn pids() -> Vec<u32> {
    api::snapshot().unwrap_or_default().into_iter().map(|entry| entry.pid).collect()
}

/// Whether this is one of the processes that a system begins with.
#[must_use]
pub fn is_first(pid: u32) -> bool {
    FIRST.contains(&pid)
}

/// Describes a process; `None` if it is gone or out of reach.
#[must_use]
pub fn describe(pid: u32) -> Option<Process> {
    let entry = entry(pid)?;
    let process = open(pid).ok()?;
    let start_ticks = api::created(&process).ok()?;
    Some(Process {
        pid,
        parent_pid: entry.parent_pid,
        start_ticks,
        path: api::image(&process, false),
        command_line: api::command_line(&process).or_else(|| kept_command_line(pid)).unwrap_or_default(),
        account: api::owner_of_process(&process).ok(),
        threads: entry.threads,
        memory_bytes: api::memory_bytes(&process).unwrap_or(0),
        created_ms: i64::try_from(start_ticks / 10_000).map_or(0, |ms| ms - EPOCH_MS),
    })
}

fn entry(pid: u32) -> Option<SnapshotEntry> {
    api::snapshot().ok()?.into_iter().find(|entry| entry.pid == pid)
}

/// The command line as the process itself keeps it, where the kernel does not tell (that of Wine 8 does not).
fn kept_command_line(pid: u32) -> Option<String> {
    /// Where the parameters are among what the process knows of itself, and where the line is among them.
    const PARAMETERS: u64 = 0x20;
    const LINE: u64 = 0x70;
    let process = api::open_process(pid, PROCESS_QUERY_INFORMATION | PROCESS_VM_READ).ok()?;
    let number = |address: u64| {
        let mut bytes = [0; 8];
        api::read_memory(&process, &mut bytes, address).ok().map(|()| u64::from_le_bytes(bytes))
    };
    let parameters = number(api::own_block(&process)? + PARAMETERS)?;
    // Of the first number the lower two bytes are the length of the text, which the second points to.
    let mut text = vec![0; usize::try_from(number(parameters + LINE)? & 0xffff).ok()?];
    api::read_memory(&process, &mut text, number(parameters + LINE + 8)?).ok()?;
    let units: Vec<u16> = text.as_chunks::<2>().0.iter().map(|pair| u16::from_le_bytes(*pair)).collect();
    Some(String::from_utf16_lossy(&units))
}

fn open(pid: u32) -> io::Result<OwnedHandle> {
    api::open_process(pid, PROCESS_QUERY_LIMITED_INFORMATION | PROCESS_SYNCHRONIZE)
}

/// Short name of a process, which those without a program have, too; empty if it is gone.
#[must_use]
pub fn short_name(pid: u32) -> String {
    entry(pid).map(|entry| entry.name).unwrap_or_default()
}

/// The program of a process as the kernel names it; `None` if it is gone, or out of reach.
#[must_use]
pub fn native_path(pid: u32) -> Option<String> {
    api::image(&open(pid).ok()?, true)
}

/// Opens the program that a process runs; `None` if the process is gone, has none, or is out of reach.
#[must_use]
pub fn open_image(pid: u32) -> Option<File> {
    File::open(api::image(&open(pid).ok()?, false)?).ok()
}

/// When a process started; `None` if it is gone.
#[must_use]
pub fn start_ticks(pid: u32) -> Option<u64> {
    standing(pid).map(|standing| standing.start_ticks)
}

/// Where a process stands; `None` if it is gone. It leads a group of its own.
#[must_use]
pub fn standing(pid: u32) -> Option<Standing> {
    let process = open(pid).ok()?;
    let start_ticks = api::created(&process).ok()?;
    (!api::has_ended(&process)).then_some(Standing { pid, group: pid, start_ticks })
}

/// The mapped regions of a process.
///
/// # Errors
///
/// What Windows says when the process is gone or out of reach.
pub fn regions(pid: u32) -> io::Result<Vec<Region>> {
    let process = api::open_process(pid, PROCESS_QUERY_INFORMATION | PROCESS_VM_READ)?;
    let in_use = api::ranges(&process).into_iter().filter(|range| range.state == MEM_COMMIT);
    let region = |range: api::Range| Region {
        base: range.base,
        bytes: range.bytes,
        kind: match range.kind {
            MEM_IMAGE => 1,
            MEM_MAPPED => 2,
            _ => 3,
        },
        access: access(range.protection),
        path: if range.kind & (MEM_IMAGE | MEM_MAPPED) == 0 { None } else { api::mapped_file(&process, range.base) },
    };
    Ok(in_use.map(region).collect())
}

/// `MEMORY_ACCESS`. Source: reference/commands.md section 7.
fn access(protection: u32) -> u8 {
    if protection & PAGE_GUARD != 0 {
        return 0;
    }
    match protection & 0xff {
        PAGE_EXECUTE => 1,
        PAGE_EXECUTE_READ => 2,
        PAGE_EXECUTE_READWRITE => 3,
        PAGE_EXECUTE_WRITECOPY => 4,
        PAGE_NOACCESS => 5,
        PAGE_READONLY => 6,
        PAGE_READWRITE => 7,
        PAGE_WRITECOPY => 8,
        _ => 0,
    }
}

/// The memory of a process.
#[derive(Debug)]
pub struct Memory(OwnedHandle);

impl Memory {
    /// Opens it.
    ///
    /// # Errors
    ///
    /// What Windows says.
    pub fn open(pid: u32) -> io::Result<Self> {
        api::open_process(pid, PROCESS_VM_READ).map(Self)
    }

    /// Reads what is at an address, and all that is asked for.
    ///
    /// # Errors
    ///
    /// What Windows says.
    pub fn read_exact_at(&self, buffer: &mut [u8], address: u64) -> io::Result<()> {
        api::read_memory(&self.0, buffer, address)
    }
}

/// Controls a process. With `expected_ticks` only if it is still the one that started then: its handle is taken first
/// and cannot change its meaning.
///
/// # Errors
///
/// [`io::ErrorKind::NotFound`] if it is another one; else what Windows says.
pub fn control(pid: u32, expected_ticks: Option<u64>, control: Control) -> io::Result<()> {
    let process = api::open_process(pid, PROCESS_QUERY_LIMITED_INFORMATION | PROCESS_TERMINATE)?;
    if expected_ticks.is_some_and(|ticks| api::created(&process).ok() != Some(ticks)) {
        return Err(io::ErrorKind::NotFound.into());
    }
    match control {
        Control::Kill => api::terminate(&process),
        Control::Suspend => api::suspend(pid),
        Control::Resume => api::resume(pid),
    }
}
