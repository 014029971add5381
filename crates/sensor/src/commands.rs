//! The commands: what each does and answers.
//!
//! A command takes its checked arguments and gives the fields of its reply; the
//! executor adds the echo of the arguments, `ERROR` and the rest. Source:
//! reference/commands.md section 6.

mod agent;
mod batch;
mod collection;
mod directory;
mod failure;
pub(crate) mod file;
mod inventory;
mod memory;
mod network;
mod os_version;
pub(crate) mod process;
mod registry;
mod run;
mod transfer;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

use muster_command::{Arguments, Command, Reply};
use serde_json::{Map, Value};

use crate::agent::{Lane, Look, Run};
use crate::executor::Toolbox;
use crate::stop::Stop;

pub use collection::Added;
pub(crate) use directory::matches;
pub use failure::{Failure, Kind, code};
pub(crate) use transfer::Temporary;

/// Fields of a reply.
pub type Fields = Map<String, Value>;
/// What a command gives.
pub type Outcome = Result<Fields, Failure>;

/// One command to carry out.
pub struct Job {
    /// Checked arguments.
    pub arguments: Arguments,
    /// The commands of a batch.
    pub steps: Vec<Command>,
    /// The task it belongs to.
    pub run: Run,
    /// What commands share.
    pub tools: Arc<Toolbox>,
    /// When it must have ended, with what it has by then.
    pub until: Instant,
    /// Tells it to end.
    pub stop: Arc<Stop>,
}

impl Job {
    /// Whether its time is over, or it is asked to end.
    pub(crate) fn is_over(&self) -> bool {
        self.stop.heed() || Instant::now() >= self.until
    }

    /// Does something that can be left off half way, and leaves it off if the command is asked to end.
    async fn unless_stopped<T>(&self, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        tokio::select! {
            biased;
            done = work => done,
            () = self.stop.asked() => {
                self.stop.heed();
                Err(Failure::new(code::CANCELLED, "stopped while it ran"))
            }
        }
    }
}

/// Time for a command of the short lane. What takes longer hangs.
const SHORT_TIME_MAX: Duration = Duration::from_secs(60);
/// Time for a command of the long lane: 100 GiB are hashed in it.
const LONG_TIME_MAX: Duration = Duration::from_secs(600);
/// Time to move a file: 100 GB over a good line.
const TRANSFER_TIME_MAX: Duration = Duration::from_secs(3_600);
/// `run` ends by its own `--timeout`, and a batch with its commands; this only keeps an instant representable.
const RUN_TIME_MAX: Duration = Duration::from_secs(365 * 24 * 3_600);
/// Longest text of a list in a reply; what holds it in memory is some five times as much.
pub(crate) const LIST_BYTES_MAX: usize = 16 * 1024 * 1024;

/// How long a command may take.
#[must_use]
pub fn time_max(name: &str) -> Duration {
    match (name, row(name).map(|row| row.1)) {
        ("run" | "batch", _) => RUN_TIME_MAX,
        ("artifact_get" | "put", _) => TRANSFER_TIME_MAX,
        (_, Some(Lane::Long)) => LONG_TIME_MAX,
        _ => SHORT_TIME_MAX,
    }
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
const HANDLERS: &[(&str, Lane, Handler)] = &[
    ("artifact_get", Lane::Long, Handler::Waiting(|job| Box::pin(transfer::artifact_get(job)))),
    ("batch", Lane::Long, Handler::Waiting(|job| Box::pin(batch::batch(job)))),
    ("dir_find_hash", Lane::Long, Handler::Blocking(directory::find_hash)),
    ("dir_list", Lane::Long, Handler::Blocking(directory::list)),
    ("dns_resolve", Lane::Long, Handler::Blocking(network::resolve)),
    ("exfil_add", Lane::Short, Handler::Blocking(collection::add)),
    ("exfil_del", Lane::Short, Handler::Blocking(collection::remove)),
    ("exfil_get", Lane::Short, Handler::Blocking(collection::list)),
    ("file_del", Lane::Short, Handler::Blocking(file::delete)),
    ("file_get", Lane::Short, Handler::Blocking(file::get)),
    ("file_hash", Lane::Long, Handler::Blocking(file::hash)),
    ("file_info", Lane::Short, Handler::Blocking(file::info)),
    ("file_mov", Lane::Short, Handler::Blocking(file::rename)),
    ("get_debug_data", Lane::Short, Handler::Blocking(agent::debug_data)),
    ("history_dump", Lane::Long, Handler::Blocking(collection::history_dump)),
    ("mem_find_handle", Lane::Long, Handler::Blocking(memory::find_handle)),
    ("mem_find_string", Lane::Long, Handler::Blocking(memory::find_string)),
    ("mem_handles", Lane::Long, Handler::Blocking(memory::handles)),
    ("mem_map", Lane::Short, Handler::Blocking(process::memory_map)),
    ("mem_read", Lane::Short, Handler::Blocking(memory::read)),
    ("mem_strings", Lane::Long, Handler::Blocking(memory::strings)),
    ("netstat", Lane::Short, Handler::Blocking(network::netstat)),
    ("os_drivers", Lane::Short, Handler::Blocking(inventory::drivers)),
    ("os_kill_process", Lane::Short, Handler::Blocking(process::kill)),
    ("os_packages", Lane::Long, Handler::Blocking(inventory::packages)),
    ("os_processes", Lane::Short, Handler::Blocking(process::list)),
    ("os_resume", Lane::Short, Handler::Blocking(process::resume)),
    ("os_services", Lane::Short, Handler::Blocking(inventory::services)),
    ("os_suspend", Lane::Short, Handler::Blocking(process::suspend)),
    ("os_users", Lane::Short, Handler::Blocking(inventory::users)),
    ("os_version", Lane::Short, Handler::Blocking(os_version::os_version)),
    ("put", Lane::Long, Handler::Waiting(|job| Box::pin(transfer::put(job)))),
    ("reboot", Lane::Short, Handler::Blocking(agent::switch_off)),
    ("reg_get", Lane::Short, Handler::Blocking(registry::get)),
    ("reg_list", Lane::Short, Handler::Blocking(registry::list)),
    ("rejoin_network", Lane::Short, Handler::Blocking(agent::rejoin)),
    ("restart", Lane::Short, Handler::Blocking(nothing)),
    ("run", Lane::Long, Handler::Waiting(|job| Box::pin(run::run(job)))),
    ("seal", Lane::Short, Handler::Blocking(agent::seal)),
    ("segregate_network", Lane::Short, Handler::Blocking(agent::isolate)),
    ("shutdown", Lane::Short, Handler::Blocking(agent::switch_off)),
    ("uninstall", Lane::Short, Handler::Blocking(agent::uninstall)),
];

/// How to carry out the command of this name; `None` if this build cannot.
#[must_use]
pub fn handler(name: &str) -> Option<Handler> {
    row(name).map(|row| row.2)
}

fn row(name: &str) -> Option<&'static (&'static str, Lane, Handler)> {
    HANDLERS.binary_search_by_key(&name, |row| row.0).ok().map(|at| &HANDLERS[at])
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
                lane: Lane::Short,
            };
        }
    };
    let spec = command.spec;
    let missing = command.all().map(|command| command.spec.name).find(|name| handler(name).is_none());
    let refusal = missing.map(|name| (code::NOT_SUPPORTED, format!("this sensor does not support {name}")));
    Look {
        request: spec.request(),
        reply: reply(spec.reply).to_owned(),
        is_silent: spec.reply == Reply::Nothing && refusal.is_none(),
        lane: row(spec.name).map_or(Lane::Short, |row| row.1),
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

/// A list that grows until it is too long for a reply.
#[derive(Default)]
struct List {
    values: Vec<Value>,
    bytes: usize,
}

impl List {
    /// Adds a value; tells whether there is room for more.
    fn push(&mut self, value: Value) -> bool {
        self.bytes += value.to_string().len();
        self.values.push(value);
        self.bytes < LIST_BYTES_MAX
    }
}

/// Makes fields of a JSON object.
fn fields(value: Value) -> Fields {
    match value {
        Value::Object(fields) => fields,
        _ => Fields::new(),
    }
}

#[cfg(test)]
pub(crate) mod tests;
