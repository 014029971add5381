//! What happens by itself: retries, paced sends, expiry, fading tags, retention.

use super::carry_out;
use crate::app::App;
use crate::clock;
use crate::organization::Organization;
use muster_store::{Stream, Write};
use std::sync::Arc;
use std::time::Duration;

/// How often the machine is told that time passed.
const TICK: Duration = Duration::from_millis(100);

/// Ticks between retention runs: ten minutes.
const TICKS_PER_RETENTION: u64 = 6_000;

/// Ticks before the first of them, one minute: a start has more urgent things to write.
const TICKS_TO_RETENTION: u64 = 600;

/// A task and its targets are kept for this long after it expired.
const TASK_KEPT: Duration = Duration::from_secs(30 * 24 * 3_600);

/// Runs until dropped.
pub async fn run(app: Arc<App>) {
    let mut interval = tokio::time::interval(TICK);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    let mut ticks: u64 = 0;
    loop {
        interval.tick().await;
        for organization in app.organizations() {
            let deeds = organization.turn(None, |state, now| state.dispatch().tick(now));
            if !deeds.is_empty() {
                // The machine begins nothing anew that is still under way.
                let (app, organization) = (Arc::clone(&app), Arc::clone(&organization));
                let jobs = app.jobs.clone();
                jobs.spawn(async move { carry_out(&app, &organization, deeds).await });
            }
            if ticks % TICKS_PER_RETENTION == TICKS_TO_RETENTION {
                retain(&app, &organization).await;
            }
        }
        ticks += 1;
    }
}

async fn retain(app: &Arc<App>, organization: &Arc<Organization>) {
    let now = clock::now();
    let oid = organization.oid;
    let day = Duration::from_secs(24 * 3_600);
    let before = muster_model::Timestamp::from_micros(
        now.as_micros()
            .saturating_sub(i64::try_from((day * app.config.limits.retention_days).as_micros()).unwrap_or(0)),
    );
    let streams = [Stream::Event, Stream::Detect, Stream::Audit, Stream::Deployment, Stream::Artifact];
    let trim = |stream| Write::Trim { oid, stream, before, bytes_max: app.config.limits.retention_bytes };
    let mut writes: Vec<Write> = streams.into_iter().map(trim).collect();
    let old: Vec<u64> = {
        let state = organization.state.lock();
        let is_old = |task: &&muster_tasking::Task| now.since(task.spec.expires_at()) > TASK_KEPT;
        state.queue.tasks().filter(is_old).map(|task| task.number).collect()
    };
    writes.extend(old.iter().map(|task| Write::DeleteTask { oid, task: *task }));
    match app.store.commit(writes).await {
        Ok(()) => {
            let mut state = organization.state.lock();
            old.into_iter().for_each(|number| state.dispatch().forget(number));
        }
        Err(error) => tracing::warn!(%error, "old records could not be forgotten"),
    }
}
