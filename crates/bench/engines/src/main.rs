//! Measures the rule engine beside the published ones: the same predicates on the same
//! events, one thread, time on the processor. One JSON object per line.
//!
//! `cargo run --release --ignore-rust-version -- [--sigma DIR] [--events FILE] [--rules N …] [--engines NAME …]`
//!
//! Without `--sigma` the rules are generated. Rules that one of the engines cannot load, or of
//! which one says something else than the others, are left out of the whole run and counted.

#![forbid(unsafe_code)]

mod alter;
mod condition;
mod engine;
mod event;
mod generate;
mod measure;
#[path = "../../../rules/tests/generate/programs.rs"]
mod programs;
#[path = "../../../rules/tests/generate/random.rs"]
mod random;
mod sigma;
mod write;

use anyhow::Context as _;
use clap::{Parser, ValueEnum as _};
use engine::Name;
use event::Event;
use measure::Limits;
use random::Random;
use serde_json::{Value, json};
use sigma::Rule;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

const SEED: u64 = 7;

/// Rules that are generated where no folder is named; larger sets are copies with other literals.
const RULES_GENERATED: usize = 1_500;

/// Reads rules and events, then measures each engine with each number of rules.
#[derive(Debug, Parser)]
struct Args {
    /// Folder of Sigma rules, read with everything below it.
    #[arg(long)]
    sigma: Option<PathBuf>,
    /// File of Sysmon records, one JSON object per line.
    #[arg(long)]
    events: Option<PathBuf>,
    /// How many events are generated where no file is named.
    #[arg(long, default_value_t = 5_000)]
    generated: usize,
    /// Numbers of rules.
    #[arg(long, num_args = 1.., default_values_t = [1, 100, 1_500, 15_000])]
    rules: Vec<usize>,
    /// Engines; all of them if none is named.
    #[arg(long, num_args = 1..)]
    engines: Vec<Name>,
    /// How long each round lasts, in seconds on the processor; each figure is the best of three rounds.
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// After so many seconds on the processor the comparison of matches stops.
    #[arg(long, default_value_t = 20.0)]
    patience: f64,
    /// Folder into which the rules of each size and the events are written as muster reads them, for a profiler.
    #[arg(long)]
    keep: Option<PathBuf>,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let engines = if args.engines.is_empty() { Name::value_variants().to_vec() } else { args.engines.clone() };
    let mut random = Random(SEED);
    let (rules, mut left_out) = match &args.sigma {
        Some(folder) => read_rules(folder)?,
        None => ((0..RULES_GENERATED).map(|at| random.rule(at)).collect(), BTreeMap::new()),
    };
    let read = rules.len() + left_out.values().sum::<usize>();
    let mut rules = loadable(rules, &engines, &mut left_out);
    let mut events = match &args.events {
        Some(file) => event::read(file)?,
        None => event::generated(args.generated, &rules, &mut random),
    };
    // What no rule is about would only flatter every engine.
    let categories: BTreeSet<&str> = rules.iter().map(|rule| rule.category.as_str()).collect();
    events.retain(|event| categories.contains(event.category.as_str()));
    anyhow::ensure!(
        !rules.is_empty() && !events.is_empty(),
        "there are {} rules and {} events",
        rules.len(),
        events.len()
    );
    agreeing(&mut rules, &engines, &events, &args, &mut left_out)?;
    let bytes = |form: fn(&Event) -> &str| events.iter().map(|event| form(event).len()).sum::<usize>() / events.len();
    let (whole, fields) = (bytes(|event| &event.whole), bytes(|event| &event.fields));
    let corpus = json!({
        "rules_read": read, "rules_used": rules.len(), "left_out": left_out, "events": events.len(), "event_bytes": whole,
        "event_bytes_of_fields": fields,
    });
    println!("{corpus}");
    let limits = Limits { seconds: args.seconds, patience: args.patience };
    let mut figures = Vec::new();
    for count in &args.rules {
        let rules = alter::grown(&rules, *count);
        if let Some(folder) = &args.keep {
            keep(folder, &rules, &events)?;
        }
        figures.extend(measure::size(&engines, &rules, &events, limits)?);
    }
    measure::aims(&figures);
    Ok(())
}

/// A list of rules; events, one on each line.
fn keep(folder: &Path, rules: &[Rule], events: &[Event]) -> anyhow::Result<()> {
    let texts = Name::Muster.texts(rules)?.into_iter();
    let rules_in_json: anyhow::Result<Vec<Value>> = texts.map(|text| Ok(serde_saphyr::from_str(&text.text)?)).collect();
    std::fs::write(folder.join(format!("rules-{}.json", rules.len())), Value::from(rules_in_json?).to_string())?;
    let events: Vec<&str> = events.iter().map(|event| event.whole.as_str()).collect();
    Ok(std::fs::write(folder.join("events.jsonl"), events.join("\n"))?)
}

fn read_rules(folder: &Path) -> anyhow::Result<(Vec<Rule>, BTreeMap<String, usize>)> {
    let (mut files, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in folder.read_dir().with_context(|| format!("{} cannot be read", folder.display()))? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "yml") {
                files.push(path);
            }
        }
    }
    files.sort();
    let (mut rules, mut left_out) = (Vec::new(), BTreeMap::new());
    for file in files {
        match sigma::read(&std::fs::read_to_string(&file)?) {
            Ok(mut rule) => {
                rule.title = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
                rules.push(rule);
            }
            Err(cause) => *left_out.entry(format!("not translated: {cause}")).or_default() += 1,
        }
    }
    Ok((rules, left_out))
}

/// The rules that every engine loads.
fn loadable(rules: Vec<Rule>, engines: &[Name], left_out: &mut BTreeMap<String, usize>) -> Vec<Rule> {
    let refused = |rule: &Rule| {
        let one = std::slice::from_ref(rule);
        engines.iter().find(|engine| engine.texts(one).and_then(|texts| engine.load(&texts)).is_err()).copied()
    };
    let mut kept = Vec::new();
    for rule in rules {
        match refused(&rule) {
            None => kept.push(rule),
            Some(engine) => *left_out.entry(format!("not loaded by {}", engine.shown())).or_default() += 1,
        }
    }
    kept
}

/// Takes out the rules of which an engine says something else than each rule in turn does.
fn agreeing(
    rules: &mut Vec<Rule>,
    engines: &[Name],
    events: &[Event],
    args: &Args,
    left_out: &mut BTreeMap<String, usize>,
) -> anyhow::Result<()> {
    let expected = measure::verdicts(Name::Naive, rules, events, args.patience)?;
    let mut odd: BTreeMap<String, Name> = BTreeMap::new();
    for engine in engines.iter().filter(|engine| !matches!(engine, Name::MusterParse | Name::Naive)) {
        let found = measure::verdicts(*engine, rules, events, args.patience)?;
        let mut events_of: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (at, (found, expected)) in found.iter().zip(&expected).enumerate() {
            for title in found.symmetric_difference(expected) {
                events_of.entry(title).or_default().push(at);
            }
        }
        for (title, at) in events_of {
            let is_found = found[at[0]].contains(title);
            let difference: Value = json!({
                "differs": engine.shown(), "rule": title, "events": at.len(), "first": at[0], "matches": is_found,
            });
            println!("{difference}");
            odd.insert(title.to_owned(), *engine);
        }
    }
    for engine in odd.values() {
        *left_out.entry(format!("{} says something else", engine.shown())).or_default() += 1;
    }
    rules.retain(|rule| !odd.contains_key(&rule.title));
    Ok(())
}
