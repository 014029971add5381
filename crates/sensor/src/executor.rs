//! Carries tasks out and puts their answers together.

use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use muster_command::{Command, Reply};
use muster_model::Sid;
use muster_wire::{Event, Flags, InstallationKey, LiveEnded, LiveProgress, Transfer, TransferGrant};
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep};

use crate::agent::{Afterwards, Answer, Run, Verdict, event};
use crate::atom::{self, Atom};
use crate::clock;
use crate::commands::{self, Added, Failure, Fields, Handler, Job, Kind, code};
use crate::link::Route;
use crate::platform::files;
use crate::spool::Losses;
use crate::stop::Stop;

/// Longest event body of a reply; longer ones are split. Source: reference/events.md section 3.
const REPLY_BYTES_MAX: usize = 8 * 1024 * 1024;

/// How much longer than its time a command may take before it is taken to hang: one that looks at the clock
/// has ended by then.
const HANGING_AFTER: Duration = Duration::from_secs(15);
/// How long a command may take to end when it is asked to.
const STOPPING_MAX: Duration = Duration::from_secs(15);
/// Commands that hang at most; each keeps a thread.
pub const HANGING_MAX: usize = 8;

/// What commands tell the sensor while they run, and when they end.
#[derive(Debug)]
pub enum ToSensor {
    /// A task ended.
    Answered(Answer),
    /// Something happened on the endpoint; the collection decides whether it is sent.
    Observed(Event),
    /// Something to send in any case.
    Reported(Event),
    /// Answers of a task that goes on, and who waits until they are durable.
    Said(Vec<Event>, oneshot::Sender<()>),
    /// A command wants to move a file.
    Transfer(Transfer, oneshot::Sender<TransferGrant>),
    /// Isolation or seal changed.
    ProtectionChanged,
    /// A command of a live session, with the number of the session, ended.
    LiveEnded(u64, LiveEnded),
    /// A command of a live session has come so far.
    LiveProgress(u64, LiveProgress),
}

/// Numbers about the spool.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stats {
    /// What was lost since the sensor started.
    pub losses: Losses,
    /// Events that wait.
    pub queued_events: usize,
    /// Bytes that wait.
    pub queued_bytes: u64,
}

/// What commands share.
pub struct Toolbox {
    /// The state directory.
    pub state_dir: PathBuf,
    /// Whether the sensor protects itself.
    pub is_sealed: AtomicBool,
    /// Where to tell things.
    pub to_sensor: mpsc::Sender<ToSensor>,
    /// Who this sensor is; `None` before enrolment.
    pub sid: Mutex<Option<Sid>>,
    /// Id of this boot.
    pub boot_id: String,
    /// Key of the server.
    pub key: InstallationKey,
    /// Way to the server.
    pub route: Arc<Route>,
    /// Whether the endpoint is isolated.
    pub is_isolated: AtomicBool,
    /// The server's flags, as they are to be enforced.
    pub wanted: Mutex<Flags>,
    /// Held while isolation or seal change, so that changes come one after the other.
    pub changing: Mutex<()>,
    /// Whether collection rests.
    pub is_asleep: AtomicBool,
    /// Whether the kernel tells of processes, or they are polled.
    pub has_process_events: AtomicBool,
    /// Event types added to the collection by hand.
    pub added: Mutex<Added>,
    /// Numbers about the spool.
    pub stats: Mutex<Stats>,
    /// When the sensor started.
    pub begun: Instant,
    /// Commands that were given up and have not come back.
    pub hanging: AtomicUsize,
    /// Processes that commands have started, each the leader of a group, and that run.
    pub leaders: Mutex<BTreeSet<u32>>,
}

impl Toolbox {
    /// What commands share when the sensor starts: nothing is isolated, asleep or asked for.
    #[must_use]
    pub fn new(
        state_dir: PathBuf,
        (sid, boot_id): (Option<Sid>, String),
        key: InstallationKey,
        route: Arc<Route>,
        to_sensor: mpsc::Sender<ToSensor>,
    ) -> Self {
        Self {
            state_dir,
            is_sealed: AtomicBool::new(false),
            to_sensor,
            sid: Mutex::new(sid),
            boot_id,
            key,
            route,
            is_isolated: AtomicBool::new(false),
            wanted: Mutex::default(),
            changing: Mutex::default(),
            is_asleep: AtomicBool::new(false),
            has_process_events: AtomicBool::new(false),
            added: Mutex::default(),
            stats: Mutex::default(),
            begun: Instant::now(),
            hanging: AtomicUsize::new(0),
            leaders: Mutex::default(),
        }
    }

    /// Atom of a process, as text.
    #[must_use]
    pub fn process_atom(&self, pid: u32, start_ticks: u64) -> String {
        atom::text(&self.process_atom_bytes(pid, start_ticks))
    }

    /// Atom of a process.
    #[must_use]
    pub fn process_atom_bytes(&self, pid: u32, start_ticks: u64) -> Atom {
        let sid = *self.sid.lock().unwrap_or_else(PoisonError::into_inner);
        atom::of_process(sid, &self.boot_id, pid, start_ticks)
    }

    /// Asks the server for a transfer; `None` if the sensor stops.
    pub async fn request_transfer(&self, wanted: Transfer) -> Option<TransferGrant> {
        let (grant, granted) = oneshot::channel();
        self.to_sensor.send(ToSensor::Transfer(wanted, grant)).await.ok()?;
        granted.await.ok()
    }

    /// Whether a path leads to what the sensor keeps, or to a directory that holds it.
    #[must_use]
    pub fn is_state(&self, path: &Path) -> bool {
        let place = place_of(path);
        let own = files::resolve(&self.state_dir).unwrap_or_else(|_| self.state_dir.clone());
        [&own, &self.state_dir].into_iter().any(|own| place.starts_with(own) || own.starts_with(&place))
    }

    /// Refuses what would change the sensor's own files while it is sealed.
    ///
    /// # Errors
    ///
    /// A refusal with `ERROR` 5.
    pub fn refuse_if_protected(&self, path: &Path) -> Result<(), Failure> {
        if !self.is_sealed.load(Ordering::Relaxed) {
            return Ok(());
        }
        let place = place_of(path);
        let own = std::env::current_exe().is_ok_and(|own| own == place);
        if own || self.is_state(path) {
            return Err(Failure::refused(code::ACCESS_DENIED, "the sensor is sealed and protects its own files"));
        }
        Ok(())
    }
}

/// Where a path leads. The file itself may be a link elsewhere; what is changed is its directory.
fn place_of(path: &Path) -> PathBuf {
    let parent = path.parent().and_then(|parent| files::resolve(parent).ok());
    parent.zip(path.file_name()).map_or_else(|| path.to_owned(), |(parent, name)| parent.join(name))
}

/// Carries out one task and tells its end, which it may be asked to come to earlier.
pub async fn carry_out(run: Run, tools: Arc<Toolbox>, stop: Arc<Stop>) {
    let answer = match Command::parse(&run.command) {
        Ok(command) => answer(command, run, &tools, &stop).await,
        Err(error) => Answer {
            task: run.task,
            verdict: Verdict::Refused(code::INVALID_PARAMETER, error.to_string()),
            events: Vec::new(),
            afterwards: None,
        },
    };
    // The sensor may be stopping; the task is then found interrupted at its next start.
    let _ = tools.to_sensor.send(ToSensor::Answered(answer)).await;
}

async fn answer(command: Command, run: Run, tools: &Arc<Toolbox>, stop: &Arc<Stop>) -> Answer {
    let (name, task) = (command.spec.name, run.task);
    let Done { events, verdict, is_done } = perform(command, run, tools, stop).await;
    Answer { task, verdict, events, afterwards: afterwards(name).filter(|_| is_done) }
}

/// What came of a command.
pub(crate) struct Done {
    /// Its reply.
    pub(crate) events: Vec<Event>,
    /// How it ended.
    pub(crate) verdict: Verdict,
    /// Whether it did what it is for.
    is_done: bool,
}

/// Carries a command out, and puts its reply together.
pub(crate) async fn perform(command: Command, run: Run, tools: &Arc<Toolbox>, stop: &Arc<Stop>) -> Done {
    let (task, investigation_id) = (run.task, run.investigation_id.clone());
    let echo = echo(&command);
    let (name, reply) = (command.spec.name, command.spec.reply);
    let time = commands::time_max(name);
    let (tools, until, stop) = (Arc::clone(tools), Instant::now() + time, Arc::clone(stop));
    let Command { arguments, steps, .. } = command;
    let job = Job { arguments, steps, run, tools, until, stop: Arc::clone(&stop) };
    let outcome = match commands::handler(name) {
        Some(Handler::Waiting(handler)) => {
            let work = AssertUnwindSafe(handler(job)).catch_unwind();
            tokio::select! {
                ended = work => ended.unwrap_or_else(|_| Err(crashed())),
                failure = give_up(&stop, time) => Err(failure),
            }
        }
        Some(Handler::Blocking(handler)) => block(job, handler, time + HANGING_AFTER).await,
        None => Err(Failure::unsupported(format!("this sensor does not support {name}"))),
    };
    let is_done = outcome.is_ok();
    let (fields, verdict) = conclude(echo, outcome, stop.was_heeded());
    let is_silent = matches!(reply, Reply::Nothing | Reply::Notification) && is_done;
    let events = if is_silent { Vec::new() } else { parts(fields) }
        .into_iter()
        .map(|body| event(commands::reply(reply), body, Some((task, &investigation_id)), clock::now()))
        .collect();
    Done { events, verdict, is_done }
}

/// Waits until a command has taken too long, or too long to stop; gives what it failed of then.
async fn give_up(stop: &Stop, time: Duration) -> Failure {
    tokio::select! {
        () = sleep(time) => Failure::new(code::TIMEOUT, format!("given up after {} s", time.as_secs())),
        () = async { stop.asked().await; sleep(STOPPING_MAX).await } => {
            stop.heed();
            let text = format!("it did not stop, and was given up {} s after it was asked to", STOPPING_MAX.as_secs());
            Failure::new(code::CANCELLED, text)
        }
    }
}

fn crashed() -> Failure {
    Failure::new(code::INVALID_FUNCTION, "the command crashed")
}

/// Why something that blocks did not begin, or did not end as it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Hang {
    /// Too much hangs already.
    #[error(
        "{HANGING_MAX} commands hang in the kernel, most likely on a dead file system; see to it, or restart the sensor"
    )]
    TooMany,
    /// It panicked.
    #[error("the command crashed")]
    Crashed,
}

/// Carries a command out on a thread of its own.
pub(crate) async fn block(job: Job, handler: fn(&Job) -> commands::Outcome, time: Duration) -> commands::Outcome {
    let (tools, stop) = (Arc::clone(&job.tools), Arc::clone(&job.stop));
    match block_until(&tools, give_up(&stop, time), move || handler(&job)).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(failure)) => {
            let text = format!("it hangs: {}; what it does on the endpoint may still happen", failure.message);
            Err(Failure::new(failure.code, text))
        }
        Err(Hang::Crashed) => Err(crashed()),
        Err(hang @ Hang::TooMany) => Err(Failure::refused(code::BUSY, hang.to_string())),
    }
}

/// Does something on a thread of its own; gives the error of `given_up` if that comes first. What does not come back
/// by then hangs in the kernel (a file system whose server is gone, say) and cannot be stopped: its thread is left
/// alone, and its lane free.
///
/// # Errors
///
/// [`Hang`].
pub(crate) async fn block_until<T: Send + 'static, E>(
    tools: &Arc<Toolbox>,
    given_up: impl Future<Output = E>,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<Result<T, E>, Hang> {
    if tools.hanging.load(Ordering::Relaxed) >= HANGING_MAX {
        return Err(Hang::TooMany);
    }
    let mut thread = tokio::task::spawn_blocking(work);
    let why = tokio::select! {
        ended = &mut thread => return ended.map(Ok).map_err(|_| Hang::Crashed),
        why = given_up => why,
    };
    tools.hanging.fetch_add(1, Ordering::Relaxed);
    let tools = Arc::clone(tools);
    tokio::spawn(async move {
        // Whatever it says now comes too late.
        let _ = thread.await;
        tools.hanging.fetch_sub(1, Ordering::Relaxed);
    });
    Ok(Err(why))
}

fn afterwards(name: &str) -> Option<Afterwards> {
    match name {
        "restart" => Some(Afterwards::Restart),
        "uninstall" => Some(Afterwards::Uninstall),
        "shutdown" => Some(Afterwards::Shutdown),
        "reboot" => Some(Afterwards::Reboot),
        _ => None,
    }
}

/// `was_stopped` tells that the command ended because it was asked to: its reply has what it had by then.
fn conclude(mut fields: Fields, outcome: commands::Outcome, was_stopped: bool) -> (Fields, Verdict) {
    match outcome {
        outcome if was_stopped => {
            let (found, message) = match outcome {
                Ok(found) => (found, "stopped while it ran".to_owned()),
                Err(failure) => (failure.fields, failure.message),
            };
            fields.extend(found);
            fields.insert("ERROR".to_owned(), code::CANCELLED.into());
            fields.insert("ERROR_MESSAGE".to_owned(), message.clone().into());
            (fields, Verdict::Cancelled(message))
        }
        Ok(found) => {
            fields.extend(found);
            let code = fields.entry("ERROR").or_insert_with(|| 0.into()).as_i64().unwrap_or(0);
            let code = i32::try_from(code).unwrap_or(i32::MAX);
            (fields, Verdict::Finished(code, String::new()))
        }
        Err(failure) => {
            fields.extend(failure.fields);
            fields.insert("ERROR".to_owned(), failure.code.into());
            fields.insert("ERROR_MESSAGE".to_owned(), failure.message.clone().into());
            let verdict = match failure.kind {
                Kind::Failed => Verdict::Finished(failure.code, failure.message),
                Kind::Refused => Verdict::Refused(failure.code, failure.message),
                Kind::Unsupported => Verdict::Unsupported(failure.message),
            };
            (fields, verdict)
        }
    }
}

/// The request's own arguments as the reply repeats them. Source: reference/commands.md section 6.
fn echo(command: &Command) -> Fields {
    const NAMES: &[(&str, &str)] = &[
        ("depth", "DIRECTORY_LIST_DEPTH"),
        ("domain", "DOMAIN_NAME"),
        ("dst", "DESTINATION"),
        ("file", "FILE_PATH"),
        ("file-exp", "FILE_PATH"),
        ("hash", "HASH"),
        ("payload-name", "PAYLOAD_NAME"),
        ("pid", "PROCESS_ID"),
        ("root-dir", "DIRECTORY_PATH"),
        ("shell-command", "COMMAND_LINE"),
        ("src", "SOURCE"),
    ];
    let arguments = &command.arguments;
    let value = |name: &str| -> Option<Value> {
        let text = arguments.text(name).map(Value::from);
        let number = || arguments.number(name).map(Value::from);
        let list = || Some(arguments.list(name)).filter(|list| !list.is_empty()).map(Value::from);
        text.or_else(number).or_else(list)
    };
    NAMES.iter().filter_map(|(name, field)| Some(((*field).to_owned(), value(name)?))).collect()
}

/// Splits a reply that is too long for one event along its longest list, and
/// numbers the parts. Source: reference/commands.md section 6.2.
fn parts(mut fields: Fields) -> Vec<Value> {
    let bytes = length(&fields);
    if bytes <= REPLY_BYTES_MAX {
        return vec![Value::Object(fields)];
    }
    let lists = fields.iter().filter_map(|(name, value)| Some((name.clone(), value.as_array()?.len())));
    let longest = lists.max_by_key(|(_, elements)| *elements).map(|(name, _)| name);
    let Some((name, Value::Array(list))) = longest.and_then(|name| fields.remove_entry(&name)) else {
        return vec![Value::Object(fit(fields))];
    };
    // Half the bound, since elements differ in length.
    let count = bytes.div_ceil(REPLY_BYTES_MAX / 2).max(1);
    let chunks: Vec<&[Value]> = list.chunks(list.len().div_ceil(count).max(1)).collect();
    let parts = chunks.len();
    let part = |(at, chunk): (usize, &&[Value])| {
        let mut fields = fields.clone();
        fields.insert(name.clone(), Value::from(chunk.to_vec()));
        fields.insert("PART".to_owned(), (at + 1).into());
        fields.insert("PARTS".to_owned(), parts.into());
        Value::Object(fit(fields))
    };
    chunks.iter().enumerate().map(part).collect()
}

/// Leaves out the longest fields of what cannot be split, and says so. Output full
/// of control characters grows sixfold when it becomes JSON.
fn fit(mut fields: Fields) -> Fields {
    while length(&fields) > REPLY_BYTES_MAX {
        let longest = fields.iter().max_by_key(|(_, value)| value.to_string().len()).map(|(name, _)| name.clone());
        let Some(name) = longest else { break };
        fields.remove(&name);
        fields.insert("ERROR_MESSAGE".to_owned(), format!("{name} is left out: it is too long for an event").into());
    }
    fields
}

fn length(fields: &Fields) -> usize {
    serde_json::to_vec(fields).map_or(usize::MAX, |text| text.len())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fields(value: Value) -> Fields {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn long_replies_are_split_along_their_list_and_nothing_is_lost() {
        let list: Vec<Value> = (0..100).map(|number| json!({"FILE_NAME": number.to_string().repeat(60_000)})).collect();
        let parts = parts(fields(json!({"DIRECTORY_PATH": "/x", "DIRECTORY_LIST": list, "ERROR": 0})));
        assert!(parts.len() > 1 && parts.iter().all(|part| part.to_string().len() <= REPLY_BYTES_MAX));
        let joined: Vec<Value> =
            parts.iter().flat_map(|part| part["DIRECTORY_LIST"].as_array().unwrap().clone()).collect();
        assert!(joined == list);
        for (at, part) in parts.iter().enumerate() {
            assert_eq!(
                (&part["PART"], &part["PARTS"], &part["ERROR"]),
                (&json!(at + 1), &json!(parts.len()), &json!(0))
            );
        }
    }

    #[test]
    fn what_cannot_be_split_is_left_out_by_name() {
        let control = "\u{1}".repeat(1_000_000);
        let parts = parts(fields(json!({"STDOUT": control, "STDERR": &control[1..], "ERROR": 3})));
        assert_eq!((parts.len(), &parts[0]["ERROR"]), (1, &json!(3)));
        assert!(parts[0].get("STDOUT").is_none() && parts[0].get("STDERR").is_some());
        assert!(parts[0]["ERROR_MESSAGE"].as_str().unwrap().starts_with("STDOUT"));
    }
}
