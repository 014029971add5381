//! One call of a service: sign, post, judge.

use super::registry::Registration;
use crate::output::destination::{Guarded, body_of};
use http::header::CONTENT_TYPE;
use muster_model::Timestamp;
use muster_webhook::service::{DEADLINE_S, Envelope, USER_AGENT, Verdict, judge};
use muster_webhook::{SERVICE_HEADER, sign};
use reqwest::Url;
use std::sync::OnceLock;
use std::time::Duration;

/// Largest answer that is read. Jobs and resources fit; it is held in memory for each call under way.
const ANSWER_BYTES_MAX: usize = 8 << 20;

/// How long a service may take to say how it is.
pub(super) const HEALTH_MAX: Duration = Duration::from_secs(30);

/// How long it may take for anything else: until the deadline that it is told.
pub(super) const CALL_MAX: Duration = Duration::from_secs(DEADLINE_S.unsigned_abs());

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

    /// Posts an event, and says what to make of the answer. `allow_private` is what the server allows to all.
    ///
    /// # Errors
    ///
    /// Why there is no answer: the service was not reached, or did not answer in time.
    ///
    /// # Cancel safety
    ///
    /// A call that is dropped may have reached the service.
    pub(super) async fn post(
        &self,
        to: &Registration,
        event: &Envelope,
        allow_private: bool,
        within: Duration,
    ) -> Result<Verdict, String> {
        let client = self.of(allow_private || to.allow_private)?;
        let url = Url::parse(&to.url).map_err(|error| error.to_string())?;
        let body = event.to_vec();
        let signature = sign(to.secret.as_deref().unwrap_or_default(), &body);
        let fill = |request: reqwest::RequestBuilder| {
            let request = request.header(CONTENT_TYPE, "application/json").header("user-agent", USER_AGENT);
            request.header(SERVICE_HEADER, signature).body(body)
        };
        let response = client.post(&url, within, fill).await?;
        let status = response.status().as_u16();
        Ok(judge(status, &body_of(response, ANSWER_BYTES_MAX).await?))
    }
}

/// Whether a message has waited for so long that it is not tried again.
pub(super) fn is_too_old(at: Timestamp, now: Timestamp) -> bool {
    now.since(at) >= Duration::from_secs(24 * 3_600)
}
