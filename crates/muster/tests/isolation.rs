//! Goal: a sensor that is isolated keeps its link to the server and nothing else,
//! over a restart of the sensor and the loss of its firewall rules, until it is
//! allowed to rejoin (reference/sensor.md section 9). Method: server and sensor in
//! network namespaces of their own, joined by one cable; real nftables; curl as a
//! client. The machine that runs the test is never touched: the test refuses to go
//! on unless both programs are in namespaces that it made.

#[path = "shared/env_file.rs"]
mod env_file;

use serde_json::{Value, json};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

const SERVER_IP: &str = "10.213.77.1";
const SENSOR_IP: &str = "10.213.77.2";
const TRIES_MAX: u32 = 300;
const BETWEEN_TRIES: Duration = Duration::from_millis(100);

/// Two namespaces, joined by one cable; gone when dropped.
struct Cable {
    server: String,
    sensor: String,
}

impl Cable {
    /// `None` where namespaces may not be made.
    fn lay() -> Option<Self> {
        let id = std::process::id();
        let cable = Self { server: format!("mst-server-{id}"), sensor: format!("mst-sensor-{id}") };
        let (a, b) = (format!("mst{id}a"), format!("mst{id}b"));
        let made = ip(&["netns", "add", &cable.server])
            && ip(&["netns", "add", &cable.sensor])
            && ip(&[
                "link",
                "add",
                &a,
                "netns",
                &cable.server,
                "type",
                "veth",
                "peer",
                "name",
                &b,
                "netns",
                &cable.sensor,
            ]);
        let up = |namespace: &str, device: &str, address: &str| {
            ip(&["-n", namespace, "addr", "add", &format!("{address}/30"), "dev", device])
                && ip(&["-n", namespace, "link", "set", device, "up"])
                && ip(&["-n", namespace, "link", "set", "lo", "up"])
        };
        let works = made && up(&cable.server, &a, SERVER_IP) && up(&cable.sensor, &b, SENSOR_IP);
        works.then_some(cable)
    }

    fn command(namespace: &str, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", namespace]).arg(program).stdin(Stdio::null());
        command
    }

    /// Whether the sensor's side reaches a port of the server's side.
    fn reaches(&self, port: u16) -> bool {
        let connect = format!("exec 3<>/dev/tcp/{SERVER_IP}/{port}");
        let status =
            Self::command(&self.sensor, "timeout").args(["2", "bash", "-c", &connect]).stderr(Stdio::null()).status();
        status.is_ok_and(|status| status.success())
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        ip(&["netns", "del", &self.server]);
        ip(&["netns", "del", &self.sensor]);
    }
}

fn ip(args: &[&str]) -> bool {
    let status = Command::new("ip").args(args).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The API, asked with curl from the server's side.
struct Client<'a> {
    cable: &'a Cable,
    base: String,
    oid: String,
    token: String,
}

impl<'a> Client<'a> {
    fn new(cable: &'a Cable, env: &HashMap<String, String>) -> Self {
        let (base, oid) = (env["LC_API_URL"].clone(), env["LC_OID"].clone());
        let mut client = Self { cable, base, oid, token: String::new() };
        let form = format!("oid={}&secret={}", client.oid, env["LC_API_KEY"]);
        client.token = client.send("POST", "/jwt", &form)["jwt"].as_str().unwrap().to_owned();
        client
    }

    fn send(&self, method: &str, path: &str, form: &str) -> Value {
        let authorization = format!("Authorization: Bearer {}", self.token);
        let url = format!("{}{path}", self.base);
        let output = Cable::command(&self.cable.server, "curl")
            .args(["--silent", "--max-time", "20", "-X", method, "-H", &authorization, "--data", form, &url])
            .output()
            .unwrap();
        serde_json::from_slice(&output.stdout).unwrap_or(Value::Null)
    }

    fn ask(&self, action: &str, data: &Value) -> Value {
        let form = format!("oid={}&action={action}&data={data}", self.oid);
        self.send("POST", "/v1/extension/request/ext-reliable-tasking", &form)["data"].clone()
    }

    /// A new task for the only sensor runs to its end: the link lives.
    fn link_lives(&self) {
        let created = self.ask("task", &json!({"task": "os_version", "ttl": 600}));
        let task = json!({"task_id": created["task_id"]});
        until("a task runs over the link", || self.ask("get", &task)["counts"]["finished"] == 1);
    }
}

fn until(what: &str, mut check: impl FnMut() -> bool) {
    for _ in 0..TRIES_MAX {
        if check() {
            return;
        }
        std::thread::sleep(BETWEEN_TRIES);
    }
    panic!("waited in vain: {what}");
}

fn start_sensor(cable: &Cable, key: &str, state_dir: &Path) -> Process {
    let program = Path::new(env!("CARGO_BIN_EXE_muster")).with_file_name("muster-sensor");
    assert!(program.exists(), "{} is missing; build it first: cargo build -p muster-sensor", program.display());
    let log = std::fs::File::options().create(true).append(true).open(state_dir.with_extension("log")).unwrap();
    let process = Cable::command(&cable.sensor, program)
        .args(["run", "--key", key, "--state-dir"])
        .arg(state_dir)
        .env("MUSTER_TEST_BACKOFF_MS", "50")
        // It may isolate itself: it is alone in a namespace that this test made.
        .env("MUSTER_TEST_NAMESPACE", "1")
        .stderr(log)
        .spawn()
        .unwrap();
    let sensor = Process(process);
    assert_namespace(&sensor, &cable.sensor);
    sensor
}

/// A sensor that may isolate itself must not share the network of this test.
fn assert_namespace(process: &Process, name: &str) {
    let here = std::fs::read_link("/proc/self/ns/net").unwrap();
    let there: PathBuf = format!("/proc/{}/ns/net", process.0.id()).into();
    until(name, || std::fs::read_link(&there).is_ok_and(|there| there != here));
}

#[test]
fn an_isolated_sensor_keeps_only_its_link() {
    let Some(cable) = Cable::lay() else {
        println!("SKIPPED an_isolated_sensor_keeps_only_its_link: network namespaces need root and iproute2");
        return;
    };
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("data");
    let server = Cable::command(&cable.server, env!("CARGO_BIN_EXE_muster"))
        .args(["up", "--no-sensor", "--listen", &format!("{SERVER_IP}:8443"), "--http", &format!("{SERVER_IP}:8080")])
        .arg("--data-dir")
        .arg(&data)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let _server = Process(server);
    until("the server writes its env file", || env_file::read(&data).is_some());
    let env = env_file::read(&data).unwrap();
    let key = &env["MUSTER_INSTALL_KEY"];
    let client = Client::new(&cable, &env);
    let state_dir = folder.path().join("sensor");
    let mut sensor = start_sensor(&cable, key, &state_dir);
    let everyone = json!({"selector": "*"});
    until("the sensor is online", || client.ask("preview", &everyone)["online_sensors"] == 1);
    let sid = client.ask("preview", &everyone)["sensors"][0]["sid"].as_str().unwrap().to_owned();
    let isolation = format!("/v1/{sid}/isolation");
    assert!(cable.reaches(8080), "before isolation, other ports of the server are reached");

    client.send("POST", &isolation, "");
    until("the sensor reports isolation", || client.send("GET", &isolation, "")["is_isolated"] == true);
    assert!(!cable.reaches(8080), "isolated: everything but the link is cut");
    client.link_lives();

    // The rules are lost, as at a reboot, and the sensor is killed: it puts them back by itself.
    drop(sensor);
    let flushed = Cable::command(&cable.sensor, "nft").args(["flush", "ruleset"]).status();
    assert!(flushed.is_ok_and(|status| status.success()) && cable.reaches(8080));
    sensor = start_sensor(&cable, key, &state_dir);
    until("isolation is in force again", || !cable.reaches(8080));
    client.link_lives();

    client.send("DELETE", &isolation, "");
    until("the sensor reports that it rejoined", || client.send("GET", &isolation, "")["is_isolated"] == false);
    assert!(cable.reaches(8080), "rejoined: everything is reached again");
    client.link_lives();
    drop(sensor);
}
