//! The real program: what is on its disk and in its backups, and new keys while it serves.

use rustix::process::{Pid, Signal, kill_process};
use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use muster_model::Oid;
use muster_store::{Seal, Store};
use muster_wire::InstallationKey;
use serde_json::Value;
use uuid::Uuid;

const SECRET: &str = "hunter2-and-a-half";

struct Server {
    child: Child,
    data_dir: PathBuf,
}

impl Server {
    fn start(data_dir: &Path) -> Self {
        Self::start_as(up(data_dir).arg("--no-sensor"), data_dir)
    }

    fn start_as(command: &mut Command, data_dir: &Path) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap().contains("To use it from another shell")));
        // What it tells of its sensor later must find a reader.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, data_dir: data_dir.to_owned() }
    }

    fn stop(mut self) {
        kill_process(Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap(), Signal::TERM).unwrap();
        assert!(self.child.wait().unwrap().success());
    }

    fn variable(&self, name: &str) -> String {
        let env = fs::read_to_string(self.data_dir.join("env")).unwrap();
        let line = env.lines().find_map(|line| line.strip_prefix(&format!("export {name}='")).map(str::to_owned));
        line.unwrap().strip_suffix('\'').unwrap().to_owned()
    }

    /// The status and the answer.
    async fn post(&self, path: &str, token: Option<&str>, form: &[(&str, &str)]) -> (u16, Value) {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let request = client.post(format!("{}{path}", self.variable("LC_API_URL"))).form(form);
        let request = token.into_iter().fold(request, |request, token| request.bearer_auth(token));
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap_or_default())
    }

    async fn token(&self) -> String {
        let (oid, secret) = (self.variable("LC_OID"), self.variable("LC_API_KEY"));
        let (status, answer) = self.post("/jwt", None, &[("oid", &oid), ("secret", &secret)]).await;
        assert_eq!(status, 200, "{answer}");
        answer["jwt"].as_str().unwrap().to_owned()
    }

    async fn put_secret(&self) {
        let (path, data) =
            (format!("/v1/hive/secret/{}/ours/data", self.variable("LC_OID")), format!("{{\"secret\":\"{SECRET}\"}}"));
        let (status, answer) = self.post(&path, Some(&self.token().await), &[("data", &data)]).await;
        assert_eq!(status, 200, "{answer}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn muster(data_dir: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_muster"));
    command.args(arguments).env("MUSTER_DATA_DIR", data_dir);
    command
}

fn up(data_dir: &Path) -> Command {
    muster(data_dir, &["up", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"])
}

fn refused(output: Output) -> String {
    assert!(!output.status.success(), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

/// The keys of the server, as they are stored.
fn keys(data_dir: &Path) -> BTreeMap<String, Value> {
    let seal = Seal::of_text(&fs::read_to_string(data_dir.join("sealing.key")).unwrap());
    let read = Store::read_file(&data_dir.join("muster.db"), seal.as_ref(), |read| {
        read.record(Oid(Uuid::nil()), "secrets", "server")
    });
    serde_json::from_str(&read.unwrap().unwrap().body).unwrap()
}

/// Files below a folder that hold one of these texts, but for those of these names.
fn holding(folder: &Path, texts: &[String], but: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let (path, name) = (entry.path(), entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            found.extend(holding(&path, texts, but));
        } else if entry.file_type().unwrap().is_file() && !but.iter().any(|but| name == *but) {
            let bytes = fs::read(&path).unwrap();
            let holds = |text: &String| bytes.windows(text.len()).any(|part| part == text.as_bytes());
            found.extend(texts.iter().any(holds).then_some(path));
        }
    }
    found
}

#[tokio::test]
async fn two_5_no_key_and_no_secret_is_in_the_clear_in_data_directory_or_backup() {
    let folder = tempfile::tempdir().unwrap();
    let (data_dir, copy) = (folder.path().join("data"), folder.path().join("copy"));
    let server = Server::start(&data_dir);
    server.put_secret().await;
    let mut texts = vec![SECRET.to_owned(), "PRIVATE KEY".to_owned(), server.variable("LC_API_KEY")];
    let stored = keys(&data_dir);
    texts.extend(["token_key", "digest_key"].map(|name| stored[name].as_str().unwrap().to_owned()));
    let none = Vec::<PathBuf>::new();
    assert_eq!(holding(&data_dir, &texts, &["env"]), none, "env is for the one who started it");

    let output = muster(&data_dir, &["backup", copy.to_str().unwrap()]).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && said.contains("the key is not in it"), "{said}");
    assert_eq!(holding(&copy, &texts, &[]), none);
    assert_eq!((copy.join("sealing.key").exists(), copy.join("env").exists()), (false, false));
    server.stop();
    assert_eq!(holding(&data_dir, &texts, &["env"]), none, "after a stop, too");

    // Restored without the key, with a wrong one, and with its own.
    let start = || up(&copy).arg("--no-sensor").output();
    let text = refused(start().unwrap());
    assert!(text.contains("sealing.key is missing") && !copy.join("sealing.key").exists(), "{text}");
    let other = folder.path().join("other");
    Server::start(&other).stop();
    fs::copy(other.join("sealing.key"), copy.join("sealing.key")).unwrap();
    let text = refused(start().unwrap());
    assert!(text.contains("the database is sealed by the key"), "{text}");
    fs::copy(data_dir.join("sealing.key"), copy.join("sealing.key")).unwrap();
    let restored = Server::start(&copy);
    let path = format!("/v1/hive/secret/{}/ours/data", restored.variable("LC_OID"));
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!("{}{path}", restored.variable("LC_API_URL"));
    let answer = client.get(url).bearer_auth(restored.token().await).send().await.unwrap().text().await.unwrap();
    assert!(answer.contains(SECRET), "{answer}");
    restored.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_5_keys_are_rotated_while_requests_run_and_none_fails() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("data");
    let server = Server::start(&data_dir);
    let rotate = async |arguments: &[&str]| {
        let mut command = muster(&data_dir, &[&["rotate-keys"], arguments].concat());
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let first = server.token().await;
    let alive = async |token: &str| {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let url = format!("{}/v1/who", server.variable("LC_API_URL"));
        client.get(url).bearer_auth(token).send().await.unwrap().status().as_u16()
    };
    let is_over = AtomicBool::new(false);
    let requests = async {
        let mut asked = 0;
        while !is_over.load(Ordering::Relaxed) {
            assert_eq!(alive(&first).await, 200, "a token of before");
            assert_eq!(alive(&server.token().await).await, 200, "a token of now, by the key of before");
            asked += 1;
        }
        asked
    };
    let rotations = async {
        for _ in 0..3 {
            assert!(rotate(&[]).await.contains("stay valid"));
        }
        is_over.store(true, Ordering::Relaxed);
    };
    let (asked, ()) = tokio::join!(requests, rotations);
    assert!(asked > 0);
    assert_eq!(keys(&data_dir)["older"].as_array().unwrap().len(), 3);
    assert!(rotate(&["--end-tokens", "--yes"]).await.contains("have ended"));
    assert_eq!(alive(&first).await, 401);
    assert_eq!(alive(&server.token().await).await, 200);
    server.stop();
    let text = refused(muster(&data_dir, &["rotate-keys"]).output().unwrap());
    assert!(text.contains("takes orders"), "{text}");
}

#[tokio::test]
async fn two_10_no_log_at_any_level_holds_a_secret() {
    let folder = tempfile::tempdir().unwrap();
    let (data_dir, log) = (folder.path().join("data"), folder.path().join("log"));
    let mut command = up(&data_dir);
    command.env("MUSTER_LOG", "trace,tungstenite=trace");
    let server = Server::start_as(command.stderr(fs::File::create(&log).unwrap()), &data_dir);
    // The sensor of this machine has a log of its own.
    let logs = [log, data_dir.join("sensor.log")];
    let written = || logs.each_ref().map(|log| String::from_utf8_lossy(&fs::read(log).unwrap()).into_owned()).concat();
    server.put_secret().await;
    let token = server.token().await;
    let before = keys(&data_dir);
    assert!(muster(&data_dir, &["rotate-keys"]).output().unwrap().status.success());
    let wrong = [("oid", server.variable("LC_OID")), ("secret", "a-wrong-secret-of-someone".to_owned())];
    let wrong = wrong.each_ref().map(|(name, value)| (*name, value.as_str()));
    assert_eq!(server.post("/jwt", None, &wrong).await.0, 401);
    // It has enrolled, too.
    while !written().contains("the link is up") {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let installation_key = server.variable("MUSTER_INSTALL_KEY");
    let mut secrets = vec![SECRET.to_owned(), token, "a-wrong-secret".to_owned(), server.variable("LC_API_KEY")];
    for stored in [before, keys(&data_dir)] {
        secrets.extend(["token_key", "digest_key"].map(|name| stored[name].as_str().unwrap().to_owned()));
    }
    let secret = InstallationKey::from_text(&installation_key).unwrap().secret;
    secrets.push(secret[..8].iter().map(|byte| format!("{byte:02x}")).collect());
    secrets.push(secret[..8].iter().map(u8::to_string).collect::<Vec<_>>().join(", "));
    secrets.push(installation_key);
    server.stop();
    let text = written();
    assert!(text.contains("TRACE") && text.len() > 1_000, "it logs: {} bytes", text.len());
    for secret in secrets {
        assert!(!text.contains(&secret), "{secret} is in the log");
    }
}
