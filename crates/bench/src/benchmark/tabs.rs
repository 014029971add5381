//! What open tabs of the console cost: the server's memory for each, and the time until the last sensor has a task.

use super::fanout::fan_out;
use super::{online, put_to_work};
use crate::Args;
use crate::line::{Line, median};
use crate::tab::{Session, Tab};
use crate::world::{Ground, World};
use std::time::Duration;
use tokio::sync::mpsc::unbounded_channel;

/// Rows that a tab shows.
const ROWS: usize = 50;

/// Tabs that are opened before memory is looked at: what the first ones need once is not counted.
const FIRST: u32 = 4;

/// Until a tab has been told what it asked for, and the server has let go of what that took.
const SETTLE: Duration = Duration::from_secs(1);

/// Memory of the server for a tab, at most.
const BYTES_MAX: f64 = 200.0 * 1_024.0;

/// How much longer a task may take to reach all sensors while tabs watch it.
const RATIO_MAX: f64 = 1.05;

pub async fn run(args: &Args) -> anyhow::Result<()> {
    for sensors in online(args, &[1_000], |sensors| u64::from(sensors) + u64::from(args.tabs))? {
        let ground = Ground::new(&args.scratch, sensors, |_, _| Ok(())).await?;
        let world = World::start(&ground).await?;
        let (tell, mut told) = unbounded_channel();
        put_to_work(&world, 0..sensors, &tell).await?;
        let session = Session::new(&world.rest).await?;
        let sids: Vec<_> = world.rest.sids().await?.into_iter().take(ROWS).collect();
        let open = async |count: u32| -> anyhow::Result<Vec<Tab>> {
            let mut tabs = Vec::new();
            for _ in 0..count {
                tabs.push(session.open(&world.rest, &sids).await?);
            }
            tokio::time::sleep(SETTLE).await;
            Ok(tabs)
        };
        drop(open(FIRST).await?);
        let before = world.process.resident_bytes()?;
        let tabs = open(args.tabs).await?;
        let after = world.process.resident_bytes()?;
        drop(tabs);
        Line::new("tabs.memory", after.saturating_sub(before) as f64 / f64::from(args.tabs), "bytes per tab")
            .with("tabs", args.tabs)
            .with("rows", ROWS)
            .at_most(BYTES_MAX)
            .print();

        let (mut alone, mut watched) = (Vec::new(), Vec::new());
        // In turn, so that both see the same machine; once unmeasured.
        for run in 0..=args.runs.max(1) {
            let without = fan_out(&world, &mut told, sensors, |_| ()).await?;
            let tabs = open(args.tabs).await?;
            let with = fan_out(&world, &mut told, sensors, |id| tabs.iter().for_each(|tab| tab.watch(id))).await?;
            if run > 0 {
                alone.push(without.last);
                watched.push(with.last);
            }
        }
        world.process.stop().await?;
        let alone = median(&alone);
        Line::new("tabs.fanout", median(&watched), "ms")
            .with("sensors", sensors)
            .with("tabs", args.tabs)
            .with("rows", ROWS)
            .with("runs", args.runs)
            .against("the same task while no tab is open", alone)
            .at_most(RATIO_MAX * alone)
            .print();
    }
    Ok(())
}
