//! Runs seeds. `MUSTER_SEEDS=5000` runs more of them, `MUSTER_FIRST_SEED=2000` begins later, `MUSTER_SEED=123` one, with its trace.

use std::panic::catch_unwind;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use muster_sim::{Counts, Options, Outcome, Sabotage, run};

/// Seeds of an ordinary run.
const SEEDS: u64 = 240;

/// Seeds within which a sabotaged step must be noticed.
const SABOTAGE_SEEDS: u64 = 1_000;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

fn replay(seed: u64) {
    let outcome = run(Options { seed, keeps_lines: true, ..Options::default() });
    println!("{}", outcome.lines.join("\n"));
    println!("seed {seed}: {:?}, trace {:016x}", outcome.counts, outcome.hash);
    assert_eq!(outcome.fault, None, "seed {seed}");
}

fn add(sum: &mut Counts, one: Counts) {
    sum.server_crashes += one.server_crashes;
    sum.sensor_crashes += one.sensor_crashes;
    sum.wipes += one.wipes;
    sum.cuts += one.cuts;
    sum.tasks += one.tasks;
    sum.targets += one.targets;
    sum.deliveries += one.deliveries;
    sum.effects += one.effects;
    sum.removed += one.removed;
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

fn run_all(seeds: u64, options: Options, each: impl Fn(u64, Outcome) -> bool + Sync) {
    let next = AtomicU64::new(number("MUSTER_FIRST_SEED").unwrap_or(1));
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed > seeds || !each(seed, run_or_panic(Options { seed, ..options })) {
                        next.fetch_add(seeds, Ordering::Relaxed);
                        return;
                    }
                }
            });
        }
    });
}

#[test]
fn what_must_hold_holds_for_every_seed() {
    if let Some(seed) = number("MUSTER_SEED") {
        return replay(seed);
    }
    let seeds = number("MUSTER_SEEDS").unwrap_or(SEEDS);
    let (sum, failed) = (Mutex::new(Counts::default()), Mutex::new(Vec::new()));
    run_all(seeds, Options::default(), |seed, outcome| {
        add(&mut sum.lock().unwrap(), outcome.counts);
        if let Some(fault) = outcome.fault {
            failed.lock().unwrap().push((seed, fault));
        }
        true
    });
    println!("{seeds} seeds: {:?}", sum.into_inner().unwrap());
    let mut failed = failed.into_inner().unwrap();
    failed.sort();
    for (seed, fault) in &failed {
        println!(
            "seed {seed}: {fault}\n  MUSTER_SEED={seed} cargo test -p muster-sim --test seeds -- --nocapture what_must_hold"
        );
    }
    assert!(failed.is_empty(), "{} of {seeds} seeds failed; the commands above replay them", failed.len());
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
    use Sabotage::{AnswerBeforeStore, ForgetRemoval, RunBeforeJournal, SendBeforeStore};
    for sabotage in [AnswerBeforeStore, ForgetRemoval, RunBeforeJournal, SendBeforeStore] {
        let noticed = Mutex::new(None);
        let options = Options { sabotage: Some(sabotage), ..Options::default() };
        run_all(SABOTAGE_SEEDS, options, |seed, outcome| match outcome.fault {
            Some(fault) => {
                noticed.lock().unwrap().get_or_insert((seed, fault));
                false
            }
            None => true,
        });
        let noticed = noticed.into_inner().unwrap();
        println!("{sabotage:?}: {noticed:?}");
        assert!(noticed.is_some(), "{sabotage:?} went unnoticed for {SABOTAGE_SEEDS} seeds");
    }
}
