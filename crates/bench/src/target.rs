//! A service of others that does nothing: it answers every event with success, at once.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// The longest body of a health check: events are longer.
const HEALTH_BYTES_MAX: usize = 300;

/// What it says of itself: it hears of everything that a benchmark tells.
const HEALTH: &str = r#"{"success": true, "data": {"version": 1, "mtd": {"callbacks": ["health", "org_install",
    "detection", "request", "sensor_per_1h"], "detect_subscriptions": ["bench"], "request_params": {}}}}"#;

const DONE: &str = r#"{"success": true, "data": {}}"#;

/// It listens, and answers on the connections that it has, until dropped.
pub struct Target {
    /// Where.
    pub address: SocketAddr,
    serving: JoinHandle<()>,
}

impl Drop for Target {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Target {
    /// Listens on loopback, and tells of the body of each event. A `GET` is answered with the number of events up to now.
    pub async fn new(tell: impl Fn(&[u8]) + Send + Sync + 'static) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let (address, shared) = (listener.local_addr()?, Arc::new((AtomicU64::new(0), tell)));
        let serving = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let Ok((stream, _)) = listener.accept().await else { continue };
                let _ = stream.set_nodelay(true);
                let shared = Arc::clone(&shared);
                connections.spawn(async move {
                    let (count, tell) = &*shared;
                    // Whoever calls hangs up in the end.
                    let _ = answer(stream, count, tell).await;
                });
                while connections.try_join_next().is_some() {}
            }
        });
        Ok(Self { address, serving })
    }

    /// Where it listens, as services are registered.
    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }
}

async fn answer(stream: TcpStream, count: &AtomicU64, tell: &impl Fn(&[u8])) -> std::io::Result<()> {
    let (mut stream, mut line, mut body) = (BufReader::new(stream), String::new(), Vec::new());
    loop {
        let (mut length, mut is_asked, mut is_first) = (0, false, true);
        loop {
            line.clear();
            if stream.read_line(&mut line).await? == 0 {
                return Ok(());
            }
            is_asked |= std::mem::take(&mut is_first) && line.starts_with("GET");
            let Some((name, value)) = line.trim_end().split_once(':') else {
                if line.trim_end().is_empty() {
                    break;
                }
                continue;
            };
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse().unwrap_or(0);
            }
        }
        body.resize(length, 0);
        stream.read_exact(&mut body).await?;
        let is_health = length < HEALTH_BYTES_MAX && String::from_utf8_lossy(&body).contains(r#""etype": "health""#);
        let said = match (is_asked, is_health) {
            (true, _) => count.load(Ordering::Relaxed).to_string(),
            (false, true) => HEALTH.to_owned(),
            (false, false) => {
                tell(&body);
                count.fetch_add(1, Ordering::Relaxed);
                DONE.to_owned()
            }
        };
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{said}", said.len());
        stream.write_all(answer.as_bytes()).await?;
    }
}
