//! An event that a rule answers with a task to the same sensor: event sent to task received.

use super::{PATIENCE, online};
use crate::Args;
use crate::fleet::Link;
use crate::limit;
use crate::line::{Line, ms, percentile};
use crate::world::{Ground, Process, World};
use anyhow::Context as _;
use muster_wire::Step;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};

/// The other sensors together send so many events in a second.
const OTHER_EVENTS_PER_S: u32 = 1_000;

/// Echoes of the yardstick.
const ECHOES: u32 = 200;

/// Pause between two measured events: the low rate.
const PAUSE: Duration = Duration::from_millis(20);

pub async fn run(args: &Args) -> anyhow::Result<()> {
    for sensors in online(args, &[11], u64::from)? {
        for others in [0, sensors.saturating_sub(1)] {
            measure(args, others).await?;
        }
    }
    Ok(())
}

/// One sensor is measured, and the others send events that no rule answers.
async fn measure(args: &Args, others: u32) -> anyhow::Result<()> {
    let ground = Ground::new(&args.scratch, others + 1, |_, _| Ok(())).await?;
    let world = World::start(&ground).await?;
    let detect = json!({"event": "NEW_PROCESS", "op": "ends with", "path": "event/FILE_PATH", "value": "/answered"});
    let respond = json!([{"action": "task", "command": "os_version"}]);
    world.rest.rule("answer", &json!({"detect": detect, "respond": respond})).await?;
    let sent = Arc::new(AtomicU32::new(0));
    let mut senders = JoinSet::new();
    for ordinal in 1..=others {
        let link = Box::pin(world.fleet.connect(world.address(), ordinal)).await?;
        senders.spawn(send_others(link, Duration::from_secs(1) * others / OTHER_EVENTS_PER_S, Arc::clone(&sent)));
    }
    let mut link = Box::pin(world.fleet.connect(world.address(), 0)).await?;
    // The first may find anything cold.
    timeout(PATIENCE, answered(&mut link)).await.context("the rule does not answer")??;
    let (cpu, began, sent_before) = (world.process.cpu()?, Instant::now(), sent.load(Ordering::Relaxed));
    let mut times = Vec::new();
    while began.elapsed() < Duration::from_secs(args.seconds.max(1).into()) {
        times.push(ms(timeout(PATIENCE, answered(&mut link)).await.context("no task came")??));
        tokio::time::sleep(PAUSE).await;
    }
    let (cpu, elapsed) = (world.process.cpu()?.saturating_sub(cpu), began.elapsed().as_secs_f64());
    let sent = sent.load(Ordering::Relaxed) - sent_before;
    senders.shutdown().await;
    world.process.stop().await?;
    let echo = echoes(&ground).await?;
    let syncs = limit::durable_appends(&args.scratch, 4_096, 50)?;
    Line::new("detect", percentile(&times, 0.5), "ms")
        .with("p99_ms", percentile(&times, 0.99))
        .with("others", others)
        .with("answered", times.len())
        .with("other_events_per_s", f64::from(sent) / elapsed)
        .with("server_cpu_share", cpu.as_secs_f64() / elapsed)
        .against("an echo over a bare TLS connection, p50", echo)
        .with("sync_p50_ms", percentile(&syncs, 0.5))
        .print();
    Ok(())
}

/// Sends an event every so often, each when the one before is stored.
async fn send_others(mut link: Link, every: Duration, sent: Arc<AtomicU32>) -> anyhow::Result<()> {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let body = json!({
        "FILE_PATH": "/usr/lib/systemd/systemd-executor", "COMMAND_LINE": "/usr/lib/systemd/systemd-executor --log-target auto",
        "PROCESS_ID": 4120, "PARENT": {"FILE_PATH": "/usr/lib/systemd/systemd", "PROCESS_ID": 1}, "USER_NAME": "root",
    });
    loop {
        ticks.tick().await;
        link.event("NEW_PROCESS", &body).await?;
        link.stored().await?;
        sent.fetch_add(1, Ordering::Relaxed);
    }
}

/// Milliseconds of the middle echo.
async fn echoes(ground: &Ground) -> anyhow::Result<f64> {
    let echo = Process::start("echo-child", ground).await?;
    let mut links = limit::idle_echo_links(&ground.fleet()?, echo.tls, 1).await?;
    let mut times = Vec::new();
    for link in &mut links {
        for _ in 0..ECHOES {
            let began = Instant::now();
            link.echo().await?;
            times.push(ms(began.elapsed()));
        }
    }
    echo.stop().await?;
    Ok(percentile(&times, 0.5))
}

/// Sends an event that the rule answers; gives the time until the task is there.
async fn answered(link: &mut Link) -> anyhow::Result<Duration> {
    let began = Instant::now();
    link.event("NEW_PROCESS", &json!({"FILE_PATH": "/usr/bin/answered", "COMMAND_LINE": "answered", "PROCESS_ID": 7}))
        .await?;
    let task = link.task().await?;
    let took = began.elapsed();
    link.confirm(&task, &[Step::Confirmed, Step::Started, Step::Finished]).await?;
    Ok(took)
}
