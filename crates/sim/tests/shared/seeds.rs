//! Runs over many seeds, on all processors.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

/// A number that the caller of the test gave.
pub fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// The seeds of a run: as many as usual from the first, unless the caller says otherwise.
pub fn chosen(usual: u64) -> Range<u64> {
    let first = number("MUSTER_FIRST_SEED").unwrap_or(1);
    first..first + number("MUSTER_SEEDS").unwrap_or(usual)
}

/// Runs each seed, until one of them says that it is enough.
pub fn run_all(seeds: Range<u64>, goes_on: impl Fn(u64) -> bool + Sync) {
    let next = AtomicU64::new(seeds.start);
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        return;
                    }
                    if !goes_on(seed) {
                        next.fetch_max(seeds.end, Ordering::Relaxed);
                    }
                }
            });
        }
    });
}

/// Tells how each failed seed is replayed.
///
/// # Panics
///
/// If any failed.
pub fn judge(mut failed: Vec<(u64, String)>, test: &str) {
    failed.sort();
    for (seed, fault) in &failed {
        println!("seed {seed}: {fault}\n  MUSTER_SEED={seed} cargo test -p muster-sim --test {test}");
    }
    assert!(failed.is_empty(), "{} seeds failed; the commands above replay them", failed.len());
}
