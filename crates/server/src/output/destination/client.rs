//! Calls of destinations that others chose: no redirects, no proxy, nothing unpacked, bounded in time and in size.
//!
//! A call drives its connection itself: what comes wakes whoever waits for it, and nothing is handed from one job to another.
//! Between calls nobody looks at a connection. That it was closed meanwhile, whoever takes it up again learns before anything
//! is sent, and takes another.

use super::connection::{Answer, Connection, Ended, Outgoing};
use super::{CONNECT_MAX, HostPort, Names, System, allowed, place_of, verified};
use crate::clock;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use http::header::{ACCEPT, AUTHORIZATION, HOST, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri};
use http_body_util::Full;
use muster_model::causes;
use parking_lot::Mutex;
use percent_encoding::percent_decode_str;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use socket2::{SockRef, TcpKeepalive};
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;
use url::{Position, Url};

/// How long one address is tried before the next one is too: one that does not answer holds up none that does.
const HEAD_START: Duration = Duration::from_millis(250);

/// How often the other end of a connection is asked whether it is there, while it says nothing.
const KEEPALIVE: Duration = Duration::from_secs(15);

/// Connections to one place that are kept between calls, some 10 kB each.
const IDLE_MAX: usize = 32;

/// For how long one is kept. Receivers commonly close theirs after a minute or two.
const IDLE_FOR_MAX: Duration = Duration::from_secs(90);

/// Places in memory, some 500 bytes each without their connections; beyond, all are forgotten.
const PLACES_MAX: usize = 10_000;

/// Who calls, if nothing else is said.
const NAME: HeaderValue = HeaderValue::from_static(concat!("muster/", env!("CARGO_PKG_VERSION")));

/// What is posted, and what is waited for.
pub struct Post {
    /// Header fields, besides those that every call has.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The body.
    pub body: Bytes,
    /// Bounds all of it, the body of the answer included.
    pub within: Duration,
    /// Largest body of an answer; `None` looks at none.
    pub bytes_max: Option<usize>,
}

/// An HTTP client for destinations that others chose. It keeps its connections.
pub struct Guarded<N = System> {
    names: N,
    allow_private: bool,
    tls: TlsConnector,
    /// By URL.
    places: Mutex<HashMap<String, Arc<Place>>>,
}

/// Where a URL leads, and the connections to there that no call uses now.
struct Place {
    at: HostPort,
    /// The name in its certificate; `None` without TLS.
    name: Option<ServerName<'static>>,
    path: Uri,
    host: HeaderValue,
    authorization: Option<HeaderValue>,
    /// With when each was left.
    idle: Mutex<Vec<(Duration, Connection)>>,
}

impl Guarded {
    /// A client for public addresses, or for any.
    ///
    /// # Errors
    ///
    /// If the trusted certificates of the system cannot be read.
    pub fn new(allow_private: bool) -> Result<Self, String> {
        Self::knowing(System, allow_private)
    }
}

impl<N: Names> Guarded<N> {
    pub(super) fn knowing(names: N, allow_private: bool) -> Result<Self, String> {
        let tls = verified().map_err(|error| causes(&error))?;
        Ok(Self::trusting(names, allow_private, tls))
    }

    pub(super) fn trusting(names: N, allow_private: bool, mut tls: ClientConfig) -> Self {
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        Self { names, allow_private, tls: TlsConnector::from(Arc::new(tls)), places: Mutex::default() }
    }

    /// Posts something.
    ///
    /// # Errors
    ///
    /// Why there is no answer, without the URL: that may hold a secret.
    ///
    /// # Cancel safety
    ///
    /// A call that is dropped may have reached the other side.
    pub async fn post(&self, url: &str, post: Post) -> Result<Answer, String> {
        let place = self.place(url)?;
        let Post { headers, body, within, bytes_max } = post;
        let request = place.request(headers, body);
        let called = timeout(within, self.call(&place, request, bytes_max)).await;
        called.unwrap_or_else(|_| Err("the call timed out".to_owned()))
    }

    async fn call(
        &self,
        place: &Place,
        mut request: Request<Outgoing>,
        bytes_max: Option<usize>,
    ) -> Result<Answer, String> {
        loop {
            let kept = place.take(clock::since_boot());
            let is_kept = kept.is_some();
            let mut connection = match kept {
                Some(kept) => kept,
                // Boxed: most calls need none, and have no room for it then.
                None => Box::pin(self.connect(place)).await?,
            };
            match connection.exchange(request, bytes_max).await {
                Ok(answer) => {
                    place.keep(connection, clock::since_boot());
                    return Ok(answer);
                }
                Err(Ended::Unsent(unsent)) if is_kept => request = *unsent,
                Err(Ended::Unsent(_)) => return Err("the other side closed the connection".to_owned()),
                Err(Ended::Because(reason)) => return Err(reason),
            }
        }
    }

    /// Addresses are resolved and checked here, and the connection goes to what was checked: there is no check before, that
    /// could be outdated.
    async fn connect(&self, place: &Place) -> Result<Connection, String> {
        let connecting = async {
            let addresses = allowed(&self.names, &place.at, self.allow_private).await;
            let stream = first_of(addresses.map_err(|error| error.to_string())?).await.map_err(unconnected)?;
            let _ = stream.set_nodelay(true);
            let keepalive = TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE);
            let _ = SockRef::from(&stream).set_tcp_keepalive(&keepalive);
            match &place.name {
                None => Connection::begin(Box::new(stream)).await,
                Some(name) => {
                    let stream = self.tls.connect(name.clone(), stream).await.map_err(unconnected)?;
                    Connection::begin(Box::new(stream)).await
                }
            }
        };
        timeout(CONNECT_MAX, connecting).await.unwrap_or_else(|_| Err("no connection: it timed out".to_owned()))
    }

    fn place(&self, url: &str) -> Result<Arc<Place>, String> {
        let mut places = self.places.lock();
        if let Some(place) = places.get(url) {
            return Ok(Arc::clone(place));
        }
        let place = Arc::new(Place::of(url)?);
        if places.len() >= PLACES_MAX {
            places.clear();
        }
        places.insert(url.to_owned(), Arc::clone(&place));
        Ok(place)
    }

    /// Closes connections that were not used for long, and forgets places without one.
    pub fn tidy(&self) {
        let now = clock::since_boot();
        self.places.lock().retain(|_, place| {
            let mut idle = place.idle.lock();
            idle.retain(|(since, _)| is_young(*since, now));
            !idle.is_empty() || Arc::strong_count(place) > 1
        });
    }
}

fn unconnected(error: io::Error) -> String {
    format!("no connection: {}", causes(&error))
}

fn is_young(since: Duration, now: Duration) -> bool {
    now.saturating_sub(since) < IDLE_FOR_MAX
}

impl Place {
    fn of(url: &str) -> Result<Self, String> {
        let url = Url::parse(url).map_err(|error| error.to_string())?;
        let at = place_of(&url);
        let invalid = |error: http::Error| error.to_string();
        let name = match url.scheme() {
            "https" => Some(ServerName::try_from(at.host.clone()).map_err(|error| error.to_string())?),
            _ => None,
        };
        let path = Uri::try_from(&url[Position::BeforePath..Position::AfterQuery]);
        let host = HeaderValue::from_str(&url[Position::BeforeHost..Position::AfterPort]);
        Ok(Self {
            at,
            name,
            path: path.map_err(|error| invalid(error.into()))?,
            host: host.map_err(|error| invalid(error.into()))?,
            authorization: authorization(&url),
            idle: Mutex::default(),
        })
    }

    fn request(&self, headers: Vec<(HeaderName, HeaderValue)>, body: Bytes) -> Request<Outgoing> {
        let mut request = Request::new(Full::new(body));
        (*request.method_mut(), *request.uri_mut()) = (Method::POST, self.path.clone());
        let mut all = HeaderMap::with_capacity(headers.len() + 5);
        all.insert(HOST, self.host.clone());
        all.insert(ACCEPT, HeaderValue::from_static("*/*"));
        all.insert(USER_AGENT, NAME);
        if let Some(authorization) = &self.authorization {
            all.insert(AUTHORIZATION, authorization.clone());
        }
        for (name, value) in headers {
            all.insert(name, value);
        }
        *request.headers_mut() = all;
        request
    }

    /// The connection that was left last: of those, most are open yet.
    fn take(&self, now: Duration) -> Option<Connection> {
        let mut idle = self.idle.lock();
        while let Some((since, connection)) = idle.pop() {
            if is_young(since, now) && connection.is_ready() {
                return Some(connection);
            }
        }
        None
    }

    fn keep(&self, connection: Connection, now: Duration) {
        if connection.is_ready() {
            let mut idle = self.idle.lock();
            if idle.len() < IDLE_MAX {
                idle.push((now, connection));
            }
        }
    }
}

/// What a user and a password in a URL say to the other side.
fn authorization(url: &Url) -> Option<HeaderValue> {
    let password = url.password().unwrap_or_default();
    if url.username().is_empty() && password.is_empty() {
        return None;
    }
    let mut both: Vec<u8> = percent_decode_str(url.username()).collect();
    both.push(b':');
    both.extend(percent_decode_str(password));
    let mut value = HeaderValue::try_from(format!("Basic {}", BASE64.encode(both))).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// The first of these addresses that takes a connection.
async fn first_of(addresses: Vec<SocketAddr>) -> io::Result<TcpStream> {
    let (mut untried, mut tried) = (addresses.into_iter().peekable(), FuturesUnordered::new());
    let mut refused = io::Error::from(io::ErrorKind::AddrNotAvailable);
    loop {
        match untried.next() {
            Some(address) => tried.push(TcpStream::connect(address)),
            None if tried.is_empty() => return Err(refused),
            None => {}
        }
        tokio::select! {
            Some(connected) = tried.next() => match connected {
                Ok(stream) => return Ok(stream),
                Err(error) => refused = error,
            },
            () = sleep(HEAD_START), if untried.peek().is_some() => {}
        }
    }
}
