//! What an organization feels of another one that does its worst: an order, a call and a handshake, beside the same while
//! the other is quiet.
//!
//! The worst is all at once: patterns that cost as much as they may, on every event of some sensors; replays of them, as
//! many as are let in; all rules loaded again and again; more records than may be kept; an output that takes nothing.
//!
//! What the other one does comes from a process that stands back: its machines would be elsewhere, and take nothing from
//! those that are measured here.

use super::{PATIENCE, put_to_work, rules};
use crate::Args;
use crate::client::Client;
use crate::fleet::{Heard, What, sid_of};
use crate::line::{Line, ms, percentile};
use crate::world::{Ground, Other, World, put_sensors};
use anyhow::Context as _;
use clap::ValueEnum;
use muster_model::{Oid, Timestamp};
use muster_store::{Entry, Store, Stream, Write};
use serde_json::{Value, json};
use std::ops::Range;
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::JoinSet;
use tokio::time::timeout;
use uuid::Uuid;

/// Sensors of the quiet organization: one works, the others connect.
const OURS: u32 = 10;

/// Sensors of the other one, which send events without a pause.
const THEIRS: Range<u32> = 1_000..1_008;

/// Replays that are asked for side by side: more than run or wait.
const REPLAYS: usize = 12;

/// Records put into the store with one commit.
const RECORDS_PER_COMMIT: u32 = 20_000;

/// When the server has begun to forget what is too old. It looks each minute, first a minute after its start.
const TRIMMED_AFTER: Duration = Duration::from_secs(75);

/// Between two measurements.
const PAUSE: Duration = Duration::from_millis(10);

/// What the other organization does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Evil {
    /// Events on which a pattern costs as much as it may.
    Patterns,
    /// Replays of such events.
    Replays,
    /// All rules are loaded, again and again.
    Reloads,
    /// Records are too old to be kept.
    Trims,
    /// An output that takes nothing.
    Queue,
}

impl Evil {
    fn is_done(self, args: &Args) -> bool {
        args.only.is_empty() || args.only.contains(&self)
    }
}

pub async fn run(args: &Args) -> anyhow::Result<()> {
    let records = if Evil::Trims.is_done(args) { args.records } else { 0 };
    let ground = Ground::shared(&args.scratch, OURS, |store, _, other| {
        put_sensors(store, other, THEIRS)?;
        put_records(store, other, records)?;
        rules::put(store, other, args.rules, that_looks_up)
    })
    .await?;
    let (world, began) = (World::start(&ground).await?, Instant::now());
    let (tell, mut told) = unbounded_channel();
    put_to_work(&world, 0..1, &tell).await?;
    let span = Duration::from_secs(args.seconds.max(1).into());
    let quiet = Felt::measured(&world, &mut told, span).await?;
    let doing = world.process.beset("tenant-child", &ground, &args.only).await?;
    let rest = TRIMMED_AFTER.saturating_sub(began.elapsed());
    let loud = Felt::measured(&world, &mut told, if records > 0 { span.max(rest) } else { span }).await?;
    drop(doing);
    world.process.stop().await?;
    loud.print(&quiet, args);
    Ok(())
}

/// Does in a process of its own what the other organization does, until nobody wants it any more.
pub async fn child(args: &Args, data_dir: &Path) -> anyhow::Result<()> {
    let other = Other::told(data_dir).await?;
    let doing = worst(&other, args).await?;
    other.begun().await;
    drop(doing);
    Ok(())
}

/// Milliseconds that things took in the quiet organization.
#[derive(Default)]
struct Felt {
    orders: Vec<f64>,
    calls: Vec<f64>,
    handshakes: Vec<f64>,
}

impl Felt {
    async fn measured(world: &World, told: &mut UnboundedReceiver<Heard>, span: Duration) -> anyhow::Result<Self> {
        let (mut felt, begun) = (Self::default(), Instant::now());
        while begun.elapsed() < span {
            let began = Instant::now();
            world.rest.task(&format!("sid == `{}`", sid_of(0))).await?;
            let delivered = timeout(PATIENCE, heard(told, What::Delivered)).await.context("an order")??;
            felt.orders.push(ms(delivered.at.saturating_duration_since(began)));
            timeout(PATIENCE, heard(told, What::Ended)).await.context("its end")??;
            let began = Instant::now();
            world.rest.is_online(sid_of(0)).await?;
            felt.calls.push(ms(began.elapsed()));
            let ordinal = 1 + felt.calls.len() as u32 % (OURS - 1);
            let began = Instant::now();
            drop(Box::pin(world.fleet.connect(world.address(), ordinal)).await?);
            felt.handshakes.push(ms(began.elapsed()));
            tokio::time::sleep(PAUSE).await;
        }
        Ok(felt)
    }

    fn print(&self, quiet: &Self, args: &Args) {
        for (name, loud, quiet) in [
            ("tenants.order", &self.orders, &quiet.orders),
            ("tenants.call", &self.calls, &quiet.calls),
            ("tenants.handshake", &self.handshakes, &quiet.handshakes),
        ] {
            let alone = percentile(quiet, 0.99);
            Line::new(name, percentile(loud, 0.99), "ms (p99)")
                .with("rules", args.rules)
                .with("records", args.records)
                .with("only", args.only.iter().map(|evil| format!("{evil:?}").to_lowercase()).collect::<Vec<_>>())
                .with("measured", loud.len())
                .with("p50_ms", percentile(loud, 0.5))
                .with("p50_alone_ms", percentile(quiet, 0.5))
                .at_most(2.0 * alone)
                .against("the same, alone", alone)
                .print();
        }
    }
}

async fn heard(told: &mut UnboundedReceiver<Heard>, what: What) -> anyhow::Result<Heard> {
    loop {
        let heard = told.recv().await.context("all links are gone")?;
        if heard.what == what {
            return Ok(heard);
        }
    }
}

/// Begins everything that the other organization does; it ends when what this gives is dropped.
async fn worst(other: &Other, args: &Args) -> anyhow::Result<JoinSet<()>> {
    let mut all = JoinSet::new();
    if Evil::Queue.is_done(args) {
        deaf_output(&mut all, &other.rest).await?;
    }
    if Evil::Patterns.is_done(args) {
        other.rest.rule(HOSTILE, &hostile()).await?;
    }
    if Evil::Patterns.is_done(args) || Evil::Queue.is_done(args) {
        for ordinal in THEIRS {
            let mut link = Box::pin(other.fleet.connect(other.tls, ordinal)).await?;
            all.spawn(async move {
                let body = event();
                while link.event("NEW_PROCESS", &body).await.is_ok() && link.stored().await.is_ok() {}
            });
        }
    }
    if Evil::Replays.is_done(args) {
        (0..REPLAYS).for_each(|_| drop(all.spawn(replays(other.rest.clone()))));
    }
    if Evil::Reloads.is_done(args) {
        all.spawn(reloads(other.rest.clone(), Evil::Patterns.is_done(args)));
    }
    Ok(all)
}

/// Makes an output to somebody who accepts connections and reads nothing from them.
async fn deaf_output(all: &mut JoinSet<()>, other: &Client) -> anyhow::Result<()> {
    let deaf = TcpListener::bind("127.0.0.1:0").await?;
    let to = format!("http://{}", deaf.local_addr()?);
    other
        .output(&[
            ("name", "deaf"),
            ("module", "webhook"),
            ("type", "event"),
            ("dest_host", &to),
            ("secret_key", "key"),
        ])
        .await?;
    all.spawn(async move {
        let mut taken = Vec::new();
        while let Ok((connection, _)) = deaf.accept().await {
            taken.push(connection);
        }
    });
    Ok(())
}

async fn replays(other: Client) {
    let events = vec![json!({"routing": {"event_type": "NEW_PROCESS"}, "event": event()}); 100];
    loop {
        // Those beyond its share are refused, and asked for again.
        let _ = other.replay(&hostile(), &events).await;
    }
}

async fn reloads(other: Client, is_hostile: bool) {
    loop {
        // Every rule names it. The server takes the hostile one out of force; so does nobody here mind a refusal.
        let _ = other.set("lookup", "listed", &json!({"lookup_data": {}})).await;
        let _ = other.delete("lookup", "listed").await;
        if is_hostile {
            let _ = other.rule(HOSTILE, &hostile()).await;
        }
    }
}

/// The name of the hostile rule.
const HOSTILE: &str = "hostile";

/// A rule that looks something up.
fn that_looks_up(number: u32) -> Value {
    let mut rule = rules::rule(number);
    let lookup = json!({"op": "lookup", "path": "event/FILE_PATH", "resource": "hive://lookup/listed"});
    if let Some(conditions) = rule["detect"]["rules"].as_array_mut() {
        conditions.push(lookup);
    }
    rule
}

/// A rule whose pattern costs as much as it may on [`event`].
fn hostile() -> Value {
    let detect =
        json!({"event": "NEW_PROCESS", "op": "matches", "path": "event/COMMAND_LINE", "re": "[ab]*a[ab]{999}c"});
    json!({"detect": detect, "respond": [{"action": "report", "name": "hostile"}]})
}

fn event() -> Value {
    json!({"FILE_PATH": "C:\\tool-1.exe", "COMMAND_LINE": "ab".repeat(30_000), "PROCESS_ID": 7})
}

/// Records that are older than may be kept.
fn put_records(store: &Store, oid: Oid, records: u32) -> anyhow::Result<()> {
    let time = Timestamp::from_secs(1_700_000_000);
    let entry = |number: u32| Entry {
        oid,
        stream: Stream::Event,
        sid: Some(sid_of(THEIRS.start)),
        id: Uuid::from_u128(u128::from(number)),
        time,
        kind: "NEW_PROCESS".into(),
        this_atom: None,
        parent_atom: None,
        investigation_id: None,
        body: br#"{"routing":{"event_type":"NEW_PROCESS"},"event":{"FILE_PATH":"C:\\old.exe"}}"#[..].into(),
    };
    for first in (0..records).step_by(RECORDS_PER_COMMIT as usize) {
        let numbers = first..records.min(first + RECORDS_PER_COMMIT);
        store.commit_blocking(vec![Write::Append(numbers.map(entry).collect())])?;
    }
    Ok(())
}
