//! What commands start, and how it ends with its command or with the sensor.
//!
//! Each command runs in a job, which Windows ends with the last handle to it: with the sensor, however that ends. So
//! nothing is left for the next sensor to end.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::process::ExitStatus;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use muster_model::TaskId;
use tokio::process::Command;
use windows_sys::Win32::System::Threading::{
    CREATE_NEW_PROCESS_GROUP, CREATE_NO_WINDOW, CREATE_SUSPENDED, PROCESS_SET_QUOTA, PROCESS_TERMINATE,
};

use super::api::{self, Job};

/// Variables that every command of the sensor has, of those that the sensor has itself. Many programs do not start
/// without some of them.
const VARIABLES: &[&str] = &[
    "ComSpec",
    "PATH",
    "PATHEXT",
    "ProgramData",
    "ProgramFiles",
    "ProgramFiles(x86)",
    "SystemDrive",
    "SystemRoot",
    "TEMP",
    "TMP",
    "USERPROFILE",
    "windir",
];

/// Jobs by the process that was the first in each.
static JOBS: Mutex<BTreeMap<u32, Arc<Job>>> = Mutex::new(BTreeMap::new());

fn jobs() -> MutexGuard<'static, BTreeMap<u32, Arc<Job>>> {
    JOBS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Has a command wait at its start until it is in a job.
pub fn prepare(command: &mut Command, _: &Path, _: TaskId) {
    command.creation_flags(CREATE_NO_WINDOW | CREATE_SUSPENDED);
}

/// The shell, with a line for it.
#[must_use]
pub fn shell(line: &str) -> Command {
    let mut command = Command::new("cmd.exe");
    // It has rules of its own for quotes: with `/s` it takes off the outer ones, and the rest is the line.
    command.args(["/d", "/s", "/c"]).raw_arg(format!("\"{line}\""));
    command
}

/// What runs a file: its name decides.
#[must_use]
pub fn program(file: &Path) -> Command {
    let extension = file.extension().map(|extension| extension.to_string_lossy().to_lowercase());
    match extension.as_deref() {
        Some("ps1") => {
            let mut command = Command::new("powershell.exe");
            command.args(["-NoProfile", "-NonInteractive", "-ExecutionPolicy", "Bypass", "-File"]).arg(file);
            command
        }
        Some("js" | "vbs" | "wsf") => {
            let mut command = Command::new("cscript.exe");
            command.arg("//NoLogo").arg(file);
            command
        }
        _ => Command::new(file),
    }
}

/// Gives a command the few variables that every command of the sensor has, and no other.
pub fn give_environment(command: &mut Command) {
    command.env_clear();
    command.envs(VARIABLES.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
}

/// Lets a command outlive whoever started it: in a group of its own, and in no job.
pub fn detach(command: &mut Command) {
    command.creation_flags(CREATE_NO_WINDOW | CREATE_NEW_PROCESS_GROUP);
}

/// The exit code of a process.
#[must_use]
pub fn exit_code(status: ExitStatus) -> i32 {
    status.code().unwrap_or(-1)
}

/// Ends all of the job that began with this process.
///
/// # Errors
///
/// What Windows says, such as that nothing of it is left.
pub fn kill_group(leader: u32) -> io::Result<()> {
    let job = jobs().get(&leader).cloned();
    job.ok_or(io::ErrorKind::NotFound)?.end()
}

/// A job that is ended with its guard: at a timeout, or when the sensor stops.
#[derive(Debug)]
pub struct Group {
    leader: u32,
    job: Option<Arc<Job>>,
}

impl Group {
    /// Puts the child `pid` into a job, and lets it begin.
    #[must_use]
    pub fn new(_: &Path, _: TaskId, pid: u32) -> Self {
        let put = || -> io::Result<Job> {
            let job = Job::new()?;
            job.take(&api::open_process(pid, PROCESS_SET_QUOTA | PROCESS_TERMINATE)?)?;
            Ok(job)
        };
        let job = put().map(Arc::new);
        if let Err(error) = &job {
            tracing::warn!(pid, %error, "what this process starts may outlive its command");
        }
        if let Err(error) = api::resume(pid) {
            tracing::error!(pid, %error, "a process cannot begin");
        }
        let job = job.ok();
        jobs().extend(job.clone().map(|job| (pid, job)));
        Self { leader: pid, job }
    }

    /// The first process ended by itself; what it left in the background may live on.
    pub fn release(mut self) {
        let released = self.job.take().map_or(Ok(()), |job| job.release());
        if let Err(error) = released {
            tracing::warn!(%error, "what a command left in the background ends with it");
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        jobs().remove(&self.leader);
        if let Some(job) = &self.job {
            // It may have ended in between; then there is nothing to end.
            let _ = job.end();
        }
    }
}

/// Ends what a sensor that was killed has left: nothing, by then Windows has.
#[must_use]
pub const fn end_leftovers(_: &Path, _: &[TaskId]) -> (usize, bool) {
    (0, false)
}
