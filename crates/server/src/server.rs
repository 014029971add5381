//! Listeners, and the life of a whole server.

mod crowd;
mod listen;
mod metrics;
mod patience;
mod proxy;

use crate::address::Bound;
use crate::app::App;
use crate::artifact::ARTIFACT;
use crate::config::Config;
use crate::files::Shelf;
use crate::gateway::{Edge, LocalOwner, Owner};
use crate::link::{Link, come_again_within};
use crate::meter::Meter;
use crate::payload::PAYLOAD;
use crate::pki::{Pki, PkiError};
use crate::profile::ORGANIZATION;
use crate::sealing;
use muster_store::{Options, Store, StoreError};
use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket};
use tokio::task::JoinSet;

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The data directory cannot be used.
    #[error("cannot use the data directory {path}")]
    Directory {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The database of a server is gone.
    #[error(
        "{database} is missing or empty, though {beside} is there: this directory belongs to a server. Restore the database from a backup made by `muster backup`; to begin anew, choose another directory or move this one away"
    )]
    NoDatabase {
        /// The file.
        database: PathBuf,
        /// What shows that there was one.
        beside: PathBuf,
    },
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is no key for what is sealed.
    #[error(transparent)]
    Sealing(#[from] sealing::Error),
    /// The certificates cannot be used.
    #[error(transparent)]
    Pki(#[from] PkiError),
    /// An address cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// A server that runs; dropping it ends all that it runs, without waiting.
pub struct Server {
    /// What it shares.
    pub app: Arc<App>,
    /// What has the organizations of sensors.
    pub owner: Arc<LocalOwner>,
    /// What has the sockets of sensors.
    pub edge: Arc<Edge>,
    /// What it listens on.
    pub bound: Bound,
    tasks: JoinSet<()>,
}

impl Server {
    /// Opens the store of the data directory, and starts to serve.
    ///
    /// # Errors
    ///
    /// [`StartError`] says what to mend.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        let path = config.data_dir.clone();
        std::fs::create_dir_all(&path).map_err(|source| StartError::Directory { path: path.clone(), source })?;
        require_database(&path)?;
        let bytes_max = (config.limits.store_bytes > 0).then_some(config.limits.store_bytes);
        let database = path.join("muster.db");
        let seal = Some(sealing::key_for(&database, &config.sealing_key)?);
        let store = Store::open(Options { path: database, bytes_max, seal })?;
        Self::start_on(config, store).await
    }

    /// Starts to serve on a store that is open already.
    ///
    /// # Errors
    ///
    /// [`StartError`] says what to mend.
    pub async fn start_on(config: Config, store: Store) -> Result<Self, StartError> {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let is_in_use = !store.read_blocking(|read| read.records(None, Some(ORGANIZATION.word())))?.is_empty();
        let pki = Pki::open(&config, is_in_use, store.seal())?;
        let tls = bind(config.listen).await?;
        let http = bind_some(config.http).await?;
        let proxy = bind_some(config.proxy).await?;
        let metrics = bind_some(config.metrics).await?;
        let address = |listener: &TcpListener, asked| listener.local_addr().unwrap_or(asked);
        let bound = Bound {
            tls: address(&tls, config.listen),
            http: http.as_ref().zip(config.http).map(|(listener, asked)| address(listener, asked)),
            proxy: proxy.as_ref().zip(config.proxy).map(|(listener, asked)| address(listener, asked)),
            metrics: metrics.as_ref().zip(config.metrics).map(|(listener, asked)| address(listener, asked)),
        };
        let app = App::load(config, crate::app::owned(&store)?, pki).await?;
        app.address.bind(bound);
        tidy_files(&app);
        crate::detect::load(&app.detect).await?;
        let owner = owner(&app);
        let (waiting, jobs) = (app.waiting.clone(), app.jobs.clone());
        let edge = Arc::new(Edge { owner: Arc::clone(&owner) as Arc<dyn Owner>, waiting, jobs });
        let door = listen::Door::new(Arc::clone(&app), Arc::clone(&edge), files_max());
        let mut tasks = JoinSet::new();
        tasks.spawn(listen::tls(Arc::clone(&door), tls));
        if let Some(http) = http {
            tasks.spawn(listen::plain(Arc::clone(&door), http));
        }
        if let Some(proxy) = proxy {
            tasks.spawn(proxy::run(door, proxy));
        }
        if let Some(metrics) = metrics {
            tasks.spawn(metrics::run(Arc::clone(&app), metrics));
        }
        #[cfg(unix)]
        tasks.spawn(crate::control::run(Arc::clone(&app)));
        tasks.spawn(Arc::clone(&app).heed_losses());
        tasks.spawn(crate::tasking::run_ticker(Arc::clone(&app.tasking)));
        tasks.spawn(crate::retention::run(Arc::clone(&app.retention)));
        tasks.spawn(crate::output::run(Arc::clone(&app.delivery)));
        tasks.spawn(crate::artifact::run(Arc::clone(&app.artifacts)));
        tasks.spawn(crate::hive::run(Arc::clone(&app.hives)));
        drop(app.jobs.spawn(crate::service::run(Arc::clone(&app.services), app.jobs.clone())));
        tasks.spawn(Arc::clone(&app.live).keep_time());
        tasks.spawn(crate::detect::run_audit(Arc::clone(&app.detect)));
        tasks.spawn(crate::detect::run_schedule(Arc::clone(&app.detect)));
        tasks.spawn(crate::detect::run_resources(Arc::clone(&app.detect)));
        Ok(Self { app, owner, edge, bound, tasks })
    }

    /// Stops: accepts nothing more, sends all sensors away, lets requests that were begun be answered for
    /// [`DRAIN_MAX`] at most, and waits until what was accepted is stored.
    pub async fn stop(mut self) {
        self.app.replay_turns.stop();
        self.tasks.shutdown().await;
        self.app.jobs.stop();
        let links: Vec<Arc<Link>> =
            self.app.organizations().iter().flat_map(|organization| organization.links()).collect();
        let within = come_again_within(links.len());
        links.iter().for_each(|link| link.send_away(within));
        let cut_off = self.app.jobs.drain(DRAIN_MAX).await;
        if cut_off > 0 {
            tracing::warn!(cut_off, "requests and links that had not ended were cut off");
        }
        crate::detect::close(&self.app.detect).await;
        // An empty commit is answered after all that were accepted before it.
        if let Err(error) = self.app.store.commit(Vec::new()).await {
            tracing::warn!(%error, "the last commit failed");
        }
        if let Err(error) = self.app.give_up().await {
            tracing::warn!(%error, "organizations could not be given up: who lost one to this server does not take it up");
        }
    }
}

/// Where the organizations of sensors are: here.
fn owner(app: &App) -> Arc<LocalOwner> {
    let limits = &app.config.limits;
    Arc::new(LocalOwner {
        organizations: Arc::clone(&app.organizations),
        records: Arc::clone(&app.records),
        intake: Arc::clone(&app.intake),
        detect: Arc::clone(&app.detect),
        tasking: Arc::clone(&app.tasking),
        sensors: app.sensors.clone(),
        live: Arc::clone(&app.live),
        transfers: Arc::clone(&app.transfers),
        refuse: crate::api::refusal,
        telemetry: app.telemetry.clone(),
        enrolments: Meter::default(),
        enrolments_per_minute: limits.enrolments_per_minute,
        events: Meter::default(),
        events_per_minute: limits.events_per_minute,
    })
}

/// Removes files that a crash left without a record.
fn tidy_files(app: &App) {
    app.files.tidy_uploads();
    for organization in app.organizations() {
        let oid = organization.oid;
        let digests = app.records.list(oid, PAYLOAD).into_iter().map(|(_, payload)| payload.sha256);
        let digests: HashSet<String> = digests.collect();
        app.files.tidy(Shelf::Payloads, oid, |name| digests.contains(name));
        app.files.tidy(Shelf::Artifacts, oid, |name| app.records.has(oid, ARTIFACT, name));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.app.jobs.cut();
    }
}

/// How long a server that stops waits for what was begun. Service managers kill after 30 seconds
/// (`docs/muster.service`), and the store has to be closed, too.
const DRAIN_MAX: Duration = Duration::from_secs(10);

/// Connections that the kernel holds until they are accepted; it may allow fewer.
const BACKLOG: u32 = 4_096;

/// Files that this process may have open, from now on as many as it is allowed; `None` is no bound. What a shell begins
/// may have 1,024 until it asks for more, which is for programs of which each sensor is not a file.
#[cfg(unix)]
fn files_max() -> Option<u64> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, ..limit };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(error) => {
            tracing::warn!(%error, "the limit of open files stays as it is");
            limit.current
        }
    }
}

#[cfg(not(unix))]
fn files_max() -> Option<u64> {
    None
}

/// Files of a data directory that are made after its database, and kept.
const BESIDE_THE_DATABASE: [&str; 2] = ["env", "pki/ca.pem"];

/// Refuses to begin anew where a server was: what clients and sensors know of it would be overwritten.
fn require_database(data_dir: &Path) -> Result<(), StartError> {
    let database = data_dir.join("muster.db");
    if std::fs::metadata(&database).is_ok_and(|file| file.len() > 0) {
        return Ok(());
    }
    let beside = BESIDE_THE_DATABASE.map(|name| data_dir.join(name)).into_iter().find(|path| path.exists());
    beside.map_or(Ok(()), |beside| Err(StartError::NoDatabase { database, beside }))
}

async fn bind(address: SocketAddr) -> Result<TcpListener, StartError> {
    let open = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        // A restarted server takes over its port at once. On Windows the same option would let others take it.
        if cfg!(unix) {
            socket.set_reuseaddr(true)?;
        }
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    open().map_err(|source| StartError::Listen { address, source })
}

async fn bind_some(address: Option<SocketAddr>) -> Result<Option<TcpListener>, StartError> {
    match address {
        Some(address) => bind(address).await.map(Some),
        None => Ok(None),
    }
}
