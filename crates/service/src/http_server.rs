//! The standalone transport: an HTTP server for one program. Also what any other transport has to do.

use crate::log::{Log, Stream};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::json;
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// Connections at once. Servers send at most 50 events to one service at a time; the rest are health checks.
pub const CONNECTIONS_MAX: usize = 256;

/// A sender that does not finish a header in this time is cut off.
const HEADER_MAX: Duration = Duration::from_secs(10);

/// A sender that does not finish a body in this time is cut off: 50 MiB at 1 MiB/s.
const BODY_MAX: Duration = Duration::from_secs(60);

/// How long a shutdown waits for events that are in work; usual deadlines are longer, and the server sends them again.
const EVENTS_MAX: Duration = Duration::from_secs(30);

/// Pause after the kernel refused an accept (out of file descriptors, mostly).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Port if nothing is said: not one of those that `muster up` has on the same machine.
const PORT_DEFAULT: u16 = 9000;

/// A program that answers bodies: a [`Program`](crate::Program) or an [`Extension`](crate::extension::Extension).
pub trait Handler: Send + Sync + 'static {
    /// Largest body in bytes; larger ones are answered 413.
    const BODY_BYTES_MAX: usize;

    /// Answers one request: this is all that a function-as-a-service has to call. Header names are in lower case.
    ///
    /// Cancel safety: a callback that has begun runs to its end.
    fn receive(&self, headers: &HeaderMap, body: Bytes) -> impl Future<Output = Response> + Send;

    /// Ends the program: background work is waited for, and `on_shutdown` is called. To be called once.
    fn shut_down(&self) -> impl Future<Output = ()> + Send;

    /// The secret that it shares with the server.
    fn secret(&self) -> Option<&str>;
}

/// What goes back: JSON, or nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// HTTP status.
    pub status: u16,
    /// JSON text; may be empty.
    pub body: Vec<u8>,
}

impl Response {
    pub(crate) fn error(status: u16, text: &str) -> Self {
        Self { status, body: json!({"error": text}).to_string().into_bytes() }
    }
}

/// Serves a program until SIGTERM or Ctrl-C.
///
/// The address is that of `LISTEN` (such as `127.0.0.1:9000`), else every address with the port of `PORT`, else
/// `127.0.0.1:9000`. The address is told on standard output.
///
/// # Errors
///
/// If the address cannot be used.
pub async fn run<H: Handler>(handler: H) -> io::Result<()> {
    let address = address(std::env::var("LISTEN").ok().as_deref(), std::env::var("PORT").ok().as_deref())?;
    let listener = TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    serve(listener, handler, async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
    })
    .await;
    Ok(())
}

fn address(listen: Option<&str>, port: Option<&str>) -> io::Result<SocketAddr> {
    let wrong = |name: &str, text: &str| io::Error::other(format!("{name} is not usable: {text}"));
    if let Some(listen) = listen.filter(|text| !text.is_empty()) {
        return listen.parse().map_err(|_| wrong("LISTEN", listen));
    }
    match port.filter(|text| !text.is_empty()) {
        Some(port) => {
            let number = port.parse().map_err(|_| wrong("PORT", port))?;
            Ok((IpAddr::V4(Ipv4Addr::UNSPECIFIED), number).into())
        }
        None => Ok((IpAddr::V4(Ipv4Addr::LOCALHOST), PORT_DEFAULT).into()),
    }
}

/// Serves a program on a listener until `stop` is over; then waits for the events in work, and ends the program.
pub async fn serve<H: Handler>(listener: TcpListener, handler: H, stop: impl Future<Output = ()>) {
    let handler = Arc::new(handler);
    let stopping = watch::Sender::new(false);
    let permits = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        let accepted = tokio::select! {
            () = &mut stop => break,
            Some(_) = connections.join_next() => continue,
            accepted = accept(&listener, &permits) => accepted,
        };
        let Some((stream, permit)) = accepted else { continue };
        let (handler, mut stopping) = (Arc::clone(&handler), stopping.subscribe());
        connections.spawn(async move {
            let service = service_fn(move |request| {
                let handler = Arc::clone(&handler);
                async move { Ok::<_, Infallible>(respond(&*handler, request).await) }
            });
            let mut builder = hyper::server::conn::http1::Builder::new();
            builder.timer(TokioTimer::new()).header_read_timeout(HEADER_MAX);
            let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
            let is_over = tokio::select! {
                _ = &mut connection => true,
                _ = stopping.wait_for(|stopping| *stopping) => false,
            };
            if !is_over {
                connection.as_mut().graceful_shutdown();
                // What goes wrong on a connection is the other side's to see.
                let _ = connection.await;
            }
            drop(permit);
        });
    }
    drop(listener);
    stopping.send_replace(true);
    let ended = timeout(EVENTS_MAX, async { while connections.join_next().await.is_some() {} });
    if ended.await.is_err() {
        connections.abort_all();
    }
    handler.shut_down().await;
}

async fn accept(
    listener: &TcpListener,
    permits: &Arc<Semaphore>,
) -> Option<(tokio::net::TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let permit = Arc::clone(permits).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => {
            let _ = stream.set_nodelay(true);
            Some((stream, permit))
        }
        Err(error) => {
            Log::to("listener", |stream, line| {
                if stream == Stream::Err {
                    eprintln!("{line}")
                }
            })
            .critical(crate::now(), &format!("a connection could not be accepted: {error}"));
            sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

async fn respond<H: Handler>(handler: &H, request: Request<Incoming>) -> http::Response<Full<Bytes>> {
    let (parts, body) = request.into_parts();
    let response = match (parts.uri.path(), &parts.method) {
        ("/" | "", &Method::POST) => match timeout(BODY_MAX, Limited::new(body, H::BODY_BYTES_MAX).collect()).await {
            Ok(Ok(body)) => handler.receive(&parts.headers, body.to_bytes()).await,
            Ok(Err(error)) if error.is::<LengthLimitError>() => Response::error(413, "the body is too large"),
            Ok(Err(_)) => Response::error(400, "the body broke off"),
            Err(_) => Response::error(408, "the body took too long"),
        },
        ("/" | "", _) => Response::error(405, "events are posted"),
        _ => Response::error(404, "events are posted to /"),
    };
    let mut answer = http::Response::new(Full::new(Bytes::from(response.body)));
    *answer.status_mut() = StatusCode::from_u16(response.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_comes_from_the_environment() {
        let text = |listen, port| address(listen, port).map(|address| address.to_string()).ok();
        assert_eq!(text(None, None).as_deref(), Some("127.0.0.1:9000"));
        assert_eq!(text(None, Some("9001")).as_deref(), Some("0.0.0.0:9001"));
        assert_eq!(text(Some("[::1]:1"), Some("9000")).as_deref(), Some("[::1]:1"));
        assert_eq!(text(None, Some("http")), None);
    }
}
