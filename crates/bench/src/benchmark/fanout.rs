//! One reliable task for an online fleet: when does the first sensor have it, when the last?

use super::{gather, online, put_to_work};
use crate::Args;
use crate::fleet::What;
use crate::limit;
use crate::line::{Line, median, ms};
use crate::world::{Ground, World};
use std::time::Instant;
use tokio::sync::mpsc::unbounded_channel;

/// Most connections of the yardstick: both of their ends are in this process.
const LOOPBACK_MAX: u32 = 4_000;

pub async fn run(args: &Args) -> anyhow::Result<()> {
    let files = |sensors: u32| u64::from(sensors) + 2 * u64::from(sensors.min(LOOPBACK_MAX));
    for sensors in online(args, &[10, 10_000], files)? {
        let ground = Ground::new(&args.scratch, sensors, |_, _| Ok(())).await?;
        let world = World::start(&ground).await?;
        let (tell, mut told) = unbounded_channel();
        put_to_work(&world, 0..sensors, &tell).await?;
        let (mut answered, mut firsts, mut lasts) = (Vec::new(), Vec::new(), Vec::new());
        // Once unmeasured: the first task pays for what is set up once.
        for run in 0..=args.runs.max(1) {
            let began = Instant::now();
            let (_, took) = world.rest.task("*").await?;
            let delivered = gather(&mut told, What::Delivered, sensors).await?;
            if run > 0 {
                let since: Vec<f64> = delivered.iter().map(|heard| ms(heard.at - began)).collect();
                firsts.push(since.iter().copied().fold(f64::INFINITY, f64::min));
                lasts.push(since.iter().copied().fold(0.0, f64::max));
                answered.push(ms(took));
            }
            settle(&mut told).await;
        }
        let (_, loopback) = limit::loopback_broadcast(sensors.min(LOOPBACK_MAX)).await?;
        world.process.stop().await?;
        Line::new("fanout.last", median(&lasts), "ms")
            .with("sensors", sensors)
            .with("runs", args.runs)
            .with("first_ms", median(&firsts))
            .with("answered_ms", median(&answered))
            .at_most(if sensors > 10 { 1_000.0 } else { 10.0 })
            .against("one message into each of N loopback TCP connections, last arrival", ms(loopback))
            .with("limit_connections", sensors.min(LOOPBACK_MAX))
            .print();
    }
    Ok(())
}

/// Waits until all links are quiet.
async fn settle(told: &mut tokio::sync::mpsc::UnboundedReceiver<crate::fleet::Heard>) {
    let quiet = std::time::Duration::from_millis(500);
    while let Ok(Some(_)) = tokio::time::timeout(quiet, told.recv()).await {}
}
