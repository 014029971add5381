//! Installation keys: how sensors enrol. Source: reference/sensor.md section 2.

use super::super::{Access, ApiError, Call, Kind, Method, Reply, Route};
use crate::access::{
    INSTALLATION_KEY, INSTALLATION_KEYS_MAX, InstallationKeyRecord, Reach, Sight, check_installation_key,
    fresh_installation_key, from_hex,
};
use crate::app::App;
use crate::{SERVER_NAME, random};
use muster_api_types::{Done, InstallationKeys, PutInstallationKey};
use muster_model::{Iid, Oid};
use muster_store::Expect;
use muster_wire::InstallationKey;
use serde_json::{Map, Value, json};

pub(super) fn routes() -> Vec<Route> {
    use Access::May;
    use Method::{Delete, Get, Post};
    let all = "/installationkeys/{oid}";
    vec![
        Route::new(Get, all, May("ikey.list"), "Installation keys", list)
            .answers::<InstallationKeys>("installation_keys_list"),
        Route::new(Get, "/installationkeys/{oid}/{iid}", May("ikey.list"), "One installation key", get)
            .answers::<muster_api_types::InstallationKey>("installation_key_get"),
        Route::new(Post, all, May("ikey.set"), "Make an installation key, or change one", put)
            .answers::<PutInstallationKey>("installation_key_put")
            .form("desc", Kind::Text, "For people")
            .form("tags", Kind::List, "Put on every sensor that enrols; repeat or join by commas")
            .form("iid", Kind::Id, "Id of the key; absent is a new one")
            .form(
                "quota",
                Kind::Whole(0, u32::MAX as i64),
                "Sensors that may enrol with it; 0 or absent is no limit but the organization's",
            )
            .form(
                "use_public_root_ca",
                Kind::Flag,
                "Kept and given back; sensors always trust the private authority alone",
            ),
        Route::new(Delete, all, May("ikey.del"), "Delete an installation key; enrolled sensors stay", delete)
            .answers::<Done>("installation_key_delete")
            .needs("iid", Kind::Id, "Id of the key"),
    ]
}

/// The published object. It holds the secret, for those with `ikey.list`.
fn shown(app: &App, oid: Oid, iid: &str, record: &InstallationKeyRecord) -> Value {
    let key = iid.parse().ok().zip(from_hex(&record.secret)).map(|(iid, secret)| {
        let key = InstallationKey {
            oid,
            iid: Iid(iid),
            secret,
            address: app.address.for_sensors(),
            server_name: SERVER_NAME.into(),
            ca_der: app.pki.authority.to_vec(),
        };
        key.to_text()
    });
    json!({
        "oid": oid, "iid": iid, "desc": record.description, "tags": record.tags.join(","),
        "key": key.unwrap_or_default(), "json_key": iid, "created": record.created_at.as_secs(),
        "use_public_root_ca": record.use_public_root_ca, "quota": record.quota,
    })
}

/// The published object, as far as somebody sees it.
fn seen(reach: &Reach<'_>, iid: &str, mut shown: Value) -> Option<Value> {
    match reach.sight(INSTALLATION_KEY, iid) {
        Sight::Whole => Some(shown),
        Sight::Outline => {
            shown["key"] = json!("");
            Some(shown)
        }
        Sight::Nothing => None,
    }
}

async fn list(call: Call) -> Result<Reply, ApiError> {
    let oid = call.organization()?.oid;
    let reach = call.reach(oid);
    let keys: Map<String, Value> = call
        .app
        .records
        .list(oid, INSTALLATION_KEY)
        .into_iter()
        .filter_map(|(iid, record)| {
            let value = seen(&reach, &iid, shown(&call.app, oid, &iid, &record))?;
            Some((iid, value))
        })
        .collect();
    Ok(Reply::json(&json!({oid.to_string(): keys})))
}

async fn get(call: Call) -> Result<Reply, ApiError> {
    let oid = call.organization()?.oid;
    let iid = call.path("iid").to_lowercase();
    let record = call.app.records.get(oid, INSTALLATION_KEY, &iid);
    let record = record.ok_or_else(|| ApiError::not_found("installation key not found"))?;
    let key = seen(&call.reach(oid), &iid, shown(&call.app, oid, &iid, &record));
    Ok(Reply::json(&key.ok_or_else(|| ApiError::not_found("installation key not found"))?))
}

async fn put(call: Call) -> Result<Reply, ApiError> {
    let oid = call.organization()?.oid;
    let description = call.fields.get("desc").unwrap_or_default();
    let mut names: Vec<&str> = call.fields.list("tags").collect();
    names.sort_unstable();
    names.dedup();
    check_installation_key(description, &names)?;
    let iid = match call.fields.get("iid").filter(|iid| !iid.is_empty()) {
        None => Iid(random::uuid()),
        Some(iid) => Iid(iid.parse().map_err(|_| ApiError::bad_request("iid must be a UUID"))?),
    };
    let key = iid.to_string();
    let stored = call.app.records.get_with_revision(oid, INSTALLATION_KEY, &key);
    if stored.is_none() && call.app.records.count(oid, INSTALLATION_KEY) >= INSTALLATION_KEYS_MAX {
        return Err(ApiError::bad_request(format!(
            "an organization has at most {INSTALLATION_KEYS_MAX} installation keys"
        )));
    }
    let (mut record, expect) = match stored {
        Some((record, revision)) => (record, Expect::Revision(revision)),
        None => (fresh_installation_key(), Expect::Absent),
    };
    if let Some(quota) = call.fields.number("quota")? {
        let quota = u32::try_from(quota).ok();
        record.quota = quota.ok_or_else(|| ApiError::bad_request(format!("quota must be 0 to {}", u32::MAX)))?;
    }
    record.description = description.to_owned();
    record.tags = names.iter().map(|name| (*name).to_owned()).collect();
    record.use_public_root_ca = call.fields.flag("use_public_root_ca")?;
    let entity = json!({"type": "installation_key", "name": key});
    let detail = json!({"desc": description, "tags": names});
    let beside = call.audit(oid, "installation key set", &entity, "set_installation_key", &detail);
    call.reach(oid).put::<_, ApiError>(INSTALLATION_KEY, &key, &record, expect, beside).await?;
    Ok(Reply::json(&json!({"oid": oid, "iid": iid})))
}

async fn delete(call: Call) -> Result<Reply, ApiError> {
    let oid = call.organization()?.oid;
    let iid = call.fields.get("iid").unwrap_or_default().to_lowercase();
    if !call.app.records.has(oid, INSTALLATION_KEY, &iid) {
        return Err(ApiError::not_found("installation key not found"));
    }
    let entity = json!({"type": "installation_key", "name": iid});
    let beside = call.audit(oid, "installation key deleted", &entity, "delete_installation_key", &json!({}));
    call.reach(oid).delete::<_, ApiError>(INSTALLATION_KEY, &iid, beside).await?;
    Ok(Reply::done())
}
