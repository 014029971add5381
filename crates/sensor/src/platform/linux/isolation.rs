//! Isolation by a table of nftables that is the sensor's own.
//!
//! One ruleset is loaded in one transaction: either the endpoint is isolated with
//! its link exempt, or nothing changed. A drop in this table is final, whatever
//! other tables accept. Source: reference/sensor.md section 9.

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::SocketAddr;
use std::process::{Command, Stdio};

use crate::guard;
use crate::platform::shapes::IsolationError;

/// Name of the table.
const TABLE: &str = "inet muster";

/// Drops all traffic but loopback, what the network needs to stay up, and TCP with
/// these servers. Replaces an isolation in force.
///
/// # Errors
///
/// Any [`IsolationError`]; nothing changed then.
pub fn isolate(servers: &[SocketAddr]) -> Result<(), IsolationError> {
    if servers.is_empty() {
        return Err(IsolationError::NoExemption);
    }
    if let Some(objection) = guard::objection() {
        return Err(IsolationError::Refused(objection.to_owned()));
    }
    // Connections are reset at once where the kernel can; else they starve.
    match load(&ruleset(servers, true)) {
        Err(IsolationError::Refused(_)) => load(&ruleset(servers, false)),
        loaded => loaded,
    }
}

/// Ends the isolation; does nothing if there is none.
///
/// # Errors
///
/// Any [`IsolationError`]; the isolation is then still in force.
pub fn rejoin() -> Result<(), IsolationError> {
    // Adding the table first makes its deletion succeed either way.
    load(&format!("add table {TABLE}\ndelete table {TABLE}\n"))
}

fn ruleset(servers: &[SocketAddr], resets: bool) -> String {
    let (mut inbound, mut outbound) = (String::new(), String::new());
    for server in servers {
        let family = if server.is_ipv4() { "ip" } else { "ip6" };
        let (ip, port) = (server.ip(), server.port());
        // Writing to a String cannot fail.
        let _ = writeln!(inbound, "    {family} saddr {ip} tcp sport {port} accept");
        let _ = writeln!(outbound, "    {family} daddr {ip} tcp dport {port} accept");
    }
    let reset = if resets { "    meta l4proto tcp reject with tcp reset\n" } else { "" };
    let neighbours = "{ nd-neighbor-solicit, nd-neighbor-advert, nd-router-solicit, nd-router-advert }";
    format!(
        "add table {TABLE}
delete table {TABLE}
table {TABLE} {{
  chain inbound {{
    type filter hook input priority -300; policy drop;
    iifname \"lo\" accept
{inbound}    udp sport 67 udp dport 68 accept
    udp sport 547 udp dport 546 accept
    icmp type destination-unreachable accept
    icmpv6 type packet-too-big accept
    icmpv6 type {neighbours} accept
  }}
  chain outbound {{
    type filter hook output priority -300; policy drop;
    oifname \"lo\" accept
{outbound}    udp sport 68 udp dport 67 accept
    udp sport 546 udp dport 547 accept
    icmpv6 type {neighbours} accept
{reset}  }}
  chain through {{
    type filter hook forward priority -300; policy drop;
  }}
}}
"
    )
}

fn load(ruleset: &str) -> Result<(), IsolationError> {
    let spawned = ["nft", "/usr/sbin/nft", "/sbin/nft"].iter().find_map(|program| {
        let mut command = Command::new(program);
        command.args(["-f", "-"]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().ok()
    });
    let mut child = spawned.ok_or(IsolationError::NoProgram)?;
    if let Some(mut input) = child.stdin.take() {
        // If the program ended early, its status says why.
        let _ = input.write_all(ruleset.as_bytes());
    }
    let output = child.wait_with_output().map_err(|error| IsolationError::Refused(error.to_string()))?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    let line = text.lines().next().unwrap_or_default().to_owned();
    if text.contains("Operation not permitted") || text.contains("Permission denied") {
        Err(IsolationError::NoPermission(line))
    } else {
        Err(IsolationError::Refused(line))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_server_is_exempt_in_both_directions() {
        let servers = ["192.0.2.7:443".parse().unwrap(), "[2001:db8::1]:8443".parse().unwrap()];
        let rules = ruleset(&servers, false);
        for line in [
            "ip saddr 192.0.2.7 tcp sport 443 accept",
            "ip daddr 192.0.2.7 tcp dport 443 accept",
            "ip6 daddr 2001:db8::1 tcp dport 8443 accept",
        ] {
            assert_eq!(rules.matches(line).count(), 1, "{line}");
        }
        assert_eq!(rules.matches("policy drop").count(), 3);
        assert_eq!(isolate(&[]), Err(IsolationError::NoExemption));
    }
}
