//! `run`: a shell command or a payload on the endpoint.

mod output;

use std::io;
use std::path::Path;
use std::process::Stdio;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use super::transfer::{self, Temporary};
use super::{Failure, Job, Outcome, code, fields};
use crate::executor::Toolbox;
use crate::platform::children::{self, Group};
use crate::platform::{files, live};
use output::Output;

/// How long output is awaited after the process ended: what it left running in
/// the background may hold the pipes open for ever.
const LINGER: Duration = Duration::from_millis(500);
/// Attempts to start a program that is busy, and the wait between them.
const BUSY_RETRIES: u32 = 10;
const BUSY_WAIT: Duration = Duration::from_millis(20);
/// The default of the command line, which always gives one.
const TIMEOUT_S: i64 = 60;

pub(super) async fn run(job: Job) -> Outcome {
    if job.arguments.has("user") {
        return Err(Failure::unsupported("this sensor cannot run as another user"));
    }
    if let Some(name) = job.arguments.text("payload-name") {
        return run_payload(&job, name).await;
    }
    let line = job.arguments.text("shell-command").unwrap_or_default();
    refuse_own_files(&job, line)?;
    execute(children::shell(line), &job).await
}

/// What a shell will do cannot be known; a sealed sensor refuses what names its files.
fn refuse_own_files(job: &Job, line: &str) -> Result<(), Failure> {
    let own = std::env::current_exe().unwrap_or_default();
    let names_own = [own.as_path(), &job.tools.state_dir]
        .iter()
        .any(|path| !path.as_os_str().is_empty() && line.contains(&*path.to_string_lossy()));
    if names_own && job.tools.is_sealed.load(Ordering::Relaxed) {
        return Err(Failure::refused(code::ACCESS_DENIED, "the sensor is sealed and protects its own files"));
    }
    Ok(())
}

async fn run_payload(job: &Job, name: &str) -> Outcome {
    let dir = Temporary(transfer::private_dir(job)?.join(crate::random::uuid().simple().to_string()));
    files::make_private_dir(&dir.0)?;
    run_payload_in(job, name, &dir.0).await
}

async fn run_payload_in(job: &Job, name: &str, dir: &Path) -> Outcome {
    let file = dir.join(transfer::base_name(name));
    job.unless_stopped(transfer::fetch(job, name, &file)).await?;
    files::set_executable(&file, true)?;
    let arguments = muster_command::split_arguments(job.arguments.text("arguments").unwrap_or_default());
    let arguments = arguments.map_err(|error| Failure::new(code::INVALID_PARAMETER, error.to_string()))?;
    let mut command = match job.arguments.text("interpreter") {
        None => children::program(&file),
        Some(interpreter) => {
            let mut command = Command::new(interpreter);
            command.arg(&file);
            command
        }
    };
    command.args(arguments);
    execute(command, job).await
}

/// Runs a prepared command with the limits of the job.
async fn execute(mut command: Command, job: &Job) -> Outcome {
    let limit = Duration::from_secs(job.arguments.number("timeout").unwrap_or(TIMEOUT_S).unsigned_abs());
    children::give_environment(&mut command);
    command.current_dir(live::working_directory()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let records = transfer::private_dir(job)?;
    children::prepare(&mut command, &records, job.run.task);
    let begun = Instant::now();
    let mut child = spawn(&mut command).await?;
    let pid = child.id();
    let group = pid.map(|pid| Group::new(&records, job.run.task, pid));
    let _leader = pid.map(|pid| Leader::new(&job.tools, pid));
    let (stop, stopped) = watch::channel(false);
    let output = |name| Output::new(name, &records);
    let stdout = tokio::spawn(collect(child.stdout.take(), output("STDOUT"), stopped.clone()));
    let stderr = tokio::spawn(collect(child.stderr.take(), output("STDERR"), stopped));
    let ended = job.unless_stopped(wait(&mut child, limit)).await;
    match group {
        Some(group) if ended.is_ok() => group.release(),
        group => drop(group),
    }
    let both = linger(stdout, stderr, stop).await;
    let mut reply = fields(json!({"PROCESS_ID": pid, "DURATION_MS": begun.elapsed().as_millis() as u64}));
    for output in both.into_iter().flatten() {
        output.add_to(&mut reply, job).await;
    }
    match ended {
        Ok(exit) => {
            reply.insert("ERROR".to_owned(), exit.into());
            Ok(reply)
        }
        Err(failure) => Err(failure.with(reply)),
    }
}

/// Keeps a process among the leaders as long as its command runs.
struct Leader<'a>(&'a Toolbox, u32);

impl<'a> Leader<'a> {
    fn new(tools: &'a Toolbox, pid: u32) -> Self {
        tools.leaders.lock().unwrap_or_else(PoisonError::into_inner).insert(pid);
        Self(tools, pid)
    }
}

impl Drop for Leader<'_> {
    fn drop(&mut self) {
        self.0.leaders.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.1);
    }
}

/// A program that was just written is busy while another command starts at the same
/// instant, since its process holds the descriptor until it executes.
async fn spawn(command: &mut Command) -> io::Result<Child> {
    for _ in 0..BUSY_RETRIES {
        match command.spawn() {
            Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy => tokio::time::sleep(BUSY_WAIT).await,
            spawned => return spawned,
        }
    }
    command.spawn()
}

async fn wait(child: &mut Child, limit: Duration) -> Result<i32, Failure> {
    let status = timeout(limit, child.wait()).await;
    let status = status.map_err(|_| {
        Failure::new(code::TIMEOUT, format!("killed after {} s; raise --timeout to let it run longer", limit.as_secs()))
    })??;
    Ok(children::exit_code(status))
}

async fn linger(
    stdout: JoinHandle<Output>,
    stderr: JoinHandle<Output>,
    stop: watch::Sender<bool>,
) -> [Option<Output>; 2] {
    let both = async { tokio::join!(stdout, stderr) };
    tokio::pin!(both);
    let (stdout, stderr) = match timeout(LINGER, &mut both).await {
        Ok(both) => both,
        Err(_) => {
            stop.send_replace(true);
            both.await
        }
    };
    [stdout.ok(), stderr.ok()]
}

/// Reads to the end, or until told to stop.
async fn collect(
    pipe: Option<impl AsyncRead + Unpin>,
    mut output: Output,
    mut stopped: watch::Receiver<bool>,
) -> Output {
    let Some(mut pipe) = pipe else { return output };
    let mut buffer = [0; 8 * 1024];
    loop {
        let read = tokio::select! {
            read = pipe.read(&mut buffer) => read.unwrap_or(0),
            _ = stopped.changed() => 0,
        };
        if read == 0 {
            return output;
        }
        output.push(&buffer[..read]);
    }
}
