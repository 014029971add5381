//! Keys of users: each is for the organizations in which it was made, and for those that it makes.

use super::super::{Access, ApiError, Call, Kind, Method, Reply, Route};
use super::KEYS_MAX;
use crate::access::{USER, USER_KEY, UserKey, Without, require_grantable, require_keeper};
use crate::records::{Batch, SERVER};
use crate::{clock, random};
use muster_api_types::{Done, NewUserKey, UserKeys};
use muster_model::Oid;
use muster_store::Expect;
use serde_json::{Map, Value, json};

pub(super) fn routes() -> Vec<Route> {
    use Access::May;
    use Method::{Delete, Get, Post};
    let path = "/orgs/{oid}/users/keys";
    vec![
        Route::new(Get, path, May("user.ctrl"), "Keys of users for this organization, by their hash", list)
            .answers::<UserKeys>("user_keys_list"),
        Route::new(Post, path, May("user.ctrl"), "Make a key for a user; it is shown this once", create)
            .answers::<NewUserKey>("user_key_create")
            .needs(
                "email",
                Kind::Text,
                "E-mail address of the user, all of whose permissions here the caller must have",
            )
            .needs("key_name", Kind::Text, "Name of the key"),
        Route::new(Delete, path, May("user.ctrl"), "End a key of a user for this organization", delete)
            .answers::<Done>("user_key_delete")
            .needs("key_hash", Kind::Text, "Hash of the key"),
    ]
}

fn of(call: &Call, oid: Oid) -> Vec<(String, UserKey)> {
    let mut keys = call.app.records.list(SERVER, USER_KEY);
    keys.retain(|(_, key)| key.organizations.contains(&oid));
    keys
}

async fn list(call: Call) -> Result<Reply, ApiError> {
    let oid = call.organization()?.oid;
    let shown = |key: &UserKey| json!({"email": key.email, "name": key.name, "created": key.created_at.as_secs()});
    let keys: Map<String, Value> = of(&call, oid).iter().map(|(hash, key)| (hash.clone(), shown(key))).collect();
    Ok(Reply::json(&json!({"user_keys": keys})))
}

/// The key is limited to this organization: who makes it here must not come into another one to which the user
/// belongs, or will belong.
async fn create(call: Call) -> Result<Reply, ApiError> {
    let oid = call.organization()?.oid;
    let name = super::name(&call, "key_name")?;
    let email = call.fields.require("email")?.trim().to_lowercase();
    let user = call.app.records.get(SERVER, USER, &email).filter(|user| user.organizations.contains_key(&oid));
    let user = user.ok_or_else(|| ApiError::not_found("user not found; first make one: POST orgs/OID/users"))?;
    require_grantable(&call.caller, oid, user.organizations.get(&oid).into_iter().flatten())?;
    if of(&call, oid).len() >= KEYS_MAX {
        return Err(ApiError::bad_request(format!("an organization has at most {KEYS_MAX} keys of users")));
    }
    let secret = random::uuid().to_string();
    let digest = call.app.secrets.digest(secret.as_bytes());
    let entity = json!({"type": "user_key", "name": name});
    let detail = json!({"email": email, "key_hash": digest});
    let key = UserKey { email, name: name.to_owned(), created_at: clock::now(), organizations: [oid].into() };
    let beside = call.audit(oid, "key of a user made", &entity, "create_user_key", &detail);
    call.app.records.put(SERVER, USER_KEY, &digest, &key, Expect::Absent, beside).await?;
    Ok(Reply::json(&json!({"success": true, "api_key": secret, "key_hash": digest, "uid": user.uid})))
}

async fn delete(call: Call) -> Result<Reply, ApiError> {
    let oid = call.organization()?.oid;
    let hash = super::name(&call, "key_hash")?;
    let records = &call.app.records;
    let decide = || {
        let stored = records.get_with_revision(SERVER, USER_KEY, hash);
        let stored = stored.filter(|(key, _)| key.organizations.contains(&oid));
        let (mut key, revision) = stored.ok_or_else(|| ApiError::not_found("key not found"))?;
        require_keeper(records, oid, &Without::UserKey(hash))?;
        let entity = json!({"type": "user_key", "name": key.name});
        let detail = json!({"email": key.email, "key_hash": hash});
        let beside = Batch::beside(call.audit(oid, "key of a user ended", &entity, "delete_user_key", &detail));
        key.organizations.remove(&oid);
        if key.organizations.is_empty() {
            return Ok::<_, ApiError>(beside.delete(SERVER, USER_KEY, hash));
        }
        Ok(beside.put(SERVER, USER_KEY, hash, &key, Expect::Revision(revision))?)
    };
    records.change(&[SERVER, oid], decide).await?;
    Ok(Reply::done())
}
