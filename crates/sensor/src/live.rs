//! Live sessions on the endpoint: what each of their commands does.
//!
//! When what begins is decided by [`muster_live::Endpoint`]. Bodies are those of tasks wherever both do the same; what
//! differs between operating systems is in `platform::live`. Source: reference/live-response.md section 5.

mod archive;
mod failure;
mod files;
pub(crate) mod image;
mod memory;
mod processes;
mod registry;
mod transfer;

use std::sync::Arc;
use std::time::Duration;

use muster_live::{Code, Found, Order};
use muster_wire::{LiveEnded, LiveFile};
use tokio::time::{sleep, timeout};

use crate::executor::{self, Toolbox};
pub use failure::Failure;

/// Longest text of what a command found: it travels in one message of the link, with room for its envelope.
const FOUND_BYTES_MAX: usize = 8 * 1024 * 1024;

/// What a command gives.
type Outcome = Result<Found, Failure>;

/// One command of a session, to be carried out.
pub struct Job {
    /// The session.
    pub session: u64,
    /// Number of the command.
    pub command: u32,
    /// What to do.
    pub order: Order,
    /// After which it is given up.
    pub timeout: Duration,
    /// The file that it moves.
    pub file: Option<LiveFile>,
    /// What commands share.
    pub tools: Arc<Toolbox>,
}

/// Carries a command out.
pub async fn carry_out(job: Job) -> LiveEnded {
    let (command, time) = (job.command, job.timeout);
    let outcome = match perform(job).await {
        Err(failure) if failure.code == Code::TIMEOUT && failure.text.is_empty() => {
            Err(Failure { text: format!("given up after {} s", time.as_secs()), ..failure })
        }
        outcome => outcome,
    };
    let (code, text, found) = match outcome {
        Ok(found) => (Code::SUCCESS, String::new(), found),
        Err(failure) => (failure.code, failure.text, *failure.found),
    };
    let bytes = serde_json::to_vec(&found).unwrap_or_default();
    if bytes.len() > FOUND_BYTES_MAX {
        let text = format!("the answer has more than {FOUND_BYTES_MAX} bytes; ask for less, by a pattern for example");
        return LiveEnded { command, code: Code::NO_SYSTEM_RESOURCES.0, text, found: Vec::new() };
    }
    LiveEnded { command, code: code.0, text, found: bytes }
}

async fn perform(job: Job) -> Outcome {
    let time = job.timeout;
    match job.order {
        Order::GetFile { ref path, offset, count } => {
            let (path, count) = (files::resolved(path), (count > 0).then_some(count));
            within(time, transfer::get(&job, &path, offset, count)).await
        }
        Order::PutFile { ref path, .. } => within(time, transfer::put(&job, &files::resolved(path))).await,
        Order::CreateProcess { ref line, wait, ref working_directory, ref output_file } => {
            let start = processes::Start { line, wait, working_directory, output_file, time };
            processes::create(&job.tools, &start).await
        }
        Order::Memdump { ref path, pid, compress } => {
            memory::dump(&job, &memory::Wanted { path: files::resolved(path), pid, compress }).await
        }
        order => {
            let tools = Arc::clone(&job.tools);
            let work = move || at_once(&order, &tools);
            match executor::block_until(&job.tools, sleep(time), work).await? {
                Ok(outcome) => outcome,
                Err(()) => {
                    let text = "it hangs, and was given up; what it does on the endpoint may still happen";
                    Err(Failure::new(Code::TIMEOUT, text))
                }
            }
        }
    }
}

async fn within(time: Duration, work: impl Future<Output = Outcome>) -> Outcome {
    timeout(time, work).await.unwrap_or_else(|_| Err(Failure::new(Code::TIMEOUT, String::new())))
}

/// What blocks, and is done in one go.
fn at_once(order: &Order, tools: &Toolbox) -> Outcome {
    match order {
        Order::DirectoryList { path } => files::list(path),
        Order::CreateDirectory { path } => files::create_directory(tools, &files::resolved(path)),
        Order::DeleteFile { path } => files::delete(tools, &files::resolved(path)),
        Order::ProcessList => Ok(processes::list()),
        Order::Kill { pid } => processes::kill(tools, *pid),
        other => registry::perform(other),
    }
}

#[cfg(test)]
mod tests;
