//! A server in its own process, with a fleet in its store.

use crate::Evil;
use crate::child;
use crate::client::Client;
use crate::direct::Direct;
use crate::fleet::{self, Fleet};
use anyhow::Context as _;
use clap::ValueEnum as _;
use muster_model::{Oid, TaskId};
use muster_server::Server;
use muster_server::access::{API_KEY, ApiKey, owner_permissions};
use muster_server::app::App;
use muster_server::config::Config;
use muster_server::extension::{SUBSCRIPTION, Subscription};
use muster_server::profile::Profile;
use muster_server::tasking::EXTENSION;
use muster_server::{clock, random};
use muster_store::{Expect, Options, Store, TaskRow, Write};
use muster_tasking::{Control, Spec};
use roaring::RoaringBitmap;
use rustix::time::{ClockId, clock_gettime};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::ops::Range;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio_rustls::TlsAcceptor;

/// Sensors put into the store with one commit.
const SENSORS_PER_COMMIT: usize = 10_000;

/// Ticks of `/proc/PID/stat` in a second: the same on every Linux.
const TICKS_PER_S: f64 = 100.0;

/// A data directory with an organization and its fleet.
pub struct Ground {
    folder: TempDir,
    /// The organization.
    pub first: Tenant,
    /// Another one, without sensors but those that `more` put there.
    pub second: Tenant,
    authority: CertificateDer<'static>,
}

/// An organization, and an API key of its owner.
pub struct Tenant {
    /// The organization.
    pub oid: Oid,
    api_key: String,
}

impl Tenant {
    /// Founds one.
    pub async fn found(app: &App) -> anyhow::Result<Self> {
        let (now, oid, api_key) = (clock::now(), Oid(random::uuid()), random::uuid().to_string());
        let profile = Profile { name: "bench".into(), created_at: now, sensor_quota: 0 };
        app.create_organization(oid, &profile).await?;
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
        Ok(Self { oid, api_key })
    }

    /// Its REST API on a server in this process.
    pub async fn client(&self, server: &Server) -> anyhow::Result<Client> {
        let http = server.bound.http.context("the server has no HTTP listener")?;
        Client::new(format!("http://{http}"), self.oid, &self.api_key).await
    }
}

impl Ground {
    /// Makes an organization with this many sensors, all offline; `more` puts further rows into the store.
    pub async fn new(
        scratch: &Path,
        sensors: u32,
        more: impl FnOnce(&Store, Oid) -> anyhow::Result<()>,
    ) -> anyhow::Result<Self> {
        Self::shared(scratch, sensors, |store, first, _| more(store, first)).await
    }

    /// The same, where `more` also puts rows of a second organization.
    pub async fn shared(
        scratch: &Path,
        sensors: u32,
        more: impl FnOnce(&Store, Oid, Oid) -> anyhow::Result<()>,
    ) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("muster-bench-").tempdir_in(scratch)?;
        let store = Store::open(Options { path: folder.path().join("muster.db"), bytes_max: None, seal: None })?;
        let server = Server::start_on(Config::loopback(folder.path().to_owned()), store.clone()).await?;
        let (first, second) = (Tenant::found(&server.app).await?, Tenant::found(&server.app).await?);
        let authority = server.app.pki.authority.clone().into_owned();
        server.stop().await;
        put_sensors(&store, first.oid, 0..sensors)?;
        more(&store, first.oid, second.oid)?;
        store.close();
        Ok(Self { folder, first, second, authority })
    }

    /// The database file.
    pub fn database(&self) -> std::path::PathBuf {
        self.folder.path().join("muster.db")
    }

    /// Starts a server in this process, for what has to be set up by its API.
    pub async fn with_server<T>(&self, act: impl AsyncFnOnce(&Server) -> anyhow::Result<T>) -> anyhow::Result<T> {
        let store = self.store()?;
        let server = Server::start_on(Config::loopback(self.folder.path().to_owned()), store.clone()).await?;
        let done = act(&server).await;
        server.stop().await;
        store.close();
        done
    }

    /// The store, on which no server may run; to be closed again.
    pub fn store(&self) -> anyhow::Result<Store> {
        Ok(Store::open(Options { path: self.database(), bytes_max: None, seal: None })?)
    }

    /// Accepts TLS as a server on this directory does; none may run.
    pub async fn acceptor(&self) -> anyhow::Result<TlsAcceptor> {
        child::acceptor(self.folder.path().to_owned()).await
    }

    /// What people use for live sessions of the first organization, over TLS.
    pub fn live_client(&self, world: &World) -> anyhow::Result<muster_client::Client> {
        let settings = muster_client::Settings {
            url: format!("https://{}", world.address()),
            oid: self.first.oid.to_string(),
            api_key: self.first.api_key.clone(),
            uid: None,
            ca_file: Some(self.folder.path().join("pki/ca.pem")),
            user_agent: "bench".into(),
        };
        Ok(muster_client::Client::new(settings)?)
    }

    /// A connection to the API over TLS, on which a token of the first organization is shown.
    pub async fn direct(&self, world: &World, token: &str) -> anyhow::Result<Direct> {
        let connector = fleet::connector(self.authority.clone(), Vec::new())?;
        Direct::connect(&connector, world.address(), token).await
    }

    /// Sensors of the first organization.
    pub fn fleet(&self) -> anyhow::Result<Arc<Fleet>> {
        self.fleet_of(&self.first)
    }

    /// Sensors of an organization, which trust this server.
    pub fn fleet_of(&self, tenant: &Tenant) -> anyhow::Result<Arc<Fleet>> {
        Ok(Arc::new(Fleet::new(tenant.oid, self.authority.clone())?))
    }
}

/// Puts sensors with these numbers into the store; no other organization may have one of the same number.
pub fn put_sensors(store: &Store, oid: Oid, sensors: Range<u32>) -> anyhow::Result<()> {
    let public_key = fleet::public_key()?;
    let ordinals: Vec<u32> = sensors.collect();
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

/// This program anew, as `name`, on a data directory; ends when dropped.
fn again(name: &str, ground: &Ground) -> anyhow::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(name).arg("--data-dir").arg(ground.folder.path());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
    Ok(command)
}

/// The first line that a child says; nothing if it ends before.
async fn first_line(child: &mut Child) -> anyhow::Result<String> {
    let output = child.stdout.take().context("the child has no output")?;
    let mut line = String::new();
    BufReader::new(output).read_line(&mut line).await?;
    Ok(line)
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
        let mut child = again(name, ground)?.spawn()?;
        let line = first_line(&mut child).await?;
        let bound: Value = serde_json::from_str(&line).context("the child did not start")?;
        let address = |name: &str| bound[name].as_str().and_then(|text| text.parse().ok());
        Ok(Self { child, tls: address("tls").context("the child has no TLS listener")?, http: address("http") })
    }

    /// The REST API for an organization.
    pub async fn client(&self, tenant: &Tenant) -> anyhow::Result<Client> {
        let base = format!("http://{}", self.http.context("the child has no HTTP listener")?);
        Client::new(base, tenant.oid, &tenant.api_key).await
    }

    /// Starts this program anew, as `name`, to do what the second organization does to this server; it does so when this
    /// returns, and ends when what this gives is dropped.
    pub async fn beset(&self, name: &str, ground: &Ground, only: &[Evil]) -> anyhow::Result<Child> {
        let only = only.iter().filter_map(|evil| Some(evil.to_possible_value()?.get_name().to_owned()));
        let only = only.flat_map(|evil| ["--only".to_owned(), evil]);
        let mut child = again(name, ground)?.args(only).spawn()?;
        let Tenant { oid, api_key } = &ground.second;
        let told = json!({"tls": self.tls, "http": self.http, "oid": oid, "api_key": api_key});
        let input = child.stdin.as_mut().context("the child has no input")?;
        input.write_all(format!("{told}\n").as_bytes()).await?;
        anyhow::ensure!(!first_line(&mut child).await?.is_empty(), "the child did not begin");
        Ok(child)
    }

    /// Bytes of memory that it has resident.
    pub fn resident_bytes(&self) -> anyhow::Result<u64> {
        resident_bytes(&self.proc()?)
    }

    /// Those of them that no file backs: what it keeps, and not what of the program was touched once.
    pub fn anonymous_bytes(&self) -> anyhow::Result<u64> {
        bytes_of(&self.proc()?, "RssAnon:")
    }

    /// CPU time that it has used, user and system.
    pub fn cpu(&self) -> anyhow::Result<Duration> {
        let stat = std::fs::read_to_string(format!("{}/stat", self.proc()?))?;
        // The name in parentheses may hold anything; fields are counted behind it. Source: proc_pid_stat(5).
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok()).context("short stat");
        Ok(Duration::from_secs_f64((ticks(11)? + ticks(12)?) / TICKS_PER_S))
    }

    fn proc(&self) -> anyhow::Result<String> {
        Ok(format!("/proc/{}", self.child.id().context("the child ended")?))
    }

    /// Ends it in good order.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        drop(self.child.stdin.take());
        self.child.wait().await?;
        Ok(())
    }
}

/// What a child knows of the second organization, and of the server in another process.
pub struct Other {
    /// Its sensors.
    pub fleet: Arc<Fleet>,
    /// Its REST API.
    pub rest: Client,
    /// The address that sensors connect to.
    pub tls: SocketAddr,
}

impl Other {
    /// Reads what the parent says of it.
    pub async fn told(data_dir: &Path) -> anyhow::Result<Self> {
        let line =
            tokio::task::spawn_blocking(|| std::io::stdin().lines().next()).await?.context("nothing was told")??;
        let told: Value = serde_json::from_str(&line).context("nothing was told")?;
        let text = |name: &str| told[name].as_str().with_context(|| format!("{name} was not told"));
        let (oid, authority) = (text("oid")?.parse()?, CertificateDer::from_pem_file(data_dir.join("pki/ca.pem"))?);
        let rest = Client::new(format!("http://{}", text("http")?), oid, text("api_key")?).await?;
        Ok(Self { fleet: Arc::new(Fleet::new(oid, authority)?), rest, tls: text("tls")?.parse()? })
    }

    /// Says that everything was begun; ends when the parent wants no more of it.
    pub async fn begun(&self) {
        println!("{{}}");
        child::wait_for_end().await;
    }
}

/// Bytes of memory that a process has resident, by its folder in `/proc`.
pub fn resident_bytes(process: &str) -> anyhow::Result<u64> {
    bytes_of(process, "VmRSS:")
}

/// A size in the status of a process. Source: proc_pid_status(5).
fn bytes_of(process: &str, name: &str) -> anyhow::Result<u64> {
    let status = std::fs::read_to_string(format!("{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)).with_context(|| format!("no {name}"))?;
    let kilobytes: u64 = line.trim().trim_end_matches(" kB").trim().parse()?;
    Ok(kilobytes * 1_024)
}

/// CPU time that this process has used.
pub fn own_cpu() -> Duration {
    let used = clock_gettime(ClockId::ProcessCPUTime);
    let part = |number| u64::try_from(number).unwrap_or(0);
    Duration::from_secs(part(used.tv_sec)) + Duration::from_nanos(part(used.tv_nsec))
}

/// A server, and the client of its first organization.
pub struct World {
    /// The server.
    pub process: Process,
    /// The sensors of the organization.
    pub fleet: Arc<Fleet>,
    /// Its REST API.
    pub rest: Client,
}

impl World {
    /// Starts a server on a data directory.
    pub async fn start(ground: &Ground) -> anyhow::Result<Self> {
        let process = Process::start("serve-child", ground).await?;
        let rest = process.client(&ground.first).await?;
        Ok(Self { process, fleet: ground.fleet()?, rest })
    }

    /// The address that sensors connect to.
    pub fn address(&self) -> SocketAddr {
        self.process.tls
    }
}
