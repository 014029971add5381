//! Goal: on a volume that is full or read-only the server refuses changes with a clear 503, goes on answering questions,
//! loses nothing that it acknowledged, and recovers without a restart. Method: a real server. For the one, its data
//! directory is a small file system of its own, in a mount namespace of its own, which is filled and emptied; for the
//! other, a library beneath it refuses its writes.

#[path = "../shared/env_file.rs"]
mod env_file;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

const FILE_SYSTEM_BYTES: u64 = 24 * 1024 * 1024;
const TRIES_MAX: u32 = 300;
const BETWEEN_TRIES: Duration = Duration::from_millis(100);

/// Requests until a full disk is noticed: the log of the store has room for some.
const REQUESTS_MAX: u32 = 3_000;

struct Server {
    process: Child,
    /// The data directory as seen from outside the mount namespace.
    data: PathBuf,
}

impl Server {
    fn ready(self) -> Self {
        for _ in 0..TRIES_MAX {
            // The file of an earlier start names addresses where nobody listens any more.
            if env_file::read(&self.data).is_some_and(|env| is_open(&env["LC_API_URL"])) {
                return self;
            }
            std::thread::sleep(BETWEEN_TRIES);
        }
        panic!("the server did not start");
    }

    fn stop(&mut self) {
        kill_process(Pid::from_raw(i32::try_from(self.process.id()).unwrap()).unwrap(), Signal::TERM).unwrap();
        assert!(self.process.wait().unwrap().success());
    }
}

fn is_open(url: &str) -> bool {
    std::net::TcpStream::connect(url.trim_start_matches("http://")).is_ok()
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// `None` where file systems may not be mounted.
fn start(folder: &TempDir) -> Option<Server> {
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    let probe =
        Command::new("unshare").args(["-m", "mount", "-t", "tmpfs", "tmpfs"]).arg(&data).stderr(Stdio::null()).status();
    if !probe.is_ok_and(|status| status.success()) {
        return None;
    }
    let script = format!(
        "mount -t tmpfs -o size={FILE_SYSTEM_BYTES} tmpfs \"$1\" && exec \"$2\" up --no-sensor --listen 127.0.0.1:0 \
         --http 127.0.0.1:0 --data-dir \"$1\""
    );
    let process = Command::new("unshare")
        .args(["-m", "sh", "-c", &script, "sh"])
        .arg(&data)
        .arg(env!("CARGO_BIN_EXE_muster"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let seen = PathBuf::from(format!("/proc/{}/root{}", process.id(), data.display()));
    Some(Server { process, data: seen }.ready())
}

/// A server whose writes below its data directory are refused while the file beside it is there.
fn start_beneath(library: &Path, folder: &TempDir) -> Server {
    let data = folder.path().join("data");
    let process = Command::new(env!("CARGO_BIN_EXE_muster"))
        .args(["up", "--no-sensor", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--data-dir"])
        .arg(&data)
        .env("LD_PRELOAD", library)
        .env("MUSTER_VOLUME", &data)
        .env("MUSTER_VOLUME_IS_READ_ONLY", folder.path().join("read-only"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    Server { process, data }.ready()
}

struct Client {
    http: reqwest::Client,
    base: String,
    oid: String,
    token: String,
}

impl Client {
    async fn new(server: &Server) -> Self {
        let env = env_file::read(&server.data).unwrap();
        let value = |name: &str| env[name].clone();
        let http = reqwest::Client::builder().timeout(Duration::from_secs(30)).build().unwrap();
        let (base, oid) = (value("LC_API_URL"), value("LC_OID"));
        let form = [("oid", oid.clone()), ("secret", value("LC_API_KEY"))];
        let answer: Value = http.post(format!("{base}/jwt")).form(&form).send().await.unwrap().json().await.unwrap();
        let token = answer["jwt"].as_str().unwrap().to_owned();
        Self { http, base, oid, token }
    }

    async fn ask(&self, action: &str, data: &Value) -> (u16, Option<String>, Value) {
        let url = format!("{}/v1/extension/request/ext-reliable-tasking", self.base);
        let form = [("oid", self.oid.clone()), ("action", action.to_owned()), ("data", data.to_string())];
        let answer = self.http.post(url).bearer_auth(&self.token).form(&form).send().await.unwrap();
        let retry = answer.headers().get("retry-after").map(|value| value.to_str().unwrap().to_owned());
        (answer.status().as_u16(), retry, answer.json().await.unwrap())
    }

    /// Creates a task that waits for sensors to come.
    async fn create(&self) -> (u16, Option<String>, Value) {
        self.ask("task", &json!({"task": "os_version", "dynamic": true, "context": "x".repeat(1_000)})).await
    }

    /// Asks for something else than a task: status and code.
    async fn refused(&self, request: reqwest::RequestBuilder) -> (u16, String) {
        let answer = request.bearer_auth(&self.token).send().await.unwrap();
        let status = answer.status().as_u16();
        let body: Value = answer.json().await.unwrap_or_default();
        (status, body["error_code"].as_str().unwrap_or_default().to_owned())
    }

    /// Creates a task as soon as that is possible again.
    async fn recovers(&self) {
        let mut created = self.create().await;
        for _ in 0..TRIES_MAX {
            if created.0 == 200 {
                break;
            }
            tokio::time::sleep(BETWEEN_TRIES).await;
            created = self.create().await;
        }
        assert_eq!(created.0, 200, "it recovers without a restart: {}", created.2);
    }

    async fn known(&self) -> u64 {
        let (status, _, answer) = self.ask("overview", &json!({"limit": 1_000})).await;
        assert_eq!(status, 200, "questions are answered whatever the disk does: {answer}");
        answer["data"]["requests"].as_array().unwrap().len() as u64
    }
}

#[tokio::test]
async fn a_full_disk_refuses_changes_and_loses_nothing() {
    let folder = TempDir::new().unwrap();
    let Some(server) = start(&folder) else {
        println!("SKIPPED a_full_disk_refuses_changes_and_loses_nothing: mounting a file system needs root");
        return;
    };
    let client = Client::new(&server).await;
    assert_eq!(client.create().await.0, 200);
    let filler = server.data.join("filler");
    let mut file = std::fs::File::create(&filler).unwrap();
    while std::io::Write::write_all(&mut file, &[0; 4_096]).is_ok() {}
    drop(file);

    let mut acknowledged = 1;
    let mut refusal = None;
    for _ in 0..REQUESTS_MAX {
        match client.create().await {
            (200, _, _) => acknowledged += 1,
            other => {
                refusal = Some(other);
                break;
            }
        }
    }
    let (status, retry, answer) = refusal.expect("a full disk is noticed");
    assert_eq!((status, &answer["error_code"]), (503, &json!("store_full")), "{answer}");
    assert!(retry.is_some_and(|seconds| seconds.parse::<u32>().is_ok()));
    assert_eq!(client.known().await, acknowledged.min(1_000), "what was refused left no trace");

    std::fs::remove_file(&filler).unwrap();
    client.recovers().await;
    assert_eq!(client.known().await, (acknowledged + 1).min(1_000));
}

#[tokio::test]
async fn five_8_a_volume_that_turns_read_only_is_503_and_is_taken_up_again_without_a_restart() {
    let folder = TempDir::new().unwrap();
    let (source, library) = ("tests/volume/refuse_writes.c", folder.path().join("refuse_writes.so"));
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(source);
    let compiler = Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(source).status().unwrap();
    assert!(compiler.success());
    let mut server = start_beneath(&library, &folder);
    let client = Client::new(&server).await;
    let read_only = folder.path().join("read-only");
    let url = |path: &str| format!("{}/v1/{path}/{}", client.base, client.oid);
    for round in 0..3 {
        assert_eq!(client.create().await.0, 200);
        let grant = client.http.post(format!("{}/tool", url("payload"))).bearer_auth(&client.token);
        let grant: Value = grant.send().await.unwrap().json().await.unwrap();

        std::fs::write(&read_only, "").unwrap();
        for _ in 0..5 {
            let (status, retry, answer) = client.create().await;
            assert_eq!((status, &answer["error_code"]), (503, &json!("unavailable")), "{answer}");
            assert!(retry.is_some_and(|seconds| seconds.parse::<u32>().is_ok()));
        }
        let refused = (503, "unavailable".to_owned());
        let key = client.http.post(url("installationkeys")).form(&[("desc", "laptops")]);
        assert_eq!(client.refused(key).await, refused);
        let file = client.http.put(grant["put_url"].as_str().unwrap()).body(vec![7; 100_000]);
        assert_eq!(client.refused(file).await, refused);
        assert_eq!(client.known().await, 2 * round + 1, "what was refused left no trace");

        std::fs::remove_file(&read_only).unwrap();
        client.recovers().await;
    }
    assert_eq!(client.known().await, 6);
    server.stop();
    let again = start_beneath(&library, &folder);
    assert_eq!(Client::new(&again).await.known().await, 6, "and none after a restart");
}
