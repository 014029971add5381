//! Open tabs of the console as a server sees them: a session, and for each tab a WebSocket that watches rows.

use crate::client::Client;
use anyhow::Context as _;
use futures_util::{SinkExt as _, StreamExt as _};
use muster_model::Sid;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

/// Somebody who is signed in.
pub struct Session {
    /// `http://host:port` of the server.
    base: String,
    cookie: String,
}

impl Session {
    /// Signs in the first user.
    pub async fn new(rest: &Client) -> anyhow::Result<Self> {
        Ok(Self { base: rest.base().to_owned(), cookie: rest.sign_in().await? })
    }

    /// Opens a tab that watches these sensors.
    pub async fn open(&self, rest: &Client, sids: &[Sid]) -> anyhow::Result<Tab> {
        let authority = self.base.strip_prefix("http://").context("the console is asked without TLS")?;
        let mut request = format!("ws://{authority}/console/live").into_client_request()?;
        request.headers_mut().insert("origin", self.base.parse()?);
        request.headers_mut().insert("cookie", self.cookie.parse()?);
        let (mut socket, _) = client_async(request, TcpStream::connect(authority).await?).await?;
        let sids = json!(sids);
        socket.send(subscription(1, "sensors", &json!({"oid": rest.oid(), "sids": sids}))).await?;
        socket.next().await.context("a tab was closed")??;
        let (say, mut said) = unbounded_channel::<Message>();
        let reading = tokio::spawn(async move {
            loop {
                tokio::select! {
                    heard = socket.next() => if !matches!(heard, Some(Ok(_))) { return },
                    message = said.recv() => {
                        let Some(message) = message else { return };
                        if socket.send(message).await.is_err() { return }
                    }
                }
            }
        });
        Ok(Tab { oid: json!(rest.oid()), sids, say, reading })
    }
}

/// A tab; closed when dropped.
pub struct Tab {
    oid: Value,
    sids: Value,
    say: UnboundedSender<Message>,
    reading: JoinHandle<()>,
}

impl Tab {
    /// Watches a task on its sensors, as the page of the task does.
    pub fn watch(&self, task_id: &str) {
        let args = json!({"oid": self.oid, "task_id": task_id, "sids": self.sids});
        // One that was closed shows in what is measured.
        let _ = self.say.send(subscription(2, "targets", &args));
    }
}

impl Drop for Tab {
    fn drop(&mut self) {
        self.reading.abort();
    }
}

fn subscription(id: u32, topic: &str, args: &Value) -> Message {
    Message::text(json!({"id": id, "sub": topic, "args": args}).to_string())
}
