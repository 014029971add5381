//! The real `muster-sensor`, as a process of its own, behind a proxy that can cut it off.

use crate::world::World;
use anyhow::{Context as _, bail};
use muster_model::Sid;
use parking_lot::Mutex;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::sync::Notify;

/// First wait of the sensor before it connects again, in milliseconds; each further one doubles.
const BACKOFF_MS: &str = "20";
/// How often the server is asked whether the sensor is there.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// So long a sensor uses no fiftieth of a processor to be at rest.
const REST: Duration = Duration::from_secs(1);
/// How long anything may take that is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// A sensor that runs; ends when dropped.
pub struct Endpoint {
    child: Child,
    folder: TempDir,
    /// Its id.
    pub sid: Sid,
}

/// What a process uses.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    /// Bytes in memory, shared ones too.
    pub resident: u64,
    /// Bytes in memory that nothing else uses and no file backs.
    pub anonymous: u64,
    /// Processor time since its start.
    pub cpu: Duration,
}

/// The program beside this one.
pub fn program() -> anyhow::Result<PathBuf> {
    let path = std::env::current_exe()?.with_file_name("muster-sensor");
    if !path.exists() {
        let folder = path.parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy();
        let profile = if folder == "debug" { "dev".into() } else { folder };
        bail!(
            "{} is missing, which is measured: build it as this program was, cargo build --profile {profile} -p muster-sensor",
            path.display()
        );
    }
    Ok(path)
}

impl Endpoint {
    /// Starts a sensor, through a proxy if there is one, and waits until it is on line.
    pub async fn start(world: &World, scratch: &Path, gate: Option<&Gate>) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("muster-bench-sensor-").tempdir_in(scratch)?;
        let mut command = Command::new(program()?);
        command.args(["run", "--state-dir"]).arg(folder.path().join("state"));
        command.env_clear().env("MUSTER_TEST_SANDBOX", "1").env("MUSTER_TEST_BACKOFF_MS", BACKOFF_MS);
        command.env("MUSTER_INSTALL_KEY", world.rest.installation_key().await?).env("PATH", "/usr/bin:/bin");
        if let Some(gate) = gate {
            command.env("LC_PROXY", gate.address.clone());
        }
        let child = command.stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true).spawn()?;
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            if let Some(sid) = world.rest.sids().await?.into_iter().next()
                && world.rest.is_online(sid).await?
            {
                return Ok(Self { child, folder, sid });
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        bail!("the sensor did not come on line within {PATIENCE:?}")
    }

    /// Waits until the server has noticed that the sensor is gone.
    pub async fn until_offline(&self, world: &World) -> anyhow::Result<()> {
        let begun = Instant::now();
        while world.rest.is_online(self.sid).await? {
            if begun.elapsed() > PATIENCE {
                bail!("the sensor is still on line");
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    /// A path for a file that its commands may use.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Waits until it has looked at what ran on the machine when it began: digesting programs takes a processor for a while.
    pub async fn at_rest(&self) -> anyhow::Result<()> {
        let until = Instant::now() + PATIENCE;
        let mut before = self.usage()?.cpu;
        loop {
            tokio::time::sleep(REST).await;
            let now = self.usage()?.cpu;
            // Threads that ended meanwhile took with them what they used.
            if now.saturating_sub(before) < REST / 50 {
                return Ok(());
            }
            if Instant::now() > until {
                bail!("the sensor does not come to rest: something on this machine begins programs all the time");
            }
            before = now;
        }
    }

    /// What it uses now.
    pub fn usage(&self) -> anyhow::Result<Usage> {
        let pid = self.child.id().context("the sensor ended")?;
        let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
        let bytes = |name: &str| -> anyhow::Result<u64> {
            let line = rollup.lines().find_map(|line| line.strip_prefix(name)).with_context(|| format!("no {name}"))?;
            Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1_024)
        };
        let mut cpu = Duration::ZERO;
        for thread in std::fs::read_dir(format!("/proc/{pid}/task"))? {
            // Nanoseconds on a processor come first. Source: Linux Documentation/scheduler/sched-stats.rst.
            let text = std::fs::read_to_string(thread?.path().join("schedstat"))?;
            let nanoseconds = text.split(' ').next().unwrap_or_default().parse()?;
            cpu += Duration::from_nanos(nanoseconds);
        }
        Ok(Usage { resident: bytes("Rss:")?, anonymous: bytes("Anonymous:")?, cpu })
    }
}

/// An HTTP proxy that lets through or cuts.
pub struct Gate {
    address: String,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    is_open: AtomicBool,
    cut: Notify,
    /// When the last connection was let through.
    passed: Mutex<Option<Instant>>,
}

impl Gate {
    /// Begins to listen; open.
    pub async fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?.to_string();
        let state = Arc::new(State { is_open: AtomicBool::new(true), ..State::default() });
        let shared = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                if shared.is_open.load(Ordering::SeqCst) {
                    let accepted = Instant::now();
                    tokio::spawn(pass(near, accepted, Arc::clone(&shared)));
                }
            }
        });
        Ok(Self { address, state })
    }

    /// Cuts what is connected, and refuses more.
    pub fn close(&self) {
        self.state.is_open.store(false, Ordering::SeqCst);
        self.state.cut.notify_waiters();
    }

    /// Lets the next connection through.
    pub fn open(&self) {
        self.state.is_open.store(true, Ordering::SeqCst);
    }

    /// When the last connection was let through.
    pub fn passed(&self) -> Option<Instant> {
        *self.state.passed.lock()
    }
}

async fn pass(mut near: TcpStream, accepted: Instant, state: Arc<State>) {
    let cut = state.cut.notified();
    *state.passed.lock() = Some(accepted);
    let tunnel = async {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(near.read_u8().await?);
        }
        let head = String::from_utf8_lossy(&head).into_owned();
        let address = head.split(' ').nth(1).unwrap_or_default();
        let mut far = TcpStream::connect(address).await?;
        near.set_nodelay(true)?;
        far.set_nodelay(true)?;
        near.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
        copy_bidirectional(&mut near, &mut far).await
    };
    tokio::select! {
        // A link that breaks is what this is for.
        _ = tunnel => {}
        () = cut => {}
    }
}
