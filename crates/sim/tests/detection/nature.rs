//! The nature of a run: chance from its seed, time that only the run moves, and no processor beside the one thread.

use muster_model::Timestamp;
use muster_server::nature::Nature;
use muster_sim::rng::Rng;
use parking_lot::Mutex;
use std::time::Duration;
use tokio::time::Instant;

/// When every run begins, in seconds since the Unix epoch.
const BEGIN_S: i64 = 1_800_000_000;

/// What chance is drawn from is not what the steps of the run are drawn from: one more drawing changes no step.
const CHANCE: u64 = 0x6368_616e_6365;

pub struct Seeded {
    chance: Mutex<Rng>,
    clock: Mutex<Clock>,
}

/// Time goes on from process to process, as that of the runtime goes on in each.
#[derive(Default)]
struct Clock {
    /// What has passed before the process that runs.
    before: Duration,
    begun: Option<Instant>,
}

impl Clock {
    fn passed(&self) -> Duration {
        self.before + self.begun.map_or(Duration::ZERO, |begun| begun.elapsed())
    }
}

impl Seeded {
    pub fn new(seed: u64) -> Self {
        Self { chance: Mutex::new(Rng::new(seed ^ CHANCE)), clock: Mutex::default() }
    }

    fn clock<T>(&self, f: impl FnOnce(&mut Clock) -> T) -> T {
        f(&mut self.clock.lock())
    }

    /// A process begins; called in its runtime.
    pub fn begin(&self) {
        self.clock(|clock| clock.begun = Some(Instant::now()));
    }

    /// The process ended; called in its runtime.
    pub fn end(&self) {
        self.clock(|clock| *clock = Clock { before: clock.passed(), begun: None });
    }
}

impl Nature for Seeded {
    fn now(&self) -> Timestamp {
        Timestamp::from_secs(BEGIN_S).saturating_add(self.since_boot())
    }

    fn since_boot(&self) -> Duration {
        self.clock(|clock| clock.passed())
    }

    fn fill(&self, bytes: &mut [u8]) {
        let mut chance = self.chance.lock();
        for part in bytes.chunks_mut(8) {
            part.copy_from_slice(&chance.draw().to_le_bytes()[..part.len()]);
        }
    }

    fn processors(&self) -> usize {
        0
    }
}
