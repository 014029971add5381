//! A real server and real sensor processes on loopback, each in a folder of its own.

use muster_model::{Iid, Oid, Timestamp};
use muster_server::Server;
use muster_server::access::{API_KEY, ApiKey, INSTALLATION_KEY, InstallationKeyRecord, owner_permissions, to_hex};
use muster_server::config::Config;
use muster_server::profile::Profile;
use muster_server::{SERVER_NAME, extension, random};
use muster_store::{EntryQuery, Expect, Stream};
use muster_wire::InstallationKey;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// A server, its first organization, and how to reach both.
pub struct World {
    pub server: Option<Server>,
    pub folder: TempDir,
    pub oid: Oid,
    pub api_key: String,
    pub install_key: String,
    http: reqwest::Client,
    config: Config,
}

impl World {
    /// A world with an organization that is subscribed to reliable tasking.
    pub async fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let mut config = Config::loopback(folder.path().join("server"));
        let server = Server::start(config.clone()).await.unwrap();
        // Sensors find a restarted server at the same address.
        config.listen = server.bound.tls;
        let oid = Oid(random::uuid());
        let app = &server.app;
        let now = muster_server::clock::now();
        let profile = Profile { name: "test".into(), created_at: now, sensor_quota: 0 };
        app.create_organization(oid, &profile).await.unwrap();
        let api_key = random::uuid().to_string();
        let key = ApiKey {
            name: "owner".into(),
            permissions: owner_permissions(),
            by: "test".into(),
            created_at: now,
            allowed_ip_range: String::new(),
        };
        let digest = app.secrets.digest(api_key.as_bytes());
        app.records.put(oid, API_KEY, &digest, &key, Expect::Any, Vec::new()).await.unwrap();
        let subscription = extension::Subscription { created_at: now, by: "test".into() };
        let name = muster_server::tasking::EXTENSION;
        app.records.put(oid, extension::SUBSCRIPTION, name, &subscription, Expect::Any, Vec::new()).await.unwrap();
        let install_key = installation_key(&server, oid, now).await;
        let http = reqwest::Client::builder().timeout(Duration::from_secs(60)).build().unwrap();
        Self { server: Some(server), folder, oid, api_key, install_key, http, config }
    }

    fn server(&self) -> &Server {
        self.server.as_ref().unwrap()
    }

    pub async fn stop_server(&mut self) {
        self.server.take().unwrap().stop().await;
    }

    pub async fn start_server(&mut self) {
        self.server = Some(Server::start(self.config.clone()).await.unwrap());
    }

    pub fn app(&self) -> std::sync::Arc<muster_server::app::App> {
        std::sync::Arc::clone(&self.server().app)
    }

    /// Copies the files of a server that is stopped.
    pub fn back_up(&self) {
        copy(&self.folder.path().join("server"), &self.folder.path().join("backup"));
    }

    /// Puts that copy in the place of the files of a server that is stopped.
    pub fn restore(&self) {
        std::fs::remove_dir_all(self.folder.path().join("server")).unwrap();
        copy(&self.folder.path().join("backup"), &self.folder.path().join("server"));
    }

    /// Deletes the installation key of the sensors.
    pub async fn remove_key(&self) {
        let iid = InstallationKey::from_text(&self.install_key).unwrap().iid.to_string();
        self.server().app.records.delete(self.oid, INSTALLATION_KEY, &iid, Vec::new()).await.unwrap();
    }

    /// Calls the API with a fresh token.
    pub async fn call(&self, method: &str, path: &str, form: &[(&str, &str)]) -> (u16, Value) {
        let base = format!("http://{}", self.server().bound.http.unwrap());
        let oid = self.oid.to_string();
        let exchange = [("oid", oid.as_str()), ("secret", self.api_key.as_str())];
        let answer = self.http.post(format!("{base}/jwt")).form(&exchange).send().await.unwrap();
        let token: Value = answer.json().await.unwrap();
        let token = token["jwt"].as_str().unwrap().to_owned();
        let method = method.parse().unwrap();
        let request = self.http.request(method, format!("{base}/v1/{path}")).bearer_auth(token).form(form);
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        (status, answer.json().await.unwrap_or(Value::Null))
    }

    /// Asks the tasking extension; panics unless it says yes.
    pub async fn ask(&self, action: &str, data: &Value) -> Value {
        let (oid, data) = (self.oid.to_string(), data.to_string());
        let form = [("oid", oid.as_str()), ("action", action), ("data", data.as_str())];
        let (status, answer) = self.call("POST", "extension/request/ext-reliable-tasking", &form).await;
        assert_eq!(status, 200, "{action}: {answer}");
        answer["data"].clone()
    }

    /// All records of a stream so far.
    pub async fn stored(&self, stream: Stream) -> Vec<Value> {
        let query = EntryQuery::all(self.oid, stream);
        let page = self.server().app.store.read(move |read| read.entries(&query)).await.unwrap();
        page.entries.iter().map(|entry| serde_json::from_slice(&entry.body).unwrap()).collect()
    }

    /// The records that an output of module `file` wrote below its directory.
    pub fn written(&self, dir: &str) -> Vec<Value> {
        let mut folders = vec![self.folder.path().join("server/outputs").join(self.oid.to_string()).join(dir)];
        let mut records = Vec::new();
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).into_iter().flatten() {
                let path = entry.unwrap().path();
                match path.is_dir() {
                    true => folders.push(path),
                    false => {
                        let text = std::fs::read_to_string(path).unwrap_or_default();
                        records.extend(text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()));
                    }
                }
            }
        }
        records
    }

    /// Starts a sensor process with its own state directory.
    pub fn sensor(&self, name: &str) -> Sensor {
        let state_dir = self.folder.path().join(name);
        let mut sensor = Sensor { process: None, state_dir, key: self.install_key.clone() };
        sensor.start();
        sensor
    }

    /// Waits until the organization has this many sensors online; gives their ids.
    pub async fn online(&self, wanted: usize) -> Vec<String> {
        let organization = self.server().app.organization(self.oid).unwrap();
        eventually("sensors online", async || {
            let state = organization.state.lock();
            let online = state.online.iter().filter_map(|ordinal| state.fleet.row(ordinal));
            let sids: Vec<String> = online.map(|row| row.sensor.sid.to_string()).collect();
            (sids.len() == wanted).then_some(sids)
        })
        .await
    }

    /// Waits until a task has these counts in a state.
    pub async fn counted(&self, task_id: &str, state: &str, wanted: u64) -> Value {
        eventually(state, async || {
            let answer = self.ask("get", &serde_json::json!({"task_id": task_id})).await;
            (answer["counts"][state] == wanted).then_some(answer)
        })
        .await
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() {
            copy(&from, &to);
        } else {
            std::fs::copy(from, &to).unwrap();
            let mode = entry.metadata().unwrap().permissions();
            std::fs::set_permissions(to, mode).unwrap();
        }
    }
}

async fn installation_key(server: &Server, oid: Oid, now: Timestamp) -> String {
    let iid = Iid(random::uuid());
    let secret: [u8; 32] = random::bytes();
    let record = InstallationKeyRecord {
        description: "test".into(),
        tags: vec!["from-key".into()],
        created_at: now,
        secret: to_hex(&secret),
        quota: 0,
        use_public_root_ca: false,
    };
    let app = &server.app;
    app.records.put(oid, INSTALLATION_KEY, &iid.to_string(), &record, Expect::Any, Vec::new()).await.unwrap();
    let key = InstallationKey {
        oid,
        iid,
        secret: secret.to_vec(),
        address: app.address.for_sensors(),
        server_name: SERVER_NAME.into(),
        ca_der: app.pki.authority.to_vec(),
    };
    key.to_text()
}

/// Waits for a condition of the state; gives up after a minute with what was waited for.
pub async fn eventually<T>(what: &str, mut check: impl AsyncFnMut() -> Option<T>) -> T {
    for _ in 0..1_200 {
        if let Some(found) = check().await {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("waited in vain for: {what}");
}

/// A sensor process; killed when dropped.
pub struct Sensor {
    process: Option<Child>,
    pub state_dir: PathBuf,
    key: String,
}

impl Sensor {
    pub fn start(&mut self) {
        let log =
            std::fs::File::options().create(true).append(true).open(self.state_dir.with_extension("log")).unwrap();
        let process = Command::new(sensor_program())
            .args(["run", "--key", &self.key, "--state-dir"])
            .arg(&self.state_dir)
            .env("MUSTER_TEST_BACKOFF_MS", "20")
            .env("MUSTER_TEST_SANDBOX", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        self.process = Some(process);
    }

    /// Lets it stand still.
    pub fn pause(&self) {
        self.signal(rustix::process::Signal::STOP);
    }

    pub fn go_on(&self) {
        self.signal(rustix::process::Signal::CONT);
    }

    fn signal(&self, signal: rustix::process::Signal) {
        let pid = self.process.as_ref().and_then(|process| i32::try_from(process.id()).ok());
        let pid = pid.and_then(rustix::process::Pid::from_raw).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Ends it as a power failure would.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

impl Drop for Sensor {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The sensor binary of the same build.
fn sensor_program() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let program = test.parent().and_then(Path::parent).unwrap().join("muster-sensor");
    assert!(program.exists(), "{} is missing; build it first: cargo build -p muster-sensor", program.display());
    program
}
