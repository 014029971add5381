//! The commands: what each does and answers.
//!
//! A command takes its checked arguments and gives the fields of its reply; the
//! executor adds the echo of the arguments, `ERROR` and the rest. Source:
//! reference/commands.md section 6.

mod agent;
mod collection;
mod directory;
mod failure;
mod file;
mod inventory;
mod memory;
mod network;
mod os_version;
pub(crate) mod process;
mod run;
mod transfer;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use muster_command::{Arguments, Command, Reply};
use serde_json::{Map, Value};

use crate::agent::{Look, Run};
use crate::executor::Toolbox;

pub use collection::Added;
pub use failure::{Failure, Kind, code};

/// Fields of a reply.
pub type Fields = Map<String, Value>;
/// What a command gives.
pub type Outcome = Result<Fields, Failure>;

/// One command to carry out.
pub struct Job {
    /// Checked arguments.
    pub arguments: Arguments,
    /// The task it belongs to.
    pub run: Run,
    /// What commands share.
    pub tools: Arc<Toolbox>,
}

/// How a command is carried out.
#[derive(Clone, Copy)]
pub enum Handler {
    /// On a thread of its own: it blocks.
    Blocking(fn(&Job) -> Outcome),
    /// On the sensor's thread: it waits, but never blocks.
    Waiting(fn(Job) -> Pin<Box<dyn Future<Output = Outcome> + Send>>),
}

/// Commands of this build, sorted by name.
const HANDLERS: &[(&str, Handler)] = &[
    ("artifact_get", Handler::Waiting(|job| Box::pin(transfer::artifact_get(job)))),
    ("dir_find_hash", Handler::Blocking(directory::find_hash)),
    ("dir_list", Handler::Blocking(directory::list)),
    ("dns_resolve", Handler::Blocking(network::resolve)),
    ("exfil_add", Handler::Blocking(collection::add)),
    ("exfil_del", Handler::Blocking(collection::remove)),
    ("exfil_get", Handler::Blocking(collection::list)),
    ("file_del", Handler::Blocking(file::delete)),
    ("file_get", Handler::Blocking(file::get)),
    ("file_hash", Handler::Blocking(file::hash)),
    ("file_info", Handler::Blocking(file::info)),
    ("file_mov", Handler::Blocking(file::rename)),
    ("get_debug_data", Handler::Blocking(agent::debug_data)),
    ("history_dump", Handler::Blocking(collection::history_dump)),
    ("mem_find_handle", Handler::Blocking(memory::find_handle)),
    ("mem_find_string", Handler::Blocking(memory::find_string)),
    ("mem_handles", Handler::Blocking(memory::handles)),
    ("mem_map", Handler::Blocking(process::memory_map)),
    ("mem_read", Handler::Blocking(memory::read)),
    ("mem_strings", Handler::Blocking(memory::strings)),
    ("netstat", Handler::Blocking(network::netstat)),
    ("os_drivers", Handler::Blocking(inventory::drivers)),
    ("os_kill_process", Handler::Blocking(process::kill)),
    ("os_packages", Handler::Blocking(inventory::packages)),
    ("os_processes", Handler::Blocking(process::list)),
    ("os_resume", Handler::Blocking(process::resume)),
    ("os_services", Handler::Blocking(inventory::services)),
    ("os_suspend", Handler::Blocking(process::suspend)),
    ("os_users", Handler::Blocking(inventory::users)),
    ("os_version", Handler::Blocking(os_version::os_version)),
    ("put", Handler::Waiting(|job| Box::pin(transfer::put(job)))),
    ("reboot", Handler::Blocking(agent::switch_off)),
    ("rejoin_network", Handler::Blocking(agent::rejoin)),
    ("restart", Handler::Blocking(nothing)),
    ("run", Handler::Waiting(|job| Box::pin(run::run(job)))),
    ("seal", Handler::Blocking(agent::seal)),
    ("segregate_network", Handler::Blocking(agent::isolate)),
    ("shutdown", Handler::Blocking(agent::switch_off)),
    ("uninstall", Handler::Blocking(agent::uninstall)),
];

/// How to carry out the command of this name; `None` if this build cannot.
#[must_use]
pub fn handler(name: &str) -> Option<Handler> {
    HANDLERS.binary_search_by_key(&name, |row| row.0).ok().map(|at| HANDLERS[at].1)
}

/// Looks at a command line without running it.
#[must_use]
pub fn look(line: &str) -> Look {
    let command = match Command::parse(line) {
        Ok(command) => command,
        Err(error) => {
            let name = line.split_ascii_whitespace().next().unwrap_or_default();
            let spec = muster_command::find(name);
            return Look {
                request: spec.map_or_else(|| "UNKNOWN_REQ".to_owned(), |spec| spec.request()),
                reply: spec.map_or("RECEIPT", |spec| reply(spec.reply)).to_owned(),
                refusal: Some((
                    if spec.is_some() { code::INVALID_PARAMETER } else { code::NOT_SUPPORTED },
                    error.to_string(),
                )),
                is_silent: false,
            };
        }
    };
    let spec = command.spec;
    let refusal = handler(spec.name)
        .is_none()
        .then(|| (code::NOT_SUPPORTED, format!("this sensor does not support {}", spec.name)));
    Look {
        request: spec.request(),
        reply: reply(spec.reply).to_owned(),
        is_silent: spec.reply == Reply::Nothing && refusal.is_none(),
        refusal,
    }
}

/// Event type of an answer; `RECEIPT` where the command has none of its own.
#[must_use]
pub fn reply(reply: Reply) -> &'static str {
    match reply {
        Reply::Event(name) | Reply::Stream(name) => name,
        Reply::Receipt | Reply::Notification | Reply::Nothing => "RECEIPT",
    }
}

/// The command consists of what follows its end.
fn nothing(_: &Job) -> Outcome {
    Ok(Fields::new())
}

/// Makes fields of a JSON object.
fn fields(value: Value) -> Fields {
    match value {
        Value::Object(fields) => fields,
        _ => Fields::new(),
    }
}

#[cfg(test)]
mod tests;
