//! Detection from seeds: a real server on a store whose commits are let through one by one, sensors
//! that send again what was not acknowledged, full disks, and crashes between any two steps.
//!
//! `MUSTER_SEEDS=5000` runs more seeds, `MUSTER_FIRST_SEED=2000` begins later, `MUSTER_SEED=123` runs one, with its trace.

mod oracle;
mod rules;
mod sensors;
mod world;

use std::panic::catch_unwind;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use world::{Counts, run};

/// Seeds of an ordinary run.
const SEEDS: u64 = 120;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

#[test]
fn every_stored_event_was_evaluated_once_and_its_actions_were_carried_out() {
    if let Some(seed) = number("MUSTER_SEED") {
        let (counts, faults) = run(seed, true);
        println!("seed {seed}: {counts:?}");
        assert!(faults.is_empty(), "seed {seed}: {faults:#?}");
        return;
    }
    let first = number("MUSTER_FIRST_SEED").unwrap_or(1);
    let end = first + number("MUSTER_SEEDS").unwrap_or(SEEDS);
    let next = AtomicU64::new(first);
    let (sum, failed) = (Mutex::new(Counts::default()), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end {
                        return;
                    }
                    // A panic is a fault like any other, and must name its seed.
                    let (counts, faults) = catch_unwind(|| run(seed, false))
                        .unwrap_or_else(|_| (Counts::default(), vec!["it panicked; see above".to_owned()]));
                    sum.lock().unwrap().add(counts);
                    failed.lock().unwrap().extend(faults.into_iter().next().map(|fault| (seed, fault)));
                }
            });
        }
    });
    let sum = sum.into_inner().unwrap();
    println!("seeds {first} to {}: {sum:?}", end - 1);
    let mut failed = failed.into_inner().unwrap();
    failed.sort();
    for (seed, fault) in &failed {
        println!("seed {seed}: {fault}\n  MUSTER_SEED={seed} cargo test -p muster-sim --test detection -- --nocapture");
    }
    assert!(failed.is_empty(), "{} seeds failed; the commands above replay them", failed.len());
    let shows_something = sum.crashes > 0 && sum.full_disks > 0 && sum.repeated > 0 && sum.resumed > 0;
    assert!(shows_something, "nothing went wrong in this run: {sum:?}");
}
