//! What happens by itself: retries, paced sends, expiry, fading tags, retention.

use super::{fan_out, offer_again};
use crate::app::App;
use crate::organization::Organization;
use crate::{clock, sensor};
use muster_store::{Stream, Write};
use std::sync::Arc;
use std::time::Duration;

/// How often paced tasks and overdue confirmations are looked at.
const TICK: Duration = Duration::from_millis(100);

/// Ticks between looks at expiry and fading tags: one second.
const TICKS_PER_SWEEP: u64 = 10;

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
            retry_and_pace(&app, &organization).await;
            if ticks.is_multiple_of(TICKS_PER_SWEEP) {
                sweep(&app, &organization).await;
            }
            if ticks % TICKS_PER_RETENTION == TICKS_TO_RETENTION {
                retain(&app, &organization).await;
            }
        }
        ticks += 1;
    }
}

async fn retry_and_pace(app: &Arc<App>, organization: &Arc<Organization>) {
    let (again, paced) = {
        let now = clock::now();
        let mut state = organization.state.lock();
        let (mut again, gone): (Vec<u32>, Vec<u32>) =
            state.queue.overdue(now).into_iter().partition(|ordinal| state.online.contains(*ordinal));
        gone.into_iter().for_each(|ordinal| state.queue.disconnected(ordinal));
        again.extend(state.queue.take_postponed(now) & &state.online);
        (again, state.queue.paced(now))
    };
    offer_again(app, organization, &again).await;
    for number in paced {
        fan_out(app, organization, number).await;
    }
}

async fn sweep(app: &Arc<App>, organization: &Arc<Organization>) {
    let now = clock::now();
    organization.state.lock().queue.expire(now);
    if let Err(error) = sensor::sweep_tags(app, organization, now).await {
        tracing::warn!(%error, "expired tags could not be taken off; tried again in a second");
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
            old.into_iter().for_each(|number| state.queue.forget(number));
        }
        Err(error) => tracing::warn!(%error, "old records could not be forgotten"),
    }
}
