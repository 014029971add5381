//! Detection from seeds: a real server on a store whose commits are let through one by one, sensors
//! that send again what was not acknowledged, full disks, and crashes between any two steps.
//!
//! A run follows from its seed alone ([`nature`]): time, chance and the order of everything.
//!
//! `MUSTER_SEEDS=5000` runs more seeds, `MUSTER_FIRST_SEED=2000` begins later, `MUSTER_SEED=123` runs one, with its trace.

mod nature;
mod oracle;
mod rules;
mod sensors;
mod world;
#[path = "../shared/worlds.rs"]
mod worlds;

use world::{Counts, run, trace};
use worlds::run_worlds;

/// Seeds of an ordinary run.
const SEEDS: u64 = 120;

/// Seeds that are run twice.
const TWICE_SEEDS: u64 = 8;

#[test]
fn every_stored_event_was_evaluated_once_and_its_actions_were_carried_out() {
    let Some(sum) = run_worlds(SEEDS, "detection -- --nocapture", run, Counts::add) else { return };
    let shows_something = sum.crashes > 0 && sum.full_disks > 0 && sum.repeated > 0 && sum.resumed > 0;
    assert!(shows_something, "nothing went wrong in this run: {sum:?}");
}

/// Goal: a failed seed can be looked at again. Method: some seeds run twice; every step, and all that is stored in the
/// end with its times and ids, must be the same.
#[test]
fn the_same_seed_gives_the_same_run_twice() {
    let traces: Vec<_> = (1..=TWICE_SEEDS).map(trace).collect();
    for (seed, first) in (1..).zip(&traces) {
        let second = trace(seed);
        let differs = first.iter().zip(&second).find(|(first, second)| first != second);
        assert!(differs.is_none(), "seed {seed} went two ways: {differs:#?}");
        assert_eq!(first.len(), second.len(), "seed {seed}");
    }
    assert_ne!(traces[0], traces[1], "a seed makes a difference");
}
