//! Connecting to a server that has many requests for others.

use super::{returns, sizes};
use crate::Args;
use crate::line::{Line, percentile};
use crate::world::{Ground, World, task};
use muster_model::Oid;
use muster_store::{Store, Write};
use roaring::RoaringBitmap;
use std::time::Duration;

/// Tasks put into the store with one commit.
const TASKS_PER_COMMIT: usize = 10_000;

/// Others that each request concerns: more than are listed one by one.
const WIDE_TARGETS: u32 = 5_000;

/// The same for a request to a few.
const NARROW_TARGETS: u32 = 10;

pub async fn run(args: &Args) -> anyhow::Result<()> {
    let requests = if args.requests.is_empty() { vec![10, 1_000, 100_000] } else { args.requests.clone() };
    for sensors in sizes(args, &[200]) {
        for (kind, others) in [("narrow", NARROW_TARGETS), ("wide", WIDE_TARGETS)] {
            let mut baseline = None;
            for requests in &requests {
                let (times, cpu) = connects(args, sensors, *requests, others).await?;
                let p50 = percentile(&times, 0.5);
                let baseline = *baseline.get_or_insert(p50);
                Line::new("match", p50, "ms")
                    .with("sensors", sensors)
                    .with("requests", *requests)
                    .with("kind", kind)
                    .with("p99_ms", percentile(&times, 0.99))
                    .with("server_cpu_ms_each", cpu.as_secs_f64() * 1e3 / f64::from(sensors))
                    .at_most(1.5 * baseline)
                    .against("the same with the fewest requests", baseline)
                    .print();
            }
        }
    }
    Ok(())
}

/// Connects each of the first `sensors` once, with one task waiting for it; gives
/// the times, and the CPU time of the server, which neighbours falsify less.
async fn connects(args: &Args, sensors: u32, requests: u32, others: u32) -> anyhow::Result<(Vec<f64>, Duration)> {
    let put_tasks = |store: &Store, oid: Oid| {
        let first: RoaringBitmap = (0..sensors).collect();
        let rest: RoaringBitmap = (sensors..sensors + others).collect();
        let mut writes = vec![Write::CreateTask(Box::new(task(oid, 1, first)?))];
        for number in 0..u64::from(requests) {
            writes.push(Write::CreateTask(Box::new(task(oid, number + 2, rest.clone())?)));
            if writes.len() >= TASKS_PER_COMMIT {
                store.commit_blocking(std::mem::take(&mut writes))?;
            }
        }
        Ok(store.commit_blocking(writes)?)
    };
    let ground = Ground::new(&args.scratch, sensors + others, put_tasks).await?;
    let world = World::start(&ground).await?;
    let cpu = world.process.cpu()?;
    let times = returns(&world, sensors).await?;
    let cpu = world.process.cpu()?.saturating_sub(cpu);
    world.process.stop().await?;
    Ok((times, cpu))
}
