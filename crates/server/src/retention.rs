//! What is forgotten by itself: records that are too old or too many, tasks and live sessions that ended long ago.
//!
//! A run goes on until nothing is left to forget, one short commit after the other, and takes turns between
//! organizations: neither new records nor another organization wait long for it.
//!
//! Where records of an organization exceed their bound, the sensors that take most lose first: all are cut to one
//! level, and who is below it loses nothing. So one noisy sensor cannot push out what others have told.

use crate::clock;
use crate::live::Live;
use crate::organization::{Organization, Organizations};
use crate::tasking::row::forgetting;
use crate::telemetry::Telemetry;
use muster_model::{Oid, Sid, Timestamp};
use muster_store::{Store, StoreError, Stream, TRIM_ENTRIES_MAX, Trim, Write};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval_at};

/// How often it is looked for what has to be forgotten, and how long after the start first: a start has more
/// urgent things to write.
const EVERY: Duration = Duration::from_secs(60);

/// How often it is looked for live sessions that have to be forgotten: each look reads what is stored of all.
const LIVE_EVERY: Duration = Duration::from_secs(3_600);

/// A task and its targets are kept for this long after it expired.
const TASK_KEPT: Duration = Duration::from_secs(30 * 24 * 3_600);

const DAY: Duration = Duration::from_secs(24 * 3_600);

const STREAMS: [Stream; 5] = [Stream::Event, Stream::Detect, Stream::Audit, Stream::Deployment, Stream::Artifact];

/// What is kept of all organizations, and for how long.
pub struct Retention {
    pub(crate) store: Store,
    pub(crate) organizations: Arc<Organizations>,
    pub(crate) live: Arc<Live>,
    pub(crate) telemetry: Telemetry,
    /// Days for which records are kept.
    pub(crate) days: u32,
    /// Bytes of each stream of an organization that are kept.
    pub(crate) bytes: u64,
}

/// Runs until dropped.
pub async fn run(retention: Arc<Retention>) {
    let begun = tokio::time::Instant::now();
    let (mut ticks, mut live) = (interval_at(begun + EVERY, EVERY), interval_at(begun + EVERY, LIVE_EVERY));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    live.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            _ = ticks.tick() => {
                forget(&retention).await;
            }
            _ = live.tick() => {
                forget_live(&retention).await;
            }
        }
    }
}

/// Forgets live sessions that are as old as the audit records about them; gives how many.
pub async fn forget_live(retention: &Retention) -> usize {
    match retention.live.forget_before(kept_since(retention)).await {
        Ok(count) => count,
        Err(error) => {
            tracing::warn!(%error, "old live sessions could not be forgotten; tried again in {} s", LIVE_EVERY.as_secs());
            0
        }
    }
}

/// Records are kept from this instant on.
fn kept_since(retention: &Retention) -> Timestamp {
    let kept = DAY.saturating_mul(retention.days);
    let kept = i64::try_from(kept.as_micros()).unwrap_or(i64::MAX);
    Timestamp::from_micros(clock::now().as_micros().saturating_sub(kept))
}

/// Forgets everything that is due now; gives how many records that were.
pub async fn forget(retention: &Retention) -> usize {
    let mut works: VecDeque<Work> = VecDeque::new();
    for organization in retention.organizations.all() {
        forget_tasks(retention, &organization).await;
        match Work::of(retention, organization.oid).await {
            Ok(work) => works.push_back(work),
            Err(error) => tell(organization.oid, &error),
        }
    }
    let mut forgotten = 0;
    while let Some(mut work) = works.pop_front() {
        match work.step(retention).await {
            Ok(Some(count)) => {
                forgotten += count;
                retention.telemetry.records_forgotten.inc_by(count as u64);
                works.push_back(work);
            }
            Ok(None) => {}
            Err(error) => tell(work.oid, &error),
        }
    }
    forgotten
}

fn tell(oid: Oid, error: &StoreError) {
    tracing::warn!(%oid, %error, "old records could not be forgotten; tried again in {} seconds", EVERY.as_secs());
}

/// What is still to be forgotten of one organization.
struct Work {
    oid: Oid,
    trims: VecDeque<(Stream, Trim)>,
    /// Streams that are looked at once the old records are gone.
    crowded: VecDeque<Stream>,
}

impl Work {
    async fn of(retention: &Retention, oid: Oid) -> Result<Self, StoreError> {
        let before = kept_since(retention);
        let trims = STREAMS.into_iter().map(|stream| (stream, Trim::Before(before))).collect();
        Ok(Self { oid, trims, crowded: STREAMS.into() })
    }

    /// One commit, or one look at a stream; gives how many records are gone, or `None` when all is done.
    async fn step(&mut self, retention: &Retention) -> Result<Option<usize>, StoreError> {
        let Some((stream, what)) = self.trims.front().copied() else {
            let Some(stream) = self.crowded.pop_front() else { return Ok(None) };
            self.trims = shares(retention, self.oid, stream).await?;
            return Ok(Some(0));
        };
        let forgotten = retention.store.forget(vec![Write::Trim { oid: self.oid, stream, what }]).await?;
        if forgotten < TRIM_ENTRIES_MAX {
            self.trims.pop_front();
        }
        Ok(Some(forgotten))
    }
}

/// What the sensors that take most of a stream have to lose, if it is above its bound.
async fn shares(retention: &Retention, oid: Oid, stream: Stream) -> Result<VecDeque<(Stream, Trim)>, StoreError> {
    let bytes_max = retention.bytes;
    let sizes = retention.store.read(move |read| {
        let mut sizes: Vec<(Option<Sid>, u64)> = Vec::new();
        if read.stream_size(oid, stream)?.1 > bytes_max {
            read.sensor_sizes(oid, stream, &mut |sid, bytes| sizes.push((sid, bytes)))?;
        }
        Ok(sizes)
    });
    let sizes = sizes.await?;
    let level = level(sizes.iter().map(|(_, bytes)| *bytes).collect(), bytes_max);
    let above = sizes.into_iter().filter(|(_, bytes)| *bytes > level);
    Ok(above.map(|(sid, _)| (stream, Trim::Sensor { sid, bytes_max: level })).collect())
}

/// The highest level to which all sizes can be cut so that their sum is within the bound.
fn level(mut sizes: Vec<u64>, bytes_max: u64) -> u64 {
    sizes.sort_unstable();
    let (mut left, mut others) = (bytes_max, sizes.len() as u64);
    for size in sizes {
        let share = left / others;
        if size > share {
            return share;
        }
        left -= size;
        others -= 1;
    }
    u64::MAX
}

async fn forget_tasks(retention: &Retention, organization: &Organization) {
    let now = clock::now();
    let (old, last_number): (Vec<u64>, u64) = {
        let state = organization.state.lock();
        let is_old = |task: &&muster_tasking::Task| now.since(state.queue.expires_at(task)) > TASK_KEPT;
        (state.queue.tasks().filter(is_old).map(|task| task.number).collect(), state.queue.next_number() - 1)
    };
    for task in old {
        // Each in a commit of its own: it may have a row for each of a million sensors.
        let writes = forgetting(organization.oid, task, last_number);
        if let Err(error) = retention.store.commit(writes).await {
            return tell(organization.oid, &error);
        }
        organization.state.lock().dispatch().forget(task);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_takes_most_loses_first() {
        for (sizes, bytes_max, expected) in [
            (vec![], 0, u64::MAX),
            (vec![10, 20], 30, u64::MAX),
            (vec![1_000, 10, 20], 100, 70),
            (vec![1_000, 10, 900], 100, 45),
            (vec![50, 50, 50], 10, 3),
            (vec![7], 0, 0),
        ] {
            let level = level(sizes.clone(), bytes_max);
            assert_eq!(level, expected, "{sizes:?} in {bytes_max}");
            let kept: u64 = sizes.iter().map(|size| *size.min(&level)).sum();
            assert!(kept <= bytes_max);
        }
    }
}
