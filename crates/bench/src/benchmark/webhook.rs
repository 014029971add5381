//! Deliveries to services of others: how many in a second, beside a client that does nothing else; and what many dead
//! services do to one that is well.

use super::PATIENCE;
use crate::Args;
use crate::client::Client;
use crate::limit;
use crate::line::{Line, ms, percentile};
use crate::target::Target;
use crate::world::{Ground, Process, Tenant, World, own_cpu};
use anyhow::{Context as _, ensure};
use muster_model::{Oid, Timestamp};
use muster_server::{clock, random};
use muster_store::{Delivery, Store, Tries, Write};
use muster_webhook::service::{Envelope, Etype};
use muster_webhook::{SERVICE_HEADER, sign};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// Calls that the bare client has under way at once: as many as a lane.
const CALLS: usize = 16;

/// Messages put into the store with one commit.
const MESSAGES_PER_COMMIT: usize = 5_000;

/// Places in the outbox that what was set up by the API does not reach.
const FIRST_POSITION: u64 = 1_000_000;

/// Registrations of one organization: fewer than it may have.
const TARGETS_PER_TENANT: usize = 50;

/// Messages that wait for each dead service.
const MESSAGES_PER_DEAD: usize = 5;

/// Between two requests of the one that is well.
const PAUSE: Duration = Duration::from_millis(5);

/// Everything that waits is delivered; what is measured is the middle of it.
pub async fn run(args: &Args) -> anyhow::Result<()> {
    let ground = Ground::new(&args.scratch, 0, |_, _| Ok(())).await?;
    let target = Process::start("target-child", &ground).await?;
    let url = format!("http://{}/", target.tls);
    ground.with_server(async |server| ground.first.client(server).await?.subscribe("bench", &url).await).await?;
    let (oid, messages) = (ground.first.oid, args.messages as usize);
    let store = ground.store()?;
    put(&store, oid, "bench", FIRST_POSITION, messages)?;
    store.close();
    let counter = Counter { http: reqwest::Client::builder().no_proxy().build()?, url: url.clone() };
    let before = counter.told().await?;
    let world = World::start(&ground).await?;
    let edge = u64::from(args.messages / 20);
    let (begun, cpu_begun, at) = counter.reached(before + edge, &world.process).await?;
    let (ended, cpu, until) = counter.reached(before + u64::from(args.messages) - edge, &world.process).await?;
    let delivered = (ended - begun).max(1) as f64;
    let rate = delivered / (until - at).as_secs_f64().max(1e-6);
    let cpu = ms(cpu.saturating_sub(cpu_begun)) / delivered;
    world.process.stop().await?;
    let (bare_rate, bare_cpu) = bare(&url, oid, messages).await?;
    target.stop().await?;
    let syncs = limit::durable_appends(&args.scratch, 4_096, 50)?;
    let bare = "a bare HTTP client that posts the same signed bodies";
    Line::new("webhook", rate, "deliveries/s")
        .with("messages", messages)
        .with("sync_p50_ms", percentile(&syncs, 0.5))
        .at_least(0.5 * bare_rate)
        .against(bare, bare_rate)
        .print();
    Line::new("webhook.cpu", cpu, "ms").at_most(2.0 * bare_cpu).against(bare, bare_cpu).print();
    Ok(())
}

/// What a detection says that a service is told of.
fn detection(oid: Oid, number: usize) -> Map<String, Value> {
    let routing =
        json!({"oid": oid, "sid": random::uuid(), "event_type": "NEW_PROCESS", "event_time": 1_700_000_000_000_i64});
    let event = json!({
        "FILE_PATH": "/usr/lib/systemd/systemd-executor", "COMMAND_LINE": "/usr/lib/systemd/systemd-executor --log-target auto",
        "PROCESS_ID": number, "PARENT": {"FILE_PATH": "/usr/lib/systemd/systemd", "PROCESS_ID": 1}, "USER_NAME": "root",
    });
    let detection = json!({
        "cat": "bench", "detect_id": random::uuid(), "namespace": "general", "source": "dr-general", "priority": 3,
        "routing": routing, "detect": {"event": event, "routing": routing}, "gen_time": 1_700_000_000_000_i64,
    });
    detection.as_object().cloned().unwrap_or_default()
}

/// Puts messages for a service, as if they waited since just now.
fn put(store: &Store, oid: Oid, service: &str, first: u64, count: usize) -> anyhow::Result<()> {
    let now = clock::now();
    let message = |number: usize| {
        let body = serde_json::to_vec(&detection(oid, number)).unwrap_or_default();
        let delivery = Delivery {
            position: first + number as u64,
            target: format!("service/{service}"),
            id: random::uuid(),
            kind: Etype::Detection.to_string(),
            at: now,
            bytes: body.len() as u64,
            tries: Tries { due: now, ..Tries::default() },
        };
        (delivery, body)
    };
    for begin in (0..count).step_by(MESSAGES_PER_COMMIT) {
        let some = begin..count.min(begin + MESSAGES_PER_COMMIT);
        store.commit_blocking(vec![Write::PutDeliveries { oid, deliveries: some.map(message).collect() }])?;
    }
    Ok(())
}

/// Asks a target how many events it was told of.
struct Counter {
    http: reqwest::Client,
    url: String,
}

impl Counter {
    async fn told(&self) -> anyhow::Result<u64> {
        Ok(self.http.get(&self.url).send().await?.text().await?.parse()?)
    }

    /// Waits until it was told of so many; gives how many, what the server had used of a processor then, and when.
    async fn reached(&self, count: u64, server: &Process) -> anyhow::Result<(u64, Duration, Instant)> {
        let waiting = async {
            loop {
                let told = self.told().await?;
                if told >= count {
                    return anyhow::Ok((told, server.cpu()?, Instant::now()));
                }
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(PATIENCE, waiting).await.with_context(|| format!("{count} deliveries do not come"))?
    }
}

/// Deliveries in a second, and milliseconds of CPU for each, of a client that has all bodies ready and forgets what it did.
async fn bare(url: &str, oid: Oid, messages: usize) -> anyhow::Result<(f64, f64)> {
    let body = |number: usize| {
        let data = detection(oid, number);
        let event = Envelope::new(Etype::Detection, &random::uuid().to_string(), Timestamp::from_secs(1), data);
        // As long as a token.
        event.of(oid, "t".repeat(300)).to_vec()
    };
    let bodies: Vec<Vec<u8>> = (0..messages).map(body).collect();
    let (bodies, next) = (Arc::new(bodies), Arc::new(AtomicUsize::new(0)));
    let client = reqwest::Client::builder().no_proxy().build()?;
    let (began, cpu) = (Instant::now(), own_cpu());
    let mut workers = JoinSet::new();
    for _ in 0..CALLS {
        let (client, url, bodies, next) = (client.clone(), url.to_owned(), Arc::clone(&bodies), Arc::clone(&next));
        workers.spawn(async move {
            while let Some(body) = bodies.get(next.fetch_add(1, Ordering::Relaxed)) {
                let request = client.post(&url).header(SERVICE_HEADER, sign("bench", body));
                let answer = request.header("content-type", "application/json").body(body.clone()).send().await?;
                ensure!(answer.status().is_success(), "the target answers {}", answer.status());
                answer.bytes().await?;
            }
            Ok(())
        });
    }
    workers.join_all().await.into_iter().collect::<anyhow::Result<()>>()?;
    let (took, cpu) = (began.elapsed().as_secs_f64(), ms(own_cpu().saturating_sub(cpu)));
    Ok((messages as f64 / took, cpu / messages as f64))
}

/// A service that is well is asked for something every so often: alone, and while many others are dead.
pub async fn run_with_dead(args: &Args) -> anyhow::Result<()> {
    let alone = delays(args, 0).await?;
    let beside = delays(args, args.targets as usize).await?;
    let p99 = |delays: &[f64]| percentile(delays, 0.99);
    Line::new("webhook.dead", (p99(&beside) - p99(&alone)).max(0.0), "ms (p99)")
        .with("targets", args.targets)
        .with("measured", beside.len())
        .with("p50_ms", percentile(&beside, 0.5))
        .with("p99_ms", p99(&beside))
        .with("p50_alone_ms", percentile(&alone, 0.5))
        .with("p99_alone_ms", p99(&alone))
        .at_most(5.0)
        .print();
    Ok(())
}

/// Milliseconds from the request of a person to its arrival at a service, beside so many dead ones: half of them refuse
/// connections, half take them and never answer.
async fn delays(args: &Args, dead: usize) -> anyhow::Result<Vec<f64>> {
    let (tell, mut heard) = unbounded_channel();
    let target = Target::new(move |body| {
        if !body.is_empty() {
            let _ = tell.send(Instant::now());
        }
    })
    .await?;
    let silent = TcpListener::bind("127.0.0.1:0").await?;
    let silent_url = format!("http://{}/", silent.local_addr()?);
    let holding = tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((stream, _)) = silent.accept().await {
            held.push(stream);
        }
    });
    let ground = Ground::new(&args.scratch, 0, |_, _| Ok(())).await?;
    let url_of = |number: usize| if number.is_multiple_of(2) { "http://127.0.0.1:1/" } else { silent_url.as_str() };
    let tenants = ground
        .with_server(async |server| {
            ground.first.client(server).await?.subscribe("live", &target.url()).await?;
            let mut tenants = Vec::new();
            for begin in (0..dead).step_by(TARGETS_PER_TENANT) {
                let tenant = Tenant::found(&server.app).await?;
                let client = tenant.client(server).await?;
                for number in begin..dead.min(begin + TARGETS_PER_TENANT) {
                    client.subscribe_to_dead(&name_of(number), url_of(number)).await?;
                }
                tenants.push(tenant.oid);
            }
            Ok(tenants)
        })
        .await?;
    let store = ground.store()?;
    for number in 0..dead {
        let first = FIRST_POSITION + (number * MESSAGES_PER_DEAD) as u64;
        put(&store, tenants[number / TARGETS_PER_TENANT], &name_of(number), first, MESSAGES_PER_DEAD)?;
    }
    store.close();
    let world = World::start(&ground).await?;
    timeout(PATIENCE, heard.recv()).await.context("the service was not told of its subscription")?;
    // It may have been told twice, by the server that was stopped and by this one.
    while heard.try_recv().is_ok() {}
    let delays = asked(&world.rest, &mut heard, Duration::from_secs(args.seconds.max(1).into())).await;
    world.process.stop().await?;
    holding.abort();
    delays
}

fn name_of(number: usize) -> String {
    format!("dead-{number}")
}

async fn asked(rest: &Client, heard: &mut UnboundedReceiver<Instant>, span: Duration) -> anyhow::Result<Vec<f64>> {
    let (mut delays, begun) = (Vec::new(), Instant::now());
    while begun.elapsed() < span {
        let began = Instant::now();
        rest.request_later("live").await?;
        let at = timeout(PATIENCE, heard.recv()).await.context("a request does not arrive")?.context("it is gone")?;
        delays.push(ms(at.saturating_duration_since(began)));
        sleep(PAUSE).await;
    }
    Ok(delays)
}
