//! One reliable task for an online fleet: when does the first sensor have it, when the last?

use super::{gather, online, put_to_work};
use crate::Args;
use crate::fleet::{Heard, What};
use crate::limit;
use crate::line::{Line, median, ms};
use crate::world::{Ground, World};
use std::time::{Duration, Instant};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::timeout;

/// Most connections of the yardstick: both of their ends are in this process.
const LOOPBACK_MAX: u32 = 4_000;

/// Links that say nothing for this long are quiet.
const QUIET: Duration = Duration::from_millis(500);

pub async fn run(args: &Args) -> anyhow::Result<()> {
    let files = |sensors: u32| u64::from(sensors) + 2 * u64::from(sensors.min(LOOPBACK_MAX));
    for sensors in online(args, &[10, 10_000], files)? {
        let ground = Ground::new(&args.scratch, sensors, |_, _| Ok(())).await?;
        let world = World::start(&ground).await?;
        let (tell, mut told) = unbounded_channel();
        put_to_work(&world, 0..sensors, &tell).await?;
        let mut all = Vec::new();
        // Once unmeasured: the first task pays for what is set up once.
        for run in 0..=args.runs.max(1) {
            let times = fan_out(&world, &mut told, sensors, |_| ()).await?;
            if run > 0 {
                all.push(times);
            }
        }
        let (_, loopback) = limit::loopback_broadcast(sensors.min(LOOPBACK_MAX)).await?;
        world.process.stop().await?;
        let middle = |of: fn(&Times) -> f64| median(&all.iter().map(of).collect::<Vec<_>>());
        Line::new("fanout.last", middle(|times| times.last), "ms")
            .with("sensors", sensors)
            .with("runs", args.runs)
            .with("first_ms", middle(|times| times.first))
            .with("answered_ms", middle(|times| times.answered))
            .at_most(if sensors > 10 { 1_000.0 } else { 10.0 })
            .against("one message into each of N loopback TCP connections, last arrival", ms(loopback))
            .with("limit_connections", sensors.min(LOOPBACK_MAX))
            .print();
    }
    Ok(())
}

/// Milliseconds from the request for a task.
pub(super) struct Times {
    /// Until the first sensor had it.
    first: f64,
    /// Until the last one had it.
    pub last: f64,
    /// Until the request was answered.
    answered: f64,
}

/// Asks for a task for all sensors, tells `made` its id, and waits until all have it and are quiet again.
pub(super) async fn fan_out(
    world: &World,
    told: &mut UnboundedReceiver<Heard>,
    sensors: u32,
    made: impl FnOnce(&str),
) -> anyhow::Result<Times> {
    let began = Instant::now();
    let (task_id, took) = world.rest.task("*").await?;
    made(&task_id);
    let delivered = gather(told, What::Delivered, sensors).await?;
    while let Ok(Some(_)) = timeout(QUIET, told.recv()).await {}
    let since: Vec<f64> = delivered.iter().map(|heard| ms(heard.at - began)).collect();
    let first = since.iter().copied().fold(f64::INFINITY, f64::min);
    Ok(Times { first, last: since.iter().copied().fold(0.0, f64::max), answered: ms(took) })
}
