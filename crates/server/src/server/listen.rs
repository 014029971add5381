//! Accepting connections: TLS for sensors and clients, plain HTTP for clients.
//!
//! A connection on the TLS listener says who it wants to talk to before anything is
//! spent on it: until its first bytes are there it is a file descriptor and a timer.
//! Handshakes run side by side, but only so many at once, and only a part of those of one
//! address; the rest of a storm of sensors waits as bare connections. They are accepted
//! all the same: the kernel drops what its own queue does not hold, and who is dropped
//! tries again only after 1, 3, 7 and 15 seconds.

use super::crowd::{Crowd, Seat, Turns};
use super::patience::Patience;
use crate::api;
use crate::app::App;
use crate::gateway::{self, Edge};
use crate::telemetry::Refused;
use http::Request;
use http::uri::Scheme;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ServerConfig;
use rustls::server::Acceptor;
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_rustls::{LazyConfigAcceptor, StartHandshake};

/// A client that does not say its TLS hello in this time is cut off.
const HELLO_MAX: Duration = Duration::from_secs(10);

/// A client that does not finish the TLS handshake in this time is cut off.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);

/// Who has waited this long for its handshake has given up: sensors do after 30 seconds.
const TURN_MAX: Duration = Duration::from_secs(30);

/// A client that does not finish the header of a request in this time is cut off; so is one that is connected
/// and asks nothing.
const HEADER_MAX: Duration = Duration::from_secs(30);

/// Bytes of the header of a request. Selectors and lists of tags may be in its first line.
const HEADER_BYTES_MAX: usize = 128 * 1024;

/// A client that takes nothing of its answer in this time is cut off.
const WRITE_MAX: Duration = Duration::from_secs(30);

/// Pause after the kernel refused an accept (out of file descriptors, mostly).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Connections that wait for their handshake: a file descriptor and a few hundred bytes each.
const WAITING_MAX: usize = 32_768;

/// As many of one address. A fleet may come back from behind one address at once.
const WAITING_OF_ONE_MAX: usize = 16_384;

/// Handshakes of one address that are under way, as a part of all.
const HANDSHAKES_OF_ONE: usize = 4;

/// What a client on the plain listener reads when there is no room for it.
const FULL: &str = "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\nretry-after: 5\r\n\
    content-length: 79\r\nconnection: close\r\n\r\n\
    {\"error\":\"too many connections; close some or wait\",\"error_code\":\"unavailable\"}";

/// Lets connections in, as far as there is room.
pub(super) struct Door {
    pub(super) app: Arc<App>,
    edge: Arc<Edge>,
    tls: Arc<ServerConfig>,
    /// Connections that have not finished their handshake.
    waiting: Arc<Crowd>,
    handshakes: Arc<Turns>,
    /// Connections that speak HTTP.
    clients: Arc<Crowd>,
}

impl Door {
    /// A door for a process that may open so many files: strangers never take more than half of them, so that
    /// the store and those who are known have the rest.
    pub(super) fn new(app: Arc<App>, edge: Arc<Edge>, files: Option<u64>) -> Arc<Self> {
        let limits = &app.config.limits;
        let quarter = files.map_or(usize::MAX, |files| usize::try_from(files / 4).unwrap_or(usize::MAX).max(2));
        let crowd = |most: usize, of_one: usize| {
            let most = most.min(quarter);
            // One address takes all the room only where the configuration says so.
            Crowd::new(most, of_one.min(if most < quarter { most } else { most / 2 }))
        };
        let handshakes = limits.handshakes.max(1);
        Arc::new(Self {
            tls: Arc::clone(&app.pki.tls),
            waiting: crowd(WAITING_MAX, WAITING_OF_ONE_MAX),
            handshakes: Turns::new(handshakes, handshakes.div_ceil(HANDSHAKES_OF_ONE)),
            clients: crowd(limits.connections, limits.connections_per_address),
            edge,
            app,
        })
    }

    /// A seat among those who have not finished their handshake.
    pub(super) fn seat(&self, address: IpAddr) -> Option<Seat> {
        let seat = self.waiting.enter(address);
        if seat.is_none() {
            self.app.telemetry.refused(Refused::Waiting);
        }
        seat
    }

    /// A place among those who speak HTTP.
    fn place(&self, address: IpAddr) -> Option<Seat> {
        let place = self.clients.enter(address);
        if place.is_none() {
            self.app.telemetry.refused(Refused::Clients);
        }
        place
    }

    /// Serves whoever is at the other end of a TLS connection, until it is known who that is. What comes then is a
    /// job of its own: an idle link must not keep what only the handshake needs.
    pub(super) async fn greet(self: Arc<Self>, stream: TcpStream, from: SocketAddr, seat: Seat) {
        let Some(hello) = hello(stream).await else { return };
        let is_link = hello.client_hello().alpn().into_iter().flatten().any(|name| name == muster_wire::LINK_ALPN);
        let place = if is_link { None } else { self.place(from.ip()) };
        if !is_link && place.is_none() {
            return;
        }
        let Ok(Some(turn)) = timeout(TURN_MAX, self.handshakes.take(from.ip())).await else { return };
        let shaken = Box::pin(timeout(HANDSHAKE_MAX, hello.into_stream(Arc::clone(&self.tls)))).await;
        drop(turn);
        let Ok(Ok(stream)) = shaken else { return };
        match place {
            None => Box::pin(gateway::serve(Arc::clone(&self.edge), Box::pin(stream), Some(from.ip()))).await,
            Some(place) => {
                self.app.jobs.spawn(http(Arc::clone(&self.app), stream, from, Scheme::HTTPS, place));
            }
        }
        drop(seat);
    }
}

/// Waits for the first message of a TLS client.
async fn hello(stream: TcpStream) -> Option<StartHandshake<TcpStream>> {
    let begun = async {
        // Nothing is allocated for who says nothing.
        stream.readable().await?;
        Box::pin(LazyConfigAcceptor::new(Acceptor::default(), stream)).await
    };
    timeout(HELLO_MAX, begun).await.ok()?.ok()
}

/// Accepts TLS connections until dropped.
pub(super) async fn tls(door: Arc<Door>, listener: TcpListener) {
    loop {
        let Some((stream, from)) = accept(&listener).await else { continue };
        if let Some(seat) = door.seat(from.ip()) {
            door.app.jobs.spawn_until_stop(Arc::clone(&door).greet(stream, from, seat));
        }
    }
}

/// Accepts plain connections until dropped.
pub(super) async fn plain(door: Arc<Door>, listener: TcpListener) {
    loop {
        let Some((stream, from)) = accept(&listener).await else { continue };
        match door.place(from.ip()) {
            Some(place) => {
                door.app.jobs.spawn(http(Arc::clone(&door.app), stream, from, Scheme::HTTP, place));
            }
            // A new connection takes so little without waiting; if it does not, it is closed all the same.
            None => drop(stream.try_write(FULL.as_bytes())),
        }
    }
}

pub(super) async fn accept(listener: &TcpListener) -> Option<(TcpStream, SocketAddr)> {
    match listener.accept().await {
        Ok((stream, from)) => {
            let _ = stream.set_nodelay(true);
            Some((stream, from))
        }
        Err(error) => {
            tracing::warn!(%error, "a connection could not be accepted");
            sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

/// Serves requests of one connection. When the server stops, the one that was begun is answered.
async fn http(
    app: Arc<App>,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    from: SocketAddr,
    scheme: Scheme,
    _place: Seat,
) {
    let stopping = app.jobs.stopping();
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(scheme.clone());
        let app = Arc::clone(&app);
        // Boxed: what makes an answer is large, and is handed on several times before it runs.
        Box::pin(async move { Ok::<_, Infallible>(api::serve(app, request, Some(from.ip())).await) })
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_MAX)
        .max_buf_size(HEADER_BYTES_MAX)
        .serve_connection(TokioIo::new(Patience::new(stream, WRITE_MAX)), service)
        .with_upgrades();
    let mut connection = pin!(connection);
    let served = tokio::select! {
        served = connection.as_mut() => served,
        () = stopping => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = served {
        tracing::debug!(%from, %error, "an HTTP connection ended");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_of_the_refusal_is_right() {
        let (head, body) = FULL.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("content-length: {}", body.len())), "{}", body.len());
        assert!(serde_json::from_str::<serde_json::Value>(body).is_ok());
    }
}
