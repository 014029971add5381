//! `muster up`: everything on one machine, from one directory.

pub mod environment;
pub mod identity;
pub mod local_sensor;
mod story;

use crate::console;
use crate::data_dir::DataDir;
use crate::show;
use crate::stop::StopSignals;
use environment::Environment;
use identity::Identity;
use local_sensor::LocalSensor;
use muster_server::Server;
use muster_server::config::Config;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Wait before a local sensor that failed is started again; doubled up to the longest.
const RESTART_FIRST: Duration = Duration::from_secs(1);
const RESTART_LONGEST: Duration = Duration::from_secs(60);

/// Connector id that Live Response clients send beside the key.
const CONNECTOR: &str = "MUSTER";

/// Arguments of `muster up`.
#[derive(clap::Args)]
pub struct UpArgs {
    /// Directory that holds everything: database, certificates, keys
    #[arg(long, value_name = "DIR", env = "MUSTER_DATA_DIR", default_value = "./muster-data")]
    pub data_dir: PathBuf,
    /// TLS address for sensors, API and streams; port 0 picks a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8443")]
    pub listen: SocketAddr,
    /// Plain HTTP address for the API; port 0 picks a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    pub http: SocketAddr,
    /// Do not start a sensor on this machine
    #[arg(long)]
    pub no_sensor: bool,
    /// Make a new private CA if that of this data directory is gone; every sensor must then enrol again
    #[arg(long)]
    pub new_authority: bool,
}

/// Runs until a signal stops it.
///
/// # Errors
///
/// Whatever keeps the server from starting.
pub async fn run(args: UpArgs) -> anyhow::Result<()> {
    let mut signals = StopSignals::new()?;
    let data_dir = DataDir::take(&args.data_dir)?;
    let before = Environment::read(&data_dir.path)?;
    let config = Config {
        listen: args.listen,
        http: Some(args.http),
        proxy: Some(proxy_address(before.as_ref())),
        public_address: None,
        new_authority: args.new_authority,
        ..Config::loopback(data_dir.path.clone())
    };
    let server = Server::start(config).await.map_err(crate::serve::explain_start)?;
    let identity = identity::ensure(&server.app, before.as_ref()).await?;
    let environment = environment_of(&server, &identity, &data_dir.path);
    environment.write(&data_dir.path)?;
    print_console(&server, &identity, &environment).await?;
    // Last: a script that waited for it may read no further, and what is printed then would end the server.
    print_ready(&server, &args.data_dir);
    if args.no_sensor {
        signals.received().await;
    } else {
        let first = if identity.is_new {
            tokio::select! {
                () = signals.received() => return stopped(server).await,
                first = tell_story(&data_dir.path, &args.data_dir, &environment) => first,
            }
        } else {
            None
        };
        run_with_sensor(first, &data_dir.path, &identity, &mut signals).await?;
    }
    stopped(server).await
}

/// The proxy has no default port, since it has none that is known; clients that were set up
/// with the one of the last start must find it there again.
fn proxy_address(before: Option<&Environment>) -> SocketAddr {
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let known =
        before.and_then(|environment| environment.get("MUSTER_COMPAT_PROXY")?.strip_prefix("http://")?.parse().ok());
    let Some(known) = known.filter(|known: &SocketAddr| known.ip().is_loopback()) else { return any };
    match TcpListener::bind(known) {
        Ok(_) => known,
        Err(error) => {
            show::line(format_args!("The compatibility proxy gets another port: {known} cannot be used ({error})."));
            any
        }
    }
}

async fn stopped(server: Server) -> anyhow::Result<()> {
    show::line("Stopping.");
    crate::serve::stop(server).await;
    Ok(())
}

/// A story that fails is no reason to stop: the server is what was asked for.
async fn tell_story(data_dir: &Path, shown: &Path, environment: &Environment) -> Option<LocalSensor> {
    let told = story::tell(data_dir, environment).await;
    if let Err(error) = &told {
        let log = data_dir.join("sensor.log");
        show::line(format_args!("   This did not work: {error:#} ({} may say why).", log.display()));
    }
    story::say_what_next(shown);
    told.ok()
}

/// Keeps a local sensor running until a signal comes; `first` is one that runs already.
async fn run_with_sensor(
    mut first: Option<LocalSensor>,
    data_dir: &Path,
    identity: &Identity,
    signals: &mut StopSignals,
) -> anyhow::Result<()> {
    let mut wait = RESTART_FIRST;
    loop {
        let mut sensor = match first.take() {
            Some(sensor) => sensor,
            None => LocalSensor::start(data_dir, &identity.installation_key)?,
        };
        let meant_to = tokio::select! {
            () = signals.received() => {
                sensor.stop().await;
                return Ok(());
            }
            meant_to = sensor.ended() => meant_to,
        };
        if meant_to {
            show::line("The local sensor has ended; the next `muster up` starts it again.");
            signals.received().await;
            return Ok(());
        }
        let log = data_dir.join("sensor.log");
        eprintln!("The local sensor failed ({} says why); next try in {} s.", log.display(), wait.as_secs());
        tokio::select! {
            () = signals.received() => return Ok(()),
            () = tokio::time::sleep(wait) => wait = (wait * 2).min(RESTART_LONGEST),
        }
    }
}

/// An address as someone on this machine reaches it.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// What a client must know of a server that runs.
pub fn environment_of(server: &Server, identity: &Identity, data_dir: &Path) -> Environment {
    let tls = format!("https://{}", reachable(server.bound.tls));
    let http = server.bound.http.map_or_else(|| tls.clone(), |http| format!("http://{}", reachable(http)));
    let proxy = server.bound.proxy.map(|proxy| format!("http://{}", reachable(proxy))).unwrap_or_default();
    let bundle = data_dir.join("pki").join("ca.pem").display().to_string();
    let variables = [
        ("LC_API_URL", http.clone()),
        ("LC_JWT_URL", format!("{http}/jwt")),
        ("LC_OID", identity.oid.to_string()),
        ("LC_API_KEY", identity.api_key.clone()),
        ("SSL_CERT_FILE", bundle.clone()),
        ("REQUESTS_CA_BUNDLE", bundle),
        ("MUSTER_COMPAT_PROXY", proxy),
        // Whoever sets HTTPS_PROXY to it reaches this machine itself without a detour.
        ("NO_PROXY", "127.0.0.1,localhost,::1".to_owned()),
        ("CBLR_URL", tls.clone()),
        ("CBLR_TOKEN", format!("{}/{CONNECTOR}", identity.api_key)),
        (console::URL_VARIABLE, console_url(server, &tls)),
        ("MUSTER_URL", tls),
        ("MUSTER_INSTALL_KEY", identity.installation_key.clone()),
    ];
    Environment(variables.map(|(name, value)| (name.to_owned(), value)).into())
}

/// Browsers do not know this server's certificates; on loopback none are needed.
fn console_url(server: &Server, tls: &str) -> String {
    match server.bound.http.map(reachable).filter(|http| http.ip().is_loopback()) {
        Some(http) => format!("http://{http}/console/"),
        None => format!("{tls}/console/"),
    }
}

/// Where the console is; and as long as nobody can sign in, the link by which someone can.
async fn print_console(server: &Server, identity: &Identity, environment: &Environment) -> anyhow::Result<()> {
    if !muster_console::is_built() {
        show::line("console: not in this build; ./up builds it");
        return Ok(());
    }
    let url = environment.get(console::URL_VARIABLE).unwrap_or_default();
    show::line(format_args!("Console: {url}"));
    if !muster_server::console::has_users(&server.app.console) {
        let once = muster_server::console::create_for_owner(&server.app.console, identity.oid).await?;
        show::line(format_args!("         {url}sign-in#once={once}"));
        show::line(
            "         makes its first user, once, within 15 minutes; `muster console` prints another such link.",
        );
    }
    Ok(())
}

fn print_ready(server: &Server, data_dir: &Path) {
    let http = server.bound.http.map(|http| format!(" and http://{}", reachable(http))).unwrap_or_default();
    show::line(format_args!(
        "muster {} is up on https://{}{http}",
        env!("CARGO_PKG_VERSION"),
        reachable(server.bound.tls)
    ));
    show::line(format_args!("To use it from another shell:  source {}", data_dir.join(environment::FILE).display()));
}
