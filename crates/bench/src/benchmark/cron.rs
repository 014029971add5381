//! Periodic events for every sensor of a large organization: what a look costs at which they are due, and all of them.

use super::sizes;
use crate::Args;
use crate::line::{Line, ms};
use crate::target::Target;
use crate::world::{Ground, own_cpu, resident_bytes};
use muster_server::app::App;
use muster_server::clock;
use muster_server::service::Program;
use std::time::Duration;

/// Services that want the events: each takes as many as it has room for when nobody takes anything.
const SERVICES: u32 = 5;

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
            let names: Vec<String> = (0..SERVICES).map(|number| format!("bench-{number}")).collect();
            for name in &names {
                ground.first.client(server).await?.subscribe(name, &target.url()).await?;
            }
            // Nobody takes anything from now on.
            drop(target);
            let waiting = |app: &App| -> usize {
                let standing = |name: &String| app.services.standing(oid, &Program::service(name), usize::MAX);
                names.iter().map(|name| standing(name).waiting.len()).sum()
            };
            let begun = clock::now();
            app.services.put_due(begun).await;
            let (before, resident) = (waiting(app), resident_bytes("/proc/self")?);
            let cpu = own_cpu();
            app.services.put_due(begun.saturating_add(HOUR)).await;
            let look = ms(own_cpu().saturating_sub(cpu));
            let resident = resident_bytes("/proc/self")?.saturating_sub(resident);
            let put = waiting(app).saturating_sub(before);
            Line::new("cron", look, "ms of CPU")
                .with("sensors", sensors)
                .with("services", SERVICES)
                .with("events", put)
                .with("resident_mb", resident as f64 / 1e6)
                .at_most(1_000.0)
                .print();
            let each_ms = look / put.max(1) as f64;
            Line::new("cron.all", each_ms * f64::from(sensors) / 1e3, "s of CPU")
                .with("sensors", sensors)
                .with("each_ms", each_ms)
                .at_most(1.0)
                .print();
            Ok(())
        })
        .await
}
