//! Payloads. Source: reference/rest-api.md section 7.10.

use super::{Access, ApiError, Call, Method, Reply, Route};
use crate::access::Sight;
use crate::files::Shelf;
use crate::payload::{self, PAYLOAD};
use crate::transfer::{self, What};
use muster_api_types::{Done, GetAddress, Payloads, PutAddress};
use serde_json::{Map, Value, json};

const ACCESS: Access = Access::May("payload.ctrl");

/// The routes of this area.
pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::new(Method::Get, "/payload/{oid}", ACCESS, "All payloads", list).answers::<Payloads>("payloads_list"),
        Route::new(Method::Post, "/payload/{oid}/{name}", ACCESS, "A one-time URL to PUT a payload", put_url)
            .answers::<PutAddress>("payload_put_address"),
        Route::new(Method::Get, "/payload/{oid}/{name}", ACCESS, "A one-time URL to get a payload", get_url)
            .answers::<GetAddress>("payload_get_address"),
        Route::new(Method::Delete, "/payload/{oid}/{name}", ACCESS, "Deletes a payload", delete)
            .answers::<Done>("payload_delete"),
    ]
}

async fn list(call: Call) -> Result<Reply, ApiError> {
    let oid = call.organization()?.oid;
    let reach = call.reach(oid);
    let payloads: Map<String, Value> = call
        .app
        .records
        .list(oid, PAYLOAD)
        .into_iter()
        .filter(|(name, _)| reach.sight(PAYLOAD, name) != Sight::Nothing)
        .map(|(name, payload)| {
            let shown = json!({
                "name": name, "oid": oid, "size": payload.size, "by": payload.by,
                "created": payload.created_at.as_secs(), "sha256": payload.sha256,
            });
            (name, shown)
        })
        .collect();
    Ok(Reply::json(&json!({"payloads": payloads})))
}

async fn put_url(call: Call) -> Result<Reply, ApiError> {
    let (oid, name) = (call.organization()?.oid, call.path("name"));
    payload::require_room(&call.app.records, oid, name)?;
    let actor = call.caller.actor(call.source);
    let token = call.app.transfers.grant(
        oid,
        call.grantee("payload.ctrl"),
        What::PutPayload { name: name.to_owned(), actor },
    )?;
    Ok(Reply::json(&json!({"put_url": transfer::url(&call.base, &token)})))
}

async fn get_url(call: Call) -> Result<Reply, ApiError> {
    let oid = call.organization()?.oid;
    let name = call.path("name");
    let is_seen = call.reach(oid).sight(PAYLOAD, name) == Sight::Whole;
    let payload = call.app.records.get(oid, PAYLOAD, name).filter(|_| is_seen);
    let payload = payload.ok_or_else(|| ApiError::not_found("payload not found"))?;
    let what = What::Get { shelf: Shelf::Payloads, name: payload.sha256 };
    let token = call.app.transfers.grant(oid, call.grantee("payload.ctrl"), what)?;
    Ok(Reply::json(&json!({"get_url": transfer::url(&call.base, &token)})))
}

async fn delete(call: Call) -> Result<Reply, ApiError> {
    let oid = call.organization()?.oid;
    let actor = call.caller.actor(call.source);
    match payload::delete(&call.app.records, &call.app.files, oid, call.path("name"), &actor).await? {
        true => Ok(Reply::done()),
        false => Err(ApiError::not_found("payload not found")),
    }
}
