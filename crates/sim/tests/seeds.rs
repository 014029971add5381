//! Runs seeds. `MUSTER_SEEDS=5000` runs more of them, `MUSTER_FIRST_SEED=2000` begins later, `MUSTER_SEED=123` one, with its trace.

#[path = "shared/seeds.rs"]
mod seeds;

use muster_sim::{Counts, Options, Outcome, Sabotage, run};
use parking_lot::Mutex;
use seeds::{chosen, judge, number, run_all};
use std::panic::catch_unwind;

/// Seeds of an ordinary run.
const SEEDS: u64 = 240;

/// Seeds within which a sabotaged step must be noticed.
const SABOTAGE_SEEDS: u64 = 1_000;

fn replay(seed: u64) {
    let outcome = run(Options { seed, keeps_lines: true, ..Options::default() });
    println!("{}", outcome.lines.join("\n"));
    println!("seed {seed}: {:?}, trace {:016x}", outcome.counts, outcome.hash);
    assert_eq!(outcome.fault, None, "seed {seed}");
}

fn add(sum: &mut Counts, one: Counts) {
    sum.server_crashes += one.server_crashes;
    sum.deposed += one.deposed;
    sum.sensor_crashes += one.sensor_crashes;
    sum.wipes += one.wipes;
    sum.restores += one.restores;
    sum.clones += one.clones;
    sum.declined += one.declined;
    sum.cuts += one.cuts;
    sum.tasks += one.tasks;
    sum.targets += one.targets;
    sum.deliveries += one.deliveries;
    sum.effects += one.effects;
    sum.removed += one.removed;
    sum.cancelled += one.cancelled;
    sum.events += one.events;
}

/// Runs a seed; a panic is a fault like any other, and must name its seed.
fn run_or_panic(options: Options) -> Outcome {
    catch_unwind(|| run(options)).unwrap_or_else(|_| Outcome {
        fault: Some("it panicked; see above".to_owned()),
        counts: Counts::default(),
        hash: 0,
        lines: Vec::new(),
    })
}

#[test]
fn what_must_hold_holds_for_every_seed() {
    if let Some(seed) = number("MUSTER_SEED") {
        return replay(seed);
    }
    let seeds = chosen(SEEDS);
    let (sum, failed) = (Mutex::new(Counts::default()), Mutex::new(Vec::new()));
    run_all(seeds.clone(), |seed| {
        let outcome = run_or_panic(Options { seed, ..Options::default() });
        add(&mut sum.lock(), outcome.counts);
        failed.lock().extend(outcome.fault.map(|fault| (seed, fault)));
        true
    });
    let sum = sum.into_inner();
    println!("seeds {seeds:?}: {sum:?}");
    let each = [(sum.deposed, 50), (sum.restores, 20), (sum.clones, 20), (sum.declined, 100)];
    let is_enough = each.iter().all(|(happened, least)| happened > least);
    assert!(seeds.clone().count() < 100 || is_enough, "something hardly happened: {sum:?}");
    judge(failed.into_inner(), "seeds -- --nocapture what_must_hold");
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    let hash = |seed| run(Options { seed, ..Options::default() }).hash;
    for seed in [1, 2, 3] {
        assert_eq!(hash(seed), hash(seed));
    }
    assert_ne!(hash(1), hash(2));
}

#[test]
fn every_durable_step_that_is_left_out_is_noticed() {
    use Sabotage::{
        AnswerBeforeStore, BelieveCutJournal, ForgetCancel, ForgetRecall, ForgetRemoval, OutliveClaim,
        RunBeforeJournal, SendBeforeStore, StayUnknown, TakeTooMany, TellCancelOnly, TellNoInstant, TrustClock,
        TrustCopiedSpool,
    };
    let all = [
        AnswerBeforeStore,
        BelieveCutJournal,
        ForgetCancel,
        ForgetRecall,
        ForgetRemoval,
        OutliveClaim,
        RunBeforeJournal,
        SendBeforeStore,
        StayUnknown,
        TakeTooMany,
        TellCancelOnly,
        TellNoInstant,
        TrustClock,
        TrustCopiedSpool,
    ];
    for sabotage in all {
        let noticed = Mutex::new(None);
        let options = Options { sabotage: Some(sabotage), ..Options::default() };
        run_all(1..SABOTAGE_SEEDS + 1, |seed| match run_or_panic(Options { seed, ..options }).fault {
            Some(fault) => {
                noticed.lock().get_or_insert((seed, fault));
                false
            }
            None => true,
        });
        let noticed = noticed.into_inner();
        println!("{sabotage:?}: {noticed:?}");
        assert!(noticed.is_some(), "{sabotage:?} went unnoticed for {SABOTAGE_SEEDS} seeds");
    }
}
