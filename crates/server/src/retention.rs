//! What is forgotten by itself: records that are too old or too many, tasks and live sessions that ended long ago.
//!
//! A run goes on until nothing is left to forget, one short commit after the other, and takes turns between
//! organizations: neither new records nor another organization wait long for it.
//!
//! Where records of an organization exceed their bound, the sensors that take most lose first: all are cut to one
//! level, and who is below it loses nothing. So one noisy sensor cannot push out what others have told.
//!
//! An organization of which nothing was stored costs nothing until the oldest that is kept of it has had its time.

mod agenda;

use crate::clock;
use crate::intake::Intake;
use crate::live::Live;
use crate::organization::{Organization, Organizations};
use crate::tasking::row::forgetting;
use crate::telemetry::Telemetry;
use agenda::Agenda;
use muster_model::{Oid, Sid, Timestamp};
use muster_store::{EntryQuery, Store, StoreError, Stream, TRIM_ENTRIES_MAX, Trim, Write};
use parking_lot::Mutex;
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
    pub(crate) intake: Arc<Intake>,
    pub(crate) telemetry: Telemetry,
    /// Days for which records are kept.
    pub(crate) days: u32,
    /// Bytes of each stream of an organization that are kept.
    pub(crate) bytes: u64,
    agenda: Mutex<Agenda>,
}

impl Retention {
    /// Keeps records for so many days, and so many bytes of each stream of an organization.
    pub(crate) fn new(
        (store, intake, telemetry): (Store, Arc<Intake>, Telemetry),
        (organizations, live): (Arc<Organizations>, Arc<Live>),
        (days, bytes): (u32, u64),
    ) -> Self {
        Self { store, organizations, live, intake, telemetry, days, bytes, agenda: Mutex::default() }
    }

    fn span(&self) -> Duration {
        DAY.saturating_mul(self.days)
    }
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
    let kept = i64::try_from(retention.span().as_micros()).unwrap_or(i64::MAX);
    Timestamp::from_micros(clock::now().as_micros().saturating_sub(kept))
}

/// Forgets everything that is due now; gives how many records that were.
pub async fn forget(retention: &Retention) -> usize {
    let now = clock::now();
    let mut all = retention.organizations.all();
    {
        let mut agenda = retention.agenda.lock();
        agenda.grew(&retention.intake.take_grown());
        agenda.keep(|oid| retention.organizations.get(oid).is_some());
        all.retain(|organization| agenda.is_due(organization.oid, now));
    }
    let mut works: VecDeque<Work> = VecDeque::new();
    for organization in all {
        let tasks_due = forget_tasks(retention, &organization).await;
        works.push_back(Work::of(retention, organization.oid, tasks_due));
    }
    let mut forgotten = 0;
    while let Some(mut work) = works.pop_front() {
        match work.step(retention).await {
            Ok(Some(count)) => {
                forgotten += count;
                retention.telemetry.records_forgotten.inc_by(count as u64);
                works.push_back(work);
            }
            Ok(None) => match oldest(retention, work.oid).await {
                Ok(oldest) => {
                    let records_due = oldest.map_or(Timestamp::MAX, |at| at.saturating_add(retention.span()));
                    retention.agenda.lock().rests(work.oid, records_due.min(work.tasks_due));
                }
                Err(error) => tell(work.oid, &error),
            },
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
    /// When a task of it is the next to be forgotten.
    tasks_due: Timestamp,
}

impl Work {
    fn of(retention: &Retention, oid: Oid, tasks_due: Timestamp) -> Self {
        let before = kept_since(retention);
        let trims = STREAMS.into_iter().map(|stream| (stream, Trim::Before(before))).collect();
        Self { oid, trims, crowded: STREAMS.into(), tasks_due }
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

/// The instant of the oldest record that is kept of an organization.
async fn oldest(retention: &Retention, oid: Oid) -> Result<Option<Timestamp>, StoreError> {
    let oldest = retention.store.read(move |read| {
        let mut oldest: Option<Timestamp> = None;
        for stream in STREAMS {
            let first = EntryQuery { forward: true, limit: 1, ..EntryQuery::all(oid, stream) };
            let first = read.entries(&first)?.entries.into_iter().next();
            oldest = oldest.into_iter().chain(first.map(|entry| entry.time)).min();
        }
        Ok(oldest)
    });
    oldest.await
}

/// Forgets tasks that ended long ago; gives when the next one is due. One that is not there yet is so later than this:
/// it is kept for as long again.
async fn forget_tasks(retention: &Retention, organization: &Organization) -> Timestamp {
    let now = clock::now();
    let mut next = now.saturating_add(TASK_KEPT);
    let mut old = Vec::new();
    let last_number = {
        let state = organization.state.lock();
        for task in state.queue.tasks() {
            let due = state.queue.expires_at(task).saturating_add(TASK_KEPT);
            if due < now {
                old.push(task.number);
            } else {
                next = next.min(due);
            }
        }
        state.queue.next_number() - 1
    };
    for task in old {
        // Each in a commit of its own: it may have a row for each of a million sensors.
        let writes = forgetting(organization.oid, task, last_number);
        if let Err(error) = retention.store.commit(writes).await {
            tell(organization.oid, &error);
            return now;
        }
        organization.state.lock().dispatch().forget(task);
    }
    next
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
