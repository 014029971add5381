//! The files of the console and their headers.
//!
//! Source: reference/console.md section 6.

use super::Console;
use super::{Body, origin};
use bytes::Bytes;
use flate2::read::GzDecoder;
use http::header::{self, HeaderName, HeaderValue};
use http::uri::Scheme;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use muster_console::File;
use std::io::Read as _;

/// Everything comes from this server, nothing is written into pages, and no text becomes markup.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; \
     connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; \
     require-trusted-types-for 'script'; trusted-types 'none'";

/// What a browser may keep: names of assets hold a hash of the content.
const FOR_EVER: &str = "public, max-age=31536000, immutable";

const NOT_BUILT: &str = "console: not in this build; ./up builds it\n";

/// Headers of everything below `/console`.
const HEADERS: [(HeaderName, &str); 6] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    // Not no-referrer: with that, browsers make the Origin of a form null.
    (header::REFERRER_POLICY, "same-origin"),
    (header::VARY, "Accept-Encoding"),
];

/// Answers a request for a file or page of the console; `None` if it is one for the API.
pub fn answer<B>(console: &Console, request: &Request<B>) -> Option<Response<Body>> {
    let path = request.uri().path();
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    if path == "/" || path == "/console" {
        return (is_read && (path != "/" || wants_page(request.headers()))).then(redirect);
    }
    let below = path.strip_prefix("/console/").filter(|below| !below.starts_with("api/"))?;
    let mut response =
        if is_read { read(console, request, below) } else { text(StatusCode::METHOD_NOT_ALLOWED, "only GET\n") };
    harden(&mut response);
    if *request.method() == Method::HEAD {
        *response.body_mut() = body(Bytes::new());
    }
    Some(response)
}

fn read<B>(console: &Console, request: &Request<B>, below: &str) -> Response<Body> {
    let scheme = request.extensions().get::<Scheme>().unwrap_or(&Scheme::HTTP);
    if let Err(error) = origin::require_host(console, scheme, request.headers()) {
        return text(StatusCode::FORBIDDEN, &format!("{error}\n"));
    }
    if !muster_console::is_built() {
        return text(StatusCode::SERVICE_UNAVAILABLE, NOT_BUILT);
    }
    match muster_console::find(below) {
        Some(found) => file(found, request.headers()),
        None if below.starts_with("assets/") => text(StatusCode::NOT_FOUND, "no such file\n"),
        // Which pages there are is known to the script alone.
        None => match muster_console::find(muster_console::PAGE) {
            Some(page) => file(page, request.headers()),
            None => text(StatusCode::SERVICE_UNAVAILABLE, NOT_BUILT),
        },
    }
}

fn wants_page(headers: &HeaderMap) -> bool {
    headers
        .get(header::ACCEPT)
        .and_then(|accept| accept.to_str().ok())
        .is_some_and(|accept| accept.contains("text/html"))
}

fn redirect() -> Response<Body> {
    let mut response = text(StatusCode::SEE_OTHER, "");
    response.headers_mut().insert(header::LOCATION, HeaderValue::from_static("/console/"));
    response
}

fn file(file: &'static File, headers: &HeaderMap) -> Response<Body> {
    let takes = |encoding: &str| {
        let accepted = headers.get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or_default();
        accepted.split(',').any(|part| part.split(';').next().unwrap_or_default().trim() == encoding)
    };
    let (encoding, bytes) = if takes("br") {
        (Some("br"), Bytes::from_static(file.brotli))
    } else if takes("gzip") {
        (Some("gzip"), Bytes::from_static(file.gzip))
    } else {
        let mut plain = Vec::new();
        match GzDecoder::new(file.gzip).read_to_end(&mut plain) {
            Ok(_) => (None, Bytes::from(plain)),
            Err(error) => return text(StatusCode::INTERNAL_SERVER_ERROR, &format!("{error}\n")),
        }
    };
    let mut response = Response::new(body(bytes));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(file.media_type()));
    let kept = if file.is_immutable() { FOR_EVER } else { "no-store" };
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(kept));
    if let Some(encoding) = encoding {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding));
    }
    response
}

fn text(status: StatusCode, text: &str) -> Response<Body> {
    let mut response = Response::new(body(Bytes::from(text.to_owned())));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn body(bytes: Bytes) -> Body {
    Full::new(bytes).map_err(|never| match never {}).boxed_unsync()
}

/// Puts the headers of the console on an answer.
pub fn harden<B>(response: &mut Response<B>) {
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
}
