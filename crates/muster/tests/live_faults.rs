//! Goal: whatever fails while a live session is at work, its state stays true: a command has its effect at most once,
//! a file goes on where it was cut or is not there, and what ends in an error says so. Method: a real server and real
//! sensors as processes, killed with SIGKILL at chosen moments; small file systems in mount namespaces of their own.
//!
//! `MUSTER_LIVE_BYTES` sets the size of the large file.

#[path = "shared/env_file.rs"]
mod env_file;

use muster_client::{Client, ClientError, LiveCommandV3, LiveSessionV3, Settings};
use serde_json::json;
use std::collections::HashMap;
use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// What does not happen in a minute does not happen.
const TRIES_MAX: u32 = 3_000;
const BETWEEN_TRIES: Duration = Duration::from_millis(20);

/// Large enough that it is still on its way when it is looked at.
const LARGE_BYTES: u64 = 128 * 1024 * 1024;
const DISK_FULL: i64 = 2_147_942_512;
const MIB: u64 = 1024 * 1024;

/// Where one of the programs has a small file system, if it has one.
#[derive(Default)]
struct Small {
    server: Option<u64>,
    sensor: Option<u64>,
}

/// A server and a sensor as processes.
struct World {
    folder: TempDir,
    listen: String,
    http: String,
    small: Small,
    server: Child,
    sensor: Option<Child>,
}

impl World {
    fn new() -> Self {
        Self::with(Small::default()).unwrap()
    }

    /// `None` where file systems may not be mounted.
    fn with(small: Small) -> Option<Self> {
        let folder = TempDir::new().unwrap();
        for name in ["data", "small"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        let is_mounted = small.server.is_some() || small.sensor.is_some();
        let probe = || {
            let mut mount = Command::new("unshare");
            mount.args(["-m", "mount", "-t", "tmpfs", "tmpfs"]).arg(folder.path().join("small"));
            mount.stderr(Stdio::null()).status().is_ok_and(|status| status.success())
        };
        if is_mounted && !probe() {
            return None;
        }
        let (listen, http) = (free_address(), free_address());
        let server = start_server(folder.path(), &listen, &http, small.server);
        let mut world = Self { folder, listen, http, small, server, sensor: None };
        world.variables();
        world.start_sensor();
        Some(world)
    }

    /// The data directory, as it is seen from here.
    fn data(&self) -> PathBuf {
        inside(&self.server, &self.folder.path().join("data"))
    }

    fn variables(&self) -> HashMap<String, String> {
        for _ in 0..TRIES_MAX {
            if let Some(variables) = env_file::read(&self.data()) {
                return variables;
            }
            std::thread::sleep(BETWEEN_TRIES);
        }
        panic!("the server did not start");
    }

    fn client(&self) -> Client {
        self.client_with(&self.variables()["LC_API_KEY"])
    }

    fn client_with(&self, api_key: &str) -> Client {
        let variables = self.variables();
        let ca = self.folder.path().join("ca.pem");
        fs::copy(inside(&self.server, Path::new(&variables["SSL_CERT_FILE"])), &ca).unwrap();
        Client::new(Settings {
            url: variables["MUSTER_URL"].clone(),
            oid: variables["LC_OID"].clone(),
            api_key: api_key.to_owned(),
            uid: None,
            ca_file: Some(ca),
            user_agent: "test".into(),
        })
        .unwrap()
    }

    fn start_sensor(&mut self) {
        let program = Path::new(env!("CARGO_BIN_EXE_muster")).with_file_name("muster-sensor");
        assert!(program.exists(), "{} is missing; build it first: cargo build -p muster-sensor", program.display());
        let key = self.variables()["MUSTER_INSTALL_KEY"].clone();
        let mut command = command(&program, self.small.sensor, &self.folder.path().join("small"));
        command.args(["run", "--key", &key, "--state-dir"]).arg(self.folder.path().join("sensor"));
        command.envs([("MUSTER_TEST_BACKOFF_MS", "20"), ("MUSTER_TEST_SANDBOX", "1")]);
        self.sensor = Some(start(command, self.folder.path(), "sensor.log"));
    }

    fn kill_sensor(&mut self) {
        if let Some(sensor) = &mut self.sensor {
            end(sensor);
        }
    }

    fn kill_server(&mut self) {
        end(&mut self.server);
        self.server = start_server(self.folder.path(), &self.listen, &self.http, self.small.server);
    }

    fn file(&self, name: &str, bytes: u64) -> PathBuf {
        let path = self.folder.path().join(name);
        let file = File::create(&path).unwrap();
        file.set_len(bytes).unwrap();
        // Not all alike, so that a piece in the wrong place is seen.
        for at in (0..bytes.saturating_sub(8)).step_by(300_007) {
            std::os::unix::fs::FileExt::write_all_at(&file, &at.to_le_bytes(), at).unwrap();
        }
        path
    }

    /// A session with the sensor that is there.
    async fn open(&self, client: &Client) -> LiveSessionV3 {
        let device = self.device(client).await;
        let mut session = client.open_live_session(device, 60).await.unwrap();
        while session.status == "PENDING" {
            session = client.settled_live_session(&session.id).await.unwrap();
        }
        assert_eq!(session.status, "ACTIVE");
        session
    }

    async fn device(&self, client: &Client) -> u32 {
        for _ in 0..TRIES_MAX {
            let listing = muster_client::Listing { online_only: true, ..muster_client::Listing::default() };
            if let Some(sensor) = client.sensors(&listing).await.unwrap().first() {
                return client.live_device(&sensor.sid.to_string()).await.unwrap();
            }
            tokio::time::sleep(BETWEEN_TRIES).await;
        }
        panic!("no sensor came");
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.kill_sensor();
        end(&mut self.server);
    }
}

fn end(process: &mut Child) {
    let _ = process.kill();
    let _ = process.wait();
}

/// A path as a process sees it.
fn inside(process: &Child, path: &Path) -> PathBuf {
    PathBuf::from(format!("/proc/{}/root{}", process.id(), path.display()))
}

/// A program, in a mount namespace with a small file system at `at` if it is to have one.
fn command(program: &Path, small_bytes: Option<u64>, at: &Path) -> Command {
    let Some(bytes) = small_bytes else { return Command::new(program) };
    let mut command = Command::new("unshare");
    let script = format!("at=\"$1\"; shift; mount -t tmpfs -o size={bytes} tmpfs \"$at\" && exec \"$@\"");
    command.args(["-m", "sh", "-c", &script, "sh"]).arg(at).arg(program);
    command
}

fn start_server(folder: &Path, listen: &str, http: &str, small_bytes: Option<u64>) -> Child {
    let data = folder.join("data");
    let mut command = command(Path::new(env!("CARGO_BIN_EXE_muster")), small_bytes, &data);
    command.args(["up", "--no-sensor", "--listen", listen, "--http", http, "--data-dir"]).arg(data);
    start(command, folder, "server.log")
}

fn start(mut command: Command, folder: &Path, name: &str) -> Child {
    let log = File::options().create(true).append(true).open(folder.join(name)).unwrap();
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap()
}

fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

/// Asks again while the server is away.
async fn again<T>(ask: impl AsyncFn() -> Result<T, ClientError>) -> T {
    let mut last = None;
    for _ in 0..TRIES_MAX {
        match ask().await {
            Ok(answer) => return answer,
            Err(error @ ClientError::Unreachable { .. }) => last = Some(error),
            Err(error) if error.status() == Some(503) => last = Some(error),
            Err(error) => panic!("{error}"),
        }
        tokio::time::sleep(BETWEEN_TRIES).await;
    }
    panic!("{last:?}");
}

async fn ended(client: &Client, session: &str, command: &LiveCommandV3) -> LiveCommandV3 {
    for _ in 0..TRIES_MAX {
        let command = again(async || client.live_command(session, command.id, false).await).await;
        if command.is_over() {
            return command;
        }
        tokio::time::sleep(BETWEEN_TRIES).await;
    }
    panic!("command {} did not end", command.id);
}

async fn order(client: &Client, session: &str, request: &serde_json::Value) -> LiveCommandV3 {
    client.order_live_command(session, request).await.unwrap()
}

fn file_id(command: &LiveCommandV3) -> &str {
    command.found["file_id"].as_str().unwrap()
}

/// Waits until a part of a file has come, and not all.
async fn under_way(client: &Client, session: &str, command: &LiveCommandV3) {
    for _ in 0..TRIES_MAX {
        let file = client.live_file(session, file_id(command)).await.unwrap();
        if file.size_uploaded > 0 {
            assert_eq!(file.size, 0, "it came faster than it was looked at");
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("nothing came");
}

/// A world in which a large file is on its way from the endpoint: the session, the file, and the command that gets it.
async fn getting() -> (World, Client, String, PathBuf, LiveCommandV3) {
    let world = World::new();
    let client = world.client();
    let session = world.open(&client).await.id;
    let path = world.file("large", LARGE_BYTES);
    let get = order(&client, &session, &json!({"name": "get file", "object": path})).await;
    under_way(&client, &session, &get).await;
    (world, client, session, path, get)
}

fn sha256(path: &Path) -> String {
    let output = Command::new("sha256sum").arg(path).output().unwrap();
    String::from_utf8(output.stdout).unwrap()[..64].to_owned()
}

async fn moved(client: &Client, session: &str, command: &LiveCommandV3) -> String {
    let transcript = client.live_transcript(session).await.unwrap();
    transcript.files.into_iter().find(|file| file.id == file_id(command)).unwrap().sha256
}

#[tokio::test]
async fn p24_a_sensor_that_is_killed_during_a_transfer_leaves_a_true_state_and_comes_back() {
    let (mut world, client, session, path, get) = getting().await;
    world.kill_sensor();
    while client.live_sessions().await.unwrap()[0].status != "INACTIVE" {
        tokio::time::sleep(BETWEEN_TRIES).await;
    }
    let content = client.live_content(&session, file_id(&get), 10).await;
    assert_eq!(content.unwrap_err().status(), Some(409), "a part is not handed out for the whole");
    world.start_sensor();
    let end = ended(&client, &session, &get).await;
    assert_eq!(client.live_sessions().await.unwrap()[0].status, "ACTIVE");
    assert_eq!((end.status.as_str(), end.result_type.as_deref(), end.result_code), ("error", Some("CbError"), 2));
    let get = order(&client, &session, &json!({"name": "get file", "object": path})).await;
    assert!(ended(&client, &session, &get).await.is_complete(), "the same session goes on");
    assert_eq!(moved(&client, &session, &get).await, sha256(&path));
}

#[tokio::test]
async fn a_server_that_is_killed_during_transfers_goes_on_with_them_where_they_were_cut() {
    let (mut world, client, session, path, get) = getting().await;
    world.kill_server();
    assert!(ended(&client, &session, &get).await.is_complete());
    assert_eq!(moved(&client, &session, &get).await, sha256(&path));

    let uploaded = client.upload_live_file(&session, &path, |_| {}).await.unwrap();
    let target = world.folder.path().join("there/copy");
    fs::create_dir(target.parent().unwrap()).unwrap();
    let put = order(&client, &session, &json!({"name": "put file", "object": target, "file_id": uploaded.id})).await;
    let is_begun = || {
        let entries = fs::read_dir(target.parent().unwrap()).unwrap().flatten();
        entries.filter_map(|entry| entry.metadata().ok()).any(|metadata| metadata.len() > 0)
    };
    while !is_begun() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(!target.exists(), "it is there only when it is whole");
    world.kill_server();
    assert!(ended(&client, &session, &put).await.is_complete());
    assert_eq!(sha256(&target), sha256(&path));
}

#[tokio::test]
async fn a_server_that_is_killed_during_a_command_gets_its_result_and_it_ran_once() {
    let mut world = World::new();
    let client = world.client();
    let session = world.open(&client).await.id;
    let effects = world.folder.path().join("effects");
    let line = format!("/bin/sh -c 'echo x >> {}; sleep 2; exit 7'", effects.display());
    let run = order(&client, &session, &json!({"name": "create process", "object": line, "wait": true})).await;
    while !effects.exists() {
        tokio::time::sleep(BETWEEN_TRIES).await;
    }
    world.kill_server();
    let end = ended(&client, &session, &run).await;
    assert_eq!((end.status.as_str(), &end.found["return_code"]), ("complete", &json!(7)));
    assert_eq!(fs::read_to_string(effects).unwrap(), "x\n");
}

/// Gives twenty orders one after the other; gives their numbers.
async fn twenty_orders(client: &Client, session: &str) -> Vec<u32> {
    let mut numbers = Vec::new();
    for number in 0..20 {
        let line = json!({"name": "create process", "object": format!("/bin/sh -c 'exit {number}'"), "wait": true});
        let command = order(client, session, &line).await;
        let end = ended(client, session, &command).await;
        assert_eq!(end.found["return_code"], number, "each gets the result of its own command");
        numbers.push(command.id);
    }
    numbers
}

#[tokio::test]
async fn two_operators_on_one_device_share_a_session_and_either_may_close_it() {
    let world = World::new();
    let (one, other) = (world.client(), world.client());
    let session = world.open(&one).await.id;
    assert_eq!(world.open(&other).await.id, session);
    let (mut numbers, more) = tokio::join!(twenty_orders(&one, &session), twenty_orders(&other, &session));
    numbers.extend(more);
    numbers.sort_unstable();
    assert_eq!(numbers, (0..40).collect::<Vec<_>>());
    other.close_live_session(&session).await.unwrap();
    let refused = one.order_live_command(&session, &json!({"name": "process list"})).await.unwrap_err();
    assert_eq!((refused.status(), refused.to_string().as_str()), (Some(404), "Session not found"));
    let opened = world.open(&one).await.id;
    assert_ne!(opened, session);
    let list = order(&one, &opened, &json!({"name": "process list"})).await;
    assert!(ended(&one, &opened, &list).await.is_complete());
}

#[tokio::test]
async fn a_full_disk_of_the_endpoint_ends_a_command_and_leaves_nothing_half_written() {
    let Some(world) = World::with(Small { sensor: Some(MIB), ..Small::default() }) else {
        println!("SKIPPED a_full_disk_of_the_endpoint: mounting a file system needs root");
        return;
    };
    let client = world.client();
    let session = world.open(&client).await.id;
    let small = world.folder.path().join("small");
    let path = world.file("more", 4 * MIB);
    let uploaded = client.upload_live_file(&session, &path, |_| {}).await.unwrap();
    for request in [
        json!({"name": "put file", "object": small.join("copy"), "file_id": uploaded.id}),
        json!({"name": "memdump", "object": small.join("image"), "pid": std::process::id()}),
        json!({"name": "memdump", "object": small.join("image"), "pid": std::process::id(), "compress": true}),
    ] {
        let command = order(&client, &session, &request).await;
        let end = ended(&client, &session, &command).await;
        assert_eq!((end.status.as_str(), end.result_code), ("error", DISK_FULL), "{request}: {}", end.result_desc);
        let seen = inside(world.sensor.as_ref().unwrap(), &small);
        assert_eq!(fs::read_dir(seen).unwrap().count(), 0, "{request}");
    }
    let list = order(&client, &session, &json!({"name": "process list"})).await;
    assert!(ended(&client, &session, &list).await.is_complete(), "the session goes on");
}

#[tokio::test]
async fn a_full_disk_of_the_server_refuses_files_and_goes_on_with_small_ones() {
    let Some(world) = World::with(Small { server: Some(32 * MIB), ..Small::default() }) else {
        println!("SKIPPED a_full_disk_of_the_server: mounting a file system needs root");
        return;
    };
    let client = world.client();
    let session = world.open(&client).await.id;
    let (large, small) = (world.file("large", 48 * MIB), world.file("tiny", 1_000));
    let refused = client.upload_live_file(&session, &large, |_| {}).await.unwrap_err();
    assert_eq!(refused.status(), Some(507), "{refused}");
    let get = order(&client, &session, &json!({"name": "get file", "object": large})).await;
    let end = ended(&client, &session, &get).await;
    assert_eq!((end.status.as_str(), end.result_code), ("error", DISK_FULL), "{}", end.result_desc);
    client.delete_live_file(&session, file_id(&get)).await.unwrap();
    let get = order(&client, &session, &json!({"name": "get file", "object": small})).await;
    assert!(ended(&client, &session, &get).await.is_complete());
    assert_eq!(moved(&client, &session, &get).await, sha256(&small));
}

/// Memory of a process at its most, in bytes.
fn peak(process: &Child) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1_024
}

/// What a transfer may take beside what it finds: buffers, and the tables of the allocator.
const MEMORY_MAX: u64 = 32 * MIB;

#[tokio::test]
async fn p37_a_large_file_goes_both_ways_unchanged_and_takes_no_more_memory() {
    let bytes = std::env::var("MUSTER_LIVE_BYTES").ok().and_then(|text| text.parse().ok()).unwrap_or(LARGE_BYTES);
    let world = World::new();
    let client = world.client();
    let session = world.open(&client).await.id;
    let (path, copy, back) =
        (world.file("large", bytes), world.folder.path().join("copy"), world.folder.path().join("back"));
    let list = order(&client, &session, &json!({"name": "process list"})).await;
    ended(&client, &session, &list).await;
    let programs = [&world.server, world.sensor.as_ref().unwrap()];
    let before = programs.map(peak);
    let uploaded = client.upload_live_file(&session, &path, |_| {}).await.unwrap();
    let put = order(&client, &session, &json!({"name": "put file", "object": copy, "file_id": uploaded.id})).await;
    assert!(ended(&client, &session, &put).await.is_complete());
    let get = order(&client, &session, &json!({"name": "get file", "object": copy})).await;
    assert!(ended(&client, &session, &get).await.is_complete());
    assert_eq!(client.download_live_file(&session, file_id(&get), &back, |_| {}).await.unwrap(), bytes);
    assert_eq!(sha256(&back), sha256(&path));
    for (program, before) in programs.into_iter().zip(before) {
        let more = peak(program) - before;
        assert!(more < MEMORY_MAX, "{more} bytes more for a file of {bytes}");
    }
    let parts = fs::read_dir(world.data().join("live").join(client.oid())).unwrap().count();
    assert_eq!(parts, 1, "equal files are stored once");
}

#[tokio::test]
async fn a_reader_that_is_slow_holds_nobody_up_and_gets_all() {
    let world = World::new();
    let client = world.client();
    let session = world.open(&client).await.id;
    let path = world.file("large", LARGE_BYTES);
    let get = order(&client, &session, &json!({"name": "get file", "object": path})).await;
    assert!(ended(&client, &session, &get).await.is_complete());
    let variables = world.variables();
    let authority = fs::read(world.folder.path().join("ca.pem")).unwrap();
    let authority = reqwest::Certificate::from_pem_bundle(&authority).unwrap();
    let http = reqwest::Client::builder().tls_certs_only(authority).build().unwrap();
    let url = format!(
        "{}/integrationServices/v3/cblr/session/{session}/file/{}/content",
        variables["CBLR_URL"],
        file_id(&get)
    );
    let mut slow = http.get(url).header("X-Auth-Token", &variables["CBLR_TOKEN"]).send().await.unwrap();
    let mut read = slow.chunk().await.unwrap().unwrap().len() as u64;
    for _ in 0..20 {
        let list = order(&client, &session, &json!({"name": "process list"})).await;
        assert!(ended(&client, &session, &list).await.is_complete());
    }
    let to = world.folder.path().join("fast");
    client.download_live_file(&session, file_id(&get), &to, |_| {}).await.unwrap();
    assert!(read < LARGE_BYTES);
    while let Some(chunk) = slow.chunk().await.unwrap() {
        read += chunk.len() as u64;
    }
    assert_eq!(read, LARGE_BYTES);
}
