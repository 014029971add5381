//! One-time transfers. Source: reference/rest-api.md section 7.10.

use super::{Access, ApiError, Call, Method, Reply, Route};
use crate::transfer::What;
use crate::{artifact, payload};
use bytes::Bytes;

const MEDIA_TYPE: &str = "application/octet-stream";

/// The routes of this area.
pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::new(Method::Put, "//transfer/{token}", Access::Public, "Uploads a file, once", put)
            .answers_bytes("transfer_put", MEDIA_TYPE)
            .streaming(),
        Route::new(Method::Get, "//transfer/{token}", Access::Public, "Downloads a file, once", get)
            .answers_bytes("transfer_get", MEDIA_TYPE),
    ]
}

async fn put(mut call: Call) -> Result<Reply, ApiError> {
    let body = call.stream.take().ok_or_else(|| ApiError::bad_request("the request has no body"))?;
    let (oid, what) = call.app.transfers.take(call.path("token"), true)?;
    let mut bytes_max = call.app.config.limits.file_bytes;
    if let What::PutArtifact(offer) = &what {
        artifact::require_new(&call.app.records, oid, offer)?;
        bytes_max = offer.size.unwrap_or(bytes_max);
    }
    let mut upload = call.app.files.begin().await?;
    upload.append(body, bytes_max).await?;
    let received = upload.finish().await?;
    match what {
        What::PutPayload { name, actor } => {
            payload::keep(&call.app.records, &call.app.files, oid, &name, received, &actor).await?
        }
        What::PutArtifact(offer) => {
            artifact::keep(&call.app.artifacts, oid, *offer, received).await?;
        }
        What::Get { .. } => return Err(ApiError::not_found("this transfer is a download")),
    }
    // The published client prints whatever comes back, and fails on it: nothing may.
    Ok(Reply::bytes(MEDIA_TYPE, Bytes::new()))
}

async fn get(call: Call) -> Result<Reply, ApiError> {
    let (size, body) = call.app.transfers.open(call.path("token")).await?;
    Ok(Reply::stream(MEDIA_TYPE, body).header("content-length", size.to_string()))
}
