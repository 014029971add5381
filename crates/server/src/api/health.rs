//! Whether the server is alive and ready, for load balancers and supervisors. Anyone may ask; the answers tell
//! nothing of organizations.

use super::{Access, ApiError, Call, Method, Reply, Route};
use crate::app::App;
use bytes::Bytes;
use std::time::Duration;
use tokio::time::timeout;

/// A store that does not answer in this time does not work.
const STORE_PATIENCE: Duration = Duration::from_secs(2);

/// Media type of both answers.
pub(crate) const TEXT: &str = "text/plain; charset=utf-8";

/// Of a server that runs.
pub(crate) const ALIVE: &str = "alive\n";

/// Of a server that can take changes and records.
pub(crate) const READY: &str = "ready\n";

/// The routes of this area.
pub(super) fn routes() -> Vec<Route> {
    let (alive, ready) = ("Whether the server runs", "Whether the server can take changes and records now; else 503");
    vec![
        Route::new(Method::Get, "//healthz", Access::Public, alive, healthz).answers_bytes("health_alive", TEXT),
        Route::new(Method::Get, "//readyz", Access::Public, ready, readyz).answers_bytes("health_ready", TEXT),
    ]
}

async fn healthz(_: Call) -> Result<Reply, ApiError> {
    Ok(Reply::bytes(TEXT, Bytes::from_static(ALIVE.as_bytes())))
}

async fn readyz(call: Call) -> Result<Reply, ApiError> {
    readiness(&call.app).await.map_err(|why| ApiError::unavailable(format!("not ready: {why}")))?;
    Ok(Reply::bytes(TEXT, Bytes::from_static(READY.as_bytes())))
}

/// Whether this server can take changes and records now.
///
/// # Errors
///
/// Says why not.
pub(crate) async fn readiness(app: &App) -> Result<(), String> {
    if app.jobs.is_stopping() {
        return Err("the server is stopping".to_owned());
    }
    // An empty commit waits for those before it, and needs a writer that works.
    match timeout(STORE_PATIENCE, app.store.commit(Vec::new())).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(format!("the store does not take changes: {error}")),
        Err(_) => Err(format!("the store has not answered for {} s", STORE_PATIENCE.as_secs())),
    }
}
