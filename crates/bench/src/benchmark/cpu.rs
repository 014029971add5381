//! Server CPU for one round trip of a task: delivery, two receipts, one answer.

use super::{gather, online, put_to_work};
use crate::Args;
use crate::fleet::What;
use crate::limit;
use crate::line::Line;
use crate::world::{Ground, Process, World};
use std::time::{Duration, Instant};
use tokio::sync::mpsc::unbounded_channel;
use tokio::time::{MissedTickBehavior, interval};

/// Echoes of the yardstick for one round trip: as many messages go up and down.
const ECHOES: u32 = 4;

pub async fn run(args: &Args) -> anyhow::Result<()> {
    for sensors in online(args, &[1_000], u64::from)? {
        let ground = Ground::new(&args.scratch, sensors, |_, _| Ok(())).await?;
        let world = World::start(&ground).await?;
        let (tell, mut told) = unbounded_channel();
        put_to_work(&world, 0..sensors, &tell).await?;
        let seconds = args.seconds.max(1);
        let (cpu, elapsed) = rounds(&world, &mut told, sensors, seconds).await?;
        world.process.stop().await?;
        let limit = echoes(&ground, sensors, seconds).await?;
        let trips = f64::from(sensors) * f64::from(seconds);
        Line::new("cpu", cpu.as_secs_f64() * 1e3 / trips, "ms per round trip")
            .with("sensors", sensors)
            .with("round_trips_per_s", trips / elapsed.as_secs_f64())
            .with("seconds", seconds)
            .at_most(0.15)
            .against("four echoes over a bare TLS connection", limit)
            .print();
    }
    Ok(())
}

/// One request for all sensors in each second.
async fn rounds(
    world: &World,
    told: &mut tokio::sync::mpsc::UnboundedReceiver<crate::fleet::Heard>,
    sensors: u32,
    seconds: u32,
) -> anyhow::Result<(Duration, Duration)> {
    world.rest.task("*").await?;
    gather(told, What::Ended, sensors).await?;
    let mut second = interval(Duration::from_secs(1));
    second.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (cpu, began) = (world.process.cpu()?, Instant::now());
    for _ in 0..seconds {
        second.tick().await;
        world.rest.task("*").await?;
        gather(told, What::Ended, sensors).await?;
    }
    second.tick().await;
    Ok((world.process.cpu()?.saturating_sub(cpu), began.elapsed()))
}

/// Server CPU in milliseconds of what corresponds to a round trip on the bare echo server.
async fn echoes(ground: &Ground, sensors: u32, seconds: u32) -> anyhow::Result<f64> {
    let echo = Process::start("echo-child", ground).await?;
    let mut links = limit::idle_echo_links(&ground.fleet()?, echo.tls, sensors).await?;
    let cpu = echo.cpu()?;
    for _ in 0..ECHOES * seconds {
        for link in &mut links {
            link.echo().await?;
        }
    }
    let used = echo.cpu()?.saturating_sub(cpu);
    echo.stop().await?;
    Ok(used.as_secs_f64() * 1e3 / (f64::from(sensors) * f64::from(seconds)))
}
