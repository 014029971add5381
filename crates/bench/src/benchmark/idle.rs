//! What an idle link costs in memory.

use super::{OPENING, online};
use crate::Args;
use crate::limit;
use crate::line::Line;
use crate::world::{Ground, Process, World};
use futures_util::StreamExt as _;
use std::sync::Arc;
use std::time::Duration;

/// After the last handshake, before the measurement.
const SETTLE: Duration = Duration::from_secs(3);

pub async fn run(args: &Args) -> anyhow::Result<()> {
    let sizes = online(args, &[5_000, 15_000], u64::from)?;
    let ground = Ground::new(&args.scratch, 0, |_, _| Ok(())).await?;
    let world = World::start(&ground).await?;
    let (alone, anonymous) = (world.process.resident_bytes()?, world.process.anonymous_bytes()?);
    world.process.stop().await?;
    Line::new("idle.alone", alone as f64 / 1e6, "MB")
        .with("anonymous_mb", anonymous as f64 / 1e6)
        .at_most(20.0)
        .print();
    for links in sizes {
        let ground = Ground::new(&args.scratch, links, |_, _| Ok(())).await?;
        let world = World::start(&ground).await?;
        let before = world.process.resident_bytes()?;
        let connect = |ordinal| {
            let (fleet, address) = (Arc::clone(&world.fleet), world.address());
            tokio::spawn(async move { Box::pin(fleet.connect(address, ordinal)).await })
        };
        let opened = futures_util::stream::iter(0..links).map(connect).buffer_unordered(OPENING);
        let opened: Vec<_> = opened.collect().await;
        let opened: Vec<_> = opened.into_iter().map(|joined| joined?).collect::<anyhow::Result<_>>()?;
        tokio::time::sleep(SETTLE).await;
        let each = per_link(world.process.resident_bytes()?, before, links);
        drop(opened);
        world.process.stop().await?;
        let bare = bare(&ground, links).await?;
        Line::new("idle", each, "bytes per link")
            .with("links", links)
            .with("server_before_mb", before as f64 / 1e6)
            .at_most(12.0 * 1_024.0)
            .against("bare TLS connection with a 512 byte buffer", bare)
            .print();
    }
    Ok(())
}

fn per_link(after: u64, before: u64, links: u32) -> f64 {
    after.saturating_sub(before) as f64 / f64::from(links)
}

async fn bare(ground: &Ground, links: u32) -> anyhow::Result<f64> {
    let echo = Process::start("echo-child", ground).await?;
    let before = echo.resident_bytes()?;
    let opened = limit::idle_echo_links(&ground.fleet()?, echo.tls, links).await?;
    tokio::time::sleep(SETTLE).await;
    let after = echo.resident_bytes()?;
    drop(opened);
    echo.stop().await?;
    Ok(per_link(after, before, links))
}
