//! Detection from seeds: a real server on a store whose commits are let through one by one, sensors
//! that send again what was not acknowledged, full disks, and crashes between any two steps.
//!
//! `MUSTER_SEEDS=5000` runs more seeds, `MUSTER_FIRST_SEED=2000` begins later, `MUSTER_SEED=123` runs one, with its trace.

mod oracle;
mod rules;
#[path = "../shared/seeds.rs"]
mod seeds;
mod sensors;
mod world;

use seeds::{chosen, judge, number, run_all};
use std::panic::catch_unwind;
use std::sync::Mutex;
use world::{Counts, run};

/// Seeds of an ordinary run.
const SEEDS: u64 = 120;

#[test]
fn every_stored_event_was_evaluated_once_and_its_actions_were_carried_out() {
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
    judge(failed.into_inner().unwrap(), "detection -- --nocapture");
    let shows_something = sum.crashes > 0 && sum.full_disks > 0 && sum.repeated > 0 && sum.resumed > 0;
    assert!(shows_something, "nothing went wrong in this run: {sum:?}");
}
