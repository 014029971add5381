//! Commands on processes. Source: reference/commands.md sections 6.4 and 6.5.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

use super::{Failure, Fields, Job, List, Outcome, code, fields};
use crate::executor::Toolbox;
use crate::platform::accounts::Names;
use crate::platform::children;
use crate::platform::process;
use crate::platform::shapes::{Control, Process, Region};

/// A process that an operator named: by atom, which wins, or by id.
pub(super) struct Named {
    pub(super) pid: u32,
    start_ticks: Option<u64>,
}

pub(super) fn named(job: &Job) -> Result<Named, Failure> {
    let gone = |what: String| Failure::new(code::INVALID_PARAMETER, format!("no process with {what}"));
    if let Some(wanted) = job.arguments.text("processatom") {
        let found = process::pids().into_iter().find_map(|pid| {
            let start_ticks = process::start_ticks(pid)?;
            (job.tools.process_atom(pid, start_ticks) == wanted)
                .then_some(Named { pid, start_ticks: Some(start_ticks) })
        });
        return found.ok_or_else(|| gone(format!("atom {wanted}")));
    }
    let pid = job.arguments.number("pid").and_then(|pid| u32::try_from(pid).ok()).unwrap_or(0);
    match process::start_ticks(pid) {
        Some(start_ticks) => Ok(Named { pid, start_ticks: Some(start_ticks) }),
        None => Err(gone(format!("id {pid}"))),
    }
}

pub(super) fn list(job: &Job) -> Outcome {
    let only = job.arguments.number("pid").and_then(|pid| u32::try_from(pid).ok());
    let with_modules = !job.arguments.flag("is-no-modules");
    let names = Names::read();
    let pids = only.map_or_else(process::pids, |pid| vec![pid]);
    let mut processes = List::default();
    let mut is_truncated = false;
    for process in pids.into_iter().filter_map(process::describe) {
        let mut described = description(&process, &names, &job.tools);
        if with_modules {
            described.insert("MODULES".to_owned(), modules(process.pid).into());
        }
        is_truncated = !processes.push(Value::Object(described)) || job.is_over();
        if is_truncated {
            break;
        }
    }
    if processes.values.is_empty() {
        return Err(Failure::new(code::INVALID_PARAMETER, "no such process"));
    }
    let mut reply = fields(json!({"PROCESSES": processes.values}));
    if is_truncated {
        reply.insert("ERROR_MESSAGE".to_owned(), "truncated: use --is-no-modules, or --pid".into());
    }
    Ok(reply)
}

/// The published description of a process. Source: reference/events.md section 5.1.
pub(crate) fn description(process: &Process, names: &Names, tools: &Toolbox) -> Fields {
    let mut found = fields(json!({
        "PROCESS_ID": process.pid,
        "PARENT_PROCESS_ID": process.parent_pid,
        "COMMAND_LINE": process.command_line,
        "THREADS": process.threads,
        "MEMORY_USAGE": process.memory_bytes,
        "CREATION_TIME": process.created_ms,
        "THIS_ATOM": tools.process_atom(process.pid, process.start_ticks),
    }));
    let mut add = |name: &str, value: Option<Value>| value.map(|value| found.insert(name.to_owned(), value));
    add("FILE_PATH", process.path.clone().map(Value::from));
    add("USER_ID", process.account.as_ref().map(|id| json!(id)));
    add("USER_NAME", process.account.as_ref().and_then(|id| names.get(id)).map(Value::from));
    let parent = process::start_ticks(process.parent_pid).map(|ticks| tools.process_atom(process.parent_pid, ticks));
    add("PARENT_ATOM", parent.map(Value::from));
    found
}

fn modules(pid: u32) -> Vec<Value> {
    let mut modules: Vec<(String, u64, u64)> = Vec::new();
    for region in process::regions(pid).unwrap_or_default() {
        let Some(path) = region.path.filter(|path| is_file(path)) else { continue };
        match modules.last_mut() {
            Some((last, base, bytes)) if *last == path => *bytes = (region.base + region.bytes).saturating_sub(*base),
            _ => modules.push((path, region.base, region.bytes)),
        }
    }
    modules
        .into_iter()
        .map(|(path, base, bytes)| {
            json!({
                "BASE_ADDRESS": base,
                "MEMORY_SIZE": bytes,
                "MODULE_NAME": module_name(&path),
                "FILE_PATH": path,
                "PROCESS_ID": pid,
            })
        })
        .collect()
}

/// Whether a region is of a file, and not of the kernel or a heap.
fn is_file(path: &str) -> bool {
    Path::new(path).is_absolute()
}

fn module_name(path: &str) -> String {
    Path::new(path).file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

pub(super) fn memory_map(job: &Job) -> Outcome {
    let pid = named(job)?.pid;
    let regions = process::regions(pid)?;
    let region = |region: &Region| {
        let mut found = fields(json!({
            "BASE_ADDRESS": region.base,
            "MEMORY_SIZE": region.bytes,
            "MEMORY_TYPE": region.kind,
            "MEMORY_ACCESS": region.access,
        }));
        if let Some(path) = &region.path {
            found.insert("FILE_PATH".to_owned(), path.clone().into());
            if is_file(path) {
                found.insert("MODULE_NAME".to_owned(), module_name(path).into());
            }
        }
        Value::Object(found)
    };
    Ok(fields(json!({"PROCESS_ID": pid, "MEMORY_MAP": regions.iter().map(region).collect::<Vec<_>>()})))
}

pub(super) fn kill(job: &Job) -> Outcome {
    control(job, Control::Kill)
}

pub(super) fn suspend(job: &Job) -> Outcome {
    control(job, Control::Suspend)
}

pub(super) fn resume(job: &Job) -> Outcome {
    control(job, Control::Resume)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn control(job: &Job, what: Control) -> Outcome {
    let named = named(job)?;
    if named.pid == std::process::id() {
        return Err(Failure::refused(code::ACCESS_DENIED, "this is the sensor itself"));
    }
    if process::is_first(named.pid) {
        return Err(Failure::refused(code::INVALID_PARAMETER, "the first process of a system cannot be controlled"));
    }
    if job.arguments.number("tid").is_some_and(|tid| tid != i64::from(named.pid)) {
        return Err(Failure::unsupported("this sensor cannot stop a single thread"));
    }
    control_by_operator(&job.tools, named.pid, named.start_ticks, what)?;
    Ok(fields(json!({"PROCESS_ID": named.pid})))
}

/// Controls a process. One that a command has started is ended with its group: the command then ends, too, which
/// waits for all of the group's output.
///
/// # Errors
///
/// What the kernel says.
pub(crate) fn control_by_operator(
    tools: &Toolbox,
    pid: u32,
    start_ticks: Option<u64>,
    what: Control,
) -> std::io::Result<()> {
    let is_leader = lock(&tools.leaders).contains(&pid);
    if is_leader && what == Control::Kill {
        return children::kill_group(pid);
    }
    process::control(pid, start_ticks, what)
}
