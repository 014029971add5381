//! A server in its own process, with a fleet in its store.

use crate::fleet::{self, Fleet};
use anyhow::{Context as _, bail};
use muster_model::{Oid, Sid, TaskId};
use muster_server::Server;
use muster_server::access::{API_KEY, ApiKey, owner_permissions};
use muster_server::config::Config;
use muster_server::extension::{SUBSCRIPTION, Subscription};
use muster_server::profile::Profile;
use muster_server::tasking::EXTENSION;
use muster_server::{clock, random};
use muster_store::{Expect, Options, Store, TaskRow, Write};
use muster_tasking::{Control, Spec};
use roaring::RoaringBitmap;
use rustls_pki_types::CertificateDer;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

/// Sensors put into the store with one commit.
const SENSORS_PER_COMMIT: usize = 10_000;

/// Ticks of `/proc/PID/stat` in a second: the same on every Linux.
const TICKS_PER_S: f64 = 100.0;

/// A data directory with an organization and its fleet.
pub struct Ground {
    folder: TempDir,
    /// The organization.
    pub oid: Oid,
    api_key: String,
    authority: CertificateDer<'static>,
}

impl Ground {
    /// Makes an organization with this many sensors, all offline; `more` puts further rows into the store.
    pub async fn new(
        scratch: &Path,
        sensors: u32,
        more: impl FnOnce(&Store, Oid) -> anyhow::Result<()>,
    ) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("muster-bench-").tempdir_in(scratch)?;
        let store = Store::open(Options { path: folder.path().join("muster.db"), bytes_max: None })?;
        let server = Server::start_on(Config::loopback(folder.path().to_owned()), store.clone()).await?;
        let (app, now, oid) = (&server.app, clock::now(), Oid(random::uuid()));
        let profile = Profile { name: "bench".into(), created_at: now, sensor_quota: 0 };
        app.create_organization(oid, &profile).await?;
        let api_key = random::uuid().to_string();
        let key = ApiKey {
            name: "bench".into(),
            permissions: owner_permissions(),
            by: "bench".into(),
            created_at: now,
            allowed_ip_range: String::new(),
        };
        let digest = app.secrets.digest(api_key.as_bytes());
        app.records.put(oid, API_KEY, &digest, &key, Expect::Any, Vec::new()).await?;
        let subscription = Subscription { created_at: now, by: "bench".into() };
        app.records.put(oid, SUBSCRIPTION, EXTENSION, &subscription, Expect::Any, Vec::new()).await?;
        let authority = app.pki.authority.clone().into_owned();
        server.stop().await;
        put_sensors(&store, oid, sensors)?;
        more(&store, oid)?;
        store.close();
        Ok(Self { folder, oid, api_key, authority })
    }

    /// The database file.
    pub fn database(&self) -> std::path::PathBuf {
        self.folder.path().join("muster.db")
    }

    /// Sensors that trust this server.
    pub fn fleet(&self) -> anyhow::Result<Arc<Fleet>> {
        Ok(Arc::new(Fleet::new(self.oid, self.authority.clone())?))
    }
}

fn put_sensors(store: &Store, oid: Oid, sensors: u32) -> anyhow::Result<()> {
    let public_key = fleet::public_key()?;
    let ordinals: Vec<u32> = (0..sensors).collect();
    for some in ordinals.chunks(SENSORS_PER_COMMIT) {
        let put = |ordinal: &u32| {
            let row = fleet::row(oid, *ordinal, &public_key);
            [fleet::spool(&row), Write::PutSensor(Box::new(row))]
        };
        store.commit_blocking(some.iter().flat_map(put).collect())?;
    }
    Ok(())
}

/// A reliable task as it would be stored had an operator asked for it.
pub fn task(oid: Oid, number: u64, targets: RoaringBitmap) -> anyhow::Result<TaskRow> {
    let task_id = TaskId(random::uuid());
    let spec = Spec {
        task_id,
        command: "os_version".into(),
        selector: "*".into(),
        context: None,
        ttl_s: 604_800,
        created_at: clock::now(),
        created_by: "bench".into(),
        dynamic: false,
        urgent: false,
        conditions: None,
        pace: muster_tasking::Pace::default(),
        total: targets.len(),
        tasked: 0,
        clock_us: 0,
    };
    let (spec, control) = (serde_json::to_string(&spec)?, serde_json::to_string(&Control::default())?);
    Ok(TaskRow { oid, number, task_id, spec, control, targets })
}

/// A child of this program; ends when dropped.
pub struct Process {
    child: Child,
    /// Its TLS listener.
    pub tls: SocketAddr,
    /// Its plain HTTP listener.
    http: Option<SocketAddr>,
}

impl Process {
    /// Starts this program anew, as `name`, on a data directory.
    pub async fn start(name: &str, ground: &Ground) -> anyhow::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg(name)
            .arg("--data-dir")
            .arg(ground.folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let output = child.stdout.take().context("the child has no output")?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line).await?;
        let bound: Value = serde_json::from_str(&line).context("the child did not start")?;
        let address = |name: &str| bound[name].as_str().and_then(|text| text.parse().ok());
        Ok(Self { child, tls: address("tls").context("the child has no TLS listener")?, http: address("http") })
    }

    /// CPU time that it has used, user and system.
    pub fn cpu(&self) -> anyhow::Result<Duration> {
        let stat = self.proc_file("stat")?;
        // The name in parentheses may hold anything; fields are counted behind it. Source: proc_pid_stat(5).
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok()).context("short stat");
        Ok(Duration::from_secs_f64((ticks(11)? + ticks(12)?) / TICKS_PER_S))
    }

    /// Bytes of memory that it has resident.
    pub fn resident_bytes(&self) -> anyhow::Result<u64> {
        let status = self.proc_file("status")?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        let kilobytes: u64 = line.trim().trim_end_matches(" kB").trim().parse()?;
        Ok(kilobytes * 1_024)
    }

    fn proc_file(&self, name: &str) -> anyhow::Result<String> {
        let pid = self.child.id().context("the child ended")?;
        Ok(std::fs::read_to_string(format!("/proc/{pid}/{name}"))?)
    }

    /// Ends it in good order.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        drop(self.child.stdin.take());
        self.child.wait().await?;
        Ok(())
    }
}

/// A server, and the API key to it.
pub struct World {
    /// The server.
    pub process: Process,
    /// Its sensors.
    pub fleet: Arc<Fleet>,
    oid: Oid,
    http: reqwest::Client,
    base: String,
    token: String,
}

impl World {
    /// Starts a server on a data directory.
    pub async fn start(ground: &Ground) -> anyhow::Result<Self> {
        let process = Process::start("serve-child", ground).await?;
        let base = format!("http://{}", process.http.context("the child has no HTTP listener")?);
        let http = reqwest::Client::builder().timeout(Duration::from_secs(120)).build()?;
        let oid = ground.oid.to_string();
        let exchange = [("oid", oid.as_str()), ("secret", ground.api_key.as_str())];
        let answer: Value = http.post(format!("{base}/jwt")).form(&exchange).send().await?.json().await?;
        let token = answer["jwt"].as_str().with_context(|| format!("no token: {answer}"))?.to_owned();
        Ok(Self { process, fleet: ground.fleet()?, oid: ground.oid, http, base, token })
    }

    /// The address that sensors connect to.
    pub fn address(&self) -> SocketAddr {
        self.process.tls
    }

    /// Asks the tasking extension; gives the answer, and the time until it was there.
    pub async fn ask(&self, action: &str, data: &Value) -> anyhow::Result<(Value, Duration)> {
        let (oid, data) = (self.oid.to_string(), data.to_string());
        let form = [("oid", oid.as_str()), ("action", action), ("data", data.as_str())];
        let url = format!("{}/v1/extension/request/{EXTENSION}", self.base);
        let began = Instant::now();
        let answer = self.http.post(url).bearer_auth(&self.token).form(&form).send().await?;
        let (status, mut answer) = (answer.status(), answer.json::<Value>().await?);
        let took = began.elapsed();
        if !status.is_success() {
            bail!("{action}: {status} {answer}");
        }
        Ok((answer["data"].take(), took))
    }

    /// Asks for a task for these sensors; gives its id.
    pub async fn task(&self, selector: &str) -> anyhow::Result<(String, Duration)> {
        let (answer, took) = self.ask("task", &json!({"task": "os_version", "selector": selector})).await?;
        Ok((answer["task_id"].as_str().context("no task_id")?.to_owned(), took))
    }

    /// A new installation key, as sensors are given it.
    pub async fn installation_key(&self) -> anyhow::Result<String> {
        let path = format!("installationkeys/{}", self.oid);
        let url = format!("{}/v1/{path}", self.base);
        let made: Value =
            self.http.post(url).bearer_auth(&self.token).form(&[("desc", "bench")]).send().await?.json().await?;
        let iid = made["iid"].as_str().with_context(|| format!("no installation key: {made}"))?;
        let key = self.get(&format!("{path}/{iid}")).await?;
        Ok(key["key"].as_str().with_context(|| format!("no key in {key}"))?.to_owned())
    }

    /// Ids of all sensors.
    pub async fn sids(&self) -> anyhow::Result<Vec<Sid>> {
        let all = self.get(&format!("sensors/{}", self.oid)).await?;
        let sids = all["sensors"].as_array().into_iter().flatten();
        Ok(sids.filter_map(|sensor| sensor["sid"].as_str()?.parse().ok()).collect())
    }

    /// Whether a sensor has a link.
    pub async fn is_online(&self, sid: Sid) -> anyhow::Result<bool> {
        Ok(self.get(&sid.to_string()).await?["is_online"] == true)
    }

    async fn get(&self, path: &str) -> anyhow::Result<Value> {
        let answer = self.http.get(format!("{}/v1/{path}", self.base)).bearer_auth(&self.token).send().await?;
        Ok(answer.error_for_status()?.json().await?)
    }

    /// Puts a tag on a sensor.
    pub async fn tag(&self, ordinal: u32, tag: &str) -> anyhow::Result<()> {
        let url = format!("{}/v1/{}/tags", self.base, fleet::sid_of(ordinal));
        let answer = self.http.post(url).bearer_auth(&self.token).form(&[("tags", tag)]).send().await?;
        if !answer.status().is_success() {
            bail!("tag: {}", answer.status());
        }
        Ok(())
    }

    /// Sets a detection and response rule.
    pub async fn rule(&self, name: &str, rule: &Value) -> anyhow::Result<()> {
        let url = format!("{}/v1/hive/dr-general/{}/{name}/data", self.base, self.oid);
        let (data, enabled) = (rule.to_string(), json!({"enabled": true}).to_string());
        let form = [("data", data.as_str()), ("usr_mtd", enabled.as_str())];
        let answer = self.http.post(url).bearer_auth(&self.token).form(&form).send().await?;
        let status = answer.status();
        if !status.is_success() {
            bail!("rule: {status} {}", answer.text().await?);
        }
        Ok(())
    }
}
