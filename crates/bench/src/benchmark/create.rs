//! One reliable task for a whole offline fleet.

use super::sizes;
use crate::Args;
use crate::limit;
use crate::line::{Line, median, ms};
use crate::world::{Ground, World};
use anyhow::Context as _;

pub async fn run(args: &Args) -> anyhow::Result<()> {
    for sensors in sizes(args, &[100_000, 1_000_000]) {
        let ground = Ground::new(&args.scratch, sensors, |_, _| Ok(())).await?;
        let world = World::start(&ground).await?;
        let mut times = Vec::new();
        for _ in 0..args.runs.max(1) {
            times.push(ms(world.rest.task("*").await?.1));
        }
        world.process.stop().await?;
        let bytes = stored_bytes(&ground)?;
        let rows = limit::rows_per_sensor(&args.scratch, sensors)?;
        let append = limit::durable_appends(&args.scratch, usize::try_from(bytes)?, 10)?;
        let aim = if sensors > 100_000 { 100.0 } else { 5.0 };
        Line::new("create", median(&times), "ms")
            .with("sensors", sensors)
            .with("runs", args.runs)
            .with("first_ms", times[0])
            .at_most(aim)
            .against("one SQLite row per sensor, one transaction", ms(rows))
            .with("rows_per_s", f64::from(sensors) / rows.as_secs_f64())
            .with("append_and_sync_ms", median(&append))
            .print();
        Line::new("create.stored", bytes as f64, "bytes").with("sensors", sensors).print();
    }
    Ok(())
}

/// Bytes of the row of the newest task.
fn stored_bytes(ground: &Ground) -> anyhow::Result<u64> {
    let conn = rusqlite::Connection::open(ground.database())?;
    let sql = "SELECT length(targets) + length(spec) + length(control) FROM task ORDER BY id DESC LIMIT 1";
    let bytes: i64 = conn.query_row(sql, [], |row| row.get(0)).context("no task was stored")?;
    Ok(bytes.unsigned_abs())
}
