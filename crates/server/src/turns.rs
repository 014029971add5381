//! Turns of replays: each keeps a thread busy and its events in memory, so few run at the same time. And turns of long
//! bodies that are read: of each sender one at a time, so that nobody has the processors for himself.

use muster_model::Oid;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::{OwnedMutexGuard, OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// Replays at once in one server, and of one organization: where one of them has all that it may, there is room for others.
const RUNNING_MAX: usize = 4;
const RUNNING_PER_ORGANIZATION_MAX: usize = 2;

/// Replays of one organization that run or wait: each holds a request of some megabytes. Those beyond are refused at once.
const LINE_MAX: usize = 8;

/// How long a replay waits for its turn before it is refused.
const TURN_MAX: Duration = Duration::from_secs(30);

/// Why a replay has no turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoTurn {
    /// The server stops.
    #[error("the server is stopping; try again")]
    Stopping,
    /// All turns are taken, and have been for [`TURN_MAX`].
    #[error("{RUNNING_MAX} replays run already; try again")]
    Taken,
    /// The organization has all the replays in the line that it may have.
    #[error("{LINE_MAX} replays of this organization run or wait; try again when some have ended")]
    LineFull,
}

/// The turns of a server.
pub struct ReplayTurns {
    running: Arc<Semaphore>,
    /// Organizations with replays in the line.
    lines: Mutex<HashMap<Oid, Line>>,
    is_stopped: AtomicBool,
}

struct Line {
    running: Arc<Semaphore>,
    length: usize,
}

impl Default for ReplayTurns {
    fn default() -> Self {
        let running = Arc::new(Semaphore::new(RUNNING_MAX));
        Self { running, lines: Mutex::default(), is_stopped: AtomicBool::new(false) }
    }
}

/// A replay's turn; the next one's when it is dropped.
pub struct Turn {
    _place: Place,
    _running: [OwnedSemaphorePermit; 2],
}

/// A place in the line of an organization.
struct Place {
    turns: Arc<ReplayTurns>,
    oid: Oid,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut lines = self.turns.lines.lock();
        if let Some(line) = lines.get_mut(&self.oid) {
            line.length -= 1;
            if line.length == 0 {
                lines.remove(&self.oid);
            }
        }
    }
}

/// Turns to read bodies, by sender.
#[derive(Default)]
pub struct ReadingTurns(Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>);

/// A sender's turn; the next one's of the same sender when it is dropped.
pub struct ReadingTurn {
    turns: Arc<ReadingTurns>,
    sender: String,
    turn: Option<OwnedMutexGuard<()>>,
}

impl ReadingTurns {
    /// Waits until no other body of this sender is read. Cancel safe.
    pub async fn wait(self: &Arc<Self>, sender: &str) -> ReadingTurn {
        let of_sender = Arc::clone(self.0.lock().entry(sender.to_owned()).or_default());
        let mut turn = ReadingTurn { turns: Arc::clone(self), sender: sender.to_owned(), turn: None };
        turn.turn = Some(of_sender.lock_owned().await);
        turn
    }
}

impl Drop for ReadingTurn {
    fn drop(&mut self) {
        self.turn = None;
        let mut senders = self.turns.0.lock();
        // Whoever waits holds it, too.
        if senders.get(&self.sender).is_some_and(|of_sender| Arc::strong_count(of_sender) == 1) {
            senders.remove(&self.sender);
        }
    }
}

impl ReplayTurns {
    /// Waits for a turn. Cancel safe: whoever no longer waits has no place in the line.
    ///
    /// # Errors
    ///
    /// [`NoTurn`].
    pub async fn wait(self: &Arc<Self>, oid: Oid) -> Result<Turn, NoTurn> {
        let (place, of_organization) = self.line_up(oid)?;
        let both = async {
            // First the organization's: what waits for that takes no place from others.
            let first = of_organization.acquire_owned().await?;
            Ok::<_, tokio::sync::AcquireError>([first, Arc::clone(&self.running).acquire_owned().await?])
        };
        match timeout(TURN_MAX, both).await {
            Ok(Ok(running)) => Ok(Turn { _place: place, _running: running }),
            Ok(Err(_)) => Err(NoTurn::Stopping),
            Err(_) => Err(NoTurn::Taken),
        }
    }

    fn line_up(self: &Arc<Self>, oid: Oid) -> Result<(Place, Arc<Semaphore>), NoTurn> {
        let mut lines = self.lines.lock();
        let new = || Line { running: Arc::new(Semaphore::new(RUNNING_PER_ORGANIZATION_MAX)), length: 0 };
        let line = lines.entry(oid).or_insert_with(new);
        if line.length >= LINE_MAX {
            return Err(NoTurn::LineFull);
        }
        line.length += 1;
        Ok((Place { turns: Arc::clone(self), oid }, Arc::clone(&line.running)))
    }

    /// Ends the replays that run soon, between two events, and refuses those that wait.
    pub fn stop(&self) {
        self.is_stopped.store(true, Ordering::Relaxed);
        self.running.close();
        self.lines.lock().values().for_each(|line| line.running.close());
    }

    /// Whether replays that run must end.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.is_stopped.load(Ordering::Relaxed)
    }

    /// Replays that run or wait.
    #[must_use]
    pub fn in_line(&self) -> usize {
        self.lines.lock().values().map(|line| line.length).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;

    /// Goal: of one sender one body at a time is read, and nobody waits for another sender. Method: turns that are asked for
    /// while others are held, given up while they wait, and left.
    #[tokio::test]
    async fn bodies_of_one_sender_are_read_one_at_a_time() {
        let turns = Arc::<ReadingTurns>::default();
        let first = turns.wait("one").await;
        assert!(turns.wait("two").now_or_never().is_some(), "nobody waits for another sender");
        let mut second = Box::pin(turns.wait("one"));
        assert!((&mut second).now_or_never().is_none());
        assert!(turns.wait("one").now_or_never().is_none(), "who waits no longer is not waited for");
        drop(first);
        let second = second.await;
        assert!(turns.wait("one").now_or_never().is_none());
        drop(second);
        assert!(turns.0.lock().is_empty(), "a sender without a body is forgotten");
    }
}
