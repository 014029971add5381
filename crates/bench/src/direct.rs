//! One HTTP connection over TLS with as little as possible of a client above it: what a call costs is the server's then.

use anyhow::{Context as _, bail};
use http::{Method, Request, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, Connection, SendRequest};
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use serde::de::DeserializeOwned;
use std::net::SocketAddr;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// A connection, which each call drives itself, and the token that is shown on it.
pub struct Direct {
    sender: SendRequest<Full<Bytes>>,
    connection: Connection<TokioIo<Box<TlsStream<TcpStream>>>, Full<Bytes>>,
    authorization: String,
}

impl Direct {
    /// Connects to a server.
    pub async fn connect(connector: &TlsConnector, address: SocketAddr, token: &str) -> anyhow::Result<Self> {
        let tcp = TcpStream::connect(address).await?;
        tcp.set_nodelay(true)?;
        let tls = Box::pin(connector.connect(ServerName::try_from(muster_server::SERVER_NAME)?, tcp)).await?;
        let (sender, connection) = http1::handshake(TokioIo::new(Box::new(tls))).await?;
        Ok(Self { sender, connection, authorization: format!("Bearer {token}") })
    }

    /// One call, with a JSON body if it is not empty.
    pub async fn call<T: DeserializeOwned>(&mut self, method: Method, path: &str, body: Bytes) -> anyhow::Result<T> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, muster_server::SERVER_NAME)
            .header(header::AUTHORIZATION, &self.authorization)
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(body))?;
        let answering = async {
            self.sender.ready().await?;
            let answer = self.sender.send_request(request).await?;
            let status = answer.status();
            anyhow::Ok((status, answer.into_body().collect().await?.to_bytes()))
        };
        let (status, text) = tokio::select! {
            biased;
            answered = answering => answered?,
            ended = &mut self.connection => bail!("{path}: the connection ended ({ended:?})"),
        };
        if !status.is_success() {
            bail!("{path}: {status} {}", String::from_utf8_lossy(&text));
        }
        serde_json::from_slice(&text).with_context(|| format!("{path}: another answer than was expected"))
    }
}
