//! Starting and stopping a server, the same way for `up` and `serve`.

use anyhow::{Error, anyhow};
use muster_server::{Server, StartError};

/// Says what to do about a server that did not start.
pub fn explain_start(error: StartError) -> Error {
    let advice = match &error {
        StartError::Listen { source, .. } if source.kind() == std::io::ErrorKind::AddrInUse => {
            "another program has that port: stop it, or choose another address (port 0 picks a free one)"
        }
        StartError::Listen { source, .. } if source.kind() == std::io::ErrorKind::PermissionDenied => {
            "ports below 1024 need a privilege: choose a higher one"
        }
        _ => return error.into(),
    };
    anyhow!(error).context(advice)
}

/// Stops a server and closes its store, so that one tidy file is left behind.
pub async fn stop(server: Server) {
    let store = server.app.store.clone();
    server.stop().await;
    let _ = tokio::task::spawn_blocking(move || store.close()).await;
}
