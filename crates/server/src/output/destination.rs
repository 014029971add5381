//! Where the server may connect to on behalf of an organization.
//!
//! Names are resolved here, and connections go to the addresses that were
//! checked: a name that changes its mind between the check and the connection
//! gains nothing. Source: reference/events.md section 11.

mod client;
mod connection;
#[cfg(test)]
mod tests;

pub use client::{Guarded, Post};
pub use connection::Answer;

use rustls::ClientConfig;
use rustls_platform_verifier::Verifier;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;
use url::Url;

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
    allowed(&System, to, allow_private).await
}

/// Who knows the addresses of names.
pub trait Names: Send + Sync + 'static {
    /// The addresses of a name now; an address is its own.
    fn addresses(&self, of: &HostPort) -> impl Future<Output = io::Result<Vec<SocketAddr>>> + Send;
}

/// Whom the machine asks.
pub struct System;

impl Names for System {
    async fn addresses(&self, of: &HostPort) -> io::Result<Vec<SocketAddr>> {
        Ok(tokio::net::lookup_host((of.host.as_str(), of.port)).await?.collect())
    }
}

async fn allowed(names: &impl Names, to: &HostPort, allow_private: bool) -> Result<Vec<SocketAddr>, Unreachable> {
    let unknown = || Unreachable::Unknown(to.host.clone());
    let found = timeout(RESOLVE_MAX, names.addresses(to)).await;
    let addresses = found.map_err(|_| unknown())?.map_err(|_| unknown())?;
    if addresses.is_empty() {
        return Err(unknown());
    }
    addresses.iter().try_for_each(|address| check(address.ip(), allow_private))?;
    Ok(addresses)
}

fn check(address: IpAddr, allow_private: bool) -> Result<(), Unreachable> {
    if allow_private || is_public(address) { Ok(()) } else { Err(Unreachable::Private(address)) }
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
        // Documentation; and Teredo, in which the address of an IPv4 server is hidden.
        [0x2001, 0xdb8 | 0, ..] => false,
        // Only 2000::/3 is given out; the rest is loopback, local, multicast or reserved.
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

/// Where a URL leads.
#[must_use]
pub fn place_of(url: &Url) -> HostPort {
    let host = url.host_str().unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    HostPort { host, port: url.port_or_known_default().unwrap_or(443) }
}

/// TLS that trusts whom the system trusts.
///
/// # Errors
///
/// If the trusted certificates of the system cannot be read.
pub(super) fn verified() -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = Verifier::new(Arc::clone(&provider))?;
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(config.dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth())
}
