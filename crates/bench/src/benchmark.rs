//! The benchmarks, one module each.

mod confirm;
mod cpu;
mod create;
mod cron;
mod detect;
mod fanout;
mod idle;
mod live;
mod matching;
mod returning;
mod rules;
mod sensor;
mod status;
mod storm;
mod tabs;
mod tenants;
mod webhook;

pub use tenants::{Evil, child as tenant};

use crate::fleet::{Heard, What};
use crate::line::ms;
use crate::world::World;
use crate::{Args, Name, endpoint};
use anyhow::{Context as _, bail};
use futures_util::StreamExt as _;
use muster_wire::Step;
use rustix::process::{Resource, getrlimit};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::time::timeout;

/// Links that are opened side by side where the point is not a storm.
const OPENING: usize = 64;

/// Files that this process and the server have open beside links: store, listeners, requests, runtime.
const FILES_BESIDE: u64 = 200;

/// Nothing that is measured here takes longer; what does has hung.
const PATIENCE: Duration = Duration::from_secs(300);

/// Runs one benchmark, or all.
pub async fn run(args: &Args) -> anyhow::Result<()> {
    let is_asked = |name: &&Name| args.name == Name::All || args.name == **name;
    // Said before anything is measured, and not half an hour later.
    if [Name::Return, Name::Sensor, Name::Live].iter().any(|name| is_asked(&name)) {
        endpoint::program()?;
    }
    for name in Name::MEASURED.iter().filter(is_asked) {
        Box::pin(measure(*name, args)).await.with_context(|| format!("{name:?}").to_lowercase())?;
    }
    Ok(())
}

async fn measure(name: Name, args: &Args) -> anyhow::Result<()> {
    match name {
        Name::Create => create::run(args).await,
        Name::Fanout => fanout::run(args).await,
        Name::Return => returning::run(args).await,
        Name::Cpu => cpu::run(args).await,
        Name::Storm => {
            storm::run(args).await?;
            confirm::run(args).await
        }
        Name::Idle => idle::run(args).await,
        Name::Match => matching::run(args).await,
        Name::Status => status::run(args).await,
        Name::Sensor => sensor::run(args).await,
        Name::Detect => detect::run(args).await,
        Name::Rules => rules::run(args).await,
        Name::Tenants => tenants::run(args).await,
        Name::Live => live::run(args).await,
        Name::Tabs => tabs::run(args).await,
        Name::Webhook => {
            webhook::run(args).await?;
            webhook::run_with_dead(args).await
        }
        Name::Cron => cron::run(args).await,
        Name::All | Name::ServeChild | Name::EchoChild | Name::TargetChild | Name::TenantChild => Ok(()),
    }
}

/// The numbers of sensors to measure with.
fn sizes(args: &Args, default: &[u32]) -> Vec<u32> {
    if args.sensors.is_empty() { default.to_vec() } else { args.sensors.clone() }
}

/// The numbers of sensors to measure with while all of them are connected; `files` tells how many files this
/// process has open for so many.
///
/// # Errors
///
/// If the limit on open files is lower: connections would wait for others to end, which they do not.
fn online(args: &Args, default: &[u32], files: impl Fn(u32) -> u64) -> anyhow::Result<Vec<u32>> {
    let sizes = sizes(args, default);
    let Some(limit) = getrlimit(Resource::Nofile).current else { return Ok(sizes) };
    for sensors in &sizes {
        let needed = files(*sensors).saturating_add(FILES_BESIDE);
        if needed > limit {
            bail!(
                "{sensors} sensors need {needed} open files, and the limit is {limit}: raise it (`ulimit -Hn {needed}` \
                 as root in this shell, or LimitNOFILE of the service), or name fewer with --sensors"
            );
        }
    }
    Ok(sizes)
}

/// Connects sensors one after the other, each of which has a task waiting and carries it out; gives for
/// each the milliseconds from the start of TCP to the task.
async fn returns(world: &World, sensors: u32) -> anyhow::Result<Vec<f64>> {
    let mut times = Vec::new();
    for ordinal in 0..sensors {
        let began = Instant::now();
        let mut link = Box::pin(world.fleet.connect(world.address(), ordinal)).await?;
        let task = link.task().await?;
        times.push(ms(began.elapsed()));
        link.confirm(&task, &[Step::Confirmed, Step::Started, Step::Finished]).await?;
    }
    Ok(times)
}

/// Connects sensors and lets each carry out what it gets.
async fn put_to_work(
    world: &World,
    ordinals: std::ops::Range<u32>,
    tell: &UnboundedSender<Heard>,
) -> anyhow::Result<()> {
    let (fleet, address) = (Arc::clone(&world.fleet), world.address());
    let connect = |ordinal| {
        let (fleet, tell) = (Arc::clone(&fleet), tell.clone());
        async move {
            let link = Box::pin(fleet.connect(address, ordinal)).await?;
            tokio::spawn(link.work(tell));
            anyhow::Ok(())
        }
    };
    let connected = futures_util::stream::iter(ordinals).map(|ordinal| tokio::spawn(connect(ordinal)));
    let connected: Vec<_> = connected.buffer_unordered(OPENING).collect().await;
    connected.into_iter().try_for_each(|joined| joined?)
}

/// Waits until so many links told of this; gives all of them.
async fn gather(from: &mut UnboundedReceiver<Heard>, what: What, count: u32) -> anyhow::Result<Vec<Heard>> {
    let mut all = Vec::new();
    while all.len() < count as usize {
        let heard = timeout(PATIENCE, from.recv()).await;
        let heard = heard.with_context(|| format!("only {} of {count} after {PATIENCE:?}", all.len()))?;
        match heard.context("all links are gone")? {
            heard if heard.what == what => all.push(heard),
            heard if heard.what == What::Broken => bail!("the link of sensor {} broke", heard.ordinal),
            _ => {}
        }
    }
    Ok(all)
}
