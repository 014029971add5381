//! The `muster-sensor` program.

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use muster_sensor::health;
use muster_sensor::sensor::{self, Config, delay};
use muster_sensor::state_dir::StateDir;
use muster_wire::InstallationKey;

/// Commands recurse nowhere; this holds their buffers.
const THREAD_STACK_BYTES: usize = 512 * 1024;
/// The tasks that run at the same time, and some for names and files.
const BLOCKING_THREADS_MAX: usize = 8;

/// The muster sensor: carries out tasks of its server on this endpoint.
#[derive(Parser)]
#[command(name = "muster-sensor", version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Verb>,
    /// Run in the foreground with this key, as `run --key KEY` does
    #[arg(short, long, value_name = "KEY")]
    deployment: Option<String>,
    /// Run under the service manager, with the stored identity
    #[arg(short = 'w', long)]
    service: bool,
    /// Print a report of how this sensor stands, as JSON
    #[arg(short = 'H', long)]
    health: bool,
    /// Do not enrol within the next 24 hours
    #[arg(short = 't', long)]
    vdi: bool,
    #[command(flatten)]
    options: Options,
}

#[derive(Subcommand)]
enum Verb {
    /// Run in the foreground until stopped.
    Run {
        /// Installation key; `-` looks it up in LC_INSTALLATION_KEY, then in lc_installation_key.txt
        #[arg(long)]
        key: Option<String>,
        #[command(flatten)]
        options: Options,
    },
    /// Print the status of the sensor that runs on the state directory, as JSON.
    Status {
        #[command(flatten)]
        options: Options,
    },
}

#[derive(clap::Args)]
struct Options {
    /// Directory for identity, journal and spool
    #[arg(long, env = "LC_DATA_DIRECTORY", default_value = "/opt/limacharlie")]
    state_dir: PathBuf,
    /// Size of the local history of events, in MiB
    #[arg(long, default_value_t = 60)]
    history_mib: u64,
    /// Write more to the log
    #[arg(short, long, env = "LC_VERBOSE", value_parser = clap::builder::FalseyValueParser::new())]
    verbose: bool,
}

fn main() -> ExitCode {
    match act(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            eprintln!("muster-sensor: {text}");
            ExitCode::FAILURE
        }
    }
}

fn act(cli: Cli) -> Result<(), String> {
    match cli.command {
        Some(Verb::Run { key, options }) => run(key.as_deref(), options),
        Some(Verb::Status { options }) => {
            let path = sensor::status_file(&options.state_dir);
            let text = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
            println!("{text}");
            Ok(())
        }
        None if cli.health => {
            println!("{:#}", health::report(&cli.options.state_dir));
            Ok(())
        }
        None if cli.vdi => {
            let begun = StateDir::open(&cli.options.state_dir).and_then(|dir| delay::begin(&dir));
            begun.map_err(|error| format!("{}: {error}", cli.options.state_dir.display()))
        }
        None if cli.service || cli.deployment.is_some() => run(cli.deployment.as_deref(), cli.options),
        None => Err("say what to do: muster-sensor run --key KEY --state-dir DIR (see --help)".to_owned()),
    }
}

fn run(key: Option<&str>, options: Options) -> Result<(), String> {
    let level = if options.verbose { "debug" } else { "info" };
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| level.into());
    let is_terminal = std::io::stderr().is_terminal();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(is_terminal).init();
    let key = key_text(key).map(|text| InstallationKey::from_text(&text)).transpose();
    let key = key.map_err(|error| error.to_string())?;
    let history_bytes = options.history_mib.saturating_mul(1024 * 1024);
    let config = Config {
        key,
        state_dir: options.state_dir,
        backoff: backoff(),
        history_bytes,
        crash_at: test_number("MUSTER_TEST_CRASH_AT"),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .thread_stack_size(THREAD_STACK_BYTES)
        .max_blocking_threads(BLOCKING_THREADS_MAX)
        .thread_keep_alive(Duration::from_secs(1))
        .build()
        .map_err(|error| error.to_string())?;
    let ended = runtime.block_on(sensor::run(config));
    runtime.shutdown_timeout(Duration::from_secs(1));
    ended.map_err(|error| chain(&error))
}

fn key_text(given: Option<&str>) -> Option<String> {
    match given {
        Some(text) if text != "-" => Some(text.to_owned()),
        _ => std::env::var("LC_INSTALLATION_KEY")
            .or_else(|_| std::env::var("MUSTER_INSTALL_KEY"))
            .ok()
            .or_else(|| std::fs::read_to_string("lc_installation_key.txt").ok()),
    }
}

/// First wait before connecting again; `MUSTER_TEST_BACKOFF_MS` shortens it for tests.
fn backoff() -> Duration {
    test_number("MUSTER_TEST_BACKOFF_MS").map_or(Duration::from_secs(1), Duration::from_millis)
}

fn test_number<N: std::str::FromStr>(variable: &str) -> Option<N> {
    std::env::var(variable).ok()?.parse().ok()
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
