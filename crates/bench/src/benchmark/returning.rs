//! An offline sensor with a waiting task connects: start of TCP to the task.

use super::sizes;
use crate::Args;
use crate::limit;
use crate::line::{Line, ms, percentile};
use crate::world::{Ground, Process, World};
use muster_wire::Step;
use std::time::Instant;

pub async fn run(args: &Args) -> anyhow::Result<()> {
    for sensors in sizes(args, &[300]) {
        let ground = Ground::new(&args.scratch, sensors, |_, _| Ok(())).await?;
        let world = World::start(&ground).await?;
        world.task("*").await?;
        let mut times = Vec::new();
        for ordinal in 0..sensors {
            let began = Instant::now();
            let mut link = Box::pin(world.fleet.connect(world.address(), ordinal)).await?;
            let task = link.task().await?;
            times.push(ms(began.elapsed()));
            link.confirm(&task, &[Step::Confirmed, Step::Started, Step::Finished]).await?;
        }
        world.process.stop().await?;
        let echo = Process::start("echo-child", &ground).await?;
        let bare = limit::echo_links(&ground.fleet()?, echo.tls, sensors, 1).await?;
        let bare: Vec<f64> = bare.iter().map(|link| ms(link.ready)).collect();
        echo.stop().await?;
        let syncs = limit::durable_appends(&args.scratch, 4_096, 50)?;
        Line::new("return.p50", percentile(&times, 0.5), "ms")
            .with("sensors", sensors)
            .with("p99_ms", percentile(&times, 0.99))
            .at_most(50.0)
            .against("bare TLS connection and one echo, p50", percentile(&bare, 0.5))
            .with("sync_p50_ms", percentile(&syncs, 0.5))
            .print();
    }
    Ok(())
}
