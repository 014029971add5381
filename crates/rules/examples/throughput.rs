//! Measures the engine: one JSON line per figure, with name, value, unit and parameters.
//!
//! `cargo run --profile dist -p muster-rules --example throughput -- --rules 1500 [--events 20000] [--naive-events 2000] [--file RULES] [--events-file EVENTS]`
//!
//! Rules and events are generated from a seed. With `--file`, rules are read instead: one JSON
//! rule per line, or a JSON list; with `--events-file`, events, one JSON object per line. Beside
//! the shared plan stand the naive way (each rule in turn), parsing alone, and what it costs to
//! keep changes so that they can be undone.

#![allow(clippy::disallowed_methods, reason = "it measures real time")]

#[path = "../tests/generate/facts.rs"]
mod facts;
#[path = "../tests/generate/programs.rs"]
mod programs;
#[path = "../tests/generate/random.rs"]
mod random;

use facts::facts;
use muster_rules::{
    Activation, CounterKey, Document, Engine, NoResources, Rule, RuleLoader, RuleMeta, RuleSet, Source, Suppression,
    Target, Way,
};
use parking_lot::Mutex;
use programs::{ORDINARY, TOOLS};
use random::Random;
use serde_json::{Value, json};
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

const SEED: u64 = 7;
/// One event in so many is made to match some rule.
const HIT_EVERY: usize = 100;
/// Each figure is the best of so many rounds, in time on a processor, since other work shares the machine.
const ROUNDS: usize = 5;

fn text_node(op: &str, path: &str, value: &str) -> Value {
    json!({"op": op, "path": path, "value": value, "case sensitive": false})
}

/// A rule in the shape of the public converted corpora.
fn rule(random: &mut Random) -> Value {
    let flag = |random: &mut Random| text_node("contains", "event/COMMAND_LINE", &format!(" -{}", random.word()));
    let tool = format!("\\{}.exe", random.of(TOOLS));
    let node = match random.below(20) {
        0..=7 => {
            let flags: Vec<Value> = (0..2 + random.below(4)).map(|_| flag(random)).collect();
            let not = json!({"op": "contains", "path": "event/PARENT/FILE_PATH", "value": format!("\\{}\\", random.word()), "case sensitive": false, "not": true});
            json!({"op": "and", "rules": [{"op": "is windows"}, text_node("ends with", "event/FILE_PATH", &tool), {"op": "or", "rules": flags}, not]})
        }
        8..=10 => json!({"op": "and", "rules": [
            {"op": "is windows"},
            text_node("ends with", "event/PARENT/FILE_PATH", &tool),
            text_node("ends with", "event/FILE_PATH", &format!("\\{}.exe", random.word())),
        ]}),
        11 | 12 => json!({"op": "and", "rules": [
            {"op": "is windows"},
            {"op": "matches", "path": "event/COMMAND_LINE", "re": format!(r"{}\s+.*-{}[0-9]{{2,4}}", random.of(TOOLS), random.word())},
        ]}),
        13 => {
            json!({"op": "and", "rules": [{"op": "is linux"}, text_node("contains", "event/FILE_PATH", &format!("/{}/", random.word()))]})
        }
        14 | 15 => {
            let node = text_node(
                ["ends with", "is"][random.below(2)],
                "event/DOMAIN_NAME",
                &format!("{}.{}.com", random.word(), random.word()),
            );
            return finish("DNS_REQUEST", node, random);
        }
        16 => {
            let node = json!({"op": "is", "path": "event/NETWORK_ACTIVITY/?/DESTINATION/PORT", "value": 1024 + random.below(60_000)});
            return finish("NETWORK_CONNECTIONS", node, random);
        }
        17 => {
            let cidr = format!("{}.{}.{}.0/24", 11 + random.below(180), random.below(256), random.below(256));
            let node = json!({"op": "cidr", "path": "event/NETWORK_ACTIVITY/?/DESTINATION/IP_ADDRESS", "cidr": cidr});
            return finish("NETWORK_CONNECTIONS", node, random);
        }
        _ => {
            let node = json!({"op": "and", "rules": [
                {"op": "is", "path": "event/EVENT/System/EventID", "value": (4000 + random.below(4000)).to_string()},
                text_node("contains", "event/EVENT/EventData/TargetUserName", &random.word()),
            ]});
            return finish("WEL", node, random);
        }
    };
    finish("NEW_PROCESS", node, random)
}

fn finish(event: &str, mut node: Value, random: &mut Random) -> Value {
    node["event"] = event.into();
    json!({"detect": node, "respond": [{"action": "report", "name": random.word(), "metadata": {"author": "bench", "level": "high"}}]})
}

fn event(random: &mut Random) -> Value {
    let hex = |random: &mut Random| format!("{:016x}{:016x}", random.next(), random.next());
    let mut routing = json!({
        "oid": "8f0e2c1a-0000-4000-8000-000000000001", "iid": "8f0e2c1a-0000-4000-8000-0000000000aa",
        "sid": format!("c0ffee00-0000-4000-8000-{:012x}", random.below(500)), "event_time": 1_700_000_000_000_u64 + random.next() % 1_000_000,
        "event_id": "e0000000-0000-4000-8000-000000000001", "hostname": "acct-07.corp.example", "ext_ip": "198.51.100.20",
        "int_ip": "10.1.4.7", "plat": 268_435_456, "arch": 2, "moduleid": 2, "this": hex(random), "parent": hex(random), "tags": ["finance"],
    });
    let user = format!("CORP\\{}", random.word());
    let (kind, event) = match random.below(10) {
        0..=5 => (
            "NEW_PROCESS",
            json!({
                "FILE_PATH": format!("C:\\Windows\\System32\\{}.exe", random.of(ORDINARY)),
                "COMMAND_LINE": format!("\"C:\\Program Files\\{}\\{}.exe\" --type={} -{} /prefetch:{}", random.word(), random.of(ORDINARY), random.word(), random.word(), random.below(9)),
                "PROCESS_ID": random.below(60_000), "PARENT_PROCESS_ID": random.below(60_000), "USER_NAME": user, "MEMORY_USAGE": random.below(1 << 30),
                "HASH": format!("{}{}", hex(random), hex(random)), "TIMESTAMP": 1_700_000_000_000_u64, "THREADS": 4,
                "PARENT": {"FILE_PATH": format!("C:\\Windows\\{}.exe", random.of(ORDINARY)), "COMMAND_LINE": random.word(), "PROCESS_ID": 3008, "USER_NAME": user},
            }),
        ),
        6 | 7 => (
            "DNS_REQUEST",
            json!({
                "DOMAIN_NAME": format!("{}.{}.com", random.word(), random.word()), "DNS_TYPE": 1, "IP_ADDRESS": "203.0.113.9", "PROCESS_ID": 4120, "TIMESTAMP": 1_700_000_000_000_u64,
            }),
        ),
        _ => (
            "NETWORK_CONNECTIONS",
            json!({
                "PROCESS_ID": 4120, "FILE_PATH": format!("C:\\Windows\\System32\\{}.exe", random.of(ORDINARY)), "USER_NAME": user,
                "NETWORK_ACTIVITY": (0..1 + random.below(3)).map(|_| json!({
                    "IS_OUTGOING": 1, "PROTOCOL": "tcp4", "SOURCE": {"IP_ADDRESS": "10.1.4.7", "PORT": 50_000 + random.below(9_000)},
                    "DESTINATION": {"IP_ADDRESS": format!("{}.0.113.9", 11 + random.below(200)), "PORT": 443},
                })).collect::<Vec<_>>(),
            }),
        ),
    };
    routing["event_type"] = kind.into();
    json!({"routing": routing, "event": event, "ts": "2023-11-14 22:13:21"})
}

/// Puts the texts that a process rule looks for into an event, so that the rule matches.
fn provoke(event: &mut Value, node: &Value) {
    match node["op"].as_str() {
        Some("and") => node["rules"].as_array().into_iter().flatten().for_each(|rule| provoke(event, rule)),
        Some("or") => provoke(event, &node["rules"][0]),
        Some("contains" | "ends with") if node["not"] != true => {
            let (path, value) = (node["path"].as_str().unwrap_or_default(), node["value"].as_str().unwrap_or_default());
            let pointer = format!("/{path}");
            if let Some(slot) = event.pointer_mut(&pointer) {
                *slot = format!("{}{value}", slot.as_str().unwrap_or_default()).into();
            }
        }
        _ => {}
    }
}

struct Options {
    rules: usize,
    events: usize,
    /// Naive evaluation is slow, so it sees fewer events.
    naive_events: usize,
    file: Option<String>,
    events_file: Option<String>,
}

fn options() -> Options {
    let mut options = Options { rules: 1500, events: 20_000, naive_events: 2_000, file: None, events_file: None };
    let mut args = std::env::args().skip(1);
    while let Some(name) = args.next() {
        let value = args.next().unwrap_or_else(|| panic!("{name} needs a value"));
        match name.as_str() {
            "--rules" => options.rules = value.parse().expect("--rules takes a number"),
            "--events" => options.events = value.parse().expect("--events takes a number"),
            "--naive-events" => options.naive_events = value.parse().expect("--naive-events takes a number"),
            "--file" => options.file = Some(value),
            "--events-file" => options.events_file = Some(value),
            _ => {
                panic!("unknown option {name}; options are --rules, --events, --naive-events, --file and --events-file")
            }
        }
    }
    options
}

fn rules(options: &Options) -> Vec<Value> {
    let Some(file) = &options.file else {
        let mut random = Random(SEED);
        return (0..options.rules).map(|_| rule(&mut random)).collect();
    };
    let text = std::fs::read_to_string(file).expect("the file of rules can be read");
    let listed: Result<Vec<Value>, _> = serde_json::from_str(&text);
    listed.unwrap_or_else(|_| text.lines().map(|line| serde_json::from_str(line).expect("a line is a rule")).collect())
}

fn resident_bytes() -> f64 {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    status.split_whitespace().nth(1).and_then(|pages| pages.parse::<f64>().ok()).map_or(0.0, |pages| pages * 4096.0)
}

fn print(name: &str, value: f64, unit: &str, params: &Value) {
    println!("{}", json!({"name": name, "value": (value * 1000.0).round() / 1000.0, "unit": unit, "params": params}));
}

/// Time that this thread has spent on a processor, so that other work on the machine does not
/// count; where the system does not tell, the time on the clock.
fn seconds(start: Instant) -> f64 {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos = told.split_whitespace().next().and_then(|nanos| nanos.parse::<f64>().ok());
    nanos.map_or_else(|| start.elapsed().as_secs_f64(), |nanos| nanos / 1e9)
}

fn best_seconds(mut round: impl FnMut()) -> f64 {
    let start = Instant::now();
    let times = (0..ROUNDS).map(|_| {
        let before = seconds(start);
        round();
        seconds(start) - before
    });
    times.fold(f64::INFINITY, f64::min)
}

/// Events of a step, as a server has them in a commit under load.
const STEP_EVENTS: usize = 64;
/// Keys of counters: a rule whose suppression has a key per process, in a large organization.
const KEYS: usize = 1_000_000;
/// Activations of one round, each of another of these keys.
const ACTIVATIONS: usize = 200_000;

/// As [`measure`], with every change kept so that it could be undone.
fn measure_steps(engine: &mut Engine, events: &[Vec<u8>]) -> f64 {
    let counters = Mutex::new(Suppression::default());
    let facts = facts(&counters);
    let source = Source::from(Target::Edr);
    best_seconds(|| {
        for step in events.chunks(STEP_EVENTS) {
            engine.begin();
            for json in step {
                black_box(engine.process_json(&source, json, &facts).expect("a generated event is JSON").matches.len());
            }
            engine.keep();
        }
    })
}

/// Seconds to count [`ACTIVATIONS`] among [`KEYS`] windows: plainly, and in steps whose changes are told.
fn measure_counters() -> (f64, f64) {
    let key = |at: usize| CounterKey::new([at.to_string().as_str()]);
    let keys: Vec<CounterKey> = (0..KEYS).map(key).collect();
    let activation = |key: CounterKey| Activation {
        key,
        period_ms: 3_600_000,
        max_count: 1,
        min_count: 0,
        increment: 1,
        now_ms: 1_700_000_000_000,
    };
    let mut counters = Suppression::new(KEYS);
    for key in &keys {
        counters.count(&activation(*key));
    }
    let mut random = Random(SEED);
    let chosen: Vec<CounterKey> = (0..ACTIVATIONS).map(|_| keys[random.below(KEYS)]).collect();
    let plain = best_seconds(|| chosen.iter().for_each(|key| _ = black_box(counters.count(&activation(*key)))));
    let in_steps = best_seconds(|| {
        for step in chosen.chunks(STEP_EVENTS) {
            counters.begin();
            step.iter().for_each(|key| _ = black_box(counters.count(&activation(*key))));
            black_box(counters.changes().count());
            counters.keep();
        }
    });
    (plain, in_steps)
}

/// Matches per round and the best time of a round.
fn measure(engine: &mut Engine, events: &[Vec<u8>]) -> (usize, f64) {
    let counters = Mutex::new(Suppression::default());
    let facts = facts(&counters);
    let (source, mut matches) = (Source::from(Target::Edr), 0);
    let seconds = best_seconds(|| {
        matches = 0;
        for json in events {
            matches += engine.process_json(&source, json, &facts).expect("a generated event is JSON").matches.len();
        }
    });
    (matches, seconds)
}

fn events(options: &Options, rules: &[Value]) -> Vec<Vec<u8>> {
    if let Some(file) = &options.events_file {
        let text = std::fs::read_to_string(file).expect("the file of events can be read");
        let lines: Vec<&str> = text.lines().collect();
        return lines.iter().cycle().take(options.events).map(|line| line.as_bytes().to_vec()).collect();
    }
    let mut random = Random(SEED + 1);
    let make = |at: usize| {
        let mut event = event(&mut random);
        if at.is_multiple_of(HIT_EVERY) {
            provoke(&mut event, &rules[random.below(rules.len())]["detect"]);
        }
        event.to_string().into_bytes()
    };
    (0..options.events).map(make).collect()
}

fn main() {
    let options = options();
    let values = rules(&options);
    let events = events(&options, &values);
    let bytes = events.iter().map(Vec::len).sum::<usize>() as f64 / events.len().max(1) as f64;
    let params = json!({"rules": values.len(), "events": events.len(), "event_bytes": bytes.round()});

    let (before, start) = (resident_bytes(), Instant::now());
    let begin = seconds(start);
    let loader = RuleLoader::new(&NoResources, "");
    let load = |(at, value): (usize, &Value)| {
        loader.rule_value(RuleMeta::general(&at.to_string()), value).expect("a rule loads")
    };
    let loaded: Vec<Rule> = values.iter().enumerate().map(load).collect();
    let load_seconds = seconds(start) - begin;
    let set = Arc::new(RuleSet::new(loaded, Vec::new()));
    print("rules.load", load_seconds, "s", &params);
    print("rules.compile", seconds(start) - begin - load_seconds, "s", &params);
    print("rules.memory", (resident_bytes() - before) / 1048576.0, "MiB", &params);

    let mut document = Document::default();
    let parse = best_seconds(|| events.iter().for_each(|json| black_box(document.parse(json)).expect("JSON")));
    print("events.parse_only", events.len() as f64 / parse, "1/s", &params);
    let (matches, seconds) = measure(&mut Engine::new(set.clone(), Way::Shared), &events);
    print("events.shared", events.len() as f64 / seconds, "1/s", &params);
    print("events.matches", matches as f64, "1", &params);
    let in_steps = measure_steps(&mut Engine::new(set.clone(), Way::Shared), &events);
    print("events.shared_in_steps", events.len() as f64 / in_steps, "1/s", &params);
    let (plain, in_steps) = measure_counters();
    let params_of_counters = json!({"keys": KEYS, "step": STEP_EVENTS});
    print("counters.count", ACTIVATIONS as f64 / plain, "1/s", &params_of_counters);
    print("counters.count_in_steps", ACTIVATIONS as f64 / in_steps, "1/s", &params_of_counters);
    if options.naive_events == 0 {
        return;
    }
    let few = &events[..events.len().min(options.naive_events)];
    let (shared_matches, _) = measure(&mut Engine::new(set.clone(), Way::Shared), few);
    let (naive_matches, seconds) = measure(&mut Engine::new(set, Way::EachRule), few);
    assert_eq!(shared_matches, naive_matches, "the shared plan must match what each rule in turn matches");
    print("events.each_rule", few.len() as f64 / seconds, "1/s", &params);
}
