//! What programs of others are told, from seeds: the outbox and its decisions as they are in the product, on a store
//! whose commits take time; targets that are slow, away, broken or refuse; clocks that jump, full disks, servers that die
//! between any two steps, and servers that are deposed and do not know it yet.
//!
//! # Invariants
//!
//! 1. What was acknowledged is delivered, or is there to be looked at and delivered again, or was told to have been given
//!    up, or nobody was subscribed any more.
//! 2. A message has one id, however often it comes and whoever sends it.
//! 3. Nothing is told that is not stored.
//! 4. Each lane begins messages in the order in which they were put; only what is tried again comes later, and what was about to
//!    be sent when its target began to rest.
//! 5. The ends of a subscription are told one after the other, and its end is told before it is forgotten.
//! 6. A message is not sent twice at once by one server, nor oftener than its tries, restarts and revivals allow.
//! 7. A server that knows that it was deposed sends nothing.
//! 8. No server calls a target faster than its registration says, or before it wants to be called again, but for clocks that jump.
//! 9. Once all targets are well, nothing waits for long, whatever clocks did.
//!
//! `MUSTER_SEEDS=5000` runs more seeds, `MUSTER_FIRST_SEED=2000` begins later, `MUSTER_SEED=123` runs one, with its trace.

mod server;
mod target;
mod truth;
mod world;
#[path = "../shared/worlds.rs"]
mod worlds;

use std::panic::catch_unwind;
use truth::Counts;
use world::{Sabotage, World};
use worlds::run_worlds;

/// Seeds of an ordinary run.
const SEEDS: u64 = 100;

/// Seeds within which a step that is left out must be noticed.
const SABOTAGE_SEEDS: u64 = 300;

fn run(seed: u64, is_told: bool) -> (Counts, Vec<String>) {
    let ended = World::run(seed, is_told, None);
    (ended.counts, ended.faults)
}

#[test]
fn what_was_acknowledged_is_delivered_or_seen_to_be_given_up_whatever_breaks() {
    let Some(sum) = run_worlds(SEEDS, "delivery -- --nocapture what_was", run, Counts::add) else { return };
    let numbers = [
        sum.crashes,
        sum.deposed,
        sum.full_disks,
        sum.clock_jumps,
        sum.busy,
        sum.waited,
        sum.retried,
        sum.kept,
        sum.revived,
        sum.ended,
    ];
    assert!(numbers.iter().all(|number| *number > 10), "hardly anything went wrong in this run: {sum:?}");
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    let hash = |seed| World::run(seed, false, None).hash;
    for seed in [1, 2, 3] {
        assert_eq!(hash(seed), hash(seed));
    }
    assert_ne!(hash(1), hash(2));
}

#[test]
fn every_durable_step_that_is_left_out_is_noticed() {
    for sabotage in Sabotage::ALL {
        let fault = |seed| match catch_unwind(|| World::run(seed, false, Some(sabotage))) {
            Ok(ended) => ended.faults.into_iter().next(),
            Err(_) => Some("it panicked; see above".to_owned()),
        };
        let noticed = (1..=SABOTAGE_SEEDS).find_map(|seed| Some((seed, fault(seed)?)));
        println!("{sabotage:?}: {noticed:?}");
        assert!(noticed.is_some(), "{sabotage:?} went unnoticed for {SABOTAGE_SEEDS} seeds");
    }
}
