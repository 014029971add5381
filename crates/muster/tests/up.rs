//! The real program: `muster up` on a data directory, stopped and killed and resumed.

use muster_client::{Client, NewTask, Settings, Targeting};
use rustix::process::{Pid, Signal, kill_process};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Lines};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::Duration;
use tokio::time::Instant;

/// Printed once the env file is written.
const READY: &str = "To use it from another shell";

/// Printed at the end of the story.
const NEXT: &str = "Try next";

struct Up {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Up {
    fn command(data_dir: &Path) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_muster"));
        command.args(["up", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--data-dir"]).arg(data_dir);
        command
    }

    /// Starts it, and waits until it is ready.
    fn start(data_dir: &Path, more: &[&str]) -> Self {
        let mut command = Self::command(data_dir);
        command.args(more);
        Self::run(command)
    }

    fn run(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut up = Self { child, lines };
        up.read_until(READY);
        up
    }

    /// Everything it prints up to the line that holds `mark`.
    fn read_until(&mut self, mark: &str) -> String {
        let mut text = String::new();
        for line in self.lines.by_ref() {
            let line = line.unwrap();
            text.push_str(&line);
            text.push('\n');
            if line.contains(mark) {
                return text;
            }
        }
        panic!("it ended without {mark:?}:\n{text}");
    }

    fn signal(mut self, signal: Signal) -> (ExitStatus, String) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
        let rest: Vec<String> = self.lines.by_ref().map(Result::unwrap).collect();
        (self.child.wait().unwrap(), rest.join("\n"))
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a shell has after it sourced the file.
fn sourced(data_dir: &Path) -> BTreeMap<String, String> {
    let script = "set -eu; . \"$1/env\"; env";
    let output = Command::new("sh").args(["-c", script, "sh"]).arg(data_dir).env_clear().output().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().filter_map(|line| line.split_once('=')).map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
}

fn client(variables: &BTreeMap<String, String>, url: &str) -> Client {
    Client::new(Settings {
        url: variables[url].clone(),
        oid: variables["LC_OID"].clone(),
        api_key: variables["LC_API_KEY"].clone(),
        uid: None,
        ca_file: Some(variables["SSL_CERT_FILE"].clone().into()),
        user_agent: "test".into(),
    })
    .unwrap()
}

fn identity(variables: &BTreeMap<String, String>) -> [&String; 2] {
    [&variables["LC_OID"], &variables["LC_API_KEY"]]
}

#[tokio::test]
async fn a_data_directory_keeps_its_identity_and_its_tasks_whatever_ends_the_server() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("it's data");

    let up = Up::start(&data_dir, &["--no-sensor"]);
    let first = sourced(&data_dir);
    let published = ["LC_API_URL", "LC_JWT_URL", "LC_OID", "LC_API_KEY", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"];
    let ours = ["MUSTER_COMPAT_PROXY", "NO_PROXY", "CBLR_URL", "CBLR_TOKEN", "MUSTER_URL", "MUSTER_INSTALL_KEY"];
    for name in published.iter().chain(&ours) {
        assert!(first.get(*name).is_some_and(|value| !value.is_empty()), "{name}");
    }
    client(&first, "LC_API_URL").whoami().await.unwrap();

    let second = Up::command(&data_dir).output().unwrap();
    assert_eq!(second.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&second.stderr).contains("another muster server runs on"), "{second:?}");
    assert_eq!(sourced(&data_dir), first, "the one that runs keeps its env file");

    let (status, _) = up.signal(Signal::TERM);
    assert!(status.success(), "{status}");

    let up = Up::start(&data_dir, &["--no-sensor"]);
    let resumed = sourced(&data_dir);
    assert_eq!(identity(&resumed), identity(&first));
    let proxy = "MUSTER_COMPAT_PROXY";
    assert_eq!(resumed[proxy], first[proxy], "clients that were set up with it find it again");
    let task = NewTask {
        task: "os_version".into(),
        targeting: Targeting { selector: Some("*".into()), ..Targeting::default() },
        dynamic: true,
        ..NewTask::default()
    };
    let created = client(&resumed, "MUSTER_URL").create_reliable_task(&task).await.unwrap();
    up.signal(Signal::KILL);

    let up = Up::start(&data_dir, &["--no-sensor"]);
    let after_kill = sourced(&data_dir);
    assert_eq!(identity(&after_kill), identity(&first));
    let tasks = client(&after_kill, "MUSTER_URL").reliable_tasks(10).await.unwrap();
    assert_eq!(tasks.iter().map(|task| &task.task_id).collect::<Vec<_>>(), [&created.task_id]);
    up.signal(Signal::TERM);

    let taken = std::net::TcpListener::bind(first[proxy].strip_prefix("http://").unwrap()).unwrap();
    let mut up = Up::command(&data_dir).args(["--no-sensor"]).stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(up.stdout.take().unwrap()).lines();
    let mut up = Up { child: up, lines };
    let told = up.read_until(READY);
    assert!(told.contains("gets another port") && sourced(&data_dir)[proxy] != first[proxy], "{told}");
    up.signal(Signal::TERM);
    drop(taken);

    std::fs::remove_file(data_dir.join("env")).unwrap();
    let _up = Up::start(&data_dir, &["--no-sensor"]);
    let without_env = sourced(&data_dir);
    assert_eq!(without_env["LC_OID"], first["LC_OID"]);
    assert_ne!(without_env["LC_API_KEY"], first["LC_API_KEY"], "only a digest of the old key is stored");
    client(&without_env, "LC_API_URL").whoami().await.unwrap();
}

async fn wait_until_online(data_dir: &Path) {
    let client = client(&sourced(data_dir), "LC_API_URL");
    let everyone = Targeting { selector: Some("*".into()), ..Targeting::default() };
    let until = Instant::now() + Duration::from_secs(30);
    while client.preview_reliable_task(&everyone, 1).await.unwrap().online_sensors == 0 {
        assert!(Instant::now() < until, "the local sensor does not come online");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Waits until no process holds the state of the local sensor.
fn wait_for_the_end_of_the_sensor(data_dir: &Path) {
    let lock = File::open(data_dir.join("sensor").join("lock")).unwrap();
    let until = Instant::now() + Duration::from_secs(30);
    while lock.try_lock().is_err() {
        assert!(Instant::now() < until, "the sensor outlives its server");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[tokio::test]
async fn the_first_start_tells_its_story_and_later_ones_are_quiet() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("it's data");

    let mut up = Up::start(&data_dir, &[]);
    let story = up.read_until(NEXT);
    let mut rest = story.as_str();
    for part in ["is online", "is offline", "is queued", "finished", "OS_VERSION_REP"] {
        let at = rest.find(part).unwrap_or_else(|| panic!("{part:?} is not where it belongs in:\n{story}"));
        rest = &rest[at + part.len()..];
    }
    // What it says to try next can be typed as it stands, by whoever has only built it.
    let said = up.read_until("muster sensors");
    let typed: Vec<&str> = said.lines().filter_map(|line| line.trim_start().strip_prefix("$ ")).collect();
    let output = Command::new("bash").args(["-ec", &typed.join("\n")]).output().unwrap();
    assert!(
        output.status.success() && String::from_utf8_lossy(&output.stdout).contains("linux"),
        "{typed:?}: {output:?}"
    );
    let (status, _) = up.signal(Signal::TERM);
    assert!(status.success(), "{status}");
    wait_for_the_end_of_the_sensor(&data_dir);

    let up = Up::start(&data_dir, &[]);
    let (_, rest) = up.signal(Signal::TERM);
    assert!(rest.ends_with("Stopping."), "{rest}");
    let says_more = |line: &&str| !line.to_lowercase().trim_start().starts_with("console:");
    let more: Vec<&str> = rest.lines().filter(says_more).filter(|line| !line.starts_with(' ')).collect();
    assert_eq!(more, ["Stopping."], "only where the console is, and how to come in while nobody can");
    wait_for_the_end_of_the_sensor(&data_dir);

    // Killed, the server cannot stop its sensor: the sensor must see it by itself.
    let up = Up::start(&data_dir, &[]);
    wait_until_online(&data_dir).await;
    up.signal(Signal::KILL);
    wait_for_the_end_of_the_sensor(&data_dir);
}

/// Goal: each sensor that is online is an open file, and a shell lets programs have 1,024 until they ask for more.
#[test]
fn a_server_has_as_many_open_files_as_it_is_allowed() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::command(folder.path());
    let mut shell = Command::new("sh");
    shell.args(["-c", "ulimit -S -n 512 && exec \"$0\" \"$@\" --no-sensor"]).arg(up.get_program()).args(up.get_args());
    let up = Up::run(shell);
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", up.child.id())).unwrap();
    let of_files = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
    let [soft, hard] = std::array::from_fn(|at| of_files.split_whitespace().nth(at).unwrap());
    assert!(soft == hard && hard != "512", "{of_files}");
}

#[test]
fn a_backup_of_a_server_that_runs_is_a_data_directory_with_the_same_identity() {
    let folder = tempfile::tempdir().unwrap();
    let (data_dir, copy) = (folder.path().join("data"), folder.path().join("copy"));

    let _up = Up::start(&data_dir, &["--no-sensor"]);
    let backup = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_muster"));
        command.arg("backup").arg("--with-keys").arg(&copy).arg("--data-dir").arg(&data_dir).output().unwrap()
    };
    let first = backup();
    assert!(first.status.success(), "{first:?}");
    assert!(!backup().status.success(), "a backup never overwrites another");

    let _restored = Up::start(&copy, &["--no-sensor"]);
    assert_eq!(identity(&sourced(&copy)), identity(&sourced(&data_dir)));
}
