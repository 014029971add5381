//! One call of a program: sign, post, judge.

use super::condition::Closed;
use super::pace::busy_for;
use super::program::Protocol;
use super::registry::Registration;
use crate::output::destination::{Guarded, Post};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{self, CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderName, HeaderValue};
use muster_webhook::extension::{self, Message, Subject};
use muster_webhook::service::{self, DEADLINE_S, Envelope, USER_AGENT};
use muster_webhook::{EXTENSION_HEADER, SERVICE_HEADER, sign};
use std::io::Write as _;
use std::sync::OnceLock;
use std::time::Duration;

/// Largest answer that is read. Jobs and resources fit; it is held in memory for each call under way.
const ANSWER_BYTES_MAX: usize = 8 << 20;

/// How long a program may take to say how it is.
pub(super) const HEALTH_MAX: Duration = Duration::from_secs(30);

/// How long an extension may take. Source: reference/extension-protocol.md section 2.
const EXTENSION_MAX: Duration = Duration::from_secs(120);

/// How long a program may take for all else: a service until the deadline that it is told.
pub(super) const fn call_max(protocol: Protocol) -> Duration {
    match protocol {
        Protocol::Service => Duration::from_secs(DEADLINE_S.unsigned_abs()),
        Protocol::Extension => EXTENSION_MAX,
    }
}

/// How often connections are closed that nobody needs.
pub(super) const TIDY_EVERY: Duration = Duration::from_secs(30);

/// What is said to a program.
pub(super) enum Said {
    /// To a service: the text that is signed and sent.
    Event(Bytes),
    /// To an extension.
    Message(Box<Message>),
}

impl From<Envelope> for Said {
    fn from(event: Envelope) -> Self {
        Self::Event(event.to_vec().into())
    }
}

/// What a program answered.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Answered {
    Service(service::Answer),
    Extension(extension::Answer),
}

/// What is to be made of an answer.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Verdict {
    /// Dealt with.
    Done(Answered),
    /// To be said again under the same id, for this reason.
    Again(String),
    /// Failed for good, for this reason.
    Failed(String),
    /// It has no callback for this.
    NotImplemented,
    /// It takes no calls now.
    Closed(Closed),
}

impl Said {
    /// The body, and header fields about it. What is signed is the text; it is sent compressed to extensions, which get it so,
    /// and as it is to services, none of which understands that.
    fn written(&self, secret: &str) -> Result<(Bytes, Vec<(HeaderName, HeaderValue)>), String> {
        let signed = |text: &[u8]| HeaderValue::try_from(sign(secret, text)).map_err(|error| error.to_string());
        let mut headers = Vec::with_capacity(4);
        headers.push((CONTENT_TYPE, HeaderValue::from_static("application/json")));
        headers.push((header::USER_AGENT, HeaderValue::from_static(USER_AGENT)));
        match self {
            Self::Event(text) => {
                headers.push((HeaderName::from_static(SERVICE_HEADER), signed(text)?));
                Ok((text.clone(), headers))
            }
            Self::Message(message) => {
                let text = message.to_vec();
                headers.push((HeaderName::from_static(EXTENSION_HEADER), signed(&text)?));
                headers.push((CONTENT_ENCODING, HeaderValue::from_static("gzip")));
                Ok((packed(&text).into(), headers))
            }
        }
    }

    fn judge(&self, status: u16, retry_after: Option<&str>, body: &[u8]) -> Verdict {
        match self {
            Self::Event(_) => match service::judge(status, body) {
                service::Verdict::Done(answer) => Verdict::Done(Answered::Service(answer)),
                service::Verdict::Again(reason) => Verdict::Again(reason),
                service::Verdict::Failed(reason) => Verdict::Failed(reason),
                service::Verdict::NotImplemented => Verdict::NotImplemented,
                service::Verdict::Busy => Verdict::Closed(Closed::Busy(busy_for(retry_after))),
                service::Verdict::WrongSecret => Verdict::Closed(Closed::WrongSecret),
            },
            Self::Message(message) => {
                let is_heartbeat = matches!(message.subject, Subject::Heartbeat {});
                match extension::judge(status, body, is_heartbeat) {
                    extension::Verdict::Done(answer) => Verdict::Done(Answered::Extension(answer)),
                    extension::Verdict::Again(reason) => Verdict::Again(reason),
                    extension::Verdict::Failed(reason) => Verdict::Failed(reason),
                    extension::Verdict::Busy => Verdict::Closed(Closed::Busy(busy_for(retry_after))),
                    extension::Verdict::WrongSecret => Verdict::Closed(Closed::WrongSecret),
                }
            }
        }
    }
}

/// The clients: made when first needed, and kept with their connections.
#[derive(Default)]
pub(super) struct Clients {
    public: OnceLock<Result<Guarded, String>>,
    private: OnceLock<Result<Guarded, String>>,
}

impl Clients {
    fn of(&self, allow_private: bool) -> Result<&Guarded, String> {
        let place = if allow_private { &self.private } else { &self.public };
        place.get_or_init(|| Guarded::new(allow_private)).as_ref().map_err(Clone::clone)
    }

    /// Says something, and tells what to make of the answer. `allow_private` is what the server allows to all.
    ///
    /// # Errors
    ///
    /// Why there is no answer: the program was not reached, or did not answer in time.
    ///
    /// # Cancel safety
    ///
    /// A call that is dropped may have reached the program.
    pub(super) async fn post(
        &self,
        to: &Registration,
        said: &Said,
        allow_private: bool,
        within: Duration,
    ) -> Result<Verdict, String> {
        let client = self.of(allow_private || to.allow_private)?;
        let (body, headers) = said.written(to.secret.as_deref().unwrap_or_default())?;
        let answer = client.post(&to.url, Post { headers, body, within, bytes_max: Some(ANSWER_BYTES_MAX) }).await?;
        let retry_after = answer.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        Ok(said.judge(answer.status.as_u16(), retry_after, &answer.body))
    }

    /// Closes connections that nobody needs.
    pub(super) fn tidy(&self) {
        for client in [&self.public, &self.private] {
            if let Some(Ok(client)) = client.get() {
                client.tidy();
            }
        }
    }
}

fn packed(text: &[u8]) -> Vec<u8> {
    let mut packer = GzEncoder::new(Vec::with_capacity(text.len() / 2), Compression::fast());
    // Memory takes every byte.
    let written = packer.write_all(text).and_then(|()| packer.finish());
    written.unwrap_or_default()
}
