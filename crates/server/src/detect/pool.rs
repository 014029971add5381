//! Threads on which rules are evaluated, away from those that serve connections, and behind them in line for a processor.
//!
//! Their number is fixed, and all organizations share them: each has its turn, works for [`SLICE`] and goes to the end of
//! the line. No organization has all threads, so where only one of them has much to do, the others never wait.
//!
//! The line is not bounded here: an organization has at most one group and one replay in work, cut into as many jobs as
//! there are threads.

use crate::jobs::stand_back;
use crate::nature;
use muster_model::Oid;
use parking_lot::{Condvar, Mutex};
use std::collections::{HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;
use tokio::time::Instant;

/// How long an organization works before it is the next one's turn: long beside the change of turns, short beside what
/// people notice. A job looks at the clock between two events, of which each costs at most what its budget says.
const SLICE: Duration = Duration::from_millis(20);

/// Work that can be done in slices.
pub(super) trait Job: Send {
    /// Works until it is done, or for a while after `until`; tells whether it is done.
    fn work(&mut self, until: Instant) -> bool;
}

/// The threads; they start with the first job.
pub(super) struct Pool {
    line: Arc<Line>,
    /// None: then a job is done by whoever adds it.
    cores: usize,
    started: OnceLock<()>,
}

#[derive(Default)]
struct Line {
    state: Mutex<State>,
    /// A job came, one ended, or the pool was closed.
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Organizations whose jobs wait, in the order of their turns.
    turns: VecDeque<Oid>,
    waiting: HashMap<Oid, VecDeque<Box<dyn Job>>>,
    /// Threads that work for an organization.
    busy: HashMap<Oid, usize>,
    is_closed: bool,
}

impl Default for Pool {
    fn default() -> Self {
        // Asked once: it looks into the files of the container's limits.
        let cores = nature::ask(|nature| nature.processors());
        Self { line: Arc::default(), cores, started: OnceLock::new() }
    }
}

impl Pool {
    /// How many threads one organization may have: as many as there are cores, which is one less than there are threads.
    pub(super) fn share(&self) -> usize {
        self.cores.max(1)
    }

    /// Puts a job at the end of its organization's line. One that panics is dropped.
    pub(super) fn add(&self, oid: Oid, mut job: Box<dyn Job>) {
        if self.cores == 0 {
            while let Some(false) = slice(oid, job.as_mut()) {}
            return;
        }
        self.started.get_or_init(|| self.start());
        self.line.put(oid, job);
    }

    /// Drops the jobs that wait; those in work end with their slice.
    pub(super) fn close(&self) {
        let mut state = self.line.state.lock();
        state.is_closed = true;
        state.turns.clear();
        let dropped = std::mem::take(&mut state.waiting);
        drop(state);
        drop(dropped);
        self.line.changed.notify_all();
    }

    fn start(&self) {
        for number in 0..=self.cores {
            let (line, share) = (Arc::clone(&self.line), self.cores);
            let thread = thread::Builder::new().name(format!("rules-{number}"));
            if let Err(error) = thread.spawn(nature::passed_on(move || line.serve(share))) {
                tracing::error!(%error, "a thread for rules could not be started");
            }
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.close();
    }
}

/// Works at a job for a slice; tells whether it is done, or nothing if it panicked.
fn slice(oid: Oid, job: &mut dyn Job) -> Option<bool> {
    let worked = catch_unwind(AssertUnwindSafe(|| job.work(Instant::now() + SLICE)));
    if worked.is_err() {
        tracing::error!(%oid, "a job of rules panicked");
    }
    worked.ok()
}

impl Line {
    fn put(&self, oid: Oid, job: Box<dyn Job>) {
        let mut state = self.state.lock();
        if state.is_closed {
            drop(state);
            return;
        }
        let waiting = state.waiting.entry(oid).or_default();
        waiting.push_back(job);
        if waiting.len() == 1 {
            state.turns.push_back(oid);
        }
        drop(state);
        self.changed.notify_one();
    }

    /// The next job of the first organization that may have another thread; none when the pool is closed.
    fn take(&self, share: usize) -> Option<(Oid, Box<dyn Job>)> {
        let mut state = self.state.lock();
        loop {
            if state.is_closed {
                return None;
            }
            let is_free = |oid: &Oid| state.busy.get(oid).is_none_or(|busy| *busy < share);
            if let Some(at) = state.turns.iter().position(is_free)
                && let Some(oid) = state.turns.remove(at)
            {
                let (job, is_last) = match state.waiting.get_mut(&oid) {
                    Some(waiting) => (waiting.pop_front(), waiting.is_empty()),
                    None => (None, true),
                };
                if is_last {
                    state.waiting.remove(&oid);
                } else {
                    state.turns.push_back(oid);
                }
                *state.busy.entry(oid).or_default() += 1;
                match job {
                    Some(job) => return Some((oid, job)),
                    None => continue,
                }
            }
            self.changed.wait(&mut state);
        }
    }

    fn serve(&self, share: usize) {
        stand_back();
        while let Some((oid, mut job)) = self.take(share) {
            let is_done = slice(oid, job.as_mut());
            let mut state = self.state.lock();
            if let Some(busy) = state.busy.get_mut(&oid) {
                *busy -= 1;
                if *busy == 0 {
                    state.busy.remove(&oid);
                }
            }
            drop(state);
            if is_done == Some(false) {
                self.put(oid, job);
            }
            // Its organization may have another thread now.
            self.changed.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::sync::mpsc::{Sender, channel};

    /// Works until it is told to stop, a slice at a time.
    struct Endless {
        stop: Arc<AtomicBool>,
        /// How many work at this moment, and how many at most did.
        now: Arc<AtomicUsize>,
        most: Arc<AtomicUsize>,
    }

    impl Job for Endless {
        fn work(&mut self, until: Instant) -> bool {
            let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
            self.most.fetch_max(now, Ordering::SeqCst);
            while Instant::now() < until && !self.stop.load(Ordering::SeqCst) {
                thread::yield_now();
            }
            self.now.fetch_sub(1, Ordering::SeqCst);
            self.stop.load(Ordering::SeqCst)
        }
    }

    struct Tell(Sender<u8>, u8);

    impl Job for Tell {
        fn work(&mut self, _until: Instant) -> bool {
            assert!(self.1 < 100, "a panic on purpose");
            self.0.send(self.1).is_ok()
        }
    }

    fn organization(number: u8) -> Oid {
        Oid(uuid::Uuid::from_bytes([number; 16]))
    }

    /// Goal: what organizations have to do while others work without end is done, in order, before those end.
    #[test]
    fn endless_work_of_some_does_not_keep_others_waiting() {
        let pool = Pool::default();
        let (stop, most) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        for hostile in 1..=5 {
            let now = Arc::default();
            for _ in 0..pool.share() * 3 {
                let (stop, now, most) = (Arc::clone(&stop), Arc::clone(&now), Arc::clone(&most));
                pool.add(organization(hostile), Box::new(Endless { stop, now, most }));
            }
        }
        let (told, heard) = channel();
        for number in [1, 2, 200, 3] {
            pool.add(organization(9), Box::new(Tell(told.clone(), number)));
            if number != 200 {
                assert_eq!(heard.recv().unwrap(), number, "while all others work");
            }
        }
        assert!(!stop.load(Ordering::SeqCst));
        assert!(most.load(Ordering::SeqCst) <= pool.share(), "no organization has all threads");
        stop.store(true, Ordering::SeqCst);
    }

    #[test]
    fn jobs_that_wait_are_dropped_with_the_pool() {
        let pool = Pool::default();
        let (told, heard) = channel();
        pool.close();
        pool.add(organization(1), Box::new(Tell(told, 1)));
        assert!(heard.recv().is_err(), "its end is told to whoever waits");
    }
}
