//! The `muster-sensor` program.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use muster_sensor::sensor::{self, Config};
use muster_wire::InstallationKey;

/// The muster sensor: carries out tasks of its server on this endpoint.
#[derive(Parser)]
#[command(name = "muster-sensor", version, disable_version_flag = true)]
struct Cli {
    #[command(subcommand)]
    command: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Run in the foreground until stopped.
    Run(RunArguments),
}

#[derive(clap::Args)]
struct RunArguments {
    /// Installation key; `-` looks it up in LC_INSTALLATION_KEY, then in lc_installation_key.txt
    #[arg(long)]
    key: Option<String>,
    /// Directory for identity, journal and spool
    #[arg(long, env = "LC_DATA_DIRECTORY", default_value = "/opt/limacharlie")]
    state_dir: PathBuf,
    /// Size of the local history of events, in MiB
    #[arg(long, default_value_t = 60)]
    history_mib: u64,
    /// Write more to the log
    #[arg(short, long)]
    verbose: bool,
}

fn main() -> ExitCode {
    let Verb::Run(arguments) = Cli::parse().command;
    let level = if arguments.verbose { "debug" } else { "info" };
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| level.into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            eprintln!("muster-sensor: {text}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: RunArguments) -> Result<(), String> {
    let key = key_text(arguments.key.as_deref()).map(|text| InstallationKey::from_text(&text)).transpose();
    let key = key.map_err(|error| error.to_string())?;
    let history_bytes = arguments.history_mib.saturating_mul(1024 * 1024);
    let config = Config { key, state_dir: arguments.state_dir, backoff: backoff(), history_bytes };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .thread_stack_size(512 * 1024)
        .max_blocking_threads(8)
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
    let test = std::env::var("MUSTER_TEST_BACKOFF_MS").ok().and_then(|text| text.parse().ok());
    test.map_or(Duration::from_secs(1), Duration::from_millis)
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
