//! A server of one test, the command line as its operators use it, and sensors.

use crate::env_file;
use muster_client::{Client, Settings};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// A cold debug build on a loaded machine; two minutes are a failure.
const TRIES_MAX: u32 = 1_200;
const BETWEEN_TRIES: Duration = Duration::from_millis(100);

/// Asks again until there is an answer.
pub async fn eventually<T>(what: &str, mut probe: impl AsyncFnMut() -> Option<T>) -> T {
    for _ in 0..TRIES_MAX {
        if let Some(found) = probe().await {
            return found;
        }
        tokio::time::sleep(BETWEEN_TRIES).await;
    }
    panic!("{what}: not within two minutes");
}

/// How a command ended.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Ended {
    pub fn ends_with(&self, code: u64) {
        assert_eq!(self.code.and_then(|code| u64::try_from(code).ok()), Some(code), "{}{}", self.stdout, self.stderr);
    }
}

/// A process that ends with the test.
pub struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub struct World {
    pub client: Client,
    env: HashMap<String, String>,
    _server: Running,
    folder: TempDir,
}

impl World {
    /// Starts a server, and waits until it is ready.
    pub fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data_dir = folder.path().join("data");
        let server = Command::new(env!("CARGO_BIN_EXE_muster"))
            .args(["up", "--no-sensor", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--data-dir"])
            .arg(&data_dir)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(folder.path().join("server.log")).unwrap())
            .spawn();
        let server = Running(server.unwrap());
        let env = (0..TRIES_MAX).find_map(|_| {
            std::thread::sleep(BETWEEN_TRIES);
            env_file::read(&data_dir)
        });
        let env = env.expect("the server is up within two minutes");
        let client = Client::new(Settings {
            url: env["LC_API_URL"].clone(),
            oid: env["LC_OID"].clone(),
            api_key: env["LC_API_KEY"].clone(),
            uid: None,
            ca_file: None,
            user_agent: "test".into(),
        });
        Self { client: client.unwrap(), env, _server: server, folder }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file; gives its path.
    pub fn file(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        path.to_string_lossy().into_owned()
    }

    /// The command line, with nothing but what the env file says.
    pub fn muster(&self, arguments: &[&str]) -> Ended {
        let mut command = Command::new(env!("CARGO_BIN_EXE_muster"));
        let output = command.args(arguments).env_clear().env("HOME", self.folder.path()).envs(&self.env).output();
        let output = output.unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ended { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }

    pub fn push(&self, file: &str, more: &[&str]) -> Ended {
        self.muster(&[&["sync", "push", file, "--no-dry-run", "--yes"], more].concat())
    }

    /// The command that runs a sensor on a state directory.
    pub fn sensor(&self, state_dir: &Path) -> Vec<String> {
        let program = Path::new(env!("CARGO_BIN_EXE_muster")).with_file_name("muster-sensor");
        assert!(program.exists(), "{} is missing; build it first: cargo build -p muster-sensor", program.display());
        let text = |path: &Path| path.to_string_lossy().into_owned();
        let key = self.env["MUSTER_INSTALL_KEY"].clone();
        vec![text(&program), "run".into(), "--key".into(), key, "--state-dir".into(), text(state_dir)]
    }

    /// Runs a command that may isolate, stop or end nothing of this machine.
    pub fn run(&self, command: &[String]) -> Running {
        let log = std::fs::File::options().create(true).append(true).open(self.path("sensors.log")).unwrap();
        let child = Command::new(&command[0])
            .args(&command[1..])
            .env("MUSTER_TEST_BACKOFF_MS", "20")
            .env("MUSTER_TEST_SANDBOX", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        Running(child.unwrap())
    }

    /// Starts a sensor on this state directory, and waits until it is online; gives its id.
    pub async fn enrol(&self, state_dir: &Path) -> (Running, String) {
        let running = self.run(&self.sensor(state_dir));
        let sid = eventually("a sensor is online", async || {
            let sensors = self.client.sensors(&muster_client::Listing::default()).await.ok()?;
            sensors.first().filter(|sensor| sensor.is_online).map(|sensor| sensor.sid.to_string())
        });
        (running, sid.await)
    }
}
