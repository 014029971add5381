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
mod world;
#[path = "../shared/worlds.rs"]
mod worlds;

use world::{Counts, run};
use worlds::run_worlds;

/// Seeds of an ordinary run.
const SEEDS: u64 = 120;

#[test]
fn a_command_has_its_effect_at_most_once_and_its_end_is_known_whatever_breaks() {
    let Some(sum) = run_worlds(SEEDS, "live -- --nocapture", run, Counts::add) else { return };
    let shows_something = sum.server_crashes > 0
        && sum.sensor_crashes > 0
        && sum.full_disks > 0
        && sum.effects > 0
        && sum.cancelled > 0
        && sum.lost > 0;
    assert!(shows_something, "nothing went wrong in this run: {sum:?}");
}
