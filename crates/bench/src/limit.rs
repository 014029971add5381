//! What the machine can do, whatever the program: the yardsticks.

use crate::fleet::Fleet;
use crate::line::ms;
use crate::world::Ground;
use futures_util::StreamExt as _;
use rusqlite::{Connection, params};
use std::fs::File;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// Links that are opened side by side where the point is not a storm.
const OPENING: usize = 64;

/// Bytes that are copied at a time.
const COPY_BYTES: usize = 256 * 1024;

/// Time of one append of so many bytes to a file, made durable; in milliseconds, one value per repetition.
pub fn durable_appends(folder: &Path, bytes: usize, repetitions: u32) -> anyhow::Result<Vec<f64>> {
    let path = folder.join("append");
    let mut file = File::create(&path)?;
    let block = vec![7; bytes];
    let mut times = Vec::new();
    for _ in 0..repetitions {
        let began = Instant::now();
        file.write_all(&block)?;
        file.sync_data()?;
        times.push(ms(began.elapsed()));
    }
    std::fs::remove_file(path)?;
    Ok(times)
}

/// What most peers do: one row for each sensor, here in one transaction of a database like ours.
pub fn rows_per_sensor(folder: &Path, sensors: u32) -> anyhow::Result<Duration> {
    let path = folder.join("rows.db");
    let mut conn = Connection::open(&path)?;
    conn.pragma_update(None, "journal_mode", "WAL")?;
    conn.pragma_update(None, "synchronous", "FULL")?;
    conn.execute_batch(
        "CREATE TABLE work (task INTEGER, sensor INTEGER, state INTEGER, created INTEGER, PRIMARY KEY (task, sensor))
         WITHOUT ROWID",
    )?;
    let began = Instant::now();
    let transaction = conn.transaction()?;
    {
        let mut insert = transaction.prepare("INSERT INTO work VALUES (1, ?1, 0, ?2)")?;
        for sensor in 0..sensors {
            insert.execute(params![sensor, 1_700_000_000_000_000_i64])?;
        }
    }
    transaction.commit()?;
    let took = began.elapsed();
    drop(conn);
    std::fs::remove_file(path)?;
    Ok(took)
}

/// One small message into each of so many loopback connections: first and last arrival.
pub async fn loopback_broadcast(connections: u32) -> anyhow::Result<(Duration, Duration)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let mut writers = Vec::new();
    for _ in 0..connections {
        let (near, far) = tokio::join!(TcpStream::connect(address), listener.accept());
        let (mut far, _) = far?;
        let tell = tell.clone();
        tokio::spawn(async move {
            let mut message = [0; 128];
            if far.read_exact(&mut message).await.is_ok() {
                let _ = tell.send(Instant::now());
            }
        });
        writers.push(near?);
    }
    drop(tell);
    let began = Instant::now();
    for writer in &mut writers {
        writer.write_all(&[7; 128]).await?;
    }
    let (mut first, mut last) = (None, began);
    while let Some(at) = told.recv().await {
        first.get_or_insert(at);
        last = last.max(at);
    }
    Ok((first.unwrap_or(began) - began, last - began))
}

/// A file of so many bytes, read and sent over one TLS connection into another that is made durable.
pub async fn tls_copy(
    ground: &Ground,
    acceptor: TlsAcceptor,
    source: &Path,
    folder: &Path,
    bytes: u64,
) -> anyhow::Result<Duration> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let (address, path) = (listener.local_addr()?, folder.join("copy"));
    let target = path.clone();
    let receiving = tokio::spawn(async move {
        let (stream, _) = listener.accept().await?;
        let mut tls = Box::pin(acceptor.accept(stream)).await?;
        let mut file = tokio::fs::File::create(target).await?;
        let mut buffer = vec![0; COPY_BYTES];
        let mut left = bytes;
        while left > 0 {
            let read = tls.read(&mut buffer).await?;
            anyhow::ensure!(read > 0, "the connection ended early");
            file.write_all(&buffer[..read]).await?;
            left = left.saturating_sub(read as u64);
        }
        file.sync_all().await?;
        anyhow::Ok(())
    });
    let mut stream = Box::pin(ground.fleet()?.tls(address, 0)).await?;
    let began = Instant::now();
    let mut source = tokio::fs::File::open(source).await?;
    let mut block = vec![0; COPY_BYTES];
    loop {
        let read = source.read(&mut block).await?;
        if read == 0 {
            break;
        }
        stream.write_all(&block[..read]).await?;
    }
    stream.flush().await?;
    receiving.await??;
    let took = began.elapsed();
    std::fs::remove_file(path)?;
    Ok(took)
}

/// Opens so many bare TLS connections to an echo server; each has echoed once.
pub async fn echo_links(
    fleet: &Arc<Fleet>,
    address: SocketAddr,
    links: u32,
    side_by_side: usize,
) -> anyhow::Result<Vec<EchoLink>> {
    let open = |ordinal| {
        let fleet = Arc::clone(fleet);
        async move {
            let began = Instant::now();
            let stream = Box::pin(fleet.tls(address, ordinal)).await?;
            let mut link = EchoLink { stream, ready: Duration::ZERO };
            link.echo().await?;
            link.ready = began.elapsed();
            anyhow::Ok(link)
        }
    };
    let spawned = futures_util::stream::iter(0..links).map(|ordinal| tokio::spawn(open(ordinal)));
    let opened: Vec<_> = spawned.buffer_unordered(side_by_side).collect().await;
    opened.into_iter().map(|joined| joined?).collect()
}

/// [`echo_links`] without haste.
pub async fn idle_echo_links(fleet: &Arc<Fleet>, address: SocketAddr, links: u32) -> anyhow::Result<Vec<EchoLink>> {
    echo_links(fleet, address, links, OPENING).await
}

/// A bare TLS connection to an echo server.
pub struct EchoLink {
    stream: tokio_rustls::client::TlsStream<TcpStream>,
    /// From the start of the TCP connection to the first echo.
    pub ready: Duration,
}

impl EchoLink {
    /// One small message there and back.
    pub async fn echo(&mut self) -> anyhow::Result<()> {
        let mut message = [7; 128];
        self.stream.write_all(&message).await?;
        self.stream.flush().await?;
        self.stream.read_exact(&mut message).await?;
        Ok(())
    }
}
