//! `process list`, `kill`, `create process`. Source: reference/live-response.md sections 5.12 to 5.14.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use muster_live::{Code, Found, ProcessFound};
use tokio::process::Command;
use tokio::time::{Instant, timeout};

use super::files::{refuse_own, resolved};
use super::{Failure, Outcome};
use crate::commands::process::control_by_operator;
use crate::executor::Toolbox;
use crate::platform::process;
use crate::platform::shapes::{Control, Process};
use crate::platform::{accounts, children, files, live};

/// How long the end of a process that was killed is waited for. Source: reference/live-response.md section 5.13.
const DEATH_MAX: Duration = Duration::from_secs(5);
/// How often it is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Lists all processes.
pub(super) fn list() -> Found {
    let names = accounts::Names::read();
    let all: Vec<Process> = process::pids().into_iter().filter_map(process::describe).collect();
    let created: HashMap<u32, i64> = all.iter().map(|process| (process.pid, process.created_ms)).collect();
    let found = |process: &Process| {
        let (sid, username) = live::account(process, &names);
        ProcessFound {
            pid: process.pid,
            created_ms: process.created_ms,
            path: live::program(process).unwrap_or_else(|| format!("[{}]", process::short_name(process.pid))),
            command_line: process.command_line.clone(),
            sid,
            username,
            parent: process.parent_pid,
            parent_created_ms: created.get(&process.parent_pid).copied().unwrap_or(0),
        }
    };
    Found { processes: all.iter().map(found).collect(), ..Found::default() }
}

/// Ends a process, and waits until it is gone. Blocks.
pub(super) fn kill(tools: &Toolbox, pid: u32) -> Outcome {
    if live::is_untouchable(pid) {
        return Err(Failure::new(Code::ACCESS_DENIED, "this process cannot be ended by a session"));
    }
    let Some(start_ticks) = process::start_ticks(pid) else {
        return Err(Failure::new(Code::INVALID_PARAMETER, format!("no process with id {pid}")));
    };
    control_by_operator(tools, pid, Some(start_ticks), Control::Kill)?;
    let until = Instant::now() + DEATH_MAX;
    while process::standing(pid).is_some_and(|standing| standing.start_ticks == start_ticks) {
        if Instant::now() >= until {
            let text = format!("process {pid} was told to end, and has not in {} s", DEATH_MAX.as_secs());
            return Err(Failure::new(Code::TIMEOUT, text));
        }
        std::thread::sleep(LOOK_EVERY);
    }
    Ok(Found::default())
}

/// A process to be started.
pub(super) struct Start<'a> {
    /// Program and arguments.
    pub(super) line: &'a str,
    /// Whether its end is waited for.
    pub(super) wait: bool,
    /// Where it begins; empty is the session's own.
    pub(super) working_directory: &'a str,
    /// Receives its output; empty is nowhere.
    pub(super) output_file: &'a str,
    /// How long its end is waited for.
    pub(super) time: Duration,
}

/// Starts a process that outlives its session.
pub(super) async fn create(tools: &Toolbox, start: &Start<'_>) -> Outcome {
    let directory = resolved(start.working_directory);
    if !directory.is_dir() {
        return Err(Failure::new(Code::DIRECTORY, format!("{} is no directory", directory.display())));
    }
    let (program, mut command) = live::command(start.line)?;
    let (output, errors) = outputs(tools, start.output_file)?;
    command.current_dir(&directory).stdin(Stdio::null()).stdout(output).stderr(errors);
    children::detach(&mut command);
    let mut child = spawn(command).map_err(|error| Failure::at(Path::new(&program), &error))?;
    let pid = child.id();
    if !start.wait {
        return Ok(Found { pid, return_code: Some(-1), ..Found::default() });
    }
    match timeout(start.time, child.wait()).await {
        Ok(status) => Ok(Found { pid, return_code: Some(children::exit_code(status?).into()), ..Found::default() }),
        Err(_) => {
            let text = format!("the process still runs after {} s; it is left running", start.time.as_secs());
            let found = Found { pid, return_code: Some(-1), ..Found::default() };
            Err(Failure { found: Box::new(found), ..Failure::new(Code::TIMEOUT, text) })
        }
    }
}

/// Both outputs of a process: the same file, or nowhere. The file is made, or emptied, before the process starts.
fn outputs(tools: &Toolbox, path: &str) -> Result<(Stdio, Stdio), Failure> {
    if path.is_empty() {
        return Ok((Stdio::null(), Stdio::null()));
    }
    let path = resolved(path);
    refuse_own(tools, &path)?;
    if fs::metadata(&path).is_ok_and(|metadata| !metadata.is_file()) {
        return Err(Failure::new(Code::ACCESS_DENIED, format!("{} is not a regular file", path.display())));
    }
    let open = || -> io::Result<(File, File)> {
        let file = files::private().write(true).create(true).truncate(true).open(&path)?;
        Ok((file.try_clone()?, file))
    };
    let (output, errors) = open().map_err(|error| Failure::at(&path, &error))?;
    Ok((output.into(), errors.into()))
}

/// Drops the command, so that nothing here keeps the output open.
fn spawn(mut command: Command) -> io::Result<tokio::process::Child> {
    command.spawn()
}
