//! What is measured of an engine, and what is said of it.

use crate::engine::Name;
use crate::event::Event;
use crate::sigma::Rule;
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::hint::black_box;

/// Each figure is the best of so many rounds: other work on the machine only ever slows one down.
const ROUNDS: usize = 3;

/// How long is measured.
#[derive(Clone, Copy)]
pub struct Limits {
    /// One round, in seconds on the processor.
    pub seconds: f64,
    /// The comparison of matches, in seconds on the processor.
    pub patience: f64,
}

/// What was measured of one engine with one set of rules.
pub struct Figure {
    pub engine: Name,
    pub rules: usize,
    pub events_per_s: f64,
}

/// Seconds that this thread has spent on a processor.
fn seconds() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// Which rules match each event, for as many events as patience lasts.
pub fn verdicts(
    engine: Name,
    rules: &[Rule],
    events: &[Event],
    patience: f64,
) -> anyhow::Result<Vec<BTreeSet<String>>> {
    let mut contender = engine.load(&engine.texts(rules)?)?;
    contender.prepare(events)?;
    let begin = seconds();
    let mut verdicts = Vec::new();
    while verdicts.len() < events.len() && seconds() - begin < patience {
        verdicts.push(contender.titles(verdicts.len()).into_iter().collect());
    }
    Ok(verdicts)
}

/// Measures every engine with one set of rules, and prints a line for each.
pub fn size(engines: &[Name], rules: &[Rule], events: &[Event], limits: Limits) -> anyhow::Result<Vec<Figure>> {
    let expected = verdicts(Name::Naive, rules, events, limits.patience)?;
    let mut figures: Vec<Figure> = Vec::new();
    for engine in engines {
        let texts = engine.texts(rules)?;
        let begin = seconds();
        let loaded = engine.load(&texts)?;
        let load = seconds() - begin;
        drop(loaded);
        let (mut loaded, info) = {
            let mut loaded = None;
            let info = allocation_counter::measure(|| loaded = Some(engine.load(&texts)));
            (loaded.transpose()?.ok_or_else(|| anyhow::anyhow!("nothing was loaded"))?, info)
        };
        drop(texts);
        loaded.prepare(events)?;
        let mut line = json!({
            "engine": engine.shown(), "rules": rules.len(), "events": events.len(), "load_s": rounded(load),
            "memory_mib": rounded(info.bytes_current as f64 / f64::from(1 << 20)),
        });
        if *engine != Name::MusterParse {
            let begin = seconds();
            let (mut compared, mut matches, mut differing) = (0, 0, 0);
            while compared < expected.len() && seconds() - begin < limits.patience {
                let found: BTreeSet<String> = loaded.titles(compared).into_iter().collect();
                matches += found.len();
                differing += found.symmetric_difference(&expected[compared]).count();
                compared += 1;
            }
            line["matches"] = json!(matches);
            line["events_compared"] = json!(compared);
            line["differing"] = json!(differing);
        }
        let round = || throughput(limits.seconds, events.len(), &mut |event| loaded.count(event));
        let events_per_s = std::iter::repeat_with(round).take(ROUNDS).fold(0.0, f64::max);
        line["events_per_s"] = json!(rounded(events_per_s));
        if let Some(own) = figures.iter().find(|figure| figure.engine == Name::Muster) {
            line["ratio"] = json!(rounded(own.events_per_s / events_per_s));
        }
        line["load"] = json!(load_average());
        println!("{line}");
        figures.push(Figure { engine: *engine, rules: rules.len(), events_per_s });
    }
    Ok(figures)
}

/// Events per second, over so many seconds; a pass may end early if it takes longer than that.
fn throughput(limit: f64, events: usize, count: &mut dyn FnMut(usize) -> usize) -> f64 {
    let (begin, mut done) = (seconds(), 0_usize);
    loop {
        // The clock is a call to the system: fast engines look at it rarely.
        for _ in 0..if done < 64 { 1 } else { 64 } {
            black_box(count(done % events));
            done += 1;
        }
        let elapsed = seconds() - begin;
        if elapsed >= limit {
            return done as f64 / elapsed;
        }
    }
}

/// Prints what was to be reached, and whether it was.
pub fn aims(figures: &[Figure]) {
    let speed = |engine, rules| {
        let figure = figures.iter().find(|figure: &&Figure| figure.engine == engine && figure.rules == rules);
        figure.map(|figure| figure.events_per_s)
    };
    let own = speed(Name::Muster, 1_500);
    let over = |value: Option<f64>, by: Option<f64>| value.zip(by).map(|(value, by)| value / by);
    let rows = [
        ("times rsigma-eval at 1,500 rules, at least", over(own, speed(Name::Rsigma, 1_500)), 5.0, true),
        ("times the naive way at 1,500 rules, at least", over(own, speed(Name::Naive, 1_500)), 20.0, true),
        ("events per second from JSON at 1,500 rules, at least", speed(Name::MusterJson, 1_500), 150_000.0, true),
        ("times the time at 15,000 rules, at most", over(own, speed(Name::Muster, 15_000)), 1.5, false),
        (
            "times the time at 15,000 rules from JSON, at most",
            over(speed(Name::MusterJson, 1_500), speed(Name::MusterJson, 15_000)),
            1.5,
            false,
        ),
    ];
    for (name, value, aim, is_least) in rows {
        if let Some(value) = value {
            let reached = if is_least { value >= aim } else { value <= aim };
            let line: Value = json!({"aim": name, "value": rounded(value), "of": aim, "reached": reached});
            println!("{line}");
        }
    }
}

fn load_average() -> f64 {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().and_then(|one| one.parse().ok()).unwrap_or_default()
}

/// Four significant digits.
fn rounded(value: f64) -> f64 {
    format!("{value:.3e}").parse().unwrap_or(value)
}
