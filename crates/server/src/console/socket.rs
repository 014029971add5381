//! The live connection of a browser tab: one WebSocket for all that it shows.
//!
//! A tab subscribes to what is on its screen, `{"id":1,"sub":"targets","args":{…}}`, and ends it with
//! `{"id":1,"un":true}`. It is told `{"id":1,"rows":[…]}`, with the newest state of each row and four times a
//! second at most; `{"id":1,"gap":n}` if it missed `n` records; `{"id":1,"end":"why"}` if a subscription
//! cannot go on. The truth comes by HTTP: what is told here only saves asking again.
//!
//! Source: reference/console.md section 9.

mod topic;

use super::{Body, Console, Error};
use super::{origin, session};
use crate::access::Caller;
use crate::clock;
use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use http::header::{self, HeaderValue};
use http::uri::Scheme;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{self, Message};
use topic::Topic;

/// How often a tab is told what changed.
const TELL_EVERY: Duration = Duration::from_millis(250);

/// How often the session and its permissions are looked at again.
const CHECK_EVERY: Duration = Duration::from_secs(1);

/// A ping goes out this often, so that both sides and proxies between them see that the link is alive.
const PING_EVERY: Duration = Duration::from_secs(20);

/// A tab that takes nothing for this long is cut off; it connects again and asks for what it shows.
const WRITE_MAX: Duration = Duration::from_secs(10);

/// A tab that says nothing for this long, not even an answer to a ping, is gone.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// Subscriptions of one tab.
const SUBSCRIPTIONS_MAX: usize = 16;

/// Longest message of a tab, in bytes: a subscription names up to 400 sensors of 36 characters.
const MESSAGE_BYTES_MAX: usize = 32 * 1024;

/// Small buffers, because every open tab keeps them.
const BUFFER_BYTES: usize = 4 * 1024;

/// What may wait to be written before the tab is cut off, in bytes.
const WRITE_BUFFER_BYTES_MAX: usize = 1024 * 1024;

/// Close codes that the console understands. Source: RFC 6455 section 7.4.2 leaves 4000 to 4999 to applications.
const SIGNED_OUT: u16 = 4_401;

/// Answers the handshake, and serves the tab from then on.
///
/// # Errors
///
/// If there is no session, the page is another site's, or there are too many tabs.
pub async fn accept(
    console: &Arc<Console>,
    request: &mut Request<Incoming>,
    source: Option<IpAddr>,
) -> Result<Response<Body>, Error> {
    let accepted = handshake(console, request).await;
    if let Err(error) = &accepted {
        tracing::debug!(?source, %error, "a live connection was refused");
    }
    accepted
}

async fn handshake(console: &Arc<Console>, request: &mut Request<Incoming>) -> Result<Response<Body>, Error> {
    let headers = request.headers();
    let scheme = request.extensions().get::<Scheme>().unwrap_or(&Scheme::HTTP);
    origin::require_host(console, scheme, headers)?;
    // Browsers send no Sec-Fetch-Site here, and any page may open a WebSocket to any host.
    if !origin::has_own_origin(scheme, headers) {
        return Err(Error::ForeignPage("connection"));
    }
    let token = session::token_in(headers);
    let token = token.ok_or(Error::SignedOut)?;
    let caller = session::caller(console, &token, clock::now()).await?;
    let key = headers.get(header::SEC_WEBSOCKET_KEY);
    let key = key.ok_or(Error::NotWebSocket)?;
    let accept = derive_accept_key(key.as_bytes());
    let accept = HeaderValue::from_str(&accept).map_err(|error| Error::Fault(error.to_string()))?;
    let place = Arc::clone(&console.sockets).try_acquire_owned();
    let place = place.map_err(|_| Error::TooManySockets)?;
    let upgrade = hyper::upgrade::on(request);
    let console = Arc::clone(console);
    let jobs = console.jobs.clone();
    jobs.spawn_until_stop(async move {
        match upgrade.await {
            Ok(upgraded) => Tab::open(console, upgraded, caller, place).await.run().await,
            Err(error) => tracing::debug!(%error, "a live connection did not come about"),
        }
    });
    let mut response = Response::new(Full::new(Bytes::new()).map_err(|never| match never {}).boxed_unsync());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    Ok(response)
}

/// What a tab says.
#[derive(Deserialize)]
struct Said {
    id: u32,
    sub: Option<String>,
    #[serde(default)]
    args: Value,
    #[serde(default)]
    un: bool,
}

/// Why a connection ends; for the log alone.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error("the tab is gone")]
    Gone,
    #[error("the tab takes nothing")]
    Stuck,
    #[error(transparent)]
    Socket(#[from] tungstenite::Error),
    #[error("the session is over")]
    SignedOut,
}

/// An open tab.
struct Tab {
    console: Arc<Console>,
    socket: WebSocketStream<TokioIo<Upgraded>>,
    caller: Caller,
    topics: BTreeMap<u32, Topic>,
    heard_at: Instant,
    _place: OwnedSemaphorePermit,
}

impl Tab {
    async fn open(console: Arc<Console>, upgraded: Upgraded, caller: Caller, place: OwnedSemaphorePermit) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(BUFFER_BYTES)
            .write_buffer_size(BUFFER_BYTES)
            .max_write_buffer_size(WRITE_BUFFER_BYTES_MAX)
            .max_message_size(Some(MESSAGE_BYTES_MAX))
            .max_frame_size(Some(MESSAGE_BYTES_MAX));
        let socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, Some(config)).await;
        Self { console, socket, caller, topics: BTreeMap::new(), heard_at: Instant::now(), _place: place }
    }

    async fn run(mut self) {
        let ended = self.serve().await;
        tracing::debug!(reason = %ended, user = self.caller.identity, "a live connection ended");
        if matches!(ended, Ended::SignedOut) {
            let frame = CloseFrame { code: CloseCode::from(SIGNED_OUT), reason: "signed out".into() };
            let _ = timeout(WRITE_MAX, self.socket.close(Some(frame))).await;
        }
    }

    async fn serve(&mut self) -> Ended {
        let mut tell = interval(TELL_EVERY);
        let mut check = interval(CHECK_EVERY);
        let mut ping = interval(PING_EVERY);
        for ticks in [&mut tell, &mut check, &mut ping] {
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        }
        loop {
            let done = tokio::select! {
                message = self.socket.next() => match message {
                    Some(Ok(message)) => self.hear(&message).await,
                    Some(Err(error)) => Err(error.into()),
                    None => Err(Ended::Gone),
                },
                _ = tell.tick() => self.tell().await,
                _ = check.tick() => self.check().await,
                _ = ping.tick() => self.send(Message::Ping(Bytes::new())).await,
            };
            if let Err(ended) = done {
                return ended;
            }
        }
    }

    async fn hear(&mut self, message: &Message) -> Result<(), Ended> {
        self.heard_at = Instant::now();
        let text = match message {
            Message::Text(text) => text,
            Message::Close(_) => return Err(Ended::Gone),
            _ => return Ok(()),
        };
        let said: Said = match serde_json::from_str(text) {
            Ok(said) => said,
            Err(error) => return self.say(&json!({"id": 0, "end": format!("not understood: {error}")})).await,
        };
        if said.un {
            self.topics.remove(&said.id);
            return Ok(());
        }
        let name = said.sub.as_deref().unwrap_or_default();
        let opened = if self.topics.len() >= SUBSCRIPTIONS_MAX && !self.topics.contains_key(&said.id) {
            Err(format!("a tab has at most {SUBSCRIPTIONS_MAX} subscriptions"))
        } else {
            Topic::open(&self.console, &self.caller, name, &said.args)
        };
        match opened {
            Ok(topic) => {
                self.topics.insert(said.id, topic);
                Ok(())
            }
            Err(why) => {
                self.topics.remove(&said.id);
                self.say(&json!({"id": said.id, "end": why})).await
            }
        }
    }

    async fn tell(&mut self) -> Result<(), Ended> {
        let mut news = Vec::new();
        for (id, topic) in &mut self.topics {
            let gap = topic.take_gap();
            if gap > 0 {
                news.push(json!({"id": id, "gap": gap}).to_string());
            }
            let rows = topic.news();
            if !rows.is_empty() {
                news.push(format!("{{\"id\":{id},\"rows\":[{}]}}", rows.join(",")));
            }
        }
        for text in news {
            self.send(Message::Text(text.into())).await?;
        }
        Ok(())
    }

    /// A session that was ended ends its tabs; a permission that was taken ends what needed it.
    async fn check(&mut self) -> Result<(), Ended> {
        if self.heard_at.elapsed() > SILENCE_MAX {
            return Err(Ended::Gone);
        }
        let known = session::known(&self.console, &self.caller.credential, clock::now());
        let (caller, _) = known.map_err(|_| Ended::SignedOut)?;
        let lost: Vec<u32> =
            self.topics.iter().filter(|(_, topic)| !topic.is_allowed(&caller)).map(|(id, _)| *id).collect();
        self.caller = caller;
        for id in lost {
            self.topics.remove(&id);
            self.say(&json!({"id": id, "end": "you may not see this any more"})).await?;
        }
        Ok(())
    }

    async fn say(&mut self, value: &Value) -> Result<(), Ended> {
        self.send(Message::Text(value.to_string().into())).await
    }

    async fn send(&mut self, message: Message) -> Result<(), Ended> {
        match timeout(WRITE_MAX, self.socket.send(message)).await {
            Ok(sent) => Ok(sent?),
            Err(_) => Err(Ended::Stuck),
        }
    }
}
