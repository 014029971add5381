//! The compatibility proxy: a CONNECT listener that leads the published
//! service's host names to this server, for clients that know no other.
//!
//! Source: reference/rest-api.md section 2.2.

use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

/// Longest request head; clients send a line and a few headers.
const HEAD_BYTES_MAX: u64 = 8 * 1024;

/// A client that does not finish its head in this time is cut off.
const HEAD_MAX: Duration = Duration::from_secs(10);

/// The only domain that is led here: this is no open proxy.
const DOMAIN: &str = "limacharlie.io";

/// Accepts clients until dropped.
pub async fn run(listener: TcpListener, server: SocketAddr) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(async move {
                    if let Err(error) = serve(stream, server).await {
                        tracing::debug!(%error, "a proxied connection ended");
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a proxy connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn serve(mut client: TcpStream, server: SocketAddr) -> std::io::Result<()> {
    let target = match timeout(HEAD_MAX, read_head(&mut client)).await {
        Ok(target) => target?,
        Err(_) => return Ok(()),
    };
    let host = target.as_deref().and_then(|target| target.strip_suffix(":443"));
    let is_ours =
        host.is_some_and(|host| host == DOMAIN || host.strip_suffix(DOMAIN).is_some_and(|sub| sub.ends_with('.')));
    if !is_ours {
        let refusal = "HTTP/1.1 403 Forbidden\r\ncontent-length: 61\r\nconnection: close\r\n\r\n\
             only CONNECT to *.limacharlie.io:443 is led to this server.\r\n";
        return client.write_all(refusal.as_bytes()).await;
    }
    let mut upstream = TcpStream::connect(server).await?;
    client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
    copy_bidirectional(&mut client, &mut upstream).await?;
    Ok(())
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
