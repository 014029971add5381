//! Ingestion keys: who may upload artifacts and logs.

use super::super::{Access, ApiError, Call, Kind, Method, Reply, Route};
use super::KEYS_MAX;
use crate::access::{INGESTION_KEY, IngestionKey, Sight};
use crate::random;
use muster_api_types::{Done, IngestionKeys};
use muster_store::Expect;
use serde_json::{Map, Value, json};

pub(super) fn routes() -> Vec<Route> {
    use Access::May;
    use Method::{Delete, Get, Post};
    let path = "/insight/{oid}/ingestion_keys";
    vec![
        Route::new(Get, path, May("ingestkey.ctrl"), "Ingestion keys by name", list)
            .answers::<IngestionKeys>("ingestion_keys_list"),
        Route::new(Post, path, May("ingestkey.ctrl"), "Make an ingestion key, or a new one of that name", create)
            .answers::<muster_api_types::IngestionKey>("ingestion_key_create")
            .needs("name", Kind::Text, "Name of the key"),
        Route::new(Delete, path, May("ingestkey.ctrl"), "Delete an ingestion key", delete)
            .answers::<Done>("ingestion_key_delete")
            .query("name", Kind::Text, "Name of the key"),
    ]
}

async fn list(call: Call) -> Result<Reply, ApiError> {
    let oid = call.organization()?.oid;
    let (keys, reach) = (call.app.records.list(oid, INGESTION_KEY).into_iter(), call.reach(oid));
    let seen = |(name, key): (String, IngestionKey)| match reach.sight(INGESTION_KEY, &name) {
        Sight::Whole => Some((name, json!(key.key))),
        Sight::Outline => Some((name, json!(""))),
        Sight::Nothing => None,
    };
    let keys: Map<String, Value> = keys.filter_map(seen).collect();
    Ok(Reply::json(&json!({"keys": keys})))
}

async fn create(call: Call) -> Result<Reply, ApiError> {
    let oid = call.organization()?.oid;
    let name = super::name(&call, "name")?;
    let records = &call.app.records;
    if !records.has(oid, INGESTION_KEY, name) && records.count(oid, INGESTION_KEY) >= KEYS_MAX {
        return Err(ApiError::bad_request(format!("an organization has at most {KEYS_MAX} ingestion keys")));
    }
    let key = IngestionKey { name: name.to_owned(), key: random::uuid().to_string() };
    let entity = json!({"type": "ingestion_key", "name": name});
    let beside = call.audit(oid, "ingestion key made", &entity, "create_ingestion_key", &json!({}));
    call.reach(oid).put::<_, ApiError>(INGESTION_KEY, name, &key, Expect::Any, beside).await?;
    Ok(Reply::json(&json!({"name": name, "key": key.key})))
}

async fn delete(call: Call) -> Result<Reply, ApiError> {
    let oid = call.organization()?.oid;
    let name = super::name(&call, "name")?;
    if !call.app.records.has(oid, INGESTION_KEY, name) {
        return Err(ApiError::not_found("ingestion key not found"));
    }
    let entity = json!({"type": "ingestion_key", "name": name});
    let beside = call.audit(oid, "ingestion key deleted", &entity, "delete_ingestion_key", &json!({}));
    call.reach(oid).delete::<_, ApiError>(INGESTION_KEY, name, beside).await?;
    Ok(Reply::done())
}
