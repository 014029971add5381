//! All sensors come back at once, each with a waiting task.

use super::{PATIENCE, online};
use crate::Args;
use crate::fleet::Fleet;
use crate::limit;
use crate::line::{Line, ms, percentile};
use crate::world::{Ground, Process, World};
use anyhow::Context as _;
use muster_wire::Step;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// First wait of a sensor that was sent away or cut off; doubles. As the sensor does.
const BACKOFF: Duration = Duration::from_millis(500);

pub async fn run(args: &Args) -> anyhow::Result<()> {
    for sensors in online(args, &[10_000], u64::from)? {
        let ground = Ground::new(&args.scratch, sensors, |_, _| Ok(())).await?;
        let world = World::start(&ground).await?;
        world.rest.task("*").await?;
        let (cpu, began) = (world.process.cpu()?, Instant::now());
        let mut all = JoinSet::new();
        for ordinal in 0..sensors {
            all.spawn(come_back(Arc::clone(&world.fleet), world.address(), ordinal, began));
        }
        let (mut waits, mut retries, mut links) = (Vec::new(), 0, Vec::new());
        while let Some(back) = timeout(PATIENCE, all.join_next()).await.context("the storm does not end")? {
            let (link, started, tries) = back??;
            waits.push(ms(started));
            retries += tries;
            links.push(link);
        }
        let drained = began.elapsed();
        let cpu = world.process.cpu()?.saturating_sub(cpu);
        drop(links);
        world.process.stop().await?;
        let bare = bare_storm(&ground, sensors).await?;
        Line::new("storm", drained.as_secs_f64(), "s")
            .with("sensors", sensors)
            .with("reconnections", retries)
            .with("started_p50_s", percentile(&waits, 0.5) / 1e3)
            .with("started_last_s", percentile(&waits, 1.0) / 1e3)
            .with("server_cpu_s", cpu.as_secs_f64())
            .at_most(10.0)
            .against("as many bare TLS connections at once", bare.as_secs_f64())
            .print();
    }
    Ok(())
}

/// Connects until it works and does the waiting task; gives when the task was
/// there, and how often it had to connect again.
async fn come_back(
    fleet: Arc<Fleet>,
    address: SocketAddr,
    ordinal: u32,
    began: Instant,
) -> anyhow::Result<(crate::fleet::Link, Duration, u32)> {
    let mut wait = BACKOFF;
    for tries in 0..12 {
        if let Ok(mut link) = Box::pin(fleet.connect(address, ordinal)).await
            && let Ok(task) = link.task().await
        {
            let started = began.elapsed();
            if link.confirm(&task, &[Step::Confirmed, Step::Started, Step::Finished]).await.is_ok() {
                return Ok((link, started, tries));
            }
        }
        sleep(wait).await;
        wait *= 2;
    }
    anyhow::bail!("sensor {ordinal} did not get through")
}

async fn bare_storm(ground: &Ground, sensors: u32) -> anyhow::Result<Duration> {
    let echo = Process::start("echo-child", ground).await?;
    let (fleet, began) = (ground.fleet()?, Instant::now());
    let links = limit::echo_links(&fleet, echo.tls, sensors, 256).await?;
    let took = began.elapsed();
    drop(links);
    echo.stop().await?;
    Ok(took)
}
