//! Durable confirmations in a second: at the store, and over links that are up.

use super::{OPENING, sizes};
use crate::Args;
use crate::limit;
use crate::line::{Line, ms, percentile};
use crate::world::{Ground, World, task};
use futures_util::StreamExt as _;
use muster_model::{Oid, Timestamp};
use muster_store::{Options, Store, Write};
use muster_tasking::{Target, TargetState};
use muster_wire::Step;
use roaring::RoaringBitmap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use uuid::Uuid;

/// Confirmations that wait for their commit at once, at the store.
const WAITING: u32 = 256;

/// The same over links: more in flight would only wait in line, which is not what is measured.
const WAITING_LINKS: u32 = 64;

pub async fn run(args: &Args) -> anyhow::Result<()> {
    for sensors in sizes(args, &[10_000]) {
        at_the_store(args, sensors).await?;
        over_tls(args, sensors).await?;
    }
    Ok(())
}

async fn at_the_store(args: &Args, sensors: u32) -> anyhow::Result<()> {
    let folder = tempfile::tempdir_in(&args.scratch)?;
    let store = Store::open(Options { path: folder.path().join("muster.db"), bytes_max: None, seal: None })?;
    let oid = Oid(Uuid::from_u128(1));
    let targets: RoaringBitmap = (0..sensors).collect();
    store.commit(vec![Write::CreateTask(Box::new(task(oid, 1, targets)?))]).await?;
    let (next, began) = (Arc::new(AtomicU32::new(0)), Instant::now());
    let total = sensors.saturating_mul(args.seconds.max(1)).saturating_mul(10);
    let workers = (0..WAITING).map(|_| {
        let (store, next) = (store.clone(), Arc::clone(&next));
        tokio::spawn(async move {
            let mut times = Vec::new();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= total {
                    return anyhow::Ok(times);
                }
                let began = Instant::now();
                let targets = vec![(1, number % sensors, confirmed())];
                store.commit(vec![Write::PutTargets { oid, targets }]).await?;
                times.push(ms(began.elapsed()));
            }
        })
    });
    let mut times = Vec::new();
    for worker in workers.collect::<Vec<_>>() {
        times.extend(worker.await??);
    }
    let elapsed = began.elapsed();
    let sync = percentile(&limit::durable_appends(folder.path(), 256 * 100, 100)?, 0.5);
    store.close();
    Line::new("confirm.store", f64::from(total) / elapsed.as_secs_f64(), "per second")
        .with("waiting", WAITING)
        .with("confirmations", total)
        .with("p99_ms", percentile(&times, 0.99))
        .at_least(100_000.0)
        .against("256 rows appended to a file and synced at a time", f64::from(WAITING) / sync * 1e3)
        .print();
    Ok(())
}

fn confirmed() -> Target {
    let at = Timestamp::from_secs(1_700_000_000);
    Target { state: TargetState::Confirmed, attempts: 1, sent_at: at, confirmed_at: at, ..Target::default() }
}

/// All sensors have been handed a task, and confirm it, [`WAITING_LINKS`] at a time.
async fn over_tls(args: &Args, sensors: u32) -> anyhow::Result<()> {
    let ground = Ground::new(&args.scratch, sensors, |_, _| Ok(())).await?;
    let world = World::start(&ground).await?;
    let connect = |ordinal| {
        let (fleet, address) = (Arc::clone(&world.fleet), world.address());
        tokio::spawn(async move { Box::pin(fleet.connect(address, ordinal)).await })
    };
    let links: Vec<_> = futures_util::stream::iter(0..sensors).map(connect).buffer_unordered(OPENING).collect().await;
    world.rest.task("*").await?;
    let mut ready = Vec::new();
    for link in links {
        let mut link = link??;
        ready.push((link.task().await?, link));
    }
    // The activity records of the fan-out are still being written.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (cpu, began) = (world.process.cpu()?, Instant::now());
    let confirm = |(task, mut link): (muster_wire::Deliver, crate::fleet::Link)| {
        tokio::spawn(async move {
            let began = Instant::now();
            link.confirm(&task, &[Step::Confirmed]).await?;
            anyhow::Ok((ms(began.elapsed()), link))
        })
    };
    let confirmed = futures_util::stream::iter(ready).map(confirm).buffer_unordered(WAITING_LINKS as usize);
    let confirmed: Vec<_> = confirmed.collect().await;
    let elapsed = began.elapsed();
    let cpu = world.process.cpu()?.saturating_sub(cpu);
    let times: Vec<f64> = confirmed.into_iter().map(|joined| anyhow::Ok(joined??.0)).collect::<Result<_, _>>()?;
    world.process.stop().await?;
    Line::new("confirm.tls", f64::from(sensors) / elapsed.as_secs_f64(), "per second")
        .with("sensors", sensors)
        .with("waiting", WAITING_LINKS)
        .with("server_cpu_ms_each", cpu.as_secs_f64() * 1e3 / f64::from(sensors))
        .at_least(20_000.0)
        .print();
    Line::new("confirm.tls.p99", percentile(&times, 0.99), "ms").with("sensors", sensors).at_most(10.0).print();
    Ok(())
}
