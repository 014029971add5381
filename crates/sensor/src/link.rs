//! The link to the server: TCP, TLS 1.3, WebSocket, frames.
//!
//! One conversation runs as two halves, so that a server which does not read
//! cannot keep the sensor from hearing it. What is said and what follows from
//! what is heard is decided elsewhere (module `agent`).

mod route;
pub mod transfer;
mod trust;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use muster_wire::{
    Assembler, FRAME_BYTES_MAX, FromSensor, FromServer, InstallationKey, LINK_ALPN, LINK_PATH, encode, from_sensor,
    from_server,
};
use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls_pki_types::ServerName;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{Instant, interval, sleep_until, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::tungstenite::Message as WebSocketMessage;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

pub use route::Route;
use trust::Trust;

/// Time for TCP, TLS and the WebSocket upgrade together, and then for each of the
/// first answers. Source: reference/sensor.md section 4.
const HANDSHAKE_MAX: Duration = Duration::from_secs(30);
/// How often the sensor shows that it lives.
const PING_EVERY: Duration = Duration::from_secs(30);
/// Silence after which the link is dead: three pings without an answer.
const SILENCE_MAX: Duration = Duration::from_secs(90);
/// Idle time after which TCP looks whether the other side is still there.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);
/// Messages of the server until the handshake is over: challenge and welcome.
const HANDSHAKE_MESSAGES: u32 = 2;
/// WebSocket read buffer: it never shrinks, so it is small.
const READ_BUFFER_BYTES: usize = 4 * 1024;

/// What a link tells; the number is that of the connection.
#[derive(Debug)]
pub enum FromLink {
    /// The server said this.
    Heard(u64, from_server::Message),
    /// The link ended, for this reason.
    Down(u64, String),
}

/// Opens a TLS connection to the server of the key, trusting nothing but its authority.
///
/// # Errors
///
/// An [`io::Error`] with a text that says at which step it failed.
pub async fn connect(key: &InstallationKey, route: &Route, alpn: &[u8]) -> io::Result<TlsStream<TcpStream>> {
    let config = tls_config(key, alpn)?;
    let tcp = route.open(key).await;
    let tcp = tcp.map_err(|error| io::Error::new(error.kind(), format!("cannot reach {}: {error}", key.address)))?;
    tcp.set_nodelay(true)?;
    SockRef::from(&tcp).set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE_IDLE))?;
    let name = ServerName::try_from(key.server_name.clone()).map_err(io::Error::other)?;
    let tls = TlsConnector::from(Arc::new(config)).connect(name, tcp).await;
    tls.map_err(|error| io::Error::new(error.kind(), format!("TLS with {}: {error}", key.address)))
}

fn tls_config(key: &InstallationKey, alpn: &[u8]) -> io::Result<ClientConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let trust = Trust::new(&key.ca_der, Arc::clone(&provider))?;
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(io::Error::other)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(trust))
        .with_no_client_auth();
    config.alpn_protocols = vec![alpn.to_vec()];
    config.resumption = Resumption::disabled();
    Ok(config)
}

/// Connects and converses until the link ends; tells the end as [`FromLink::Down`].
pub async fn run(
    key: InstallationKey,
    route: Arc<Route>,
    number: u64,
    heard: mpsc::Sender<FromLink>,
    said: mpsc::Receiver<from_sensor::Message>,
) {
    let opened = timeout(HANDSHAKE_MAX, async {
        let tls = connect(&key, &route, LINK_ALPN).await?;
        upgrade(tls, &key.server_name).await
    });
    let reason = match opened.await {
        Ok(Ok(socket)) => converse(socket, number, &heard, said).await,
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("no answer from {} within {} s", key.address, HANDSHAKE_MAX.as_secs()),
    };
    // The sensor may be gone already; then nobody is left to tell.
    let _ = heard.send(FromLink::Down(number, reason)).await;
}

/// Makes a WebSocket of a connected stream.
///
/// # Errors
///
/// An [`io::Error`] when the server does not upgrade.
pub async fn upgrade<S>(stream: S, server_name: &str) -> io::Result<WebSocketStream<S>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut config = WebSocketConfig::default();
    config.read_buffer_size = READ_BUFFER_BYTES;
    config.write_buffer_size = 0;
    config.max_frame_size = Some(FRAME_BYTES_MAX);
    config.max_message_size = Some(FRAME_BYTES_MAX);
    let upgraded = client_async_with_config(format!("ws://{server_name}{LINK_PATH}"), stream, Some(config)).await;
    upgraded.map(|(socket, _)| socket).map_err(|error| io::Error::other(format!("WebSocket upgrade: {error}")))
}

/// Carries messages both ways until the link ends; gives the reason.
pub async fn converse<S>(
    socket: WebSocketStream<S>,
    number: u64,
    heard: &mpsc::Sender<FromLink>,
    mut said: mpsc::Receiver<from_sensor::Message>,
) -> String
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (mut sink, mut stream) = socket.split();
    let listen = async {
        let (mut assembler, mut messages) = (Assembler::default(), 0_u32);
        loop {
            let patience = if messages < HANDSHAKE_MESSAGES { HANDSHAKE_MAX } else { SILENCE_MAX };
            let Ok(next) = timeout(patience, stream.next()).await else {
                return format!("nothing heard for {} s", patience.as_secs());
            };
            let frame = match next {
                Some(Ok(WebSocketMessage::Binary(frame))) => frame,
                Some(Ok(WebSocketMessage::Close(_))) | None => return "closed by the server".to_owned(),
                Some(Ok(_)) => continue,
                Some(Err(error)) => return error.to_string(),
            };
            match assembler.push::<FromServer>(&frame) {
                Ok(Some(FromServer { message: Some(message) })) => {
                    messages = messages.saturating_add(1);
                    if heard.send(FromLink::Heard(number, message)).await.is_err() {
                        return "the sensor stops".to_owned();
                    }
                }
                Ok(_) => {}
                Err(error) => return error.to_string(),
            }
        }
    };
    let speak = async {
        let mut pings = interval(PING_EVERY);
        pings.tick().await;
        loop {
            let sent = tokio::select! {
                message = said.recv() => match message {
                    Some(message) => {
                        let Ok(frames) = encode(&FromSensor { message: Some(message) }) else {
                            return "a message is too long".to_owned();
                        };
                        let mut sent = Ok(());
                        for frame in frames {
                            sent = sink.feed(WebSocketMessage::Binary(Bytes::from(frame))).await;
                            if sent.is_err() {
                                break;
                            }
                        }
                        if sent.is_ok() { sink.flush().await } else { sent }
                    }
                    None => {
                        let _ = timeout(Duration::from_secs(1), sink.close()).await;
                        return "closed by the sensor".to_owned();
                    }
                },
                _ = pings.tick() => sink.send(WebSocketMessage::Ping(Bytes::new())).await,
            };
            if let Err(error) = sent {
                return error.to_string();
            }
        }
    };
    tokio::select! {
        reason = listen => reason,
        reason = speak => reason,
    }
}

/// When to connect again after a link ended.
#[derive(Debug)]
pub struct Backoff {
    base: Duration,
    failures: u32,
}

/// Longest wait between attempts. Source: reference/sensor.md section 4.
const BACKOFF_MAX: Duration = Duration::from_secs(60);

impl Backoff {
    /// Begins with waits around `base`.
    #[must_use]
    pub fn new(base: Duration) -> Self {
        Self { base, failures: 0 }
    }

    /// A link was healthy.
    pub fn reset(&mut self) {
        self.failures = 0;
    }

    /// The next wait: the first is 200 ms to 1 s for a base of 1 s, each further
    /// one twice as long, up to a minute; `dice` (0 to 1) spreads a fleet.
    pub fn next_wait(&mut self, dice: f64) -> Duration {
        let wait = self.base.saturating_mul(1 << self.failures.min(6)).min(BACKOFF_MAX);
        self.failures = self.failures.saturating_add(1);
        wait.mul_f64(0.2 + 0.8 * dice.clamp(0.0, 1.0))
    }
}

/// Waits until an instant, or for ever.
pub async fn wait_until(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_minute_and_begin_anew_after_a_healthy_link() {
        let mut backoff = Backoff::new(Duration::from_secs(1));
        let waits: Vec<u64> = (0..9).map(|_| backoff.next_wait(1.0).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        assert_eq!(backoff.next_wait(0.0), Duration::from_secs(12), "the dice spread a fleet");
        backoff.reset();
        assert_eq!(backoff.next_wait(0.0), Duration::from_millis(200));
    }
}
