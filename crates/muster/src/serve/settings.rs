//! The file of `muster serve`, and the variables that override it.

use crate::exit::Usage;
use anyhow::{Context as _, anyhow};
use muster_server::config::{Config, Limits, LiveLimits};
use muster_server::sealing::KeyFrom;
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

/// A form with a rule of usual length must fit, in bytes.
const BODY_BYTES_MIN: u64 = 64 * 1024;

/// A quarter of them is for one address, and that must be one.
const HANDSHAKES_MIN: u64 = 4;

/// One event of the largest size must fit, in bytes.
const RETENTION_BYTES_MIN: u64 = 16 << 20;

/// An empty store and its indexes, with room for the first sensors, in bytes.
const STORE_BYTES_MIN: u64 = 4 << 20;

/// All options; `docs/muster.toml` describes them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Directory of the database, the private CA, payloads and artifacts.
    pub data_dir: PathBuf,
    listen: SocketAddr,
    #[serde(skip_serializing_if = "Option::is_none")]
    http: Option<SocketAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    proxy: Option<SocketAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metrics: Option<SocketAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    public_address: Option<String>,
    names: Vec<String>,
    require_targeting: bool,
    allow_private_destinations: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    sealing_key_file: Option<PathBuf>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    sealing_key_command: Vec<String>,
    limits: LimitSettings,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct LimitSettings {
    body_bytes: usize,
    handshakes: usize,
    connections: usize,
    connections_per_address: usize,
    sensor_quota: u32,
    enrolments_per_minute: u32,
    events_per_minute: u32,
    retention_days: u32,
    retention_bytes: u64,
    store_bytes: u64,
    calls_per_minute: u32,
    file_bytes: u64,
    live_sessions: usize,
    live_check_in_s: u32,
    live_session_s: u32,
    live_bytes: u64,
}

/// Names of the options at the top of the file, for the variables.
const OPTIONS: [&str; 11] = [
    "data_dir",
    "listen",
    "http",
    "proxy",
    "metrics",
    "public_address",
    "names",
    "require_targeting",
    "allow_private_destinations",
    "sealing_key_file",
    "sealing_key_command",
];

const LIMITS: [&str; 16] = [
    "body_bytes",
    "handshakes",
    "connections",
    "connections_per_address",
    "sensor_quota",
    "enrolments_per_minute",
    "events_per_minute",
    "retention_days",
    "retention_bytes",
    "store_bytes",
    "calls_per_minute",
    "file_bytes",
    "live_sessions",
    "live_check_in_s",
    "live_session_s",
    "live_bytes",
];

impl Default for Settings {
    fn default() -> Self {
        Self {
            data_dir: "/var/lib/muster".into(),
            listen: SocketAddr::from((Ipv4Addr::UNSPECIFIED, 8443)),
            http: None,
            proxy: None,
            metrics: None,
            public_address: None,
            names: Vec::new(),
            require_targeting: false,
            allow_private_destinations: false,
            sealing_key_file: None,
            sealing_key_command: Vec::new(),
            limits: LimitSettings::default(),
        }
    }
}

impl Default for LimitSettings {
    fn default() -> Self {
        let limits = Limits::default();
        Self {
            body_bytes: limits.body_bytes,
            handshakes: limits.handshakes,
            connections: limits.connections,
            connections_per_address: limits.connections_per_address,
            sensor_quota: limits.sensor_quota,
            enrolments_per_minute: limits.enrolments_per_minute,
            events_per_minute: limits.events_per_minute,
            retention_days: limits.retention_days,
            retention_bytes: limits.retention_bytes,
            store_bytes: limits.store_bytes,
            calls_per_minute: limits.calls_per_minute,
            file_bytes: limits.file_bytes,
            live_sessions: limits.live.sessions,
            live_check_in_s: limits.live.check_in_s,
            live_session_s: limits.live.session_s,
            live_bytes: limits.live.bytes,
        }
    }
}

impl Settings {
    /// Reads a file; a variable overrides the option of its name, an empty one takes it away.
    ///
    /// # Errors
    ///
    /// Names the line or the variable that is wrong.
    pub fn read(path: &Path, variable: &dyn Fn(&str) -> Option<String>) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let checked = Self::parse(&text, variable).and_then(|settings| settings.check().map(|()| settings));
        checked.with_context(|| path.display().to_string())
    }

    fn parse(text: &str, variable: &dyn Fn(&str) -> Option<String>) -> anyhow::Result<Self> {
        let wrong = |error: toml::de::Error| anyhow!(Usage(error.to_string().trim_end().to_owned()));
        // Once as it stands, for errors that name a line; then with the variables.
        toml::from_str::<Self>(text).map_err(wrong)?;
        let mut table: toml::Table = toml::from_str(text).map_err(wrong)?;
        for option in OPTIONS {
            overlay(&mut table, option, variable(&format!("MUSTER_{}", option.to_ascii_uppercase())));
        }
        let limits = table.entry("limits").or_insert_with(|| toml::Value::Table(toml::Table::new()));
        if let toml::Value::Table(limits) = limits {
            for option in LIMITS {
                overlay(limits, option, variable(&format!("MUSTER_LIMITS_{}", option.to_ascii_uppercase())));
            }
        }
        let settings: Self =
            table.try_into().map_err(|error| anyhow!(Usage(format!("a variable MUSTER_… is wrong: {error}"))))?;
        if settings.listen.ip().is_unspecified() && settings.public_address.is_none() {
            let what = "public_address is needed, since listen names no address: the host:port by which sensors reach this server";
            return Err(Usage(what.into()).into());
        }
        Ok(settings)
    }

    /// For the server; `data_dir` is the absolute path of the one that was taken.
    pub fn config(&self, data_dir: PathBuf) -> Config {
        Config {
            sealing_key: self.sealing_key(&data_dir),
            data_dir,
            listen: self.listen,
            http: self.http,
            proxy: self.proxy,
            metrics: self.metrics,
            public_address: self.public_address.clone(),
            names: self.names.clone(),
            limits: Limits {
                body_bytes: self.limits.body_bytes,
                handshakes: self.limits.handshakes,
                connections: self.limits.connections,
                connections_per_address: self.limits.connections_per_address,
                sensor_quota: self.limits.sensor_quota,
                enrolments_per_minute: self.limits.enrolments_per_minute,
                events_per_minute: self.limits.events_per_minute,
                retention_days: self.limits.retention_days,
                retention_bytes: self.limits.retention_bytes,
                store_bytes: self.limits.store_bytes,
                calls_per_minute: self.limits.calls_per_minute,
                file_bytes: self.limits.file_bytes,
                live: LiveLimits {
                    sessions: self.limits.live_sessions,
                    check_in_s: self.limits.live_check_in_s,
                    session_s: self.limits.live_session_s,
                    bytes: self.limits.live_bytes,
                    ..LiveLimits::default()
                },
            },
            require_targeting: self.require_targeting,
            allow_private_destinations: self.allow_private_destinations,
            new_authority: false,
        }
    }

    fn sealing_key(&self, data_dir: &Path) -> KeyFrom {
        match (&self.sealing_key_file, self.sealing_key_command.as_slice()) {
            (Some(file), _) => KeyFrom::File(file.clone()),
            (None, []) => KeyFrom::beside(data_dir),
            (None, command) => KeyFrom::Command(command.to_vec()),
        }
    }

    /// Refuses what a server could not work with.
    fn check(&self) -> anyhow::Result<()> {
        let both = self.sealing_key_file.is_some() && !self.sealing_key_command.is_empty();
        let both = both.then(|| "sealing_key_file and sealing_key_command exclude each other".to_owned());
        let wrong: Vec<String> = self.wrong_names().chain(self.limits.wrong()).chain(both).collect();
        if wrong.is_empty() { Ok(()) } else { Err(Usage(wrong.join("; ")).into()) }
    }

    fn wrong_names(&self) -> impl Iterator<Item = String> {
        let address = self.public_address.iter().filter(|address| !is_address(address)).map(|address| {
            format!("public_address = {address:?} must be HOST:PORT, by which sensors reach this server")
        });
        let names = self.names.iter().filter(|name| !is_name(name));
        address.chain(names.map(|name| format!("names: {name:?} is neither a host name nor an address")))
    }
}

/// Whether it can stand in a certificate: an address, or a host name, whose first part may be `*`.
fn is_name(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(is_plain)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let host = name.strip_prefix("*.").unwrap_or(name);
    name.parse::<IpAddr>().is_ok() || (name.len() <= 253 && host.split('.').all(is_label))
}

fn is_address(address: &str) -> bool {
    address.rsplit_once(':').is_some_and(|(host, port)| {
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        is_name(host) && !host.starts_with('*') && port.parse::<u16>().is_ok_and(|port| port != 0)
    })
}

impl LimitSettings {
    /// Numbers with which nothing works any more.
    fn wrong(&self) -> impl Iterator<Item = String> {
        let least: [(&str, u64, u64); 8] = [
            ("body_bytes", self.body_bytes as u64, BODY_BYTES_MIN),
            ("handshakes", self.handshakes as u64, HANDSHAKES_MIN),
            ("connections", self.connections as u64, 1),
            ("connections_per_address", self.connections_per_address as u64, 1),
            ("retention_days", u64::from(self.retention_days), 1),
            ("retention_bytes", self.retention_bytes, RETENTION_BYTES_MIN),
            // 0 is no limit.
            ("store_bytes", if self.store_bytes == 0 { u64::MAX } else { self.store_bytes }, STORE_BYTES_MIN),
            ("file_bytes", self.file_bytes, 1),
        ];
        let too_small = least.into_iter().filter(|(_, have, least)| have < least);
        too_small.map(|(name, have, least)| format!("limits.{name} = {have} is too little: at least {least}"))
    }
}

/// Numbers, truth values and lists as TOML writes them; anything else is text.
fn overlay(table: &mut toml::Table, option: &str, variable: Option<String>) {
    let Some(text) = variable else { return };
    if text.is_empty() {
        table.remove(option);
        return;
    }
    let parsed: Option<toml::Table> = toml::from_str(&format!("value = {text}")).ok();
    let value = parsed.and_then(|mut table| table.remove("value")).unwrap_or(toml::Value::String(text));
    table.insert(option.to_owned(), value);
}

impl Settings {
    /// What may be meant and is dangerous: keys and tokens that travel where others can read them.
    pub fn warnings(&self) -> Vec<String> {
        let is_open = |address: &SocketAddr| !address.ip().is_loopback();
        let http = self.http.filter(is_open).map(|address| {
            format!(
                "http = \"{address}\" is plain HTTP on other than loopback: API keys, tokens and payloads can be read on \
                 the way; use the TLS address, or put a proxy with TLS in front of 127.0.0.1"
            )
        });
        let proxy = self.proxy.filter(is_open).map(|address| {
            format!(
                "proxy = \"{address}\" lets other machines use the compatibility proxy: it leads to this server alone, \
                 but is meant for clients on the same machine"
            )
        });
        let metrics = self.metrics.filter(is_open).map(|address| {
            format!(
                "metrics = \"{address}\" tells the figures of the whole server to every machine that reaches it, without a \
                 token; use loopback, or a network that only operators reach"
            )
        });
        http.into_iter().chain(proxy).chain(metrics).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNSET: &dyn Fn(&str) -> Option<String> = &|_| None;

    /// The described file is what operators copy: it must be valid, tell the true
    /// defaults, and leave no option out.
    #[test]
    fn the_described_file_tells_the_defaults_of_every_option() {
        let described = include_str!("../../../../docs/muster.toml");
        let parsed = Settings::parse(described, UNSET).unwrap();
        let public_address = Some("muster.example.org:8443".to_owned());
        assert_eq!(parsed, Settings { public_address, ..Settings::default() });
        let undescribed: Vec<_> = OPTIONS
            .iter()
            .chain(&LIMITS)
            .filter(|o| !described.contains(&format!("\n{o} = ")) && !described.contains(&format!("\n# {o} = ")))
            .collect();
        assert!(undescribed.is_empty(), "{undescribed:?}");
    }

    /// An option without a variable, or a variable without an option, shows here.
    #[test]
    fn every_option_can_be_given_by_a_variable() {
        let value = |name: &str| match name {
            "MUSTER_LISTEN" | "MUSTER_HTTP" | "MUSTER_PROXY" | "MUSTER_METRICS" => "127.0.0.1:9".to_owned(),
            "MUSTER_DATA_DIR" | "MUSTER_PUBLIC_ADDRESS" | "MUSTER_SEALING_KEY_FILE" => "somewhere".to_owned(),
            "MUSTER_NAMES" | "MUSTER_SEALING_KEY_COMMAND" => "['a', 'b']".to_owned(),
            "MUSTER_REQUIRE_TARGETING" | "MUSTER_ALLOW_PRIVATE_DESTINATIONS" => "true".to_owned(),
            _ => "7".to_owned(),
        };
        let settings = Settings::parse("", &|name| Some(value(name))).unwrap();
        let written = toml::Table::try_from(&settings).unwrap();
        let defaults = toml::Table::try_from(Settings::default()).unwrap();
        assert_eq!(written.len(), OPTIONS.len() + 1, "every option is set, and nothing else");
        for option in OPTIONS {
            assert_ne!(written.get(option), defaults.get(option), "{option}");
        }
        let limits = written["limits"].as_table().unwrap();
        assert!(limits.len() == LIMITS.len() && limits.values().all(|value| value.as_integer() == Some(7)));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let error = |text: &str| format!("{:#}", Settings::parse(text, UNSET).unwrap_err());
        assert!(error("lissten = '127.0.0.1:1'").contains("lissten"));
        assert!(error("[limits]\nfoo = 1").contains("foo"));
        assert!(error("listen = 7").contains("listen"));
        assert!(error("listen = '0.0.0.0:8443'").contains("public_address"));
    }

    #[test]
    fn five_10_names_sizes_and_counts_that_cannot_work_are_refused() {
        let error = |text: &str| {
            let checked = Settings::parse(&format!("listen = '127.0.0.1:1'\n{text}"), UNSET).unwrap().check();
            checked.err().map(|error| error.to_string()).unwrap_or_default()
        };
        for name in ["not a name!", "", "-a.example.org", "a..b", "*"] {
            assert!(error(&format!("names = [{name:?}]")).contains("neither a host name"), "{name:?}");
        }
        assert_eq!(error("names = ['*.example.org', 'muster', '192.0.2.1', '2001:db8::1']"), "");
        for address in ["muster.example.org", "a b:1", "host:0", "host:99999", ":8443"] {
            assert!(error(&format!("public_address = {address:?}")).contains("HOST:PORT"), "{address:?}");
        }
        assert_eq!(error("public_address = '[2001:db8::1]:8443'"), "");
        let counts = ["body_bytes", "handshakes", "connections", "connections_per_address", "retention_days"];
        for limit in counts.into_iter().chain(["retention_bytes", "file_bytes"]) {
            assert!(error(&format!("[limits]\n{limit} = 0")).contains(limit), "{limit}");
        }
        assert_eq!(error("[limits]\nstore_bytes = 0\nsensor_quota = 0\ncalls_per_minute = 0"), "");
        assert!(error("[limits]\nstore_bytes = 4096").contains("store_bytes"));
    }

    #[test]
    fn two_12_plain_http_and_the_proxy_on_other_than_loopback_are_warned_of() {
        let listen = "listen = \"127.0.0.1:8443\"\n";
        let of = |text: &str| Settings::parse(&format!("{listen}{text}"), UNSET).unwrap().warnings();
        assert_eq!(of("http = \"127.0.0.1:9090\"\nproxy = \"[::1]:9443\""), Vec::<String>::new());
        let open = "http = \"0.0.0.0:9090\"\nproxy = \"192.0.2.1:9443\"\nmetrics = \"[::]:9464\"";
        let warnings = of(open);
        let told = ["plain HTTP", "compatibility proxy", "figures of the whole server"];
        assert!(warnings.iter().zip(told).all(|(warning, what)| warning.contains(what)), "{warnings:?}");
        assert_eq!(warnings.len(), told.len());
    }

    /// The program gives it 1.2.
    #[test]
    fn two_12_the_unit_of_the_server_is_hardened() {
        let unit = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/muster.service");
        let analyze = std::process::Command::new("systemd-analyze")
            .args(["security", "--offline=true", "--threshold=25", "--no-pager", unit])
            .output();
        match analyze {
            Ok(output) => assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout)),
            Err(error) => println!("NOT CHECKED: systemd-analyze, of the package systemd: {error}"),
        }
    }
}
