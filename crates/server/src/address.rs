//! Where this server is reached: what sensors, browsers and the CONNECT proxy go by.

use crate::config::Config;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::OnceLock;

/// Addresses that the listeners are bound to.
#[derive(Clone, Copy, Debug)]
pub struct Bound {
    /// TLS.
    pub tls: SocketAddr,
    /// Plain HTTP.
    pub http: Option<SocketAddr>,
    /// CONNECT proxy.
    pub proxy: Option<SocketAddr>,
    /// Metrics and health.
    pub metrics: Option<SocketAddr>,
}

/// What counts as one address: of IPv6 a network of 64 bits, which everyone who has an address has.
#[must_use]
pub fn counted(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from(u128::from(v6) & !u128::from(u64::MAX))),
        v4 => v4,
    }
}

/// Where this server is reached.
pub struct Address {
    /// `host:port` that its operator gave it.
    pub public: Option<String>,
    /// Names in its certificate, beside that.
    pub names: Vec<String>,
    bound: OnceLock<Bound>,
}

impl Address {
    /// As it is set up; the listeners are bound later.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self { public: config.public_address.clone(), names: config.names.clone(), bound: OnceLock::new() }
    }

    /// The listeners are bound; only the first time counts.
    pub fn bind(&self, bound: Bound) {
        let _ = self.bound.set(bound);
    }

    /// What was bound; `None` before that.
    #[must_use]
    pub fn bound(&self) -> Option<&Bound> {
        self.bound.get()
    }

    /// The address that sensors are told to connect to.
    #[must_use]
    pub fn for_sensors(&self) -> String {
        let bound = || self.bound().map(|bound| bound.tls.to_string()).unwrap_or_default();
        self.public.clone().unwrap_or_else(bound)
    }
}
