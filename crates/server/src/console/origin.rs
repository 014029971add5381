//! Whether a request comes from the console's own pages.
//!
//! A browser sends the cookie by itself, so whatever changes something must also show what no foreign page
//! can: where the request was made, and a header that forms cannot set. Names of hosts are checked, because
//! a foreign name may be led to this server's address (DNS rebinding).
//!
//! Source: reference/console.md section 7.

use super::Console;
use super::Error;
use http::uri::{Authority, Scheme};
use http::{HeaderMap, Method, header, request};
use std::net::IpAddr;

/// Set by the console on everything that changes something.
pub const HEADER: &str = "x-muster-console";

/// Checks a request that shows a session: the name it was sent to, and for changes where it was made.
///
/// # Errors
///
/// An error saying what is missing.
pub fn require_own_request(console: &Console, parts: &request::Parts) -> Result<(), Error> {
    let scheme = parts.extensions.get::<Scheme>().unwrap_or(&Scheme::HTTP);
    require_host(console, scheme, &parts.headers)?;
    if matches!(parts.method, Method::GET | Method::HEAD) {
        return Ok(());
    }
    require_same_origin(scheme, &parts.headers)
}

/// Checks a request without a session that changes something, such as signing in. `base` is
/// `scheme://host` as the client addressed this server.
///
/// # Errors
///
/// An error saying what is missing.
pub fn require_own_page(console: &Console, base: &str, headers: &HeaderMap) -> Result<(), Error> {
    let scheme = if base.starts_with("https:") { &Scheme::HTTPS } else { &Scheme::HTTP };
    require_host(console, scheme, headers)?;
    require_same_origin(scheme, headers)
}

/// Checks the name of the server in a request.
///
/// # Errors
///
/// [`Error::ForeignHost`], which names the address to use.
pub fn require_host(console: &Console, scheme: &Scheme, headers: &HeaderMap) -> Result<(), Error> {
    let host = text(headers, header::HOST.as_str()).and_then(|host| host.parse::<Authority>().ok());
    if host.is_some_and(|host| is_own_name(console, scheme, host.host())) {
        return Ok(());
    }
    Err(Error::ForeignHost(console.address.for_sensors()))
}

/// Addresses cannot be led elsewhere, so they are right on TLS; without TLS only loopback is, since browsers
/// keep a `Secure` cookie there.
fn is_own_name(console: &Console, scheme: &Scheme, host: &str) -> bool {
    let bare = host.trim_matches(['[', ']']).to_lowercase();
    let ip = bare.parse::<IpAddr>().ok();
    if bare == "localhost" || ip.is_some_and(|ip| ip.is_loopback()) {
        return true;
    }
    if *scheme != Scheme::HTTPS {
        return false;
    }
    let public = console.address.public.as_deref().and_then(|address| address.parse::<Authority>().ok());
    let is_public = public.is_some_and(|public| public.host().trim_matches(['[', ']']).eq_ignore_ascii_case(&bare));
    ip.is_some() || is_public || console.address.names.iter().any(|name| name.eq_ignore_ascii_case(&bare))
}

/// Checks that a request was made by a page of this server.
///
/// # Errors
///
/// An error saying what is missing.
pub fn require_same_origin(scheme: &Scheme, headers: &HeaderMap) -> Result<(), Error> {
    let is_same = match text(headers, "sec-fetch-site") {
        Some(site) => site == "same-origin",
        None => has_own_origin(scheme, headers),
    };
    if !is_same {
        return Err(Error::ForeignPage("request"));
    }
    if text(headers, HEADER) != Some("1") {
        return Err(Error::NoHeader);
    }
    Ok(())
}

/// Whether `Origin` is this server as the request addressed it.
pub fn has_own_origin(scheme: &Scheme, headers: &HeaderMap) -> bool {
    let host = text(headers, header::HOST.as_str());
    let origin = text(headers, header::ORIGIN.as_str());
    matches!((origin, host), (Some(origin), Some(host)) if origin == format!("{scheme}://{host}"))
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}
