//! muster: hold an order for every endpoint until that endpoint can carry it out.
#![forbid(unsafe_code)]

mod data_dir;
mod serve;
mod stop;
mod up;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Hold an order for every endpoint until that endpoint can carry it out.
#[derive(Parser)]
#[command(name = "muster", version)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Start everything on this machine: server, keys, one local sensor
    Up(up::UpArgs),
    #[command(hide = true)]
    SensorProcess(up::local_sensor::ProcessArgs),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let filter = tracing_subscriber::EnvFilter::try_from_env("MUSTER_LOG").unwrap_or_else(|_| "warn".into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let ended = match cli.verb {
        Verb::SensorProcess(args) => up::local_sensor::run_process(&args),
        Verb::Up(args) => {
            tokio::runtime::Runtime::new().map_err(Into::into).and_then(|runtime| runtime.block_on(up::run(args)))
        }
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("muster: {error:#}");
            ExitCode::FAILURE
        }
    }
}
