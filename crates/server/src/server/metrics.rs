//! The listener for a Prometheus. It is one of its own, so that what it tells of all organizations is
//! told to nobody who only reaches the API; keep it on loopback or a network of operators.

mod page;

use super::listen::accept;
use crate::api::health;
use crate::app::App;
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// Connections at once: scrapers are few.
const CONNECTIONS_MAX: usize = 32;

/// A connection ends after this time at the latest; scrapers make another.
const CONNECTION_MAX: Duration = Duration::from_secs(60);

/// The text form of OpenMetrics.
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Serves until dropped.
pub(super) async fn run(app: Arc<App>, listener: TcpListener) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Some((stream, _)) = accept(&listener).await else { continue };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
        let shared = Arc::clone(&app);
        app.jobs.spawn_until_stop(async move {
            let service = service_fn(move |request| answer(Arc::clone(&shared), request));
            let connection = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(CONNECTION_MAX)
                .serve_connection(TokioIo::new(stream), service);
            // Who breaks off, or takes too long, asks again.
            let _ = timeout(CONNECTION_MAX, connection).await;
            drop(place);
        });
    }
}

async fn answer(app: Arc<App>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (status, kind, text) = match (request.method(), request.uri().path()) {
        (&Method::GET, "/metrics") => (StatusCode::OK, OPENMETRICS, page::page(&app)),
        (&Method::GET, "/healthz") => (StatusCode::OK, health::TEXT, health::ALIVE.to_owned()),
        (&Method::GET, "/readyz") => match health::readiness(&app).await {
            Ok(()) => (StatusCode::OK, health::TEXT, health::READY.to_owned()),
            Err(why) => (StatusCode::SERVICE_UNAVAILABLE, health::TEXT, format!("not ready: {why}\n")),
        },
        _ => {
            let text = "here are GET /metrics, GET /healthz and GET /readyz; the API has other addresses\n";
            (StatusCode::NOT_FOUND, health::TEXT, text.to_owned())
        }
    };
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(kind));
    Ok(response)
}
