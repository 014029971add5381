//! What runs in a process of its own: the server, and what it is compared with.

use crate::target::Target;
use anyhow::Context as _;
use muster_server::Server;
use muster_server::config::Config;
use serde_json::json;
use std::io::Read as _;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// Serves a data directory; says in one line of JSON where, and ends with its standard input.
pub async fn serve(data_dir: PathBuf) -> anyhow::Result<()> {
    let server = Server::start(Config::loopback(data_dir)).await.context("the server does not start")?;
    println!("{}", json!({"tls": server.bound.tls, "http": server.bound.http}));
    wait_for_end().await;
    server.stop().await;
    Ok(())
}

/// Accepts TLS with the certificate of a data directory, on which no server may run.
pub async fn acceptor(data_dir: PathBuf) -> anyhow::Result<TlsAcceptor> {
    let server = Server::start(Config::loopback(data_dir)).await.context("the certificate cannot be read")?;
    let acceptor = TlsAcceptor::from(Arc::clone(&server.app.pki.tls));
    server.stop().await;
    Ok(acceptor)
}

/// A TLS server with the certificate of a data directory that sends back what it
/// gets: the least that any server on this TLS library and runtime can cost.
pub async fn echo(data_dir: PathBuf) -> anyhow::Result<()> {
    let acceptor = acceptor(data_dir).await?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", json!({"tls": listener.local_addr()?}));
    let accept = async {
        loop {
            let Ok((stream, _)) = listener.accept().await else { continue };
            let _ = stream.set_nodelay(true);
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut tls) = Box::pin(acceptor.accept(stream)).await else { return };
                tokio::spawn(async move {
                    let mut buffer = [0; 512];
                    while let Ok(length @ 1..) = tls.read(&mut buffer).await {
                        if tls.write_all(&buffer[..length]).await.is_err() || tls.flush().await.is_err() {
                            return;
                        }
                    }
                });
            });
        }
    };
    tokio::select! {
        () = accept => {}
        () = wait_for_end() => {}
    }
    Ok(())
}

/// A service of others that answers at once, and counts.
pub async fn target() -> anyhow::Result<()> {
    let target = Target::new(|_| {}).await?;
    println!("{}", json!({"tls": target.address, "http": target.address}));
    wait_for_end().await;
    Ok(())
}

/// The parent holds the other end; when it is gone, so is the reason to run.
pub async fn wait_for_end() {
    let _ = tokio::task::spawn_blocking(|| std::io::stdin().read(&mut [0])).await;
}
