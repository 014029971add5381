//! What runs beside its caller. Every job is owned: it is told that the server stops, has some time to end,
//! and is cut off if it did not, so a server that has stopped runs nothing any more.

use crate::nature;
#[cfg(target_os = "linux")]
use rustix::process::{getpriority_process, setpriority_process};
use std::panic::resume_unwind;
use std::thread;
use std::time::Duration;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tokio_util::task::TaskTracker;

/// By how much a thread stands back, in steps of the scheduler: next to one that does not, it has a tenth of a processor.
#[cfg(target_os = "linux")]
const NICENESS: i32 = 10;

/// Computes what takes long on a thread of its own, which stands back. It goes on when nobody waits for it any more; how
/// many there are at once is for the caller to bound.
pub fn aside<T: Send + 'static>(compute: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    if nature::ask(|nature| nature.processors()) == 0 {
        return tokio::spawn(async move { compute() });
    }
    let standing_back = nature::passed_on(move || {
        stand_back();
        compute()
    });
    // Not one of the runtime's, which will have other work: only a privileged process may take it back.
    spawn_blocking(move || thread::spawn(standing_back).join().unwrap_or_else(|panic| resume_unwind(panic)))
}

/// Has this thread, and those that it starts, wait for a processor behind the threads that serve connections.
pub fn stand_back() {
    // To Linux, no process is the calling thread.
    #[cfg(target_os = "linux")]
    if let Err(error) = getpriority_process(None).and_then(|own| setpriority_process(None, own + NICENESS)) {
        tracing::debug!(%error, "a thread does not stand back");
    }
}

/// The jobs of one server. Cheap to clone.
#[derive(Clone, Default)]
pub struct Jobs {
    tracker: TaskTracker,
    stopping: CancellationToken,
    cut: CancellationToken,
}

impl Jobs {
    /// Runs a job. It ends with the server at the latest: the handle gives `None` if it was cut off.
    pub fn spawn<T: Send + 'static>(&self, job: impl Future<Output = T> + Send + 'static) -> JoinHandle<Option<T>> {
        // Boxed: what waits for the cut would hold the job three times over, for as long as a link lives.
        self.tracker.spawn(self.cut.clone().run_until_cancelled_owned(Box::pin(job)))
    }

    /// Runs a job that has nothing to finish: it ends when the server begins to stop.
    pub fn spawn_until_stop(&self, job: impl Future<Output = ()> + Send + 'static) {
        self.tracker.spawn(self.stopping.clone().run_until_cancelled_owned(Box::pin(job)));
    }

    /// Ends when the server begins to stop.
    pub fn stopping(&self) -> WaitForCancellationFutureOwned {
        self.stopping.clone().cancelled_owned()
    }

    /// Whether the server stops.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.stopping.is_cancelled()
    }

    /// Tells all jobs that the server stops.
    pub fn stop(&self) {
        self.stopping.cancel();
    }

    /// Waits until all jobs have ended; those that have not after `patience` are cut off. Gives how many those were.
    pub async fn drain(&self, patience: Duration) -> usize {
        self.tracker.close();
        if timeout(patience, self.tracker.wait()).await.is_ok() {
            return 0;
        }
        let left = self.tracker.len();
        self.cut();
        self.tracker.wait().await;
        left
    }

    /// Cuts all jobs off, without waiting.
    pub fn cut(&self) {
        self.stop();
        self.cut.cancel();
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    /// Goal: what takes long waits behind what serves connections, and nothing else does. Method: the kernel's word for
    /// the thread, for one that it starts, and for a thread of the runtime afterwards.
    #[tokio::test]
    async fn what_is_computed_aside_stands_back_and_nothing_else_does() {
        let niceness = || getpriority_process(None).unwrap();
        let before = niceness();
        // The kernel knows no more than 19.
        let expected = (before + NICENESS).min(19);
        let (own, of_others) = aside(move || (niceness(), thread::spawn(niceness).join().unwrap())).await.unwrap();
        assert_eq!((own, of_others), (expected, expected));
        assert_eq!((niceness(), spawn_blocking(niceness).await.unwrap()), (before, before));
    }
}
