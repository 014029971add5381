//! Where the server may connect to on behalf of an organization.
//!
//! Names are resolved here, and connections go to the addresses that were
//! checked: a name that changes its mind between the check and the connection
//! gains nothing. Source: reference/events.md section 11.

use muster_model::causes;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Client, RequestBuilder, Response, Url};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;
use tokio::time::timeout;

/// A connection must be made in this time.
const CONNECT_MAX: Duration = Duration::from_secs(10);

/// A name must be resolved in this time.
const RESOLVE_MAX: Duration = Duration::from_secs(10);

/// Why a destination cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Unreachable {
    /// The server is set up not to connect there.
    #[error("{0} is a private address, which this server does not allow")]
    Private(IpAddr),
    /// The name has no address now.
    #[error("{0} does not resolve")]
    Unknown(String),
}

/// A host name or address, and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPort {
    /// Name or address; IPv6 without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
}

impl HostPort {
    /// Reads `host:port` or `[address]:port`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let is_plain = |host: &str| {
            !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
        };
        let host = match bare {
            Some(address) => address.parse::<Ipv6Addr>().ok().map(|address| address.to_string())?,
            None if is_plain(host) => host.to_owned(),
            None => return None,
        };
        Some(Self { host, port: port.parse().ok().filter(|port| *port > 0)? })
    }
}

/// The addresses of a destination, all of them allowed.
///
/// # Errors
///
/// [`Unreachable`] says which address is not allowed, or which name is unknown.
pub async fn resolve(to: &HostPort, allow_private: bool) -> Result<Vec<SocketAddr>, Unreachable> {
    let unknown = || Unreachable::Unknown(to.host.clone());
    let found = timeout(RESOLVE_MAX, tokio::net::lookup_host((to.host.as_str(), to.port))).await;
    let addresses: Vec<SocketAddr> = found.map_err(|_| unknown())?.map_err(|_| unknown())?.collect();
    if addresses.is_empty() {
        return Err(unknown());
    }
    match addresses.iter().find(|address| !allow_private && !is_public(address.ip())) {
        Some(private) => Err(Unreachable::Private(private.ip())),
        None => Ok(addresses),
    }
}

/// Whether an address belongs to the public internet.
#[must_use]
pub fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => is_public_v6(ip),
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    let is_shared = a == 100 && (64..128).contains(&b);
    let is_benchmark = a == 198 && (b == 18 || b == 19);
    let is_protocol = (a, b, c) == (192, 0, 0);
    !(ip.is_private()
        || ip.is_loopback()
        || ip.is_link_local()
        || ip.is_documentation()
        || is_shared
        || is_benchmark
        || is_protocol
        || a == 0
        || a >= 224)
}

fn is_public_v6(ip: Ipv6Addr) -> bool {
    let segments = ip.segments();
    let low = Ipv4Addr::from((u32::from(segments[6]) << 16) | u32::from(segments[7]));
    match segments {
        // IPv4 in disguise: mapped, and the translation prefix.
        [0, 0, 0, 0, 0, 0xffff, ..] | [0x64, 0xff9b, 0, 0, 0, 0, ..] => is_public_v4(low),
        [0x2002, high, next, ..] => is_public_v4(Ipv4Addr::from((u32::from(high) << 16) | u32::from(next))),
        [0x2001, 0xdb8, ..] => false,
        // Only 2000::/3 is given out; the rest is loopback, local, multicast or reserved.
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

/// Resolves for the HTTP client.
struct Resolver {
    allow_private: bool,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (to, allow_private) = (HostPort { host: name.as_str().to_owned(), port: 0 }, self.allow_private);
        Box::pin(async move {
            let addresses = resolve(&to, allow_private).await?;
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

/// An HTTP client for destinations that others chose: no redirects, no proxy, nothing unpacked, bounded in time.
pub struct Guarded {
    client: Client,
    allow_private: bool,
}

impl Guarded {
    /// A client that keeps its connections.
    ///
    /// # Errors
    ///
    /// If the trusted certificates of the system cannot be read.
    pub fn new(allow_private: bool) -> Result<Self, String> {
        let client = Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .connect_timeout(CONNECT_MAX)
            .dns_resolver(std::sync::Arc::new(Resolver { allow_private }))
            .user_agent(concat!("muster/", env!("CARGO_PKG_VERSION")))
            .build();
        Ok(Self { client: client.map_err(|error| causes(&error))?, allow_private })
    }

    /// Posts what `fill` makes of a request. `within` bounds all of it, the body of the answer included.
    ///
    /// # Errors
    ///
    /// Why there is no answer, without the URL: that may hold a secret.
    pub async fn post(
        &self,
        url: &Url,
        within: Duration,
        fill: impl FnOnce(RequestBuilder) -> RequestBuilder,
    ) -> Result<Response, String> {
        // An address in the URL is not resolved by the client, and so not looked at by its resolver.
        resolve(&place_of(url), self.allow_private).await.map_err(|error| error.to_string())?;
        let request = fill(self.client.post(url.clone()).timeout(within));
        request.send().await.map_err(|error| causes(&error.without_url()))
    }
}

/// Where a URL leads.
#[must_use]
pub fn place_of(url: &Url) -> HostPort {
    let host = url.host_str().unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    HostPort { host, port: url.port_or_known_default().unwrap_or(443) }
}

/// The body of an answer, as it is on the wire.
///
/// # Errors
///
/// If it has more than `bytes_max` bytes, or does not come to its end.
pub async fn body_of(mut response: Response, bytes_max: usize) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(|error| causes(&error.without_url()))? {
        if body.len() + piece.len() > bytes_max {
            return Err(format!("the answer has more than {bytes_max} bytes"));
        }
        body.extend_from_slice(&piece);
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_addresses_are_known_in_every_disguise() {
        let private = "127.0.0.1 10.1.2.3 172.16.0.1 192.168.1.1 169.254.169.254 100.64.0.1 0.0.0.0 255.255.255.255 \
                       224.0.0.1 198.18.0.1 192.0.0.1 ::1 :: fe80::1 fd00::1 ff02::1 ::ffff:10.0.0.1 ::127.0.0.1 \
                       64:ff9b::7f00:1 2002:7f00:1::1 2001:db8::1";
        for text in private.split_whitespace() {
            assert!(!is_public(text.parse().unwrap()), "{text}");
        }
        for text in "8.8.8.8 172.32.0.1 100.128.0.1 2606:4700::1111 ::ffff:8.8.8.8 64:ff9b::808:808".split_whitespace()
        {
            assert!(is_public(text.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn host_and_port() {
        let place = |text| HostPort::parse(text).map(|place| (place.host, place.port));
        assert_eq!(place("logs.example.com:514"), Some(("logs.example.com".into(), 514)));
        assert_eq!(place("[::1]:6514"), Some(("::1".into(), 6514)));
        for text in ["host", "host:", "host:0", "host:70000", ":514", "::1:514", "a b:1", "user@host:1"] {
            assert_eq!(place(text), None, "{text}");
        }
    }

    /// What a target does to a connection, and where it is.
    async fn target<F: Future<Output = ()> + Send>(
        behave: impl Fn(tokio::net::TcpStream) -> F + Send + 'static,
    ) -> (Url, tokio::task::JoinHandle<()>) {
        use tokio::io::AsyncReadExt as _;
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
        let serving = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                // A client takes no answer before it has asked.
                let _ = stream.read(&mut [0; 1_024]).await;
                behave(stream).await;
            }
        });
        (url, serving)
    }

    async fn asked(url: &Url, within: Duration) -> Result<Vec<u8>, String> {
        let client = Guarded::new(true).unwrap();
        let response = client.post(url, within, |request| request.body("{}")).await?;
        body_of(response, 1_000).await
    }

    const SHORT: Duration = Duration::from_millis(300);
    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn a_target_that_never_answers_or_sends_headers_forever_is_left_at_the_deadline() {
        use tokio::io::AsyncWriteExt as _;
        let (silent, one) = target(async |stream| {
            std::future::pending::<()>().await;
            drop(stream);
        })
        .await;
        let (slow, other) = target(async |mut stream| {
            while stream.write_all(b"h").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
        for url in [silent, slow] {
            assert!(timeout(LONG, asked(&url, SHORT)).await.expect("it ends by itself").is_err(), "{url}");
        }
        one.abort();
        other.abort();
    }

    #[tokio::test]
    async fn an_endless_answer_and_one_of_100_mb_are_not_read_to_their_end() {
        use tokio::io::AsyncWriteExt as _;
        for header in ["transfer-encoding: chunked", "content-length: 100000000"] {
            let (url, serving) = target(move |mut stream| async move {
                let head = format!("HTTP/1.1 200 OK\r\n{header}\r\n\r\n");
                let _ = stream.write_all(head.as_bytes()).await;
                while stream.write_all(b"10\r\n0123456789abcdef\r\n").await.is_ok() {}
            })
            .await;
            let refused = timeout(LONG, asked(&url, LONG)).await.expect("it ends by itself").unwrap_err();
            assert!(refused.contains("more than 1000 bytes"), "{refused}");
            serving.abort();
        }
    }

    #[tokio::test]
    async fn redirects_are_not_followed_and_nothing_is_unpacked() {
        use tokio::io::AsyncWriteExt as _;
        const PACKED: &[u8] = b"\x1f\x8b\x08\0\0\0\0\0";
        let (url, serving) = target(async |mut stream| {
            let head = "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-encoding: gzip\r\n";
            let _ = stream.write_all(format!("{head}content-length: {}\r\n\r\n", PACKED.len()).as_bytes()).await;
            let _ = stream.write_all(PACKED).await;
        })
        .await;
        assert_eq!(asked(&url, LONG).await, Ok(PACKED.to_vec()));
        serving.abort();
    }

    #[tokio::test]
    async fn a_private_address_is_refused_as_it_stands_and_behind_a_name() {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let client = Guarded::new(false).unwrap();
        for url in ["http://127.0.0.1:9/", "http://[::1]:9/", "http://localhost:9/", "http://[::ffff:10.0.0.1]:9/"] {
            let refused = client.post(&url.parse().unwrap(), LONG, |request| request).await.unwrap_err();
            assert!(refused.contains("is a private address"), "{url}: {refused}");
        }
    }
}
