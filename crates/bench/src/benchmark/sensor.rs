//! What the real sensor costs the machine that it watches, while nothing happens.

use crate::Args;
use crate::endpoint::Endpoint;
use crate::line::Line;
use crate::world::{Ground, World};
use anyhow::Context as _;
use std::time::{Duration, Instant};

/// From being on line to idle: the first look at the processes is over.
const SETTLE: Duration = Duration::from_secs(10);
/// Least time over which processor time is counted: a ping falls into it.
const WATCH_MIN: Duration = Duration::from_secs(40);

pub async fn run(args: &Args) -> anyhow::Result<()> {
    let ground = Ground::new(&args.scratch, 0, |_, _| Ok(())).await?;
    let world = World::start(&ground).await?;
    let endpoint = Endpoint::start(&world, &args.scratch, None).await?;
    tokio::time::sleep(SETTLE).await;
    let (before, forks_before, begun) = (endpoint.usage()?, forks()?, Instant::now());
    tokio::time::sleep(WATCH_MIN.max(Duration::from_secs(args.seconds.into()))).await;
    let (after, took) = (endpoint.usage()?, begun.elapsed());
    // Each is an event for the sensor: with many of them it is not idle.
    let started = forks()? - forks_before;
    let cpu = after.cpu.saturating_sub(before.cpu);
    Line::new("sensor.idle", after.resident as f64 / 1e6, "MB")
        .with("anonymous_mb", after.anonymous as f64 / 1e6)
        .with("started_meanwhile", started)
        .at_most(8.0)
        .print();
    Line::new("sensor.idle.cpu", 100.0 * cpu.as_secs_f64() / took.as_secs_f64(), "% of a processor")
        .with("seconds", took.as_secs_f64())
        .with("started_meanwhile", started)
        .at_most(0.1)
        .print();
    drop(endpoint);
    world.process.stop().await
}

/// Processes and threads that were ever started on this machine. Source: proc_stat(5).
fn forks() -> anyhow::Result<u64> {
    let text = std::fs::read_to_string("/proc/stat")?;
    let line = text.lines().find_map(|line| line.strip_prefix("processes ")).context("no count of processes")?;
    Ok(line.trim().parse()?)
}
