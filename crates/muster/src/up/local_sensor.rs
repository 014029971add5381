//! The sensor of this machine, as a process of its own beside the server.
//!
//! It runs the code of `muster-sensor` out of this same program file, so that
//! one program is enough to try everything. It holds a pipe to the server: when
//! the server dies, however that happens, the sensor sees the pipe end and stops.

use anyhow::Context as _;
use muster_sensor::sensor::{self, Config};
use muster_wire::InstallationKey;
use rustix::process::{Pid, Signal, kill_process};
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::process::{Child, ChildStdin, Command};

/// Variable that carries the installation key to the process: arguments are visible to everyone on the machine.
const KEY_VARIABLE: &str = "MUSTER_INSTALL_KEY";

/// First wait of the sensor before it connects again.
const BACKOFF: Duration = Duration::from_secs(1);

/// How long a sensor may take to hand in what it has before it is killed; it needs at most 4 s.
const STOP_MAX: Duration = Duration::from_secs(8);

/// How the sensor is started; hidden from people.
#[derive(clap::Args)]
pub struct ProcessArgs {
    /// Directory of the sensor's identity, journal and spool
    #[arg(long)]
    state_dir: PathBuf,
}

/// Runs the sensor in this process until it is told to stop, or its server is gone.
///
/// # Errors
///
/// Whatever keeps the sensor from running.
pub fn run_process(args: &ProcessArgs) -> anyhow::Result<()> {
    let text = std::env::var(KEY_VARIABLE).with_context(|| format!("{KEY_VARIABLE} is not set"))?;
    let key = InstallationKey::from_text(&text)?;
    std::thread::Builder::new().name("server-watch".into()).spawn(|| {
        let mut end = [0];
        while matches!(std::io::stdin().read(&mut end), Ok(1..)) {}
        // The same way out as for a person's Ctrl-C: what is on its way is handed in or kept.
        let _ = kill_process(rustix::process::getpid(), Signal::TERM);
    })?;
    let config = Config { backoff: BACKOFF, ..Config::new(Some(key), args.state_dir.clone()) };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let ended = runtime.block_on(sensor::run(config));
    runtime.shutdown_timeout(Duration::from_secs(1));
    Ok(ended?)
}

/// A local sensor that runs.
pub struct LocalSensor {
    child: Child,
    /// Our end of the pipe; waiting for a child would close it if the child still had it.
    _pipe: Option<ChildStdin>,
}

impl LocalSensor {
    /// Starts the sensor with its state, and its log, in the data directory.
    ///
    /// # Errors
    ///
    /// If the process cannot be started.
    pub fn start(data_dir: &Path, installation_key: &str) -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("cannot find the program file of muster")?;
        let log_path = data_dir.join("sensor.log");
        let log = File::create(&log_path).with_context(|| format!("cannot write {}", log_path.display()))?;
        let mut child = Command::new(program)
            .arg("sensor-process")
            .arg("--state-dir")
            .arg(data_dir.join("sensor"))
            .env(KEY_VARIABLE, installation_key)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(log)
            // Ctrl-C goes to the whole group of the terminal; the server decides when its sensor stops.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .context("cannot start the local sensor")?;
        Ok(Self { _pipe: child.stdin.take(), child })
    }

    /// Waits until the sensor ends by itself; tells whether it meant to. Cancel safe.
    pub async fn ended(&mut self) -> bool {
        self.child.wait().await.is_ok_and(|status| status.success())
    }

    /// Stops the sensor, and waits until it is gone.
    pub async fn stop(mut self) {
        let pid = self.child.id().and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
        if let Some(pid) = pid {
            let _ = kill_process(pid, Signal::TERM);
        }
        if tokio::time::timeout(STOP_MAX, self.child.wait()).await.is_err() {
            let _ = self.child.kill().await;
        }
    }
}
