//! Signed `POST`s of one record, or of a batch. Source: reference/events.md section 12.

use super::Error;
use super::destination::{self, Guarded, HostPort, Post};
use super::format::Format;
use super::settings;
use crate::access::to_hex;
use aws_lc_rs::hmac;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use muster_store::Queued;
use std::borrow::Cow;
use std::time::Duration;
use url::{Url, form_urlencoded};

/// A whole delivery must be over in this time.
const REQUEST_MAX: Duration = Duration::from_secs(30);

/// Records that one `webhook` output delivers between two commits: as many may come twice after a crash.
const RECORDS_PER_TURN: usize = 32;

/// Bytes of one bulk request; receivers commonly refuse more than a few MiB.
const BULK_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Default and longest batch period, in seconds. Source: reference/events.md section 11.2.
pub(super) const PERIOD_DEFAULT_S: u64 = 120;
pub(super) const PERIOD_MAX_S: u64 = 3_600;

/// Settings of `webhook` and `webhook_bulk`.
pub(super) struct Settings {
    url: Url,
    key: hmac::Key,
    header: Option<(HeaderName, HeaderValue)>,
    has_json_body: bool,
    /// How long a batch is collected; `None` sends each record by itself.
    pub(super) period: Option<Duration>,
}

impl Settings {
    pub(super) fn read(settings: &settings::Settings<'_>, is_bulk: bool) -> Result<Self, Error> {
        let host = settings.require("dest_host")?;
        let text = if host.contains("://") { host } else { format!("https://{host}") };
        let url = Url::parse(&text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        let header = match settings.text("auth_header_name") {
            None => None,
            Some(name) => {
                let name = HeaderName::from_bytes(name.as_bytes());
                let name = name.map_err(|_| Error::setting("auth_header_name is not a header name"))?;
                let value = HeaderValue::from_str(&settings.text("auth_header_value").unwrap_or_default());
                let mut value = value.map_err(|_| Error::setting("auth_header_value is not a header value"))?;
                value.set_sensitive(true);
                Some((name, value))
            }
        };
        let has_json_body = match settings.text("body").as_deref() {
            None | Some("form") => false,
            Some("json") => true,
            Some(_) => return Err(Error::setting("body must be form or json")),
        };
        let period_s = settings.number("sec_per_file", 1, PERIOD_MAX_S)?.unwrap_or(PERIOD_DEFAULT_S);
        Ok(Self {
            url: url.ok_or_else(|| Error::setting("dest_host must be an http or https URL"))?,
            key: hmac::Key::new(hmac::HMAC_SHA256, settings.require("secret_key")?.as_bytes()),
            header,
            has_json_body,
            period: is_bulk.then_some(Duration::from_secs(period_s)),
        })
    }

    pub(super) fn place(&self) -> HostPort {
        destination::place_of(&self.url)
    }
}

/// The HTTP client of one output.
pub(super) struct Sink(Guarded);

impl Sink {
    pub(super) fn new(allow_private: bool) -> Result<Self, String> {
        Guarded::new(allow_private).map(Self)
    }

    /// Delivers the first records; tells how many are done with, also when it fails.
    pub(super) async fn deliver(
        &self,
        settings: &Settings,
        format: &Format,
        records: &[Queued],
    ) -> (usize, Result<(), String>) {
        if settings.period.is_some() {
            let taken = bulk_size(records);
            let lines: Vec<Cow<'_, [u8]>> =
                records.iter().take(taken).filter_map(|record| format.line(&record.body)).collect();
            let sent = if lines.is_empty() { Ok(()) } else { self.send(settings, &format.batch(&lines)).await };
            return (if sent.is_ok() { taken } else { 0 }, sent);
        }
        for (at, record) in records.iter().take(RECORDS_PER_TURN).enumerate() {
            let Some(text) = format.text(&record.body) else { continue };
            if let Err(error) = self.send(settings, &text).await {
                return (at, Err(error));
            }
        }
        (records.len().min(RECORDS_PER_TURN), Ok(()))
    }

    async fn send(&self, settings: &Settings, text: &[u8]) -> Result<(), String> {
        let signature = HeaderValue::try_from(to_hex(hmac::sign(&settings.key, text).as_ref()));
        let signature = signature.map_err(|error| error.to_string())?;
        let (kind, body) = match settings.has_json_body {
            true => ("application/json", text.to_vec()),
            false => ("application/x-www-form-urlencoded", form(text).into_bytes()),
        };
        let mut headers =
            vec![(CONTENT_TYPE, HeaderValue::from_static(kind)), (HeaderName::from_static("lc-signature"), signature)];
        headers.extend(settings.header.clone());
        let post = Post { headers, body: Bytes::from(body), within: REQUEST_MAX, bytes_max: None };
        let status = self.0.post(settings.url.as_str(), post).await?.status;
        if status.is_success() { Ok(()) } else { Err(format!("the receiver answered {status}")) }
    }
}

fn form(text: &[u8]) -> String {
    form_urlencoded::Serializer::new(String::new()).append_pair("data", &String::from_utf8_lossy(text)).finish()
}

/// How many of the first records make one bulk request; at least one.
fn bulk_size(records: &[Queued]) -> usize {
    let mut bytes = 0;
    let fits = records.iter().take_while(|record| {
        bytes += record.body.len() + 1;
        bytes <= BULK_BYTES_MAX
    });
    fits.count().max(1).min(records.len())
}
