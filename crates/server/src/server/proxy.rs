//! The compatibility proxy: a CONNECT listener that leads the published
//! service's host names to this server, for clients that know no other.
//!
//! Source: reference/rest-api.md section 2.2.

use super::crowd::Seat;
use super::listen::{Door, accept};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

/// Longest request head; clients send a line and a few headers.
const HEAD_BYTES_MAX: u64 = 8 * 1024;

/// A client that does not finish its head, or does not take the answer, in this time is cut off.
const HEAD_MAX: Duration = Duration::from_secs(10);

/// The only domain that is led here: this is no open proxy.
const DOMAIN: &str = "limacharlie.io";

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
    match timeout(HEAD_MAX, answer(&mut client)).await {
        Ok(Ok(true)) => Box::pin(door.greet(client, from, seat)).await,
        Ok(Ok(false)) | Err(_) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a proxied connection ended"),
    }
}

/// Reads what a client wants and answers it; `true` if it is led to this server.
async fn answer(client: &mut TcpStream) -> std::io::Result<bool> {
    let target = read_head(client).await?;
    let host = target.as_deref().and_then(|target| target.strip_suffix(":443"));
    let is_ours =
        host.is_some_and(|host| host == DOMAIN || host.strip_suffix(DOMAIN).is_some_and(|sub| sub.ends_with('.')));
    if is_ours {
        client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
    } else {
        let refusal = "HTTP/1.1 403 Forbidden\r\ncontent-length: 61\r\nconnection: close\r\n\r\n\
             only CONNECT to *.limacharlie.io:443 is led to this server.\r\n";
        client.write_all(refusal.as_bytes()).await?;
    }
    Ok(is_ours)
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
