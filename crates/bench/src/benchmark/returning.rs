//! An offline sensor with a waiting task connects: start of TCP to the task.

use super::{returns, sizes};
use crate::Args;
use crate::endpoint::{self, Endpoint, Gate};
use crate::limit;
use crate::line::{Line, ms, percentile};
use crate::world::{Ground, Process, World};
use anyhow::{Context as _, bail};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use serde_json::json;
use std::time::{Duration, Instant};
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe;
use tokio::time::timeout;

/// Returns of the real sensor that are measured.
const RETURNS: u32 = 30;
/// A return that takes longer has failed.
const RETURN_MAX: Duration = Duration::from_secs(30);

pub async fn run(args: &Args) -> anyhow::Result<()> {
    for sensors in sizes(args, &[300]) {
        let ground = Ground::new(&args.scratch, sensors, |_, _| Ok(())).await?;
        let world = World::start(&ground).await?;
        world.rest.task("*").await?;
        let times = returns(&world, sensors).await?;
        world.process.stop().await?;
        let echo = Process::start("echo-child", &ground).await?;
        let bare = limit::echo_links(&ground.fleet()?, echo.tls, sensors, 1).await?;
        let bare: Vec<f64> = bare.iter().map(|link| ms(link.ready)).collect();
        echo.stop().await?;
        let syncs = limit::durable_appends(&args.scratch, 4_096, 50)?;
        Line::new("return.p50", percentile(&times, 0.5), "ms")
            .with("sensors", sensors)
            .with("p99_ms", percentile(&times, 0.99))
            .at_most(50.0)
            .against("bare TLS connection and one echo, p50", percentile(&bare, 0.5))
            .with("sync_p50_ms", percentile(&syncs, 0.5))
            .print();
    }
    match endpoint::program() {
        Ok(_) => real(args).await,
        Err(error) => {
            eprintln!("the return of the real sensor is left out: {error:#}");
            Ok(())
        }
    }
}

/// The same with the real sensor: start of TCP to the task's program at work, over the
/// sensor's journal, its two disk syncs, and the start of a shell.
async fn real(args: &Args) -> anyhow::Result<()> {
    let ground = Ground::new(&args.scratch, 0, |_, _| Ok(())).await?;
    let world = World::start(&ground).await?;
    let gate = Gate::start().await?;
    let endpoint = Endpoint::start(&world, &args.scratch, Some(&gate)).await?;
    let path = endpoint.file("begun");
    mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)?;
    let mut begun = pipe::OpenOptions::new().read_write(true).open_receiver(&path)?;
    let command = format!("run --shell-command 'echo > {}'", path.display());
    let mut times = Vec::new();
    for _ in 0..RETURNS {
        gate.close();
        endpoint.until_offline(&world).await?;
        let (answer, _) = world.rest.ask("task", &json!({"task": command, "selector": "*"})).await?;
        if answer["queued_sensors"] != 1 {
            bail!("the task does not wait: {answer}");
        }
        gate.open();
        timeout(RETURN_MAX, begun.read_u8()).await.context("the task did not begin")??;
        let ended = Instant::now();
        times.push(ms(ended - gate.passed().context("the sensor did not come through the proxy")?));
    }
    world.process.stop().await?;
    Line::new("return.sensor.p50", percentile(&times, 0.5), "ms")
        .with("returns", RETURNS)
        .with("p99_ms", percentile(&times, 0.99))
        .at_most(50.0)
        .print();
    Ok(())
}
