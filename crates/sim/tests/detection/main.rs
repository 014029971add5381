//! Detection from seeds: a real server on a store whose commits are let through one by one, sensors
//! that send again what was not acknowledged, full disks, and crashes between any two steps.
//!
//! `MUSTER_SEEDS=5000` runs more seeds, `MUSTER_FIRST_SEED=2000` begins later, `MUSTER_SEED=123` runs one, with its trace.

mod oracle;
mod rules;
mod sensors;
mod world;
#[path = "../shared/worlds.rs"]
mod worlds;

use world::{Counts, run};
use worlds::run_worlds;

/// Seeds of an ordinary run.
const SEEDS: u64 = 120;

#[test]
fn every_stored_event_was_evaluated_once_and_its_actions_were_carried_out() {
    let Some(sum) = run_worlds(SEEDS, "detection -- --nocapture", run, Counts::add) else { return };
    let shows_something = sum.crashes > 0 && sum.full_disks > 0 && sum.repeated > 0 && sum.resumed > 0;
    assert!(shows_something, "nothing went wrong in this run: {sum:?}");
}
