//! Runs whole worlds over many seeds: each gives what it counted and the faults that were found.

#[path = "seeds.rs"]
mod seeds;

use parking_lot::Mutex;
use seeds::{chosen, judge, number, run_all};
use std::fmt::Debug;
use std::panic::catch_unwind;

/// Runs as many seeds as usual, unless the caller of the test says otherwise, and gives the sum of what they counted;
/// `None` if the caller wanted one seed, with its trace. `test` is how a failed seed is run again.
///
/// # Panics
///
/// If a fault was found.
pub fn run_worlds<C: Debug + Default + Send>(
    usual: u64,
    test: &str,
    run: fn(u64, bool) -> (C, Vec<String>),
    add: fn(&mut C, C),
) -> Option<C> {
    if let Some(seed) = number("MUSTER_SEED") {
        let (counts, faults) = run(seed, true);
        println!("seed {seed}: {counts:?}");
        assert!(faults.is_empty(), "seed {seed}: {faults:#?}");
        return None;
    }
    let seeds = chosen(usual);
    let (sum, failed) = (Mutex::new(C::default()), Mutex::new(Vec::new()));
    run_all(seeds.clone(), |seed| {
        // A panic is a fault like any other, and must name its seed.
        let (counts, faults) = catch_unwind(|| run(seed, false))
            .unwrap_or_else(|_| (C::default(), vec!["it panicked; see above".to_owned()]));
        add(&mut sum.lock(), counts);
        failed.lock().extend(faults.into_iter().next().map(|fault| (seed, fault)));
        true
    });
    let sum = sum.into_inner();
    println!("seeds {seeds:?}: {sum:?}");
    judge(failed.into_inner(), test);
    Some(sum)
}
