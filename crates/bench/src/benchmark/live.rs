//! Live sessions with a real sensor over loopback TLS: a command there and back, files both ways, opening, and what the
//! server keeps in memory while many files come at once.

use crate::Args;
use crate::direct::Direct;
use crate::endpoint::Endpoint;
use crate::limit;
use crate::line::{Line, median, ms, percentile};
use crate::world::{Ground, Process, World};
use anyhow::{Context as _, anyhow, bail};
use http::Method;
use hyper::body::Bytes;
use muster_client::{Client, LiveCommandV3, LiveSessionV3};
use serde_json::{Value, json};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};
use tokio::runtime::Builder;
use tokio::task::{JoinSet, block_in_place};

/// Commands that are measured in one session, after as many that are not. It takes no more than 250.
const COMMANDS: usize = 100;
/// Sessions in which commands are measured.
const SESSIONS: usize = 5;
/// Sessions that are opened.
const OPENED: usize = 20;
/// Bytes of the file that is moved alone.
const FILE_BYTES: u64 = 512 << 20;
/// How often it is moved each way.
const TURNS: usize = 3;
/// Files that come at once.
const FILES: u64 = 10;
/// Bytes of a row of the store, about: what a command makes durable.
const ROW_BYTES: usize = 512;
/// How often the memory of the server is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);
const MIB: f64 = 1_048_576.0;

pub async fn run(args: &Args) -> anyhow::Result<()> {
    check_room(args)?;
    let ground = Ground::new(&args.scratch, 0, |_, _| Ok(())).await?;
    let echo = alone(|| echoes(&ground))?;
    let durable = median(&limit::durable_appends(&args.scratch, ROW_BYTES, 500)?);
    let acceptor = ground.acceptor().await?;
    let world = World::start(&ground).await?;
    let endpoint = Endpoint::start(&world, &args.scratch, None).await?;
    endpoint.at_rest().await?;
    let live = Live::with(&ground, &world, &endpoint).await?;
    live.opening().await?;
    // Client to server twice, and server to sensor; what is asked for and what came of it are each made durable first.
    alone(|| async {
        let live = Live::with(&ground, &world, &endpoint).await?;
        let direct = ground.direct(&world, &live.client.token(None).await?).await?;
        live.commands(direct, 3.0 * echo, 2.0 * durable).await
    })?;
    let session = live.open().await?.id;
    live.files(&session, &endpoint, async |file| {
        limit::tls_copy(&ground, acceptor.clone(), file, &args.scratch, FILE_BYTES).await
    })
    .await?;
    live.client.close_live_session(&session).await?;
    memory(&world, &live, &endpoint, args.mib << 20).await?;
    drop(endpoint);
    world.process.stop().await
}

/// What one client alone does, on a thread of its own: no step of it waits for another thread.
fn alone<T: Send, F: Future<Output = anyhow::Result<T>>>(work: impl FnOnce() -> F + Send) -> anyhow::Result<T> {
    let client = || Builder::new_current_thread().enable_all().build()?.block_on(work());
    let ended = block_in_place(|| thread::scope(|scope| scope.spawn(client).join()));
    ended.map_err(|_| anyhow!("a client did not come to its end"))?
}

/// One message over bare TLS there and back, in milliseconds.
async fn echoes(ground: &Ground) -> anyhow::Result<f64> {
    let process = Process::start("echo-child", ground).await?;
    let mut links = limit::idle_echo_links(&ground.fleet()?, process.tls, 1).await?;
    let link = links.first_mut().context("no link")?;
    let mut times = Vec::new();
    for _ in 0..COMMANDS * SESSIONS {
        let began = Instant::now();
        link.echo().await?;
        times.push(ms(began.elapsed()));
    }
    drop(links);
    process.stop().await?;
    Ok(median(&times))
}

/// How fast the file that is moved alone was moved.
fn mib_per_s(took: Duration) -> f64 {
    FILE_BYTES as f64 / MIB / took.as_secs_f64()
}

/// Refuses a command that did not come to a good end.
fn require_complete(ended: &LiveCommandV3) -> anyhow::Result<()> {
    if !ended.is_complete() {
        bail!("command {}: {} {}", ended.id, ended.status, ended.result_desc);
    }
    Ok(())
}

struct Live {
    client: Arc<Client>,
    device: u32,
}

impl Live {
    async fn with(ground: &Ground, world: &World, endpoint: &Endpoint) -> anyhow::Result<Self> {
        let client = Arc::new(ground.live_client(world)?);
        Ok(Self { device: client.live_device(&endpoint.sid.to_string()).await?, client })
    }

    async fn open(&self) -> anyhow::Result<LiveSessionV3> {
        let mut session = self.client.open_live_session(self.device, 60).await?;
        while session.status == "PENDING" {
            session = self.client.settled_live_session(&session.id).await?;
        }
        Ok(session)
    }

    /// From asking for a session to its sensor being in it.
    async fn opening(&self) -> anyhow::Result<()> {
        let mut times = Vec::new();
        for _ in 0..OPENED {
            let began = Instant::now();
            let session = self.open().await?;
            times.push(ms(began.elapsed()));
            self.client.close_live_session(&session.id).await?;
        }
        Line::new("live.open", median(&times), "ms").with("p99_ms", percentile(&times, 0.99)).at_most(10.0).print();
        Ok(())
    }

    /// Orders a command and waits for its end.
    async fn command(&self, session: &str, request: &Value) -> anyhow::Result<LiveCommandV3> {
        let ordered = self.client.order_live_command(session, request).await?;
        let ended = self.client.live_command(session, ordered.id, true).await?;
        require_complete(&ended)?;
        Ok(ended)
    }

    async fn commands(&self, mut direct: Direct, echoes: f64, durable: f64) -> anyhow::Result<()> {
        let request = Bytes::from(json!({"name": "directory list", "object": "/etc/hostname"}).to_string());
        let mut times = Vec::new();
        for _ in 0..SESSIONS {
            let session = self.open().await?.id;
            let path = format!("/integrationServices/v3/cblr/session/{session}/command");
            for number in 0..2 * COMMANDS {
                let began = Instant::now();
                let ordered: LiveCommandV3 = direct.call(Method::POST, &path, request.clone()).await?;
                let waiting = format!("{path}/{}?wait=true", ordered.id);
                require_complete(&direct.call(Method::GET, &waiting, Bytes::new()).await?)?;
                if number >= COMMANDS {
                    times.push(ms(began.elapsed()));
                }
            }
            self.client.close_live_session(&session).await?;
        }
        let p50 = percentile(&times, 0.5);
        Line::new("live.command", p50, "ms")
            .with("p99_ms", percentile(&times, 0.99))
            .with("durable_ms", durable)
            .with("overhead_ms", p50 - echoes - durable)
            .against("three bare TLS echoes and two durable appends", echoes + durable)
            .at_most(echoes + durable + 0.5)
            .print();
        Ok(())
    }

    /// One file to the endpoint and back, by what endpoint and server do of it; bare copies of it between, since a disk and
    /// memory are not always as fast.
    async fn files(
        &self,
        session: &str,
        endpoint: &Endpoint,
        copy: impl AsyncFn(&Path) -> anyhow::Result<Duration>,
    ) -> anyhow::Result<()> {
        let path = sparse(endpoint.file("large"), FILE_BYTES)?;
        // Whoever reads it first would make room for it in memory.
        std::io::copy(&mut File::open(&path)?, &mut std::io::sink())?;
        let mut copies = vec![mib_per_s(copy(&path).await?)];
        let (mut gets, mut puts) = (Vec::new(), Vec::new());
        for _ in 0..TURNS {
            let began = Instant::now();
            let got = self.command(session, &json!({"name": "get file", "object": path})).await?;
            gets.push(mib_per_s(began.elapsed()));
            let id = got.found.get("file_id").and_then(Value::as_str).context("no file")?.to_owned();
            self.client.delete_live_file(session, &id).await?;
            copies.push(mib_per_s(copy(&path).await?));
            let uploaded = self.client.upload_live_file(session, &path, |_| {}).await?;
            let put = json!({"name": "put file", "object": endpoint.file("copy"), "file_id": uploaded.id});
            let began = Instant::now();
            self.command(session, &put).await?;
            puts.push(mib_per_s(began.elapsed()));
            self.client.delete_live_file(session, &uploaded.id).await?;
            copies.push(mib_per_s(copy(&path).await?));
        }
        let limit = median(&copies);
        for (name, speeds) in [("live.get", gets), ("live.put", puts)] {
            Line::new(name, median(&speeds), "MiB/s")
                .with("bytes", FILE_BYTES)
                .against("copies of such a file over TLS into a durable one", limit)
                .at_least(0.7 * limit)
                .print();
        }
        Ok(())
    }
}

/// The server's memory while many files come at once, above what it has when nothing does.
async fn memory(world: &World, live: &Live, endpoint: &Endpoint, each_bytes: u64) -> anyhow::Result<()> {
    let session = live.open().await?.id;
    let path = sparse(endpoint.file("each"), each_bytes)?;
    let idle = world.process.resident_bytes()?;
    let (client, mut most) = (Arc::clone(&live.client), idle);
    let mut uploads = JoinSet::new();
    for _ in 0..FILES {
        let (client, session, path) = (Arc::clone(&client), session.clone(), path.clone());
        uploads.spawn(async move { client.upload_live_file(&session, &path, |_| {}).await });
    }
    while !uploads.is_empty() {
        tokio::select! {
            Some(uploaded) = uploads.join_next() => drop(uploaded??),
            () = tokio::time::sleep(LOOK_EVERY) => most = most.max(world.process.resident_bytes()?),
        }
    }
    Line::new("live.memory", (most - idle) as f64 / MIB, "MiB")
        .with("files", FILES)
        .with("bytes_each", each_bytes)
        .with("idle_mib", idle as f64 / MIB)
        .at_most(64.0)
        .print();
    Ok(())
}

/// Files that are equal are kept once, but only when they are whole.
fn check_room(args: &Args) -> anyhow::Result<()> {
    let needed = (FILES * (args.mib << 20)).max(2 * FILE_BYTES);
    let disk = rustix::fs::statvfs(&args.scratch)?;
    let free = disk.f_bavail * disk.f_frsize;
    if free < needed {
        bail!(
            "{} has {free} bytes free, and {needed} are needed: name another place with --scratch, or smaller files with --mib",
            args.scratch.display()
        );
    }
    Ok(())
}

/// A file of so many bytes.
fn sparse(path: PathBuf, bytes: u64) -> anyhow::Result<PathBuf> {
    File::create(&path)?.set_len(bytes)?;
    Ok(path)
}
