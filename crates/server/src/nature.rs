//! What a server cannot decide itself: what time it is, chance, and how many processors there are.
//!
//! It comes with the thread, as the clock of tokio does: whoever puts a server together gives it to the threads of the
//! runtime ([`give`]), and a thread that the server starts has that of the one which starts it ([`passed_on`]). A thread
//! that was given none has that of the machine. [`crate::clock`] and [`crate::random`] ask it; nothing else does.

use muster_model::Timestamp;
use std::cell::RefCell;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The ports of time, chance and processors.
pub trait Nature: Send + Sync {
    /// The present instant.
    fn now(&self) -> Timestamp;

    /// Time since the machine was booted, suspension included: by a clock that nobody can set.
    fn since_boot(&self) -> Duration;

    /// Fills it with random bytes that nobody can guess.
    fn fill(&self, bytes: &mut [u8]);

    /// Processors for what is computed for long. Where there are none, whoever wants something computed does it at once,
    /// in its place: then one thing follows from the other in one order.
    fn processors(&self) -> usize;
}

thread_local! {
    static GIVEN: RefCell<Option<Arc<dyn Nature>>> = const { RefCell::new(None) };
}

/// Gives this thread a nature, or that of the machine; gives the one that it had.
pub fn give(nature: Option<Arc<dyn Nature>>) -> Option<Arc<dyn Nature>> {
    GIVEN.replace(nature)
}

/// Work for another thread, which is to have the nature of this one.
pub fn passed_on<T>(work: impl FnOnce() -> T) -> impl FnOnce() -> T {
    let nature = GIVEN.with_borrow(Clone::clone);
    move || {
        give(nature);
        work()
    }
}

/// Asks the nature of this thread.
pub(crate) fn ask<T>(question: impl FnOnce(&dyn Nature) -> T) -> T {
    let given = GIVEN.with_borrow(Clone::clone);
    question(given.as_deref().unwrap_or(&Machine))
}

/// The machine on which the server runs.
struct Machine;

impl Nature for Machine {
    #[expect(clippy::disallowed_methods, reason = "the one place")]
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    }

    #[cfg(target_os = "linux")]
    fn since_boot(&self) -> Duration {
        let passed = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        let part = |number| u64::try_from(number).unwrap_or(0);
        Duration::from_secs(part(passed.tv_sec)) + Duration::from_nanos(part(passed.tv_nsec))
    }

    /// Since the server started.
    #[cfg(not(target_os = "linux"))]
    fn since_boot(&self) -> Duration {
        #[expect(clippy::disallowed_methods, reason = "the one place")]
        static BEGUN: std::sync::LazyLock<std::time::Instant> = std::sync::LazyLock::new(std::time::Instant::now);
        BEGUN.elapsed()
    }

    /// # Panics
    ///
    /// If the operating system gives no randomness, without which no secret is safe.
    #[expect(clippy::disallowed_methods, reason = "the one place")]
    #[allow(clippy::expect_used, reason = "nothing goes without randomness")]
    fn fill(&self, bytes: &mut [u8]) {
        aws_lc_rs::rand::fill(bytes).expect("the operating system gives randomness");
    }

    fn processors(&self) -> usize {
        thread::available_parallelism().map_or(1, usize::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{clock, random};

    /// At one instant for ever, with the same bytes for ever.
    struct Still;

    impl Nature for Still {
        fn now(&self) -> Timestamp {
            Timestamp::from_millis(7)
        }

        fn since_boot(&self) -> Duration {
            Duration::from_secs(1)
        }

        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(3);
        }

        fn processors(&self) -> usize {
            0
        }
    }

    #[test]
    fn a_thread_has_the_nature_that_it_was_given_and_hands_it_to_those_that_it_starts() {
        let what = || (clock::now(), clock::since_boot(), random::bytes::<2>());
        let still = (Timestamp::from_millis(7), Duration::from_secs(1), [3, 3]);
        let before = give(Some(Arc::new(Still)));
        assert!(before.is_none());
        assert_eq!(what(), still);
        assert_eq!(thread::spawn(passed_on(what)).join().unwrap(), still);
        assert_ne!(thread::spawn(what).join().unwrap(), still, "whoever is given none has the machine's");
        give(before);
        assert_ne!(what(), still);
    }
}
