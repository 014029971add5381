//! Addresses and the classes that rules know.
//!
//! Source: reference/detection-response.md section 8.5, resolution A-13.

use crate::ast::{AddressClass, Family};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use ipnet::IpNet;

/// Reads an address; one that maps IPv4 into IPv6 is that IPv4 address.
pub(crate) fn parse(text: &str) -> Option<IpAddr> {
    text.parse::<IpAddr>().ok().map(|address| address.to_canonical())
}

pub(super) fn is_in(network: &IpNet, text: &str) -> bool {
    parse(text).is_some_and(|address| network.contains(&address))
}

pub(super) fn is_of(class: AddressClass, text: &str) -> bool {
    let Some(address) = parse(text) else { return false };
    let family = if address.is_ipv4() { Family::V4 } else { Family::V6 };
    if class.family.is_some_and(|wanted| wanted != family) {
        return false;
    }
    match address {
        IpAddr::V4(v4) if class.is_public => is_public_v4(v4),
        IpAddr::V4(v4) => is_private_v4(v4),
        IpAddr::V6(v6) if class.is_public => is_public_v6(v6),
        IpAddr::V6(v6) => v6.is_unique_local(),
    }
}

fn is_private_v4(address: Ipv4Addr) -> bool {
    let [first, second, ..] = address.octets();
    address.is_private() || (first == 100 && second & 0xc0 == 64)
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    !(is_private_v4(address)
        || address.is_loopback()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_unspecified()
        || address.is_broadcast())
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let is_site_local = address.segments()[0] & 0xffc0 == 0xfec0;
    !(address.is_unique_local()
        || address.is_loopback()
        || address.is_unicast_link_local()
        || address.is_multicast()
        || address.is_unspecified()
        || is_site_local)
}
