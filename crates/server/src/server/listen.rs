//! Accepting connections: TLS for sensors and clients, plain HTTP for clients.
//!
//! Handshakes run side by side, but only so many at once: the rest of a storm of
//! sensors waits as bare connections. They are accepted all the same: the kernel
//! drops what its own queue does not hold, and who is dropped tries again only
//! after 1, 3, 7 and 15 seconds.

use crate::api;
use crate::app::App;
use crate::gateway;
use http::Request;
use http::uri::Scheme;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

/// A client that does not finish the TLS handshake in this time is cut off.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);

/// A client that does not finish the header of a request in this time is cut off.
const HEADER_MAX: Duration = Duration::from_secs(30);

/// Pause after the kernel refused an accept (out of file descriptors, mostly).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Connections that wait for their handshake: a file descriptor and a few hundred
/// bytes each. What comes beyond waits in the kernel.
const WAITING_MAX: usize = 16_384;

/// Accepts TLS connections until dropped.
pub async fn tls(app: Arc<App>, listener: TcpListener) {
    let acceptor = TlsAcceptor::from(Arc::clone(&app.pki.tls));
    let handshakes = Arc::new(Semaphore::new(app.config.limits.handshakes.max(1)));
    let waiting = Arc::new(Semaphore::new(WAITING_MAX));
    loop {
        let Ok(place) = Arc::clone(&waiting).acquire_owned().await else { return };
        let Some((stream, from)) = accept(&listener).await else { continue };
        let (app, acceptor, handshakes) = (Arc::clone(&app), acceptor.clone(), Arc::clone(&handshakes));
        tokio::spawn(async move {
            let Ok(permit) = handshakes.acquire().await else { return };
            // Boxed, so that those who wait are small.
            let shaken = Box::pin(timeout(HANDSHAKE_MAX, acceptor.accept(stream))).await;
            drop((permit, place));
            let Ok(Ok(stream)) = shaken else { return };
            if stream.get_ref().1.alpn_protocol() == Some(muster_wire::LINK_ALPN) {
                tokio::spawn(gateway::serve(app, Box::pin(stream), Some(from.ip())));
            } else {
                tokio::spawn(http(app, stream, from, Scheme::HTTPS));
            }
        });
    }
}

/// Accepts plain connections until dropped.
pub async fn plain(app: Arc<App>, listener: TcpListener) {
    loop {
        if let Some((stream, from)) = accept(&listener).await {
            tokio::spawn(http(Arc::clone(&app), stream, from, Scheme::HTTP));
        }
    }
}

async fn accept(listener: &TcpListener) -> Option<(TcpStream, SocketAddr)> {
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

async fn http(
    app: Arc<App>,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    from: SocketAddr,
    scheme: Scheme,
) {
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(scheme.clone());
        let app = Arc::clone(&app);
        async move { Ok::<_, Infallible>(api::serve(app, request, Some(from.ip())).await) }
    });
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_MAX)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%from, %error, "an HTTP connection ended");
    }
}
