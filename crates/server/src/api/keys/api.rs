//! API keys of the organization. Source: reference/rest-api.md sections 5.5 and 7.3.

use super::super::{Access, ApiError, Call, Kind, Method, Reply, Route};
use super::KEYS_MAX;
use crate::access::{API_KEY, ApiKey, Sight, Without, require_grantable, require_keeper};
use crate::records::{Batch, SERVER};
use crate::{clock, random};
use muster_api_types::{ApiKeys, Done, NewApiKey};
use muster_store::Expect;
use serde_json::{Map, Value, json};

pub(super) fn routes() -> Vec<Route> {
    use Access::May;
    use Method::{Delete, Get, Post};
    let path = "/orgs/{oid}/keys";
    vec![
        Route::new(Get, path, May("apikey.ctrl"), "API keys by their hash", list).answers::<ApiKeys>("api_keys_list"),
        Route::new(Post, path, May("apikey.ctrl"), "Make an API key; it is shown this once", create)
            .answers::<NewApiKey>("api_key_create")
            .needs("key_name", Kind::Text, "Name of the key")
            .form("perms", Kind::List, "Comma-separated permissions, all of which the caller must have")
            .form("allowed_ip_range", Kind::Text, "CIDR from which the key may be used; absent is anywhere"),
        Route::new(Delete, path, May("apikey.ctrl"), "Delete an API key; its tokens end with it", delete)
            .answers::<Done>("api_key_delete")
            .needs("key_hash", Kind::Text, "Hash of the key"),
    ]
}

async fn list(call: Call) -> Result<Reply, ApiError> {
    let oid = call.organization()?.oid;
    let (keys, reach) = (call.app.records.list(oid, API_KEY).into_iter(), call.reach(oid));
    let keys = keys.filter(|(hash, _)| reach.sight(API_KEY, hash) != Sight::Nothing);
    let shown = |key: &ApiKey| {
        json!({
            "name": key.name, "priv": key.permissions, "by": key.by, "allowed_ip_range": key.allowed_ip_range,
            "created": key.created_at.as_secs(),
        })
    };
    let keys: Map<String, Value> = keys.map(|(hash, key)| (hash, shown(&key))).collect();
    Ok(Reply::json(&json!({"api_keys": keys})))
}

async fn create(call: Call) -> Result<Reply, ApiError> {
    let oid = call.organization()?.oid;
    let name = super::name(&call, "key_name")?;
    let mut permissions: Vec<String> = call.fields.list("perms").map(str::to_owned).collect();
    permissions.sort_unstable();
    permissions.dedup();
    require_grantable(&call.caller, oid, &permissions)?;
    call.reach(oid).require_key_name(name)?;
    let range = call.fields.get("allowed_ip_range").map(str::trim).unwrap_or_default();
    if !range.is_empty() && range.parse::<ipnet::IpNet>().is_err() {
        return Err(ApiError::bad_request("allowed_ip_range must be a CIDR such as 192.0.2.0/24"));
    }
    if call.app.records.count(oid, API_KEY) >= KEYS_MAX {
        return Err(ApiError::bad_request(format!("an organization has at most {KEYS_MAX} API keys")));
    }
    let secret = random::uuid().to_string();
    let digest = call.app.secrets.digest(secret.as_bytes());
    let entity = json!({"type": "api_key", "name": name});
    let detail = json!({"permissions": permissions, "allowed_ip_range": range, "key_hash": digest});
    let key = ApiKey {
        name: name.to_owned(),
        permissions,
        by: call.caller.identity.clone(),
        created_at: clock::now(),
        allowed_ip_range: range.to_owned(),
    };
    let beside = call.audit(oid, "API key made", &entity, "create_api_key", &detail);
    call.reach(oid).put::<_, ApiError>(API_KEY, &digest, &key, Expect::Absent, beside).await?;
    Ok(Reply::json(&json!({"success": true, "api_key": secret, "key_hash": digest})))
}

async fn delete(call: Call) -> Result<Reply, ApiError> {
    let oid = call.organization()?.oid;
    let hash = super::name(&call, "key_hash")?;
    let records = &call.app.records;
    let decide = || {
        let key = records.get(oid, API_KEY, hash).ok_or_else(|| ApiError::not_found("API key not found"))?;
        let reach = call.reach(oid);
        reach.require(API_KEY, hash)?;
        require_keeper(records, oid, &Without::Key(hash))?;
        let entity = json!({"type": "api_key", "name": key.name});
        let beside = call.audit(oid, "API key deleted", &entity, "delete_api_key", &json!({"key_hash": hash}));
        Ok::<_, ApiError>(reach.unmarked(Batch::beside(beside).delete(oid, API_KEY, hash), API_KEY, hash))
    };
    records.change(&[SERVER, oid], decide).await?;
    Ok(Reply::done())
}
