//! What runs beside its caller. Every job is owned: it is told that the server stops, has some time to end,
//! and is cut off if it did not, so a server that has stopped runs nothing any more.

use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tokio_util::task::TaskTracker;

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
