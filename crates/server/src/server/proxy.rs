//! The compatibility proxy: a CONNECT listener that leads the published
//! service's host names to this server, for clients that know no other.
//!
//! Source: reference/rest-api.md section 2.2.

use super::crowd::Seat;
use super::listen::{Door, accept};
use crate::app::App;
use crate::config::is_published_host;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

/// Longest request head; clients send a line and a few headers.
const HEAD_BYTES_MAX: u64 = 8 * 1024;

/// A client that does not finish its head, or does not take the answer, in this time is cut off.
const HEAD_MAX: Duration = Duration::from_secs(10);

/// The port behind the published names.
const PUBLISHED_PORT: u16 = 443;

/// Accepts clients until dropped.
pub(super) async fn run(door: Arc<Door>, listener: TcpListener) {
    loop {
        let Some((stream, from)) = accept(&listener).await else { continue };
        if let Some(seat) = door.seat(from.ip()) {
            door.app.jobs.spawn_until_stop(serve(Arc::clone(&door), stream, from, seat));
        }
    }
}

/// Serves one client. There is no tunnel: what a client says after its CONNECT, it says to this server, as if it
/// had come by the TLS listener, and with the same bounds.
async fn serve(door: Arc<Door>, mut client: TcpStream, from: SocketAddr, seat: Seat) {
    match timeout(HEAD_MAX, answer(&door.app, &mut client)).await {
        Ok(Ok(true)) => Box::pin(door.greet(client, from, seat)).await,
        Ok(Ok(false)) | Err(_) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a proxied connection ended"),
    }
}

/// Reads what a client wants and answers it; `true` if it is led to this server.
async fn answer(app: &App, client: &mut TcpStream) -> std::io::Result<bool> {
    let target = read_head(client).await?;
    let reached = client.local_addr()?.ip();
    let is_ours = target.is_some_and(|target| is_published(&target) || is_own(app, &target, reached));
    if is_ours {
        client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
    } else {
        let text = "only CONNECT to *.limacharlie.io:443 and to the TLS address of this server is led here; \
            name other hosts in NO_PROXY\r\n";
        let head = format!("HTTP/1.1 403 Forbidden\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", text.len());
        client.write_all(format!("{head}{text}").as_bytes()).await?;
    }
    Ok(is_ours)
}

fn is_published(target: &str) -> bool {
    split(target).is_some_and(|(host, port)| port == PUBLISHED_PORT && is_published_host(host))
}

/// Whether a target is the TLS listener of this server, under a name that it answers by: clients are told these
/// addresses, and send whatever is `https` through their proxy. It is led here in any case, never elsewhere.
fn is_own(app: &App, target: &str, reached: IpAddr) -> bool {
    let public = app.config.public_address.as_deref();
    let (Some(bound), Some((host, port))) = (app.address.bound(), split(target)) else { return false };
    let by_address = host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback() || ip == reached || ip == bound.tls.ip());
    let by_name = host == "localhost" || app.config.names.iter().any(|name| name.eq_ignore_ascii_case(host));
    public.is_some_and(|public| public.eq_ignore_ascii_case(target))
        || (port == bound.tls.port() && (by_address || by_name))
}

/// Host, without the brackets of an address, and port.
fn split(target: &str) -> Option<(&str, u16)> {
    let (host, port) = target.rsplit_once(':')?;
    Some((host.trim_start_matches('[').trim_end_matches(']'), port.parse().ok()?))
}

/// Reads the request head; gives the target if it is a CONNECT.
async fn read_head(client: &mut TcpStream) -> std::io::Result<Option<String>> {
    // The client waits for the answer before it sends more, so nothing is read too far.
    let mut head = BufReader::new(client.take(HEAD_BYTES_MAX));
    let mut line = String::new();
    head.read_line(&mut line).await?;
    let mut words = line.split_whitespace();
    let target = (words.next() == Some("CONNECT")).then(|| words.next().map(str::to_ascii_lowercase)).flatten();
    loop {
        let mut header = String::new();
        if head.read_line(&mut header).await? == 0 || header.trim_end().is_empty() {
            return Ok(target);
        }
    }
}
