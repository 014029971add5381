//! Load generator and benchmarks: `muster-bench NAME [--sensors N …]`.
//!
//! Each benchmark starts a server in a process of its own, so that CPU and
//! memory are the server's alone, plays the sensors over TLS in this process,
//! and prints one JSON object per line (see [`line::Line`]). Beside each number
//! stands what the machine itself can do, measured in the same run.

#![forbid(unsafe_code)]
#![allow(clippy::disallowed_methods, reason = "it measures real time")]

mod benchmark;
mod child;
mod client;
mod direct;
mod endpoint;
mod fleet;
mod limit;
mod line;
mod tab;
mod target;
mod world;

use anyhow::Context as _;
use benchmark::Evil;
use clap::{Parser, ValueEnum};
use std::path::PathBuf;

/// What to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Name {
    /// One task for known offline sensors: request to durable answer.
    Create,
    /// One task for online sensors: first and last start.
    Fanout,
    /// An offline sensor with a waiting task connects.
    Return,
    /// Server CPU per task round trip.
    Cpu,
    /// All sensors connect at once; durable confirmations.
    Storm,
    /// Memory of idle links.
    Idle,
    /// Connecting while many requests are active that do not concern the sensor.
    Match,
    /// Counts and pages of a large request; a sensor that newly matches.
    Status,
    /// Memory and processor time of the real sensor, idle.
    Sensor,
    /// An event that a rule answers with a task to the same sensor.
    Detect,
    /// Rules that are set beside many, many that are set in a row, and all loaded again.
    Rules,
    /// One organization while another does its worst.
    Tenants,
    /// Live sessions: opening, commands, files, memory.
    Live,
    /// Open tabs of the console: memory of each, and what they cost a task for online sensors.
    Tabs,
    /// Deliveries to services of others: how many, and what dead ones do to others.
    Webhook,
    /// Periodic events for the sensors of an organization.
    Cron,
    /// All of them, one after another.
    All,
    /// A server, until its standard input ends.
    #[value(hide = true)]
    ServeChild,
    /// A bare TLS echo server, until its standard input ends.
    #[value(hide = true)]
    EchoChild,
    /// A service of others that does nothing, until its standard input ends.
    #[value(hide = true)]
    TargetChild,
    /// An organization that does its worst, until its standard input ends.
    #[value(hide = true)]
    TenantChild,
}

impl Name {
    /// Those that measure, in the order in which `all` runs them.
    const MEASURED: [Self; 16] = [
        Self::Create,
        Self::Fanout,
        Self::Return,
        Self::Cpu,
        Self::Storm,
        Self::Idle,
        Self::Match,
        Self::Status,
        Self::Sensor,
        Self::Detect,
        Self::Rules,
        Self::Tenants,
        Self::Live,
        Self::Tabs,
        Self::Webhook,
        Self::Cron,
    ];
}

/// Measures muster, and prints one JSON object per line.
#[derive(Clone, Debug, Parser)]
struct Args {
    name: Name,
    /// Numbers of sensors; the default is that of the benchmark.
    #[arg(long, num_args = 1..)]
    sensors: Vec<u32>,
    /// Numbers of active requests (`match`).
    #[arg(long, num_args = 1..)]
    requests: Vec<u32>,
    /// How many rules are stored (`rules`, `tenants`).
    #[arg(long, default_value_t = 15_000)]
    rules: u32,
    /// How many records are too old to be kept (`tenants`).
    #[arg(long, default_value_t = 1_000_000)]
    records: u32,
    /// What alone the other organization does; all of it if this is absent (`tenants`).
    #[arg(long, value_enum)]
    only: Vec<Evil>,
    /// How many tabs of the console are open (`tabs`).
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    tabs: u32,
    /// How many messages wait for a service (`webhook`).
    #[arg(long, default_value_t = 50_000)]
    messages: u32,
    /// How many services are dead (`webhook`).
    #[arg(long, default_value_t = 1_000)]
    targets: u32,
    /// MiB of each of the ten files that come at once (`live`).
    #[arg(long, default_value_t = 1_024)]
    mib: u64,
    /// How often each measurement is made; the median is printed.
    #[arg(long, default_value_t = 3)]
    runs: u32,
    /// How long load is kept up, in seconds.
    #[arg(long, default_value_t = 5)]
    seconds: u32,
    /// Where data directories are made; its disk is part of the measurement.
    #[arg(long, default_value_os_t = std::env::temp_dir())]
    scratch: PathBuf,
    /// Data directory of a child.
    #[arg(long, hide = true)]
    data_dir: Option<PathBuf>,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    raise_file_limit()?;
    if args.name == Name::TenantChild {
        // Before there are other threads, which do what the first one does.
        muster_server::jobs::stand_back();
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        match args.name {
            Name::ServeChild => child::serve(args.data_dir.context("--data-dir is missing")?).await,
            Name::EchoChild => child::echo(args.data_dir.context("--data-dir is missing")?).await,
            Name::TargetChild => child::target().await,
            Name::TenantChild => {
                let data_dir = args.data_dir.clone().context("--data-dir is missing")?;
                Box::pin(benchmark::tenant(&args, &data_dir)).await
            }
            _ => Box::pin(benchmark::run(&args)).await,
        }
    })
}

/// Every link is a file descriptor, here and in the server.
fn raise_file_limit() -> anyhow::Result<()> {
    let mut limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    limit.current = limit.maximum;
    Ok(rustix::process::setrlimit(rustix::process::Resource::Nofile, limit)?)
}
