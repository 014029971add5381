//! Processes.

use std::ffi::c_void;
use std::io;
use std::mem::{size_of, size_of_val, zeroed};
use std::os::windows::io::{AsRawHandle as _, OwnedHandle};
use std::ptr::{null, null_mut};

use windows_sys::Wdk::System::Threading::{
    NtQueryInformationProcess, ProcessBasicInformation, ProcessCommandLineInformation,
};
use windows_sys::Win32::Foundation::{FILETIME, UNICODE_STRING, WAIT_TIMEOUT};
use windows_sys::Win32::System::Diagnostics::Debug::ReadProcessMemory;
use windows_sys::Win32::System::Diagnostics::ToolHelp::{
    CreateToolhelp32Snapshot, PROCESSENTRY32W, Process32FirstW, Process32NextW, TH32CS_SNAPPROCESS, TH32CS_SNAPTHREAD,
    THREADENTRY32, Thread32First, Thread32Next,
};
use windows_sys::Win32::System::JobObjects::{
    AssignProcessToJobObject, CreateJobObjectW, JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE,
    JOBOBJECT_EXTENDED_LIMIT_INFORMATION, JobObjectExtendedLimitInformation, SetInformationJobObject,
    TerminateJobObject,
};
use windows_sys::Win32::System::Memory::{MEMORY_BASIC_INFORMATION, VirtualQueryEx};
use windows_sys::Win32::System::ProcessStatus::{
    K32GetMappedFileNameW, K32GetProcessMemoryInfo, PROCESS_MEMORY_COUNTERS,
};
use windows_sys::Win32::System::Threading::{
    GetProcessTimes, OpenProcess, OpenThread, PROCESS_NAME_NATIVE, QueryFullProcessImageNameW, ResumeThread,
    SuspendThread, THREAD_SUSPEND_RESUME, TerminateProcess, WaitForSingleObject,
};

use super::{done, narrow, owned};

/// Longest path and command line that Windows has, in UTF-16 units.
const TEXT_UNITS_MAX: usize = 32 * 1024;
/// The exit code of what an operator ends.
const KILLED: u32 = 1;

/// A process in a snapshot of all.
#[derive(Clone, Debug)]
pub struct SnapshotEntry {
    /// Its id.
    pub pid: u32,
    /// Of the one that started it, which may be gone.
    pub parent_pid: u32,
    /// Number of its threads.
    pub threads: u32,
    /// Name of its program, without the path.
    pub name: String,
}

/// All processes (`CreateToolhelp32Snapshot`).
pub fn snapshot() -> io::Result<Vec<SnapshotEntry>> {
    // SAFETY: the call takes numbers only.
    let all = owned(unsafe { CreateToolhelp32Snapshot(TH32CS_SNAPPROCESS, 0) })?;
    // SAFETY: zeros are a value of this structure.
    let mut entry: PROCESSENTRY32W = unsafe { zeroed() };
    entry.dwSize = size_of_val(&entry) as u32;
    let mut found = Vec::new();
    // SAFETY: the snapshot is open, and the structure says its own length.
    let mut is_more = unsafe { Process32FirstW(all.as_raw_handle(), &raw mut entry) };
    while is_more != 0 {
        found.push(SnapshotEntry {
            pid: entry.th32ProcessID,
            parent_pid: entry.th32ParentProcessID,
            threads: entry.cntThreads,
            name: narrow(&entry.szExeFile),
        });
        // SAFETY: as above.
        is_more = unsafe { Process32NextW(all.as_raw_handle(), &raw mut entry) };
    }
    Ok(found)
}

/// Opens a process for what `access` says (`OpenProcess`).
pub fn open_process(pid: u32, access: u32) -> io::Result<OwnedHandle> {
    // SAFETY: the call takes numbers only.
    owned(unsafe { OpenProcess(access, 0, pid) })
}

/// Whether a process has ended (`WaitForSingleObject`); it must be opened with `PROCESS_SYNCHRONIZE`.
#[must_use]
pub fn has_ended(process: &OwnedHandle) -> bool {
    // SAFETY: the handle is open as long as it is borrowed.
    unsafe { WaitForSingleObject(process.as_raw_handle(), 0) != WAIT_TIMEOUT }
}

/// When a process began, in 100 ns since 1601 (`GetProcessTimes`).
pub fn created(process: &OwnedHandle) -> io::Result<u64> {
    let none = FILETIME { dwLowDateTime: 0, dwHighDateTime: 0 };
    let (mut created, mut other) = (none, [none; 3]);
    let [exit, kernel, user] = &mut other;
    // SAFETY: the handle is open; all four structures are ours.
    done(unsafe { GetProcessTimes(process.as_raw_handle(), &raw mut created, exit, kernel, user) })?;
    Ok(u64::from(created.dwHighDateTime) << 32 | u64::from(created.dwLowDateTime))
}

/// The program of a process; as the kernel names it if `is_native` (`QueryFullProcessImageNameW`).
#[must_use]
pub fn image(process: &OwnedHandle, is_native: bool) -> Option<String> {
    let mut units = vec![0_u16; TEXT_UNITS_MAX];
    let mut length = TEXT_UNITS_MAX as u32;
    let form = if is_native { PROCESS_NAME_NATIVE } else { 0 };
    // SAFETY: the handle is open; the buffer has the length that is said.
    let named =
        unsafe { QueryFullProcessImageNameW(process.as_raw_handle(), form, units.as_mut_ptr(), &raw mut length) };
    done(named).ok().map(|()| narrow(&units))
}

/// What a process was started with (`NtQueryInformationProcess`).
#[must_use]
pub fn command_line(process: &OwnedHandle) -> Option<String> {
    // Of units of 8 bytes, so that the structure at its beginning is aligned.
    let mut buffer = vec![0_u64; (size_of::<UNICODE_STRING>() + 2 * TEXT_UNITS_MAX).div_ceil(8)];
    let bytes = size_of_val(buffer.as_slice()) as u32;
    // SAFETY: the handle is open; the buffer has the length that is said.
    let status = unsafe {
        NtQueryInformationProcess(
            process.as_raw_handle(),
            ProcessCommandLineInformation,
            buffer.as_mut_ptr().cast(),
            bytes,
            null_mut(),
        )
    };
    if status < 0 {
        return None;
    }
    // SAFETY: the call has written such a structure to the beginning; its text lies in the same buffer.
    let units = unsafe {
        let text = &*buffer.as_ptr().cast::<UNICODE_STRING>();
        if text.Buffer.is_null() {
            return None;
        }
        std::slice::from_raw_parts(text.Buffer, usize::from(text.Length / 2))
    };
    Some(String::from_utf16_lossy(units))
}

/// Where a process keeps what it knows of itself (`NtQueryInformationProcess`).
#[must_use]
pub fn own_block(process: &OwnedHandle) -> Option<u64> {
    // `PROCESS_BASIC_INFORMATION`: six words, of which the second is the address.
    let mut facts = [0_usize; 6];
    let bytes = size_of_val(&facts) as u32;
    // SAFETY: the handle is open; the buffer has the length that is said.
    let status = unsafe {
        NtQueryInformationProcess(
            process.as_raw_handle(),
            ProcessBasicInformation,
            facts.as_mut_ptr().cast(),
            bytes,
            null_mut(),
        )
    };
    (status >= 0).then_some(facts[1] as u64)
}

/// Memory of a process that is in use (`K32GetProcessMemoryInfo`).
#[must_use]
pub fn memory_bytes(process: &OwnedHandle) -> Option<u64> {
    // SAFETY: zeros are a value of this structure.
    let mut facts: PROCESS_MEMORY_COUNTERS = unsafe { zeroed() };
    let bytes = size_of_val(&facts) as u32;
    // SAFETY: the handle is open; the structure has the length that is said.
    done(unsafe { K32GetProcessMemoryInfo(process.as_raw_handle(), &raw mut facts, bytes) }).ok()?;
    Some(facts.WorkingSetSize as u64)
}

/// Ends a process (`TerminateProcess`).
pub fn terminate(process: &OwnedHandle) -> io::Result<()> {
    // SAFETY: the handle is open as long as it is borrowed.
    done(unsafe { TerminateProcess(process.as_raw_handle(), KILLED) })
}

/// Stops all threads of a process (`SuspendThread`).
pub fn suspend(pid: u32) -> io::Result<()> {
    // SAFETY: `each_thread` gives open handles.
    each_thread(pid, |thread| unsafe { SuspendThread(thread.as_raw_handle()) })
}

/// Lets all threads of a process go on (`ResumeThread`).
pub fn resume(pid: u32) -> io::Result<()> {
    // SAFETY: `each_thread` gives open handles.
    each_thread(pid, |thread| unsafe { ResumeThread(thread.as_raw_handle()) })
}

/// Does something to each thread of a process, which gives `u32::MAX` when it fails; tells if that was so of all.
fn each_thread(pid: u32, act: impl Fn(&OwnedHandle) -> u32) -> io::Result<()> {
    // SAFETY: the call takes numbers only.
    let all = owned(unsafe { CreateToolhelp32Snapshot(TH32CS_SNAPTHREAD, 0) })?;
    // SAFETY: zeros are a value of this structure.
    let mut entry: THREADENTRY32 = unsafe { zeroed() };
    entry.dwSize = size_of_val(&entry) as u32;
    let mut outcome = Err(io::ErrorKind::NotFound.into());
    // SAFETY: the snapshot is open, and the structure says its own length.
    let mut is_more = unsafe { Thread32First(all.as_raw_handle(), &raw mut entry) };
    while is_more != 0 {
        if entry.th32OwnerProcessID == pid {
            // SAFETY: the call takes numbers only.
            let thread = owned(unsafe { OpenThread(THREAD_SUSPEND_RESUME, 0, entry.th32ThreadID) });
            let acted = thread.and_then(|thread| match act(&thread) {
                u32::MAX => Err(io::Error::last_os_error()),
                _ => Ok(()),
            });
            outcome = outcome.or(acted);
        }
        // SAFETY: as above.
        is_more = unsafe { Thread32Next(all.as_raw_handle(), &raw mut entry) };
    }
    outcome
}

/// A range of the addresses of a process, in the numbers of Windows.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Range {
    pub base: u64,
    pub bytes: u64,
    pub state: u32,
    pub protection: u32,
    pub kind: u32,
}

/// The ranges of the addresses of a process (`VirtualQueryEx`).
#[must_use]
pub fn ranges(process: &OwnedHandle) -> Vec<Range> {
    let (mut found, mut at) = (Vec::new(), 0_usize);
    loop {
        // SAFETY: zeros are a value of this structure.
        let mut range: MEMORY_BASIC_INFORMATION = unsafe { zeroed() };
        let length = size_of_val(&range);
        // SAFETY: the handle is open; the address is only looked up; the structure has the length that is said.
        let read = unsafe { VirtualQueryEx(process.as_raw_handle(), at as *const c_void, &raw mut range, length) };
        let next = (range.BaseAddress as usize).checked_add(range.RegionSize);
        if read == 0 || next.is_none_or(|next| next <= at) {
            return found;
        }
        found.push(Range {
            base: range.BaseAddress as u64,
            bytes: range.RegionSize as u64,
            state: range.State,
            protection: range.Protect,
            kind: range.Type,
        });
        at = next.unwrap_or(usize::MAX);
    }
}

/// The file that is mapped at an address (`K32GetMappedFileNameW`).
#[must_use]
pub fn mapped_file(process: &OwnedHandle, base: u64) -> Option<String> {
    let mut units = vec![0_u16; TEXT_UNITS_MAX];
    let address = usize::try_from(base).ok()? as *const c_void;
    // SAFETY: the handle is open; the address is only looked up; the buffer has the length that is said.
    let length =
        unsafe { K32GetMappedFileNameW(process.as_raw_handle(), address, units.as_mut_ptr(), TEXT_UNITS_MAX as u32) };
    (length > 0).then(|| narrow(&units))
}

/// Reads memory of a process, all that is asked for (`ReadProcessMemory`).
pub fn read_memory(process: &OwnedHandle, buffer: &mut [u8], address: u64) -> io::Result<()> {
    let address = usize::try_from(address).map_err(|_| io::ErrorKind::InvalidInput)? as *const c_void;
    let mut read = 0;
    // SAFETY: the handle is open; the buffer has the length that is said; the address is of the other process.
    done(unsafe {
        ReadProcessMemory(process.as_raw_handle(), address, buffer.as_mut_ptr().cast(), buffer.len(), &raw mut read)
    })?;
    if read == buffer.len() { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

/// Processes that end together: with the last handle to the job, however this process ends.
#[derive(Debug)]
pub struct Job(OwnedHandle);

impl Job {
    /// An empty one (`CreateJobObjectW`).
    pub fn new() -> io::Result<Self> {
        // SAFETY: both may be null: no rights of its own, and no name.
        let job = Self(owned(unsafe { CreateJobObjectW(null(), null()) })?);
        job.limit(JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE)?;
        Ok(job)
    }

    /// Takes a process in; what it starts from now on is in it, too (`AssignProcessToJobObject`).
    pub fn take(&self, process: &OwnedHandle) -> io::Result<()> {
        // SAFETY: both handles are open as long as they are borrowed.
        done(unsafe { AssignProcessToJobObject(self.0.as_raw_handle(), process.as_raw_handle()) })
    }

    /// Ends them all (`TerminateJobObject`).
    pub fn end(&self) -> io::Result<()> {
        // SAFETY: the handle is open as long as it is borrowed.
        done(unsafe { TerminateJobObject(self.0.as_raw_handle(), KILLED) })
    }

    /// Lets them live on when the job is closed.
    pub fn release(&self) -> io::Result<()> {
        self.limit(0)
    }

    fn limit(&self, flags: u32) -> io::Result<()> {
        // SAFETY: zeros are a value of this structure.
        let mut limits: JOBOBJECT_EXTENDED_LIMIT_INFORMATION = unsafe { zeroed() };
        limits.BasicLimitInformation.LimitFlags = flags;
        let bytes = size_of_val(&limits) as u32;
        // SAFETY: the handle is open; the structure has the length that is said.
        done(unsafe {
            SetInformationJobObject(
                self.0.as_raw_handle(),
                JobObjectExtendedLimitInformation,
                (&raw const limits).cast(),
                bytes,
            )
        })
    }
}
