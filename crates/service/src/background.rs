//! Work beside the events. Source: reference/service-protocol.md section 17.3.
//!
//! Not to be relied upon where the processor stops between requests, as some functions-as-a-service do.

use crate::outcome::{Error, panic_text};
use crate::{Log, now};
use muster_model::causes;
use parking_lot::Mutex;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// Pieces of work that wait or run at once: each costs a few hundred bytes and what it holds.
const WORK_MAX: usize = 10_000;

/// How long a shutdown waits for work that runs already.
const SHUTDOWN_MAX: Duration = Duration::from_secs(30);

/// Work beside the events.
pub struct Background {
    log: Log,
    tasks: Mutex<JoinSet<()>>,
    closed: watch::Sender<bool>,
    running: watch::Sender<usize>,
}

impl fmt::Debug for Background {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Background").field("running", &*self.running.borrow()).finish_non_exhaustive()
    }
}

/// So much work waits already that no more is taken, or the program is about to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no more background work is taken")]
pub struct Full;

/// Counts work for as long as it runs, however it ends.
struct Running(watch::Sender<usize>);

impl Running {
    fn begin(running: &watch::Sender<usize>) -> Self {
        running.send_modify(|running| *running += 1);
        Self(running.clone())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.send_modify(|running| *running -= 1);
    }
}

impl Background {
    pub(crate) fn new(log: Log) -> Self {
        Self { log, tasks: Mutex::default(), closed: watch::Sender::new(false), running: watch::Sender::new(0) }
    }

    fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) -> Result<(), Full> {
        let mut tasks = self.tasks.lock();
        while tasks.try_join_next().is_some() {}
        if tasks.len() >= WORK_MAX || *self.closed.borrow() {
            return Err(Full);
        }
        tasks.spawn(work);
        Ok(())
    }

    /// Runs `work` once, after a span; a shutdown before that drops it. An error or a panic goes into the log.
    ///
    /// # Errors
    ///
    /// [`Full`].
    pub fn delay<R>(&self, after: Duration, work: R) -> Result<(), Full>
    where
        R: Future<Output = Result<(), Error>> + Send + 'static,
    {
        let (log, running, mut closed) = (self.log.clone(), self.running.clone(), self.closed.subscribe());
        self.spawn(async move {
            tokio::select! {
                biased;
                _ = closed.wait_for(|closed| *closed) => return,
                () = sleep(after) => {}
            }
            let _running = Running::begin(&running);
            complete(&log, work).await;
        })
    }

    /// Runs `work` now, and again after each span until the shutdown. Errors of later runs go into the log.
    ///
    /// # Errors
    ///
    /// Whatever the first run says, and then there is no other; [`Full`].
    pub async fn schedule<F, R>(&self, every: Duration, work: F) -> Result<(), Error>
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output = Result<(), Error>> + Send + 'static,
    {
        work().await?;
        let (log, running, mut closed) = (self.log.clone(), self.running.clone(), self.closed.subscribe());
        self.spawn(async move {
            loop {
                tokio::select! {
                    biased;
                    _ = closed.wait_for(|closed| *closed) => return,
                    () = sleep(every) => {}
                }
                let _running = Running::begin(&running);
                complete(&log, work()).await;
            }
        })?;
        Ok(())
    }

    /// Takes no more, drops what has not begun, and waits up to 30 s for what runs; the rest is given up.
    pub async fn shut_down(&self) {
        self.closed.send_replace(true);
        let mut running = self.running.subscribe();
        if timeout(SHUTDOWN_MAX, running.wait_for(|running| *running == 0)).await.is_err() {
            let left = *self.running.borrow();
            self.log.critical(now(), &format!("{left} pieces of background work did not end in time"));
        }
        self.tasks.lock().abort_all();
    }
}

/// Runs work to its end; what goes wrong goes into the log.
async fn complete(log: &Log, work: impl Future<Output = Result<(), Error>> + Send + 'static) {
    if let Err(error) = crate::outcome::shielded(work).await {
        log.critical(now(), &format!("background work: {}", causes(error.as_ref())));
    }
}

/// Why one piece of work of [`parallel`] gave nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoResult {
    /// It took longer than was allowed, and was given up.
    #[error("it took longer than {0:?}")]
    TimedOut(Duration),
    /// It panicked.
    #[error("{0}")]
    Panicked(String),
}

/// Does the same for many things, `at_once` at a time, each within `time_max`. Results are in the order of `items`.
///
/// Dropping the future gives up what runs.
pub async fn parallel<T, V, F, R>(
    items: Vec<T>,
    at_once: usize,
    time_max: Duration,
    work: F,
) -> Vec<Result<V, NoResult>>
where
    F: Fn(T) -> R,
    R: Future<Output = V> + Send + 'static,
    V: Send + 'static,
{
    let permits = Arc::new(Semaphore::new(at_once.max(1)));
    let (mut tasks, mut places) = (JoinSet::new(), std::collections::HashMap::new());
    let mut results: Vec<Option<Result<V, NoResult>>> = items.iter().map(|_| None).collect();
    for (at, item) in items.into_iter().enumerate() {
        let (permits, work) = (Arc::clone(&permits), work(item));
        let task = tasks.spawn(async move {
            let _permit = permits.acquire().await;
            timeout(time_max, work).await.map_err(|_| NoResult::TimedOut(time_max))
        });
        places.insert(task.id(), at);
    }
    while let Some(ended) = tasks.join_next_with_id().await {
        let (id, result) = match ended {
            Ok((id, result)) => (id, result),
            Err(error) => (error.id(), Err(NoResult::Panicked(panic_text(error)))),
        };
        if let Some(place) = places.get(&id).and_then(|at| results.get_mut(*at)) {
            *place = Some(result);
        }
    }
    results.into_iter().flatten().collect()
}
