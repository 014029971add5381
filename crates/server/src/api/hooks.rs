//! Webhooks: what programs post becomes events. Source: reference/extension-protocol.md section 11.

use super::{Access, ApiError, Call, Method, Reply, Route, credential};
use crate::hook;
use flate2::read::MultiGzDecoder;
use http::header::CONTENT_ENCODING;
use muster_api_types::{Done, ErrorCode};
use muster_model::Oid;
use std::io::Read as _;

/// Largest body as it comes.
const BODY_BYTES_MAX: usize = 8 << 20;

/// Largest body when it is unpacked.
const UNPACKED_BYTES_MAX: u64 = 32 << 20;

/// The routes of this area.
pub(super) fn routes() -> Vec<Route> {
    let about = "Post events to a webhook: an object, a list of them, or one a line; packed with gzip or not";
    vec![
        Route::new(Method::Post, "//{oid}/{hook}/{secret}", Access::Public, about, post)
            .answers::<Done>("hook_post")
            .streaming(),
    ]
}

/// Who does not know the secret hears nothing of what there is, and sends nothing that is read.
async fn post(mut call: Call) -> Result<Reply, ApiError> {
    let oid = call.path("oid").parse::<Oid>().ok().filter(|oid| call.app.organization(*oid).is_some());
    let webhook = oid.and_then(|oid| hook::find(&call.app.records, oid, call.path("hook"), call.path("secret")));
    let organization = oid.and_then(|oid| call.app.organization(oid));
    let (Some(webhook), Some(organization)) = (webhook, organization) else {
        let refused = ApiError::unauthorized("no webhook of this name takes this secret");
        return Err(credential::refused(&call.app, oid, call.source, refused).await);
    };
    let stream = call.stream.take().ok_or_else(|| ApiError::bad_request("the request has no body"))?;
    let body = call.app.bodies.receive(stream, BODY_BYTES_MAX).await?;
    let is_packed = call.headers.get(CONTENT_ENCODING).is_some_and(|encoding| encoding.as_bytes() == b"gzip");
    let body = if is_packed { unpacked(&body)?.into() } else { body };
    let (meter, most) = (&call.app.meter, call.app.config.limits.events_per_minute);
    let count = |name: &str, events: u32| meter.count_many(name, events, most);
    hook::take(&call.app.detect, &organization, &webhook, (&body, call.source), count).await?;
    Ok(Reply::done())
}

fn unpacked(packed: &[u8]) -> Result<Vec<u8>, ApiError> {
    let mut body = Vec::new();
    let read = MultiGzDecoder::new(packed).take(UNPACKED_BYTES_MAX + 1).read_to_end(&mut body);
    read.map_err(|error| ApiError::bad_request(format!("the body is no gzip: {error}")))?;
    match body.len() as u64 > UNPACKED_BYTES_MAX {
        true => Err(ApiError::too_large(format!("the body unpacks to more than {UNPACKED_BYTES_MAX} bytes"))),
        false => Ok(body),
    }
}

impl From<hook::Error> for ApiError {
    fn from(error: hook::Error) -> Self {
        match error {
            hook::Error::Invalid(text) => Self::bad_request(text),
            hook::Error::NoSensor(text) => Self::new(ErrorCode::Conflict, text),
            hook::Error::TooMany(too_many) => too_many.into(),
            hook::Error::Store(error) => error.into(),
        }
    }
}
