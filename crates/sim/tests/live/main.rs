//! Live sessions from seeds: a real server on a store whose commits are let through one by one, the sensors' real end of
//! each session, operators who open, order, cancel and close, links that break, full disks, and crashes of the server
//! and of sensors between any two steps.
//!
//! # Invariants
//!
//! 1. A command has its effect at most once, and one that succeeded had it.
//! 2. Once a session has ended and its sensor knows, nothing more begins in it.
//! 3. What was accepted is there, under its number, whatever dies; and what a sensor was told is stored, is.
//! 4. In the end every command has one: what the sensor said of it, unless that sensor died.
//!
//! `MUSTER_SEEDS=5000` runs more seeds, `MUSTER_FIRST_SEED=2000` begins later, `MUSTER_SEED=123` runs one, with its trace.

mod endpoint;
#[path = "../shared/seeds.rs"]
mod seeds;
mod world;

use seeds::{chosen, judge, number, run_all};
use std::panic::catch_unwind;
use std::sync::Mutex;
use world::{Counts, run};

/// Seeds of an ordinary run.
const SEEDS: u64 = 120;

#[test]
fn a_command_has_its_effect_at_most_once_and_its_end_is_known_whatever_breaks() {
    if let Some(seed) = number("MUSTER_SEED") {
        let (counts, faults) = run(seed, true);
        println!("seed {seed}: {counts:?}");
        assert!(faults.is_empty(), "seed {seed}: {faults:#?}");
        return;
    }
    let seeds = chosen(SEEDS);
    let (sum, failed) = (Mutex::new(Counts::default()), Mutex::new(Vec::new()));
    run_all(seeds.clone(), |seed| {
        // A panic is a fault like any other, and must name its seed.
        let (counts, faults) = catch_unwind(|| run(seed, false))
            .unwrap_or_else(|_| (Counts::default(), vec!["it panicked; see above".to_owned()]));
        sum.lock().unwrap().add(counts);
        failed.lock().unwrap().extend(faults.into_iter().next().map(|fault| (seed, fault)));
        true
    });
    let sum = sum.into_inner().unwrap();
    println!("seeds {seeds:?}: {sum:?}");
    judge(failed.into_inner().unwrap(), "live -- --nocapture");
    let shows_something = sum.server_crashes > 0
        && sum.sensor_crashes > 0
        && sum.full_disks > 0
        && sum.effects > 0
        && sum.cancelled > 0
        && sum.lost > 0;
    assert!(shows_something, "nothing went wrong in this run: {sum:?}");
}
