//! Periodic events for every sensor of a large organization: what a look costs at which they are due, and all of them.

use super::sizes;
use crate::Args;
use crate::line::{Line, ms, percentile};
use crate::target::Target;
use crate::world::{Ground, own_cpu, resident_bytes};
use muster_server::app::App;
use muster_server::clock;
use muster_server::service::Program;
use std::time::Duration;

/// Looks that are measured: as many as there is room for when nobody takes anything.
const LOOKS: u32 = 5;

const HOUR: Duration = Duration::from_secs(3_600);

pub async fn run(args: &Args) -> anyhow::Result<()> {
    for sensors in sizes(args, &[1_000_000]) {
        measure(args, sensors).await?;
    }
    Ok(())
}

async fn measure(args: &Args, sensors: u32) -> anyhow::Result<()> {
    let ground = Ground::new(&args.scratch, sensors, |_, _| Ok(())).await?;
    let oid = ground.first.oid;
    ground
        .with_server(async |server| {
            let (app, target) = (&server.app, Target::new(|_| {}).await?);
            ground.first.client(server).await?.subscribe("bench", &target.url()).await?;
            // Nobody takes anything from now on.
            drop(target);
            let waiting = |app: &App| app.services.standing(oid, &Program::service("bench"), usize::MAX).waiting.len();
            let begun = clock::now();
            app.services.put_due(begun).await;
            let (before, resident) = (waiting(app), resident_bytes("/proc/self")?);
            let mut looks = Vec::new();
            for _ in 0..LOOKS {
                let cpu = own_cpu();
                app.services.put_due(begun.saturating_add(HOUR)).await;
                looks.push(ms(own_cpu().saturating_sub(cpu)));
            }
            let put = waiting(app).saturating_sub(before);
            let resident = resident_bytes("/proc/self")?.saturating_sub(resident);
            Line::new("cron", percentile(&looks, 1.0), "ms of CPU")
                .with("sensors", sensors)
                .with("looks", LOOKS)
                .with("events", put)
                .with("resident_mb", resident as f64 / 1e6)
                .at_most(1_000.0)
                .print();
            let each_ms = looks.iter().sum::<f64>() / put.max(1) as f64;
            Line::new("cron.all", each_ms * f64::from(sensors) / 1e3, "s of CPU")
                .with("sensors", sensors)
                .with("each_ms", each_ms)
                .at_most(1.0)
                .print();
            Ok(())
        })
        .await
}
