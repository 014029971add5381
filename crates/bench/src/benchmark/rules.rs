//! Rules: one that is set beside many, many that are set in a row, and all of them loaded again.

use crate::Args;
use crate::limit;
use crate::line::{Line, median, ms, percentile};
use crate::world::{Ground, Process, World};
use muster_model::Oid;
use muster_server::hive::{DR_GENERAL, HiveRecord, SystemMetadata, UserMetadata};
use muster_store::{Expect, Record, Store, Write};
use serde_json::{Value, json};
use std::time::Instant;

/// Rules put into the store with one commit.
const RULES_PER_COMMIT: usize = 5_000;

/// Rules that are set one after the other beside those that are stored.
const SETS: u32 = 200;

/// Rules that are set in a row where none is stored; the aim is for 1,500.
const ROW_MAX: u32 = 1_500;

pub async fn run(args: &Args) -> anyhow::Result<()> {
    beside_many(args).await?;
    in_a_row(args).await
}

async fn beside_many(args: &Args) -> anyhow::Result<()> {
    let none = Ground::new(&args.scratch, 0, |_, _| Ok(())).await?;
    let ground = Ground::new(&args.scratch, 0, |store, oid| put(store, oid, args.rules, rule)).await?;
    let (mut empty, mut full) = (Vec::new(), Vec::new());
    for _ in 0..args.runs.max(1) {
        empty.push(start(&none).await?);
        full.push(start(&ground).await?);
    }
    let world = World::start(&ground).await?;
    let mut sets = Vec::new();
    for number in 0..SETS {
        // Half of them replace one of those that are stored, from all over.
        let place = number / 2 * 7_919 % args.rules.max(1) + number % 2 * args.rules;
        let rule = rule(args.rules + number);
        let began = Instant::now();
        world.rest.rule(&name(place), &rule).await?;
        sets.push(ms(began.elapsed()));
    }
    world.process.stop().await?;
    let syncs = limit::durable_appends(&args.scratch, 4_096, 50)?;
    Line::new("rules.set", percentile(&sets, 0.5), "ms (p50)")
        .with("rules", args.rules)
        .with("p99_ms", percentile(&sets, 0.99))
        .at_most(20.0)
        .against("a durable append, p50", percentile(&syncs, 0.5))
        .print();
    Line::new("rules.load", (median(&full) - median(&empty)).max(0.0), "ms")
        .with("rules", args.rules)
        .with("runs", args.runs)
        .with("start_without_ms", median(&empty))
        .at_most(1_000.0)
        .print();
    Ok(())
}

/// Milliseconds until a server serves, which it does when all rules are in force.
async fn start(ground: &Ground) -> anyhow::Result<f64> {
    let began = Instant::now();
    let process = Process::start("serve-child", ground).await?;
    let took = ms(began.elapsed());
    process.stop().await?;
    Ok(took)
}

async fn in_a_row(args: &Args) -> anyhow::Result<()> {
    let ground = Ground::new(&args.scratch, 0, |_, _| Ok(())).await?;
    let world = World::start(&ground).await?;
    let (row, began) = (args.rules.min(ROW_MAX), Instant::now());
    for number in 0..row {
        world.rest.rule(&name(number), &rule(number)).await?;
    }
    let took = began.elapsed();
    world.process.stop().await?;
    let syncs = limit::durable_appends(&args.scratch, 4_096, row)?;
    Line::new("rules.row", took.as_secs_f64(), "s")
        .with("rules", row)
        .at_most(15.0)
        .against("as many durable appends", syncs.iter().sum::<f64>() / 1e3)
        .print();
    Ok(())
}

/// Puts so many rules into the store, each made of its number.
pub fn put(store: &Store, oid: Oid, rules: u32, rule: impl Fn(u32) -> Value) -> anyhow::Result<()> {
    let numbers: Vec<u32> = (0..rules).collect();
    for some in numbers.chunks(RULES_PER_COMMIT) {
        let writes: anyhow::Result<_> = some.iter().map(|number| stored(oid, *number, rule(*number))).collect();
        store.commit_blocking(writes?)?;
    }
    Ok(())
}

fn stored(oid: Oid, number: u32, data: Value) -> anyhow::Result<Write> {
    let record = HiveRecord {
        data,
        usr_mtd: UserMetadata { enabled: true, ..UserMetadata::default() },
        sys_mtd: SystemMetadata { etag: name(number), guid: name(number), ..SystemMetadata::default() },
    };
    let body = serde_json::to_string(&record)?;
    let record = Record { oid, kind: DR_GENERAL.kind.word().to_owned(), key: name(number), body, revision: 1 };
    Ok(Write::PutRecord { record, expect: Expect::Absent })
}

fn name(number: u32) -> String {
    format!("rule-{number:06}")
}

/// A rule in the shape of those of public collections: a program, some of its flags, and where it is not looked for;
/// every tenth looks for a pattern.
pub fn rule(number: u32) -> Value {
    let text =
        |op: &str, path: &str, value: String| json!({"op": op, "path": path, "value": value, "case sensitive": false});
    let program = text("ends with", "event/FILE_PATH", format!("\\tool-{}.exe", number % 400));
    let flags: Vec<Value> = (0..2 + number % 4)
        .map(|at| text("contains", "event/COMMAND_LINE", format!(" -{}", word(number, at))))
        .collect();
    let flags = match number % 10 {
        9 => {
            json!({"op": "matches", "path": "event/COMMAND_LINE", "re": format!(r"{}\s+.*-[0-9]{{2,4}}", word(number, 0))})
        }
        _ => json!({"op": "or", "rules": flags}),
    };
    let mut elsewhere = text("contains", "event/PARENT/FILE_PATH", format!("\\{}\\", word(number, 9)));
    elsewhere["not"] = true.into();
    let detect =
        json!({"event": "NEW_PROCESS", "op": "and", "rules": [{"op": "is windows"}, program, flags, elsewhere]});
    json!({"detect": detect, "respond": [{"action": "report", "name": name(number)}]})
}

/// A word that no other rule has.
fn word(number: u32, at: u32) -> String {
    // An odd factor makes another number of each; its digits are those of no dictionary.
    format!("w{:08x}", (number * 10 + at).wrapping_mul(0x9e37_79b1))
}
