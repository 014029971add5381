//! How a server is set up; one validated value, made by the operator binary.

use crate::sealing::KeyFrom;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Everything a server must know before it starts.
#[derive(Clone, Debug)]
pub struct Config {
    /// Directory of the database, the private CA, payloads and artifacts.
    pub data_dir: PathBuf,
    /// TLS listener: sensors, REST API, streams. Port 0 picks a free one.
    pub listen: SocketAddr,
    /// Plain HTTP listener for the REST API; `None` is TLS only.
    pub http: Option<SocketAddr>,
    /// CONNECT listener for clients that know only the vendor's host names.
    pub proxy: Option<SocketAddr>,
    /// Listener for a Prometheus: `/metrics`, `/healthz`, `/readyz`, without tokens.
    pub metrics: Option<SocketAddr>,
    /// `host:port` by which sensors reach the TLS listener; default: the bound address.
    pub public_address: Option<String>,
    /// More names and addresses to put into the server certificate.
    pub names: Vec<String>,
    /// Bounds and retention.
    pub limits: Limits,
    /// Reject reliable tasks that name no target at all, as newer documents ask.
    pub require_targeting: bool,
    /// Let outputs and webhooks reach loopback and private addresses.
    pub allow_private_destinations: bool,
    /// Where the key comes from that seals secrets.
    pub sealing_key: KeyFrom,
    /// Make a new private CA if that of a data directory in use is gone. Every sensor must then enrol again.
    pub new_authority: bool,
}

/// The domain of the published service, whose names clients know that know no other server.
const PUBLISHED_DOMAIN: &str = "limacharlie.io";

/// Whether a host is one of the published service. Source: reference/rest-api.md section 2.2.
#[must_use]
pub fn is_published_host(host: &str) -> bool {
    host.strip_suffix(PUBLISHED_DOMAIN).is_some_and(|sub| sub.is_empty() || sub.ends_with('.'))
}

/// Bounds with a unit each; the defaults suit one machine with 10,000 sensors.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Longest request body of the REST API, in bytes.
    pub body_bytes: usize,
    /// TLS handshakes under way at once, a quarter of them for one address; more wait.
    pub handshakes: usize,
    /// HTTP connections at once; what comes beyond is refused. A quarter of the files that the process may open, if
    /// that is less.
    pub connections: usize,
    /// The same for one address (of IPv6: a network of 64 bits). Raise it if all clients come through one proxy.
    pub connections_per_address: usize,
    /// Online sensors per organization; 0 is no limit.
    pub sensor_quota: u32,
    /// Sensors that may enrol with one installation key in a minute; more are told to come back. 0 is no limit.
    pub enrolments_per_minute: u32,
    /// Events that one sensor may send in a minute; more wait on the sensor. 0 is no limit.
    pub events_per_minute: u32,
    /// Days that events, detections and audit records are kept.
    pub retention_days: u32,
    /// Bytes of kept records per organization and stream; beyond, the sensors that take most lose their oldest first.
    pub retention_bytes: u64,
    /// Bytes of the database file; 0 is no limit but the disk.
    pub store_bytes: u64,
    /// REST calls per credential in a minute; 0 is no limit.
    pub calls_per_minute: u32,
    /// Bytes of one payload or artifact.
    pub file_bytes: u64,
    /// Live sessions.
    pub live: LiveLimits,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes: 8 * 1024 * 1024,
            handshakes: 256,
            connections: 8_192,
            connections_per_address: 1_024,
            sensor_quota: 0,
            enrolments_per_minute: 1_000,
            events_per_minute: 300_000,
            retention_days: 30,
            retention_bytes: 4 * 1024 * 1024 * 1024,
            store_bytes: 0,
            calls_per_minute: 0,
            file_bytes: 4 * 1024 * 1024 * 1024,
            live: LiveLimits::default(),
        }
    }
}

/// Bounds of live sessions; the defaults are those of reference/live-response.md section 3.3.
#[derive(Clone, Debug)]
pub struct LiveLimits {
    /// Sessions at once, per organization.
    pub sessions: usize,
    /// Seconds that a sensor is waited for where the client does not say.
    pub check_in_s: u32,
    /// Seconds that a session may idle, and its sensor be away, where the client does not say.
    pub session_s: u32,
    /// How long a session is shown after it has ended, and its files are kept.
    pub shown: Duration,
    /// Bytes of one file.
    pub file_bytes: u64,
    /// Bytes of all files of an organization.
    pub bytes: u64,
    /// Files of one session.
    pub files: usize,
}

impl Default for LiveLimits {
    fn default() -> Self {
        Self {
            sessions: 100,
            check_in_s: 900,
            session_s: 900,
            shown: Duration::from_secs(3_600),
            file_bytes: 16 << 30,
            bytes: 64 << 30,
            files: 1_000,
        }
    }
}

impl Config {
    /// A configuration for one directory on loopback, with free ports.
    #[must_use]
    pub fn loopback(data_dir: PathBuf) -> Self {
        let free = SocketAddr::from(([127, 0, 0, 1], 0));
        Self {
            sealing_key: KeyFrom::beside(&data_dir),
            data_dir,
            listen: free,
            http: Some(free),
            proxy: Some(free),
            metrics: None,
            public_address: None,
            names: Vec::new(),
            limits: Limits::default(),
            require_targeting: false,
            allow_private_destinations: true,
            new_authority: false,
        }
    }
}
