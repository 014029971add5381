//! Asking about a large request, and how fast a sensor that newly matches has its task.

use super::{PATIENCE, put_to_work, sizes};
use crate::Args;
use crate::fleet::What;
use crate::limit;
use crate::line::{Line, ms, percentile};
use crate::world::{Ground, World, task};
use anyhow::Context as _;
use muster_model::{Oid, TaskId, Timestamp};
use muster_store::{Store, Write};
use muster_tasking::{Target, TargetState};
use roaring::RoaringBitmap;
use serde_json::json;
use std::time::Instant;
use tokio::sync::mpsc::unbounded_channel;
use tokio::time::timeout;

/// Pages that are read for one number.
const PAGES: u32 = 200;

/// Targets on a page.
const PAGE: u32 = 100;

/// Targets put into the store with one commit.
const TARGETS_PER_COMMIT: usize = 50_000;

/// Sensors that begin to match, one after another.
const NEWLY: u32 = 50;

pub async fn run(args: &Args) -> anyhow::Result<()> {
    for sensors in sizes(args, &[1_000_000]) {
        pages(args, sensors).await?;
    }
    newly(args).await
}

/// A request that half of its targets have finished.
fn put_task(store: &Store, oid: Oid, sensors: u32) -> anyhow::Result<TaskId> {
    let row = task(oid, 1, (0..sensors).collect::<RoaringBitmap>())?;
    let id = row.task_id;
    store.commit_blocking(vec![Write::CreateTask(Box::new(row))])?;
    let finished: Vec<u32> = (0..sensors).step_by(2).collect();
    for some in finished.chunks(TARGETS_PER_COMMIT) {
        let at = Timestamp::from_secs(1_700_000_000);
        let target = Target {
            state: TargetState::Finished,
            attempts: 1,
            sent_at: at,
            confirmed_at: at,
            started_at: at,
            ended_at: at,
            ..Target::default()
        };
        let targets = some.iter().map(|ordinal| (1, *ordinal, target.clone())).collect();
        store.commit_blocking(vec![Write::PutTargets { oid, targets }])?;
    }
    Ok(id)
}

async fn pages(args: &Args, sensors: u32) -> anyhow::Result<()> {
    let mut id = None;
    let ground = Ground::new(&args.scratch, sensors, |store, oid| {
        id = Some(put_task(store, oid, sensors)?);
        Ok(())
    })
    .await?;
    let id = id.context("no task was stored")?;
    let world = World::start(&ground).await?;
    let (mut counts, mut pages, mut nothing) = (Vec::new(), Vec::new(), Vec::new());
    for page in 0..PAGES {
        counts.push(ms(world.rest.ask("get", &json!({"task_id": id, "limit": 1})).await?.1));
        // Spread over the whole request, and not in its order.
        let place = u64::from(page) * 7_919 % u64::from(PAGES) * u64::from(sensors) / u64::from(PAGES);
        let ask = json!({"task_id": id, "limit": PAGE, "cursor": place.to_string()});
        pages.push(ms(world.rest.ask("get", &ask).await?.1));
        nothing.push(ms(world.rest.ask("signal_attempt", &json!({})).await?.1));
    }
    world.process.stop().await?;
    let nothing = percentile(&nothing, 0.5);
    Line::new("status.counts", percentile(&counts, 0.99), "ms (p99)")
        .with("sensors", sensors)
        .with("p50_ms", percentile(&counts, 0.5))
        .at_most(5.0)
        .against("a request that does nothing, p50", nothing)
        .print();
    Line::new("status.page", percentile(&pages, 0.99), "ms (p99)")
        .with("sensors", sensors)
        .with("page", PAGE)
        .with("p50_ms", percentile(&pages, 0.5))
        .at_most(20.0)
        .against("a request that does nothing, p50", nothing)
        .print();
    Ok(())
}

/// Online sensors get a tag that a dynamic task asks for.
async fn newly(args: &Args) -> anyhow::Result<()> {
    let ground = Ground::new(&args.scratch, NEWLY, |_, _| Ok(())).await?;
    let world = World::start(&ground).await?;
    let (tell, mut told) = unbounded_channel();
    put_to_work(&world, 0..NEWLY, &tell).await?;
    let ask = json!({"task": "os_version", "selector": "`urgent-fix` in tags", "dynamic": true});
    world.rest.ask("task", &ask).await?;
    let mut times = Vec::new();
    for ordinal in 0..NEWLY {
        let began = Instant::now();
        world.rest.tag(ordinal, "urgent-fix").await?;
        loop {
            let heard = timeout(PATIENCE, told.recv()).await?.context("all links are gone")?;
            if heard.ordinal == ordinal && heard.what == What::Delivered {
                times.push(ms(heard.at - began));
                break;
            }
        }
    }
    world.process.stop().await?;
    let syncs = limit::durable_appends(&args.scratch, 4_096, 50)?;
    Line::new("newly", percentile(&times, 0.99), "ms (p99)")
        .with("sensors", NEWLY)
        .with("p50_ms", percentile(&times, 0.5))
        .at_most(100.0)
        .against("three durable appends, p50", 3.0 * percentile(&syncs, 0.5))
        .print();
    Ok(())
}
