//! What commands start, and how it ends with its command or with the sensor.
//!
//! Each command has a process group of its own, which is killed with it. A sensor that is killed cannot do
//! that, so the next one does, before it tells that the task was interrupted. It knows the processes by a
//! record of their group, and by a mark in the environment that a process keeps when it leaves the group.
//! A death signal of the parent would reach the group's leader alone, and only from code that runs between
//! fork and exec; the unit's control group does more where there is one.

use std::collections::HashSet;
use std::fs;
use std::io::{self, Read as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use muster_model::TaskId;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::Command;

use super::process;
use crate::commands::file::begins_with;
use crate::platform::shapes::Control;

/// Variable that tells a process of which task it is, and of which sensor: there may be several on a machine.
const MARK: &str = "MUSTER_TASK_ID";
/// What runs command lines.
const SHELL: &str = "/bin/sh";
/// Extension of the records; the name is that of the task.
const EXTENSION: &str = "group";
/// Longest environment that is searched: what the kernel lets a process have.
const ENVIRONMENT_BYTES_MAX: u64 = 2 * 1024 * 1024;
/// How often it is looked whether everything is gone, and the wait between: a process that is killed takes a
/// moment to die.
const LOOKS_MAX: u32 = 100;
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// Looks in a row that find nothing, after which nothing is there: a process that is just becoming another program shows
/// no environment until that is loaded, and may have left its group.
const NOTHING_LOOKS: u32 = 5;

/// Gives a command a process group of its own, and marks it with its task; `dir` is that of the records.
pub fn prepare(command: &mut Command, dir: &Path, task: TaskId) {
    command.process_group(0).env(MARK, mark(dir, task));
}

/// The shell, with a line for it.
#[must_use]
pub fn shell(line: &str) -> Command {
    let mut command = Command::new(SHELL);
    command.arg("-c").arg(line);
    command
}

/// What runs a file: the kernel if it can, else the shell.
#[must_use]
pub fn program(file: &Path) -> Command {
    let is_program = [&b"#!"[..], b"\x7fELF"].into_iter().any(|start| begins_with(file, start));
    let mut command = Command::new(if is_program { file } else { Path::new(SHELL) });
    if !is_program {
        command.arg(file);
    }
    command
}

/// Gives a command the few variables that every command of the sensor has, and no other.
pub fn give_environment(command: &mut Command) {
    command
        .env_clear()
        .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        .env("HOME", "/root")
        .env("LANG", "C.UTF-8");
}

/// Lets a command outlive whoever started it: in a process group of its own, and not marked.
pub fn detach(command: &mut Command) {
    command.process_group(0);
}

/// The exit code of a process; 128 and the signal if one ended it.
#[must_use]
pub fn exit_code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}

fn mark(dir: &Path, task: TaskId) -> String {
    format!("{task}@{}", dir.display())
}

/// Kills all of the group that this process leads.
///
/// # Errors
///
/// What the kernel says, such as that nothing of it is left.
pub fn kill_group(leader: u32) -> io::Result<()> {
    let leader = Pid::from_raw(leader.cast_signed()).ok_or(io::ErrorKind::InvalidInput)?;
    Ok(kill_process_group(leader, Signal::KILL)?)
}

/// A process group that is killed with its guard: at a timeout, or when the sensor stops.
#[derive(Debug)]
pub struct Group {
    leader: Option<Pid>,
    record: PathBuf,
}

impl Group {
    /// The group that the child `pid` of this task leads, recorded in `dir`.
    #[must_use]
    pub fn new(dir: &Path, task: TaskId, pid: u32) -> Self {
        let record = dir.join(task.to_string()).with_extension(EXTENSION);
        // Not flushed: after a power failure nothing is left to end. Without it the mark remains.
        let _ = process::start_ticks(pid).map(|ticks| fs::write(&record, format!("{pid} {ticks}")));
        Self { leader: Pid::from_raw(pid.cast_signed()), record }
    }

    /// The leader ended by itself; what it left in the background may live on.
    pub fn release(mut self) {
        self.leader = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.leader {
            // It may have ended in between; then there is nothing to kill.
            let _ = kill_process_group(leader, Signal::KILL);
        }
        // It is not there if the leader had ended before it was looked at.
        let _ = fs::remove_file(&self.record);
    }
}

/// Ends what a sensor that was killed has left of these tasks, and of those recorded in `dir`; blocks until it
/// is gone. Gives how many processes were ended, and whether any cannot be.
pub fn end_leftovers(dir: &Path, tasks: &[TaskId]) -> (usize, bool) {
    let records = take_records(dir);
    if records.is_empty() && tasks.is_empty() {
        return (0, false);
    }
    let marks: HashSet<Vec<u8>> =
        tasks.iter().map(|task| format!("{MARK}={}", mark(dir, *task)).into_bytes()).collect();
    let (mut ended, mut found_nothing) = (HashSet::new(), 0);
    for _ in 0..LOOKS_MAX {
        let left = leftovers(&records, &marks);
        found_nothing = if left.is_empty() { found_nothing + 1 } else { 0 };
        if found_nothing == NOTHING_LOOKS {
            return (ended.len(), false);
        }
        for (pid, ticks) in left {
            // It may have ended in between.
            let _ = process::control(pid, Some(ticks), Control::Kill);
            ended.insert((pid, ticks));
        }
        std::thread::sleep(LOOK_EVERY);
    }
    (ended.len(), true)
}

/// Reads and removes the records: leader and when it started.
fn take_records(dir: &Path) -> Vec<(u32, u64)> {
    let mut records = Vec::new();
    for path in fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path()) {
        if path.extension().is_some_and(|extension| extension == EXTENSION) {
            let text = fs::read_to_string(&path).unwrap_or_default();
            let numbers = text.split_once(' ');
            records.extend(numbers.and_then(|(pid, ticks)| Some((pid.parse().ok()?, ticks.parse().ok()?))));
            // If it stays it names a group that is gone.
            let _ = fs::remove_file(path);
        }
    }
    records
}

/// Processes that live, with when they started.
fn leftovers(records: &[(u32, u64)], marks: &HashSet<Vec<u8>>) -> Vec<(u32, u64)> {
    let own = std::process::id();
    let all: Vec<_> = process::pids().into_iter().filter(|pid| *pid != own).filter_map(process::standing).collect();
    // A group id is not given again while the group has members. If its leader is another process than the
    // recorded one, the group is gone and this is a new one.
    let is_group = |group: u32, started: u64| {
        records.iter().any(|(leader, ticks)| {
            let is_other = all.iter().any(|process| process.pid == *leader && process.start_ticks != *ticks);
            *leader == group && !is_other && started >= *ticks
        })
    };
    all.iter()
        .filter(|process| is_group(process.group, process.start_ticks) || is_marked(process.pid, marks))
        .map(|process| (process.pid, process.start_ticks))
        .collect()
}

fn is_marked(pid: u32, marks: &HashSet<Vec<u8>>) -> bool {
    let mut environment = Vec::new();
    let read = || -> io::Result<usize> {
        fs::File::open(format!("/proc/{pid}/environ"))?.take(ENVIRONMENT_BYTES_MAX).read_to_end(&mut environment)
    };
    !marks.is_empty()
        && { read }().is_ok()
        && environment.split(|byte| *byte == 0).any(|variable| marks.contains(variable))
}
